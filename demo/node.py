"""The node as a child process: started on free ports, waited for, and stopped in order."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

#: From the start of the process to its first answer, in seconds. Loading the WASM runtime is most of it.
START_S = 120

#: From a polite signal to the end; the node itself gives its products 35 seconds.
STOP_S = 60

#: Lines of the log that are shown when the node ends by itself.
SHOWN_LINES = 12

_RPC_LINE = re.compile(r"Running JSON-RPC server: addr=([^,\s]+)")


class NodeError(Exception):
    """The node did not start, or ended by itself."""


class Node:
    """A development node that mines and serves products on a socket of its own."""

    def __init__(self, binary: Path, base_path: Path, scratch: Path, devices: str) -> None:
        self.base_path = base_path
        self.log_path = scratch / "node.log"
        #: Where products are served.
        self.endpoint = f"unix:{scratch / 'gemm.sock'}"
        #: Where JSON-RPC is served, once started.
        self.rpc_url = ""
        self._process: subprocess.Popen[bytes] | None = None
        # Nothing listens beyond this machine, and every port is one that is free; for JSON-RPC the node takes its
        # usual port if it can be had.
        self._command = [str(binary), "--dev", "--mine", "--devices", devices]
        self._command += ["--base-path", str(base_path), "--gemm-socket", str(scratch / "gemm.sock")]
        self._command += ["--gemm-listen", "none", "--listen-addr", "/ip4/127.0.0.1/tcp/0"]
        self._command += ["--no-mdns", "--no-telemetry", "--no-prometheus"]

    def start(self) -> None:
        """Start the process and wait until it serves JSON-RPC and products."""
        try:
            with self.log_path.open("wb") as log:
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    preexec_fn=_before_exec,
                )
        except OSError as error:
            raise NodeError(f"{self._command[0]} cannot be started: {error.strerror}") from error
        deadline = time.monotonic() + START_S
        socket = Path(self.endpoint.removeprefix("unix:"))
        while True:
            self.check()
            found = _RPC_LINE.findall(self._log())
            if found and socket.exists():
                self.rpc_url = f"http://{found[-1]}"
                self._yield_to_the_job()
                return
            if time.monotonic() > deadline:
                raise NodeError(f"the node does not answer after {START_S} s; the end of its log:\n{self._tail()}")
            time.sleep(0.05)

    def check(self) -> None:
        """Raise if the process has ended."""
        if self._process is None:
            raise NodeError("the node was not started")
        status = self._process.poll()
        if status is not None:
            raise NodeError(f"the node ended by itself with status {status}; the end of its log:\n{self._tail()}")

    def stop(self) -> None:
        """Ask the node to end, and wait; kill it if it does not."""
        if self._process is None or self._process.poll() is not None:
            return
        if not self.rpc_url:
            # Still starting, and deaf until it has; nothing was promised to anybody, and its data bears a kill.
            self._process.kill()
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _yield_to_the_job(self) -> None:
        """Lower the node's priority: its filler uses every core it gets, and the job comes first."""
        if self._process is None or sys.platform != "linux":
            return
        for thread in Path(f"/proc/{self._process.pid}/task").iterdir():
            # A thread may have ended meanwhile, which is as good.
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, int(thread.name), 10)

    def _log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def _tail(self) -> str:
        return "\n".join(self._log().splitlines()[-SHOWN_LINES:])


def _before_exec() -> None:
    # Ctrl-C is for us, who then stop the node in order. A group of its own is enough for that; in a session of its own
    # Linux would weigh its priority against nothing (autogroups, sched(7)).
    os.setpgrp()
    if sys.platform == "linux":
        # Should we be killed, it ends too.
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG of prctl(2)
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
