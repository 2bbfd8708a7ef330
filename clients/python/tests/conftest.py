"""Endpoints to test against: a server in this process that speaks the protocol, and a real node if one is named."""

from __future__ import annotations

import http.server
import json
import os
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

import real_market as market_of_a_node
import world as world_of_fakes
from labora._jobs import chain, job

#: How long a node may take to listen, in seconds.
START_S = 240


class FakeNode:
    """Answers products with NumPy's, and can be told to misbehave."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.authorizations: list[str | None] = []
        #: Answers given before all others: (status, headers, body).
        self.script: list[tuple[int, dict[str, str], bytes]] = []
        self.closes_after_answer = False

    def answer(self, target: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        self.requests.append(target)
        if self.script:
            return self.script.pop(0)
        url = urlsplit(target)
        if url.path == "/v1/status":
            return 200, {"Content-Type": "application/json"}, b'{"version": "fake"}'
        m, n, k = (int(parse_qs(url.query)[name][0]) for name in "mnk")
        if len(body) != (m + n) * k:
            return 400, {}, json.dumps({"error": "the length is wrong"}).encode()
        entries = np.frombuffer(body, np.int8).astype(np.int64)
        c = entries[: m * k].reshape(m, k) @ entries[m * k :].reshape(n, k).T
        if np.abs(c).max() >= 2**31:
            return 400, {}, json.dumps({"error": "an entry does not fit into an int32"}).encode()
        headers = {
            "labora-macs": str(m * n * k),
            "labora-mined-macs": "0",
            "labora-roots": f"{'ab' * 32}:{'cd' * 32}",
        }
        return 200, headers, c.astype("<i4").tobytes()


class Handler(http.server.BaseHTTPRequestHandler):
    node: ClassVar[FakeNode]
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.headers["Content-Type"] == "application/octet-stream"
        self.reply(body)

    def do_GET(self) -> None:
        self.reply(b"")

    def reply(self, body: bytes) -> None:
        self.node.authorizations.append(self.headers["Authorization"])
        status, headers, answer = self.node.answer(self.path, body)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(answer)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)
        # Without saying so, as a node that is restarted.
        self.close_connection = self.node.closes_after_answer

    def address_string(self) -> str:
        return "test"

    def log_message(self, *_: object) -> None:
        pass


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    # A Unix socket refuses at once what does not fit into its backlog, five by default: as many as a node takes.
    request_queue_size = 128


@pytest.fixture
def fake() -> FakeNode:
    return FakeNode()


def _serve(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def fake_tcp(fake: FakeNode) -> Iterator[str]:
    handler = type("Handler", (Handler,), {"node": fake})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    for _ in _serve(server):
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def fake_unix(fake: FakeNode) -> Iterator[str]:
    handler = type("Handler", (Handler,), {"node": fake})
    with tempfile.TemporaryDirectory() as folder:
        server = UnixServer(f"{folder}/s", handler)
        for _ in _serve(server):
            yield f"unix:{folder}/s"


@pytest.fixture(scope="session")
def node() -> Iterator[str]:
    """A development node that mines on one thread, of the binary that LABORA_BIN names."""
    binary = os.environ.get("LABORA_BIN")
    if not binary:
        pytest.skip("LABORA_BIN names no node")
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder, "gemm.sock")
        flags = ["--dev", "--mine", "--devices", "cpu:1", "--base-path", f"{folder}/data"]
        flags += ["--gemm-listen", "none", "--gemm-socket", str(socket)]
        flags += ["--rpc-port", "0", "--port", "0", "--no-prometheus"]
        with Path(folder, "log").open("wb") as log:
            process = subprocess.Popen([binary, *flags], stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + START_S
            while not socket.exists():
                text = Path(folder, "log").read_text(errors="replace")
                assert process.poll() is None, f"the node ended:\n{text}"
                assert time.monotonic() < deadline, f"the node does not listen:\n{text}"
                time.sleep(0.05)
            yield f"unix:{socket}"
        finally:
            process.terminate()
            process.wait(timeout=60)


@pytest.fixture(scope="session")
def real_market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[market_of_a_node.RealMarket]:
    """A node with the market, of the binary that LABORA_BIN names."""
    binary = os.environ.get("LABORA_BIN")
    if not binary:
        pytest.skip("LABORA_BIN names no node")
    with market_of_a_node.running(binary, tmp_path_factory.mktemp("market"), START_S) as market:
        yield market


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[world_of_fakes.World]:
    """A chain and a store in this process, and clients that lose no time."""
    monkeypatch.setattr(chain, "_RESEND_S", 0.3)
    monkeypatch.setattr(chain, "_PAUSE_S", 0.05)
    monkeypatch.setattr(chain, "HEAD_PERIOD_S", 0.02)
    monkeypatch.setattr(job, "_PAUSE_S", 0.05)
    with world_of_fakes.running(tmp_path) as world:
        yield world


@pytest.fixture(params=["fake_tcp", "fake_unix", "node"])
def endpoint(request: pytest.FixtureRequest) -> str:
    """Each of them in turn."""
    return str(request.getfixturevalue(request.param))
