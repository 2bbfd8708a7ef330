"""A node's GEMM endpoint as an object: exact products of int8 matrices, and what was mined on them."""

from __future__ import annotations

import http.client
import json
import os
import random
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from labora._errors import Busy, NodeError, ProtocolError, Refused
from labora._transport import Endpoint, Request, Transport

#: Where a node serves products unless told otherwise.
DEFAULT_ENDPOINT = "http://127.0.0.1:9955"

#: Most bytes of both operands, and of the product, in one request; the node takes no more.
MAX_OPERAND_BYTES = 256 << 20
MAX_PRODUCT_BYTES = 256 << 20

#: Longest refusal that is read, in bytes; the node's are a few hundred.
MAX_REFUSAL_BYTES = 64 << 10

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0

Int8Matrix = npt.NDArray[np.int8]
Int32Matrix = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Roots:
    """BLAKE3 roots of the padded matrices of one product: a block whose seal bears them was mined on it."""

    a: bytes
    bt: bytes


@dataclass(frozen=True)
class Product:
    """An exact product, and what the node did for it."""

    #: m×n.
    c: Int32Matrix
    #: Multiply-accumulates, padding included.
    macs: int
    #: Those of them that took part in mining.
    mined_macs: int
    #: What was mined on: one pair for most products, more for very large ones or ones with long k.
    roots: tuple[Roots, ...]


class Miner:
    """A node's GEMM endpoint. May be used by many threads at once.

    ``endpoint``: ``http://host:port`` or ``unix:/path``; ``LABORA_GEMM`` or :data:`DEFAULT_ENDPOINT` if not given.
    ``token``: what the node was started with, if it was; ``LABORA_GEMM_TOKEN`` if not given.
    ``timeout_s``: how long a single send or receive may take. ``patience_s``: how long to try again while the node is
    busy, before :class:`labora.Busy` is raised.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        token: str | None = None,
        timeout_s: float = 300.0,
        patience_s: float = 60.0,
    ) -> None:
        text = endpoint or os.environ.get("LABORA_GEMM") or DEFAULT_ENDPOINT
        self._transport = Transport(Endpoint.parse(text), timeout_s)
        self._token = token or os.environ.get("LABORA_GEMM_TOKEN")
        self._patience_s = patience_s

    @property
    def endpoint(self) -> str:
        """Where products are sent."""
        return str(self._transport.endpoint)

    def multiply(self, a: Int8Matrix, b: Int8Matrix) -> Product:
        """The exact product of ``a`` (m×k) and ``b`` (k×n), both int8, all dimensions at least 1.

        What is too large for one request is split by rows and columns. Raises :class:`labora.Refused` if an entry does
        not fit into an int32, which takes k above 131,071.
        """
        for name, matrix in (("a", a), ("b", b)):
            if matrix.dtype != np.int8 or matrix.ndim != 2:
                shape = f"{matrix.ndim}-dimensional {matrix.dtype}"
                raise TypeError(f"{name} must be a 2-dimensional int8 array, not a {shape} one")
        if a.shape[1] != b.shape[0]:
            raise ValueError(f"a has {a.shape[1]} columns and b {b.shape[0]} rows; they must be equal")
        if 0 in (*a.shape, *b.shape):
            raise ValueError(f"a is {a.shape} and b {b.shape}; every dimension must be at least 1")
        return self._multiply(np.ascontiguousarray(a), _transposed(b))

    def status(self) -> dict[str, Any]:
        """The node's figures: devices, rates, queue, blocks, and its bounds."""
        status = self._transport.send(Request("GET", "/v1/status", self._headers()), _read_json)
        if not isinstance(status, dict):
            raise ProtocolError(f"{self.endpoint} answers with something other than a node's status")
        return status

    def close(self) -> None:
        """Close the connections that are not in use; the next product opens a new one."""
        self._transport.close()

    def __enter__(self) -> Miner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Miner({self.endpoint!r})"

    def _multiply(self, a: Int8Matrix, bt: Int8Matrix) -> Product:
        (m, k), n = a.shape, bt.shape[0]
        if (m + n) * k <= MAX_OPERAND_BYTES and 4 * m * n <= MAX_PRODUCT_BYTES:
            return self._ask(a, bt)
        if max(m, n) == 1:
            raise ValueError(f"k = {k} is too long for one request; split it and add the products")
        if m >= n:
            parts = [self._multiply(half, bt) for half in np.array_split(a, 2)]
        else:
            parts = [self._multiply(a, half) for half in np.array_split(bt, 2)]
        return Product(
            c=np.concatenate([part.c for part in parts], axis=0 if m >= n else 1),
            macs=sum(part.macs for part in parts),
            mined_macs=sum(part.mined_macs for part in parts),
            roots=tuple(roots for part in parts for roots in part.roots),
        )

    def _ask(self, a: Int8Matrix, bt: Int8Matrix) -> Product:
        (m, k), n = a.shape, bt.shape[0]
        headers = {"Content-Type": "application/octet-stream", **self._headers()}
        body = (a.data.cast("B"), bt.data.cast("B"))
        request = Request("POST", f"/v1/products?m={m}&n={n}&k={k}", headers, body)
        deadline = time.monotonic() + self._patience_s
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return self._transport.send(request, lambda response: _read_product(response, m, n))
            except Busy:
                # Apart by chance, so that those who were refused together do not come back together.
                wait_s = pause_s * random.uniform(0.5, 1.5)
                if time.monotonic() + wait_s > deadline:
                    raise
                time.sleep(wait_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}


def _transposed(b: Int8Matrix) -> Int8Matrix:
    """A contiguous transpose, block by block: whole columns of a large matrix would miss the cache at each entry."""
    if b.T.flags.c_contiguous:
        return b.T
    (k, n), step = b.shape, 256
    bt = np.empty((n, k), np.int8)
    for row in range(0, k, step):
        for column in range(0, n, step):
            rows, columns = slice(row, row + step), slice(column, column + step)
            bt[columns, rows] = b[rows, columns].T
    return bt


def _read_product(response: http.client.HTTPResponse, m: int, n: int) -> Product:
    _raise_refusal(response)
    expected = 4 * m * n
    if response.length != expected:
        raise ProtocolError(f"the answer has {response.length} bytes instead of {expected}")
    c = np.empty((m, n), dtype="<i4")
    rest = c.data.cast("B")
    while rest.nbytes:
        got = response.readinto(rest)
        if got == 0:
            raise http.client.IncompleteRead(b"", rest.nbytes)
        rest = rest[got:]
    response.read()
    try:
        return Product(
            c=c.astype(np.int32, copy=False),
            macs=int(response.getheader("labora-macs", "0")),
            mined_macs=int(response.getheader("labora-mined-macs", "0")),
            roots=_parse_roots(response.getheader("labora-roots", "")),
        )
    except ValueError as error:
        raise ProtocolError(f"the answer's headers are not a node's: {error}") from error


def _parse_roots(text: str) -> tuple[Roots, ...]:
    pairs = (pair.partition(":") for pair in text.split(",") if pair)
    return tuple(Roots(bytes.fromhex(a), bytes.fromhex(bt)) for a, _, bt in pairs)


def _read_json(response: http.client.HTTPResponse) -> Any:
    _raise_refusal(response)
    try:
        return json.loads(response.read())
    except ValueError as error:
        raise ProtocolError("the answer is not JSON") from error


def _raise_refusal(response: http.client.HTTPResponse) -> None:
    if response.status == 200:
        return
    body = response.read(MAX_REFUSAL_BYTES)
    try:
        sentence = str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        sentence = response.reason or "no reason given"
    if response.status == 429:
        raise Busy(sentence)
    if response.status >= 500:
        raise NodeError(response.status, sentence)
    raise Refused(response.status, sentence)
