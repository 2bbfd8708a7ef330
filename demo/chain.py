"""What the chain's state says of its blocks: JSON-RPC over HTTP, and the record of a seal in SCALE."""

from __future__ import annotations

import http.client
import json
import struct
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

#: How long one answer may take, in seconds.
TIMEOUT_S = 30

#: Bytes of a `SealRecord`: block, m, n, k, root of A, root of Bt, row, column, difficulty.
_RECORD = struct.Struct("<32s3I32s32s2I32s")


class ChainError(Exception):
    """The node does not answer as it should."""


@dataclass(frozen=True)
class Block:
    """A block by number and hash."""

    number: int
    hash: bytes


@dataclass(frozen=True)
class Seal:
    """What a block was mined on, as the state of its child knows it."""

    block: Block
    m: int
    n: int
    k: int
    root_a: bytes
    root_bt: bytes
    row: int
    column: int
    #: Multiply-accumulates that the block was expected to take.
    difficulty: int


class Chain:
    """A node's JSON-RPC."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url).netloc

    def best(self) -> Block:
        """The best block."""
        number = int(self._call("chain_getHeader")["number"], 16)
        return Block(number, self.hash(number))

    def hash(self, number: int) -> bytes:
        """Hash of the block at a number on the best chain."""
        found = self._call("chain_getBlockHash", number)
        if not isinstance(found, str):
            raise ChainError(f"block {number} is not known to the node")
        return bytes.fromhex(found[2:])

    def seal(self, number: int, at: Block) -> Seal:
        """What block ``number`` was mined on, as the state of ``at``, a later block, gives it."""
        argument = f"0x{number.to_bytes(4, 'little').hex()}"
        answer = bytes.fromhex(self._call("state_call", "PouwApi_seal_of", argument, f"0x{at.hash.hex()}")[2:])
        if len(answer) != 1 + _RECORD.size or answer[0] != 1:
            raise ChainError(f"the state of block {at.number} does not know what block {number} was mined on")
        block, m, n, k, root_a, root_bt, row, column, difficulty = _RECORD.unpack(answer[1:])
        found = Block(number, block)
        return Seal(found, m, n, k, root_a, root_bt, row, column, int.from_bytes(difficulty, "little"))

    def _call(self, method: str, *parameters: Any) -> Any:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        connection = http.client.HTTPConnection(self._address, timeout=TIMEOUT_S)
        try:
            connection.request("POST", "/", json.dumps(request), {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ChainError(f"{method} at {self._address}: {error or type(error).__name__}") from error
        finally:
            connection.close()
        if "result" not in answer:
            raise ChainError(f"{method}: {answer.get('error', answer)}")
        return answer["result"]
