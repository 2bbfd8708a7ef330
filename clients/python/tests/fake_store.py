"""A node's store of matrices in this process, that can be told to misbehave."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar
from urllib.parse import urlsplit

import blake3


class FakeStore:
    """The store."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.pinned: set[str] = set()
        #: What peers have, and `fetch` brings.
        self.peers: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.authorizations: set[str | None] = set()
        #: Statuses given before all others.
        self.script: list[int] = []
        #: Bytes of answers are changed.
        self.lies = False

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, bytes]:
        path = urlsplit(target).path.removeprefix("/v1/artifacts").removeprefix("/")
        self.requests.append(f"{method} {path[:6]}{path[64:]}")
        if self.script:
            return self.script.pop(0), b'{"error": "scripted"}'
        if not path:
            listed = [{"root": root, "pinned": root in self.pinned} for root in self.held]
            return 200, json.dumps({"artifacts": listed}).encode()
        root, _, what = path.partition("/")
        if method == "PUT" and not what:
            if blake3.blake3(body).hexdigest() != root:
                return 422, b'{"error": "other bytes than the root\'s"}'
            self.held[root] = body
            return 201, json.dumps({"root": root}).encode()
        if what == "fetch":
            if root in self.peers:
                self.held[root] = self.peers[root]
            return (201, b"{}") if root in self.held else (404, b'{"error": "no peer that is reachable has it"}')
        if root not in self.held:
            return 404, b'{"error": "not there"}'
        if what == "pin":
            (self.pinned.add if method == "PUT" else self.pinned.discard)(root)
            return 204, b""
        data = self.held[root]
        return 200, data[:-1] + bytes([data[-1] ^ 1]) if self.lies else data


class Handler(http.server.BaseHTTPRequestHandler):
    store: ClassVar[FakeStore]
    protocol_version = "HTTP/1.1"

    def reply(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.store.authorizations.add(self.headers["Authorization"])
        status, answer = self.store.answer(self.command, self.path, body)
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = reply

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running(store: FakeStore) -> Iterator[str]:
    """Serves a store; where."""
    handler = type("Handler", (Handler,), {"store": store})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
