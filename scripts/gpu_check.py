#!/usr/bin/env python3
"""Everything that only a chip can show, unattended, in under nine minutes once it is built: the checklist of `make gpu-check`.

Without --labora and --test it first installs and builds what it needs, if there is a GPU. Each step holds, FAILED, or was
not run, which never counts as held; none stops the others. Tables go to standard output and, after every step, to the report.
Exit status: 0 if all that ran holds, and bytes and speeds were shown on a GPU; 1 if something failed; 3 if nothing failed
and those two were not both shown. Needs Python 3.9's standard library, nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from gpu_check_base import FAILED, HOLDS, NOT_RUN, Failed, NotRun, Step
from gpu_check_mining import mining
from gpu_check_steps import LEAST_S, devices, gpu_is_there, library_env, ratios, same_bytes, sanitizer

ROOT = Path(__file__).resolve().parent.parent

#: Seconds for all steps: nine minutes, less what it takes to end a step that hangs.
TOTAL_S = 520
#: Seconds that each step may take as a whole; their sum is within the total.
LIMITS = {"devices": 25, "bytes": 110, "ratios": 100, "mining": 225, "sanitizer": 60}


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
