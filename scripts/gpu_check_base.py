"""What steps of gpu_check.py are made of: their outcomes, and the processes that they start."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time

HOLDS, FAILED, NOT_RUN = "holds", "FAILED", "not run"


class Failed(Exception):
    """A step did not show what it was to show."""


class NotRun(Exception):
    """Why a step could show nothing, and what to do about it."""


class TimedOut(Failed):
    """A command was not done in its step's time."""


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
    kind = TimedOut if status is None else Failed
    raise kind(f"{what}: {' '.join(command)}\n{(printed + complaints)[-3000:]}".rstrip())


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
