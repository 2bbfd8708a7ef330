#!/usr/bin/env python3
"""Everything that only a chip can show, unattended, in under nine minutes once it is built: the checklist of `make gpu-check`.

Without --labora and --test it first installs and builds what it needs, if there is a GPU. Each step holds, FAILED, or was
not run, which never counts as held; none stops the others. Tables go to standard output and, after every step, to the report.
Exit status: 0 if all that ran holds, and bytes and speeds were shown on a GPU; 1 if something failed; 3 if nothing failed
and those two were not both shown. Needs Python 3.9's standard library, nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: Seconds for all steps: nine minutes, less what it takes to end a step that hangs.
TOTAL_S = 520
#: Seconds that each step may take as a whole; their sum is within the total.
LIMITS = {"devices": 25, "bytes": 110, "ratios": 100, "mining": 225, "sanitizer": 60}
#: A step is not begun with less than this left.
LEAST_S = 5

#: Parts of mining, within its limit.
START_S, MINING_S, STOP_S = 30, 180, 10
SAMPLE_S = 10

HOLDS, FAILED, NOT_RUN = "holds", "FAILED", "not run"


class Failed(Exception):
    """A step did not show what it was to show."""


class NotRun(Exception):
    """Why a step could show nothing, and what to do about it."""


class Step:
    """An item of the checklist: what it has shown so far, and when it must be done."""

    def __init__(self, name: str, title: str, work) -> None:
        self.name, self.title, self.work = name, title, work
        self.outcome: str | None = None
        self.reason = ""
        self.lines: list[str] = []
        self.seconds = self.deadline = 0.0

    def left(self) -> float:
        return max(0.0, self.deadline - time.monotonic())

    def text(self) -> str:
        parts = [f"## {self.title}: {self.outcome} ({self.seconds:.0f} s)"]
        if self.outcome == NOT_RUN:
            parts += ["", self.reason]
        elif self.reason:
            parts += ["", "```", self.reason, "```"]
        return "\n".join([*parts, "", *self.lines]).rstrip() + "\n"


# Processes.


def start(command: list[str], env: dict[str, str], out, err) -> subprocess.Popen:
    # In a session of its own, so that it can be killed with all that it started.
    return subprocess.Popen(
        command, env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
    )


def kill(child: subprocess.Popen, sent: signal.Signals = signal.SIGKILL, wait_s: float = 5) -> None:
    """Signals the child's whole group. One that hangs in the driver cannot be killed, and is not waited for longer."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, sent)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(wait_s)


def run(step: Step, command: list[str], env: dict[str, str], keep=None) -> str:
    """What the command prints on standard output; `keep` picks the lines of it to show, whether it succeeds or not."""
    # Files, as a pipe would be held open by whatever outlives the command.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.monotonic()
        child = start(command, env, out, err)
        try:
            child.wait(step.left())
            status = child.returncode
        except subprocess.TimeoutExpired:
            status = None
        finally:
            kill(child)
        printed, complaints = (read(file) for file in (out, err))
    if keep is not None:
        step.lines += keep(printed)
    if status == 0:
        return printed
    what = f"not done after {time.monotonic() - began:.0f} s" if status is None else f"status {status}"
    raise Failed(f"{what}: {' '.join(command)}\n{(printed + complaints)[-3000:]}".rstrip())


def read(file) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def parsed(text: str, source: str) -> dict:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Failed(f"{source} did not answer with a JSON object; it said: {text.strip()[:500] or 'nothing'}")
    return value


# What is on this machine.


def gpu_is_there() -> bool:
    """Whether a driver of NVIDIA's, or a GPU of it, is visible."""
    if Path("/proc/driver/nvidia/version").exists() or list(Path("/dev").glob("nvidia[0-9]*")):
        return True
    tool = shutil.which("nvidia-smi")
    try:
        done = tool and subprocess.run([tool, "-L"], timeout=20, capture_output=True, text=True, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return bool(done) and done.returncode == 0 and "GPU" in done.stdout


def cuda_folder() -> Path:
    """Where setup-cuda.sh puts things."""
    cache = os.environ.get("LABORA_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "labora")
    return Path(cache) / "cuda"


def toolkits(part: str) -> list[Path]:
    return sorted(Path("/usr/local").glob(f"cuda*/{part}"), reverse=True)


def library_env() -> dict[str, str]:
    """Has the steps find cuBLASLt, and what lies beside it: where LD_LIBRARY_PATH says, else from PyPI, else from a toolkit."""
    given = [folder for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") if folder]
    for folder in [*map(Path, given), cuda_folder() / "lib", *toolkits("lib64")]:
        if list(folder.glob("libcublasLt.so*")):
            return {"LD_LIBRARY_PATH": ":".join([*given, str(folder)])}
    return {}


def find_sanitizer() -> str | None:
    name = "compute-sanitizer"
    places = [cuda_folder() / name, *toolkits(f"bin/{name}")]
    return shutil.which(name) or next((str(path) for path in places if os.access(path, os.X_OK)), None)


# The steps. Each returns if it holds.


def devices(args: argparse.Namespace, step: Step) -> None:
    run(step, [args.labora, "devices"], args.env, lambda printed: ["```", printed.strip(), "```"])
    seen = parsed(run(step, [args.labora, "devices", "--json"], args.env), "`labora devices --json`")
    if not args.cpu and not any(gpu["state"] == "usable" for gpu in seen["gpus"]):
        raise Failed("no GPU can be used; the table says why")


def same_bytes(args: argparse.Namespace, step: Step) -> None:
    env = {**args.env, "LABORA_VECTORS": args.vectors, **({} if args.cpu else {"LABORA_REQUIRE_GPU": "1"})}
    shown = re.compile(r"(\d+ (?:vectors|random shapes) are the same on [1-9]\d* GPUs|\S.* is not checked: .*)")

    def keep(printed: str) -> list[str]:
        # The test harness may have begun the line with the test's name.
        found = [re.sub(r"^test \S+ \.\.\. ", "", line) for line in shown.findall(printed)]
        return [f"* {line}" for line in dict.fromkeys(found)]

    run(step, [args.test, "--nocapture", "--test-threads", "1"], env, keep)
    if args.cpu:
        raise NotRun("With --cpu, bytes are compared with no GPU's.")
    for what in ("vectors", "random shapes"):
        if not any(f"{what} are the same on" in line for line in step.lines):
            raise Failed(f"the test did not say that {what} were compared on a GPU")


NO_CUBLASLT = (
    "Not run against cuBLASLt, which could not be loaded or has no such product; these are ratios to our own plain product. "
    "`bash scripts/setup-cuda.sh gpu-check` installs it (PyPI's nvidia-cublas), as does the CUDA toolkit."
)


def ratios(args: argparse.Namespace, step: Step) -> None:
    command = [args.labora, "bench", "--json", "--devices", "cpu" if args.cpu else args.devices]
    if args.cpu:
        parsed(run(step, [*command, "--size", "512", "--rounds", "1"], args.env), "`labora bench`")
        raise NotRun("With --cpu, the CPU is measured and no GPU.")
    # JSON comes at the end only: one shape first, so that there is a row if all of them take too long.
    for size in (["--size", "4096"], []):
        measured = parsed(run(step, [*command, *size], args.env), "`labora bench`")
        step.lines = [line for gpu in measured["gpus"] for line in ratio_table(gpu)]
        step.lines += [f"* {note}" for note in measured["notes"]]
    rows = [row for gpu in measured["gpus"] for row in gpu["rows"]]
    if not rows:
        raise Failed("no GPU was measured")
    if any(row["reference"] != "cublaslt" for row in rows):
        raise NotRun(NO_CUBLASLT)


def ratio_table(gpu: dict) -> list[str]:
    lines = [f"**{gpu['id']}: {gpu['name']}**, speeds as ratios to the reference", ""]
    lines += ["| m, n, k | kernel | plain, TMAC/s | reference | plain | filler | exact C | node: filler | node: exact | node: plain |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for row in gpu["rows"]:
        shape = ", ".join(f"{side:,}" for side in row["shape"])
        speeds = [row[name] for name in ("plain", "filler", "exact", "node_filler", "node_exact", "node_plain")]
        cells = [shape, row["kernel"], f"{row['plain_tmacs']:.1f}", row["reference"], *(f"{speed:.3f}" for speed in speeds)]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


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


NO_SANITIZER = (
    "compute-sanitizer is not installed; `bash scripts/setup-cuda.sh gpu-check` installs it (PyPI's nvidia-cuda-sanitizer-api), "
    "as does the CUDA toolkit."
)


def sanitizer(args: argparse.Namespace, step: Step) -> None:
    if args.cpu:
        raise NotRun("With --cpu, there is no GPU's kernel to check.")
    tool = find_sanitizer()
    if tool is None:
        raise NotRun(NO_SANITIZER)
    # Which kernel is fastest is timed and kept in the cache: what is timed here must not be believed later. Without the
    # folder of cuBLASLt (args.env), as NVIDIA's kernels are not what is to be checked.
    with tempfile.TemporaryDirectory() as cache:
        for kind in ("memcheck", "racecheck"):
            if step.left() < LEAST_S:
                raise NotRun(f"No time was left for {kind}.")
            command = [tool, "--tool", kind, "--error-exitcode", "9", args.labora, "bench", "--devices", args.devices]
            sanitize(step, kind, [*command, "--size", "256", "--rounds", "1"], {"XDG_CACHE_HOME": cache})


def sanitize(step: Step, kind: str, command: list[str], env: dict[str, str]) -> None:
    def keep(printed: str) -> list[str]:
        return [f"* {kind} at 256³: {line.strip('= ')}" for line in printed.splitlines() if "SUMMARY:" in line]

    kept = len(step.lines)
    try:
        run(step, command, env, keep)
    except Failed as error:
        if "before first instrumented API call" in str(error):
            raise NotRun(f"{kind.capitalize()} could not follow the program to its first kernel.\n\n```\n{error}\n```") from error
        raise
    if len(step.lines) == kept:
        raise Failed(f"{kind} gave no summary, so it is not known to have checked anything")


# The whole.


def checklist() -> list[Step]:
    return [
        Step("devices", "What is there", devices),
        Step("bytes", "Bytes equal to the CPU's", same_bytes),
        Step("ratios", "Speed beside cuBLASLt", ratios),
        Step("mining", "Mining", mining),
        # Last: what runs instrumented says nothing of speed, and must leave nothing behind for what measures it.
        Step("sanitizer", "compute-sanitizer", sanitizer),
    ]


def carry_out(step: Step, args: argparse.Namespace, end: float) -> None:
    began = time.monotonic()
    step.deadline = min(began + LIMITS[step.name], end)
    try:
        if step.left() < LEAST_S:
            raise NotRun("No time was left.")
        step.work(args, step)
        step.outcome = HOLDS
    except NotRun as error:
        step.outcome, step.reason = NOT_RUN, str(error)
    except Failed as error:
        step.outcome, step.reason = FAILED, str(error)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        step.outcome, step.reason = FAILED, f"an answer has another form than this script knows: {error!r}"
    except Exception as error:  # Whatever it is, the steps that follow can still show something.
        step.outcome, step.reason = FAILED, str(error) or repr(error)
    step.seconds = time.monotonic() - began


def summary(steps: list[Step], args: argparse.Namespace) -> str:
    count = {outcome: sum(step.outcome == outcome for step in steps) for outcome in (HOLDS, FAILED, NOT_RUN, None)}
    words = [f"{count[HOLDS]} of {len(steps)} hold"]
    words += [f"{count[outcome]} {outcome or 'to come'}" for outcome in (FAILED, NOT_RUN, None) if count[outcome]]
    text = ", ".join(words)
    if args.cpu:
        return f"{text}; NO GPU WAS CHECKED (--cpu)"
    if not count[None] and not shown_on_gpu(steps, args):
        return f"{text}; bytes and speed beside cuBLASLt were not both shown on a GPU"
    return text


def shown_on_gpu(steps: list[Step], args: argparse.Namespace) -> bool:
    return not args.cpu and all(step.outcome == HOLDS for step in steps if step.name in ("bytes", "ratios"))


def write(report: Path, steps: list[Step], args: argparse.Namespace) -> None:
    text = "\n".join([f"# gpu-check: {summary(steps, args)}\n", *(step.text() for step in steps if step.outcome)])
    beside = report.with_name(report.name + ".new")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        # The next step may take the machine down.
        os.fsync(file.fileno())
    beside.replace(report)


def check(args: argparse.Namespace) -> int:
    end = time.monotonic() + TOTAL_S
    steps = checklist()
    for number, step in enumerate(steps, 1):
        print(f"gpu-check: {number} of {len(steps)}: {step.title}", file=sys.stderr, flush=True)
        carry_out(step, args, end)
        write(Path(args.report), steps, args)
        print(step.text(), flush=True)
    print(f"gpu-check: {summary(steps, args)}; the tables are in {args.report}", file=sys.stderr)
    if any(step.outcome == FAILED for step in steps):
        return 1
    return 0 if shown_on_gpu(steps, args) else 3


def prepare(args: argparse.Namespace) -> None:
    """Installs and builds what is needed: the node, and of the tests only the one that runs on GPUs."""
    for command in (["scripts/setup-cuda.sh", "gpu-check"], ["scripts/build.sh"]):
        if status := subprocess.run(["bash", *command], cwd=ROOT, check=False).returncode:
            sys.exit(status)
    # The whole workspace, as the build has it: a single package would be compiled with other features, from its first crate on.
    build = '. scripts/paths.sh && echo "$LABORA_BIN" && cargo test --release --workspace --test gpu --no-run --message-format=json'
    done = subprocess.run(["bash", "-c", build], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    labora, *messages = done.stdout.splitlines()
    built = [json.loads(line) for line in messages if line.startswith("{")]
    tests = [item["executable"] for item in built if item.get("executable") and item["target"]["name"] == "gpu"]
    if not tests:
        sys.exit("gpu-check: cargo did not say where it built the test `gpu`; give it with --test.")
    args.labora, args.test = args.labora or labora, args.test or tests[-1]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labora", help="the node's binary (default: build it)")
    parser.add_argument("--test", help="the binary of pouw-kernels/tests/gpu.rs (default: build it)")
    parser.add_argument("--vectors", default=str(ROOT / "consensus/pouw/vectors"), help="folder of the vectors")
    parser.add_argument("--report", default="gpu-check.md", help="file for the tables (default: gpu-check.md)")
    parser.add_argument(
        "--devices",
        default="cuda:0",
        help="GPUs whose speed is measured and whose kernels are sanitized, one after the other (default: cuda:0); bytes and "
        "mining take all that CUDA_VISIBLE_DEVICES shows",
    )
    parser.add_argument("--anyway", action="store_true", help="go on even if no NVIDIA GPU is visible")
    parser.add_argument("--cpu", action="store_true", help="try the script itself, on the CPU, in short; checks no GPU")
    args = parser.parse_args()
    args.vectors = str(Path(args.vectors).resolve())
    return args


def main() -> int:
    args = arguments()
    if not (args.cpu or args.anyway or gpu_is_there()):
        print(
            "gpu-check: no NVIDIA GPU or driver is visible here; run it where `nvidia-smi` lists a GPU (driver 580 or newer), "
            "or go on regardless with `make gpu-check ARGS=--anyway`.",
            file=sys.stderr,
        )
        return 1
    if not (args.labora and args.test):
        prepare(args)
    args.env = library_env()
    sys.stdout.reconfigure(errors="replace")
    # So that what was started is killed on the way out.
    for sent in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sent, lambda number, _: sys.exit(128 + number))
    return check(args)


if __name__ == "__main__":
    sys.exit(main())
