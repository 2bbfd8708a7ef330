"""The steps of gpu_check.py but for mining. Each returns if it holds."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from gpu_check_base import Failed, NotRun, Step, TimedOut, parsed, run

#: A step is not begun with less than this left.
LEAST_S = 5

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


# The steps.


def devices(args: argparse.Namespace, step: Step) -> None:
    run(step, [args.labora, "devices"], args.env, lambda printed: ["```", printed.strip(), "```"])
    seen = parsed(run(step, [args.labora, "devices", "--json"], args.env), "`labora devices --json`")
    if not args.cpu and not any(gpu["state"] == "usable" for gpu in seen["gpus"]):
        raise Failed("no GPU can be used; the table says why")


def same_bytes(args: argparse.Namespace, step: Step) -> None:
    env = {**args.env, "LABORA_VECTORS": args.vectors, **({} if args.cpu else {"LABORA_REQUIRE_GPU": "1"})}
    shown = re.compile(
        r"(\d+ (?:vectors|random shapes) are the same on [1-9]\d* GPUs"
        r"|an artifact of .* is the same on [1-9]\d* GPUs.*|\S.* is not checked: .*)"
    )

    def keep(printed: str) -> list[str]:
        # The test harness may have begun the line with the test's name.
        found = [re.sub(r"^test \S+ \.\.\. ", "", line) for line in shown.findall(printed)]
        return [f"* {line}" for line in dict.fromkeys(found)]

    run(step, [args.test, "--nocapture", "--test-threads", "1"], env, keep)
    if args.cpu:
        raise NotRun("With --cpu, bytes are compared with no GPU's.")
    for what in ("vectors", "random shapes", "an artifact"):
        if not any(what in line and "the same on" in line for line in step.lines):
            raise Failed(f"the test did not say that {what} went through a GPU")


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
        step.lines += [line for gpu in measured["gpus"] for line in parts_table(gpu)]
        step.lines += [f"* {note}" for note in measured["notes"]]
    rows = [row for gpu in measured["gpus"] for row in gpu["rows"]]
    if not rows:
        raise Failed("no GPU was measured")
    for row in rows:
        if row["reference"] != "cublaslt":
            raise NotRun(f"{NO_CUBLASLT} It says: {row['why_not_cublaslt']}.")


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


#: m = n = k of which the parts are shown, if it was measured.
PARTS_OF = 8192


def parts_table(gpu: dict) -> list[str]:
    """Where the time of a mined product with exact C goes: each part alone, and the whole without it."""
    lines = []
    for row in gpu["rows"]:
        if row["shape"] != [PARTS_OF] * 3 and len(gpu["rows"]) > 1:
            continue
        whole = sum(ms for _, ms in row["parts_ms"])
        shape = ", ".join(f"{side:,}" for side in row["shape"])
        lines += [f"**{gpu['id']}**, mined with exact C and nothing known before, {shape}: {whole:.3f} ms one after the other", ""]
        lines += ["| part | ms alone | share | ms without it |", "| --- | --- | --- | --- |"]
        lines += [f"| {name} | {ms:.3f} | {100 * ms / whole:.1f} % | {whole - ms:.3f} |" for name, ms in row["parts_ms"]]
        lines += [""]
    return lines


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
    # How fast kernels are is timed and kept in the cache: what is timed here must not be believed later. Without the folder of
    # cuBLASLt (args.env), as NVIDIA's kernels are not what is to be checked.
    with tempfile.TemporaryDirectory() as cache:
        for size in SANITIZED:
            for kind in ("memcheck", "racecheck"):
                command = [tool, "--tool", kind, "--error-exitcode", "9", args.labora, "bench", "--devices", args.devices]
                sanitize_in_time(step, (kind, size), [*command, "--size", str(size), "--rounds", "1"], {"XDG_CACHE_HOME": cache})


#: Sides that are checked: whole tiles, then ragged ones that no tile divides. The first must be; the others are as time allows.
SANITIZED = (256, 320, 448)


def sanitize_in_time(step: Step, what: tuple[str, int], command: list[str], env: dict[str, str]) -> None:
    kind, size = what
    is_needed = size == SANITIZED[0]
    if step.left() < LEAST_S:
        if is_needed:
            raise NotRun(f"No time was left for {kind}.")
        step.lines.append(f"* {kind} at {size}³: not run, no time was left")
        return
    try:
        sanitize(step, what, command, env)
    except TimedOut:
        if is_needed:
            raise
        step.lines.append(f"* {kind} at {size}³: not done in the time that was left")


def sanitize(step: Step, what: tuple[str, int], command: list[str], env: dict[str, str]) -> None:
    kind, size = what

    def keep(printed: str) -> list[str]:
        return [f"* {kind} at {size}³: {line.strip('= ')}" for line in printed.splitlines() if "SUMMARY:" in line]

    kept = len(step.lines)
    try:
        run(step, command, env, keep)
    except Failed as error:
        if "before first instrumented API call" in str(error):
            raise NotRun(f"{kind.capitalize()} could not follow the program to its first kernel.\n\n```\n{error}\n```") from error
        raise
    if len(step.lines) == kept:
        raise Failed(f"{kind} gave no summary, so it is not known to have checked anything")
