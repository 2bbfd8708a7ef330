"""The step of gpu_check.py that has a node mine."""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from gpu_check_base import Failed, Step, kill, parsed, start

#: Parts of mining, within its limit.
START_S, MINING_S, STOP_S = 30, 180, 10
SAMPLE_S = 10


def mining(args: argparse.Namespace, step: Step) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        command = [args.labora, "--dev", "--mine", "--devices", "cpu" if args.cpu else "cuda", "--base-path", f"{folder}/data"]
        command += ["--rpc-port", "0", "--gemm-listen", "none", "--no-prometheus", "--no-mdns", "--listen-addr", "/ip4/127.0.0.1/tcp/0"]
        with log.open("wb") as out:
            node = start(command, args.env, out, out)
        try:
            mine(args, step, node, log)
        except OSError as error:
            raise Failed(f"the node does not answer: {error}\n{tail(log)}") from error
        finally:
            kill(node, signal.SIGTERM, STOP_S)
            kill(node)


def mine(args: argparse.Namespace, step: Step, node: subprocess.Popen, log: Path) -> None:
    until = time.monotonic() + min(START_S, step.left())
    while not (found := re.findall(r"JSON-RPC server: addr=([^,\s]+)", log.read_text(errors="replace"))):
        if node.poll() is not None or time.monotonic() > until:
            raise Failed("the node did not start:\n" + tail(log))
        time.sleep(0.1)
    before, began = rpc(found[-1], "pouw_stats"), time.monotonic()
    end = began + min(10 if args.cpu else MINING_S, max(1.0, step.left() - STOP_S))
    # Now and then on the way too, so that something is there if the node or the GPU goes.
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, SAMPLE_S))
        if node.poll() is not None:
            raise Failed(f"the node ended with status {node.returncode}:\n{tail(log)}")
        after = rpc(found[-1], "pouw_stats")
        step.lines = mining_table(before, after, time.monotonic() - began)
    idle = [last["id"] for first, last in pairs(before, after) if last["macsFiller"] == first["macsFiller"] or last["lost"]]
    if idle:
        raise Failed(f"did nothing or went away: {', '.join(idle)}\n{tail(log)}")
    if after["sealsRefused"] or after["blocks"] == before["blocks"]:
        raise Failed("no block, or seals that the engine refused\n" + tail(log))


def pairs(before: dict, after: dict) -> list[tuple[dict, dict]]:
    first = {device["id"]: device for device in before["devices"]}
    if not first or [device["id"] for device in after["devices"]] != list(first):
        raise Failed("the node's devices are none, or changed on the way")
    return [(first[device["id"]], device) for device in after["devices"]]


def mining_table(before: dict, after: dict, seconds: float) -> list[str]:
    lines = [f"{after['blocks'] - before['blocks']} blocks in {seconds:.0f} s; "]
    lines[0] += f"seals refused {after['sealsRefused']}, too late {after['sealsTooLate']}."
    lines += ["", "| device | TMAC/s | joules per TMAC | lost |", "| --- | --- | --- | --- |"]
    for first, last in pairs(before, after):
        tmacs = (last["macsFiller"] - first["macsFiller"]) / 1e12
        energy = "not measured"
        if last["energyJ"] is not None and first["energyJ"] is not None and tmacs > 0:
            energy = f"{(last['energyJ'] - first['energyJ']) / tmacs:.3f}"
        lines.append(f"| {last['id']}: {last['name']} | {tmacs / seconds:.3f} | {energy} | {last['lost']} |")
    return lines


def tail(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]


def rpc(address: str, method: str) -> dict:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": []}).encode()
    request = urllib.request.Request(f"http://{address}", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        reply = parsed(answer.read().decode(errors="replace"), method)
    if "result" not in reply:
        raise Failed(f"{method}: {reply.get('error', 'no result')}")
    return reply["result"]
