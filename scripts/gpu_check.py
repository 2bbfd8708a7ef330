#!/usr/bin/env python3
"""Everything that only a chip can show, unattended, in under nine minutes: the checklist of `make gpu-check`.

Steps, each with its own time limit: devices; bytes against the CPU on all vectors and 200 random shapes; compute-sanitizer
where it is installed; ratios to cuBLASLt; three minutes of mining on a development chain. A step that fails does not stop
the others. Tables go to standard output and to the report. Needs Python's standard library, nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

#: Seconds that each step may take; together under nine minutes.
LIMITS = {"devices": 15, "bytes": 110, "sanitizer": 60, "bench": 100, "mining": 225}
MINING_S = 180
START_S = 30


class Failed(Exception):
    """A step did not show what it was to show."""


def run(command: list[str], step: str, env: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            command, env={**os.environ, **(env or {})}, timeout=LIMITS[step], text=True, capture_output=True, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"not done after {error.timeout:.0f} s: {' '.join(command)}") from error
    if done.returncode:
        raise Failed(f"status {done.returncode}: {' '.join(command)}\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def devices(args: argparse.Namespace) -> str:
    return "```\n" + run([args.labora, "devices"], "devices").strip() + "\n```"


def same_bytes(args: argparse.Namespace) -> str:
    env = {"LABORA_REQUIRE_GPU": "" if args.cpu else "1", "LABORA_VECTORS": args.vectors}
    if args.cpu:
        del env["LABORA_REQUIRE_GPU"]
    out = run([args.test, "--nocapture", "--test-threads", "1"], "bytes", env)
    return "\n".join(f"* {line}" for line in out.splitlines() if "the same on" in line or "checked" in line)


def sanitizer(args: argparse.Namespace) -> str:
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        return "compute-sanitizer is not installed: not run."
    for kind in ("memcheck", "racecheck"):
        command = [tool, "--tool", kind, "--error-exitcode", "9", args.labora, "bench", "--devices", "cuda", "--size", "256", "--rounds", "1"]
        run(command, "sanitizer")
    return "memcheck and racecheck: clean on every kernel at 256³."


def bench(args: argparse.Namespace) -> str:
    chosen = "cpu" if args.cpu else "cuda"
    size = ["--size", "512", "--rounds", "1"] if args.cpu else []
    measured = json.loads(run([args.labora, "bench", "--devices", chosen, "--json", *size], "bench"))
    lines = []
    for gpu in measured["gpus"]:
        lines += [f"**{gpu['name']}**, speeds as ratios to the reference", ""]
        lines += ["| m, n, k | kernel | plain, TMAC/s | reference | plain | filler | exact C | node: filler | node: exact | node: plain |"]
        lines += ["| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
        for row in gpu["rows"]:
            shape = ", ".join(f"{side:,}" for side in row["shape"])
            ratios = [row[name] for name in ("plain", "filler", "exact", "node_filler", "node_exact", "node_plain")]
            cells = [shape, row["kernel"], f"{row['plain_tmacs']:.0f}", row["reference"], *(f"{ratio:.3f}" for ratio in ratios)]
            lines.append("| " + " | ".join(cells) + " |")
    lines += [f"* {note}" for note in measured["notes"]]
    if not measured["gpus"] and not args.cpu:
        raise Failed("no GPU was measured: " + "; ".join(measured["notes"]))
    return "\n".join(lines)


def rpc(address: str, method: str) -> dict:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": []}).encode()
    request = urllib.request.Request(f"http://{address}", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        reply = json.load(answer)
    if "error" in reply:
        raise Failed(f"{method}: {reply['error']}")
    return reply["result"]


def mining(args: argparse.Namespace) -> str:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        command = [args.labora, "--dev", "--mine", "--devices", "cpu" if args.cpu else "cuda", "--base-path", f"{folder}/data"]
        command += ["--rpc-port", "0", "--gemm-listen", "none", "--no-prometheus", "--no-mdns", "--listen-addr", "/ip4/127.0.0.1/tcp/0"]
        with log.open("wb") as out:
            node = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            return mine(args, node, log)
        finally:
            node.terminate()
            try:
                node.wait(45)
            except subprocess.TimeoutExpired:
                node.kill()


def mine(args: argparse.Namespace, node: subprocess.Popen, log: Path) -> str:
    deadline = time.monotonic() + START_S
    while not (found := re.findall(r"JSON-RPC server: addr=([^,\s]+)", log.read_text(errors="replace"))):
        if node.poll() is not None or time.monotonic() > deadline:
            raise Failed("the node did not start:\n" + log.read_text(errors="replace")[-3000:])
        time.sleep(0.1)
    before = rpc(found[-1], "pouw_stats")
    seconds = 10 if args.cpu else MINING_S
    time.sleep(seconds)
    after = rpc(found[-1], "pouw_stats")
    blocks = after["blocks"] - before["blocks"]
    lines = [f"{blocks} blocks in {seconds} s; seals refused {after['sealsRefused']}, too late {after['sealsTooLate']}."]
    lines += ["", "| device | TMAC/s | joules per TMAC | lost |", "| --- | --- | --- | --- |"]
    for first, last in zip(before["devices"], after["devices"], strict=True):
        tmacs = (last["macsFiller"] - first["macsFiller"]) / 1e12
        energy = "not measured"
        if last["energyJ"] is not None and first["energyJ"] is not None and tmacs > 0:
            energy = f"{(last['energyJ'] - first['energyJ']) / tmacs:.3f}"
        lines.append(f"| {last['name']} | {tmacs / seconds:.3f} | {energy} | {last['lost']} |")
    if after["sealsRefused"] or not blocks:
        raise Failed("\n".join(lines))
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labora", required=True, help="the node's binary")
    parser.add_argument("--test", required=True, help="the binary of pouw-kernels/tests/gpu.rs")
    parser.add_argument("--vectors", default="consensus/pouw/vectors", help="folder of the vectors")
    parser.add_argument("--report", default="gpu-check.md", help="file for the tables (default: gpu-check.md)")
    parser.add_argument("--cpu", action="store_true", help="try the script itself, on the CPU, in short")
    args = parser.parse_args()
    args.vectors = str(Path(args.vectors).resolve())
    steps = [
        ("What is there", devices),
        ("Bytes equal to the CPU's", same_bytes),
        ("compute-sanitizer", sanitizer),
        ("Speed beside cuBLASLt", bench),
        ("Mining", mining),
    ]
    failed, parts = 0, []
    for number, (title, step) in enumerate(steps, 1):
        print(f"gpu-check: {number} of {len(steps)}: {title}", file=sys.stderr, flush=True)
        began = time.monotonic()
        try:
            body = step(args)
        except (Failed, OSError, ValueError, KeyError) as error:
            failed += 1
            body = f"**FAILED**\n```\n{error}\n```"
        parts.append(f"## {title} ({time.monotonic() - began:.0f} s)\n{body}\n")
        print(parts[-1], flush=True)
        # After each step: what is there is kept if the next one takes the machine down.
        Path(args.report).write_text("\n".join(parts))
    print(f"gpu-check: {len(steps) - failed} of {len(steps)} steps hold; the tables are in {args.report}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
