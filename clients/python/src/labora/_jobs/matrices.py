"""A node's store of matrices: bytes by their BLAKE3 root, over HTTP."""

from __future__ import annotations

import http.client
import random
import time
from collections.abc import Callable
from typing import TypeVar

import blake3

from labora._errors import Busy, LaboraError, MatrixMissing, ProtocolError, Refused, Unreachable
from labora._miner import _raise_refusal
from labora._transport import Endpoint, Request, Transport

#: Times that a request is sent again whose connection broke off.
_RETRIES = 3
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0

_OCTETS = {"Content-Type": "application/octet-stream"}

#: Statuses of `fetch` by which peers have nothing to give at the moment.
_NOT_YET = (404, 409, 502)

T = TypeVar("T")


def root_of(data: memoryview | bytes | bytearray) -> bytes:
    """The BLAKE3 root of bytes: a matrix's name."""
    hasher = blake3.blake3(max_threads=blake3.blake3.AUTO)
    hasher.update(data)
    return hasher.digest()


class Matrices:
    """A node's store. May be used by many threads at once.

    ``timeout_s``: how long a single send or receive may take. ``patience_s``: how long to try again while the node is
    busy with others.
    """

    def __init__(self, endpoint: str, token: str | None, *, timeout_s: float = 60.0, patience_s: float = 60.0) -> None:
        self._transport = Transport(Endpoint.parse(endpoint), timeout_s)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._patience_s = patience_s

    @property
    def endpoint(self) -> str:
        """Where it is."""
        return str(self._transport.endpoint)

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._transport.close()

    def keep(self, root: bytes, data: memoryview) -> None:
        """Stores bytes that have this root, if they are not there, and pins them."""
        # What is there can be evicted before it is pinned, and then it is sent again.
        for _ in range(_RETRIES):
            if not self.has(root):
                self._ask("PUT", f"/{root.hex()}", _done, headers=_OCTETS, body=data)
            if self.pin(root):
                return
        raise MatrixMissing(f"{self.endpoint} does not keep what it is given; has it room? (--artifacts)")

    def has(self, root: bytes) -> bool:
        """Whether a matrix is there, whole."""
        try:
            self._ask("HEAD", f"/{root.hex()}", _done)
        except Refused as refused:
            if refused.status == 404:
                return False
            raise
        return True

    def pin(self, root: bytes) -> bool:
        """Keeps a matrix from being evicted; False if it is not there."""
        return self._unless_absent("PUT", root)

    def unpin(self, root: bytes) -> bool:
        """Lets it be evicted again; False if it is not there."""
        return self._unless_absent("DELETE", root)

    def fetch(self, root: bytes, count: int) -> bool:
        """Waits, up to half a minute, for a matrix of ``count`` bytes to come from peers; whether it is there."""
        if self.has(root):
            return True
        try:
            return self._ask("POST", f"/{root.hex()}/fetch?bytes={count}", lambda response: _done(response) == 201)
        except Refused as refused:
            if refused.status in _NOT_YET:
                return False
            raise
        except LaboraError as error:
            # 501 of a node without peers, 502 of peers that gave no more: it may still be put here by somebody.
            if getattr(error, "status", None) in (501, 502):
                return False
            raise

    def get(self, root: bytes, count: int) -> bytearray:
        """The bytes of a matrix, of which there must be ``count``, and which are held against the root."""
        data: bytearray = self._ask("GET", f"/{root.hex()}", lambda response: _bytes(response, count))
        if root_of(data) != root:
            raise ProtocolError(f"{self.endpoint} gives other bytes than those of {root.hex()}; is its disk well?")
        return data

    def _unless_absent(self, method: str, root: bytes) -> bool:
        try:
            self._ask(method, f"/{root.hex()}/pin", _done)
        except Refused as refused:
            if refused.status == 404:
                return False
            raise
        return True

    def _ask(
        self,
        method: str,
        path: str,
        read: Callable[[http.client.HTTPResponse], T],
        *,
        headers: dict[str, str] | None = None,
        body: memoryview | None = None,
    ) -> T:
        parts = () if body is None else (body,)
        request = Request(method, f"/v1/artifacts{path}", {**self._headers, **(headers or {})}, parts)
        deadline, pause_s, broken = time.monotonic() + self._patience_s, _FIRST_PAUSE_S, 0
        while True:
            try:
                return self._transport.send(request, read)
            except (Busy, Refused) as error:
                # The same transfer is under way, by another client: then it is there in a moment.
                is_under_way = method == "PUT" and getattr(error, "status", None) == 409
                if isinstance(error, Refused) and not is_under_way:
                    raise
                if time.monotonic() + pause_s > deadline:
                    raise
            except Unreachable:
                broken += 1
                if broken > _RETRIES:
                    raise
            time.sleep(pause_s * random.uniform(0.5, 1.5))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _done(response: http.client.HTTPResponse) -> int:
    """The status; what the node says beside it, which is short, is not needed."""
    if 200 <= response.status < 300:
        response.read(64 << 10)
        return response.status
    _raise_refusal(response)
    raise ProtocolError(f"the node answers with status {response.status}")


def _bytes(response: http.client.HTTPResponse, count: int) -> bytearray:
    _raise_refusal(response)
    if response.length != count:
        raise ProtocolError(f"a matrix of {count} bytes is expected, and one of {response.length} is there")
    data = bytearray(count)
    rest = memoryview(data)
    while rest.nbytes:
        got = response.readinto(rest)
        if got == 0:
            raise http.client.IncompleteRead(b"", rest.nbytes)
        rest = rest[got:]
    response.read()
    return data
