"""A chain through a node's RPC: its head and state, and transactions from signing until a block has them."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from dataclasses import dataclass
from typing import Any

from labora._errors import (
    BadKey,
    CallFailed,
    LaboraError,
    NotIncluded,
    ProtocolError,
    RpcError,
    TransactionRefused,
    UnsupportedChain,
)
from labora._jobs.keys import Key
from labora._jobs.metadata import Metadata
from labora._jobs.rpc import Rpc
from labora._jobs.scale import Choice
from labora._jobs.transaction import PERIOD_BLOCKS, Block, Runtime, Signed, sign, unsigned

#: How often the best block is asked for while somebody waits for the next.
HEAD_PERIOD_S = 0.5

#: After so long a transaction that is in no block is given to the pool again, which may have dropped it.
_RESEND_S = 20.0
#: Times that a transaction is signed anew whose nonce or era was taken from it.
_TRIES = 5
_PAUSE_S = 1.0

# twox128 of "System", and of the names of its storage.
_SYSTEM = "26aa394eea5630e07c48ae0c9558cef7"
_EVENTS = f"0x{_SYSTEM}80d41e5e16056765bc8461851072c9d7"
_ACCOUNT = f"0x{_SYSTEM}b99d880ec681799c0cf30e8886371da9"

# What the pool says: of the transaction itself, that it has just thrown it away, has it already, or has one that
# pays as much; and that it is full.
_INVALID, _BANNED, _KNOWN, _TOO_LOW, _FULL = 1010, 1012, 1013, 1014, 1016
#: Reasons in the data of 1010 that another nonce or era mends.
_MENDABLE = ("outdated", "Stale", "ancient", "bad signature", "BadProof")

_log = logging.getLogger("labora")


@dataclass(frozen=True)
class Included:
    """Where a transaction is, and what it brought about: events as (pallet, name, fields)."""

    signed: Signed
    block: Block
    events: tuple[tuple[str, str, Any], ...]

    def event(self, pallet: str, name: str) -> Any | None:
        """The fields of the first event of a kind; None if there is none."""
        return next((fields or {} for at, what, fields in self.events if (at, what) == (pallet, name)), None)


class Chain:
    """A chain."""

    def __init__(self, rpc: Rpc) -> None:
        self.rpc = rpc
        self._runtime: Runtime | None = None
        # One at a time gets the next nonce and gives its transaction to the pool.
        self._sending = asyncio.Lock()
        self._asking = asyncio.Lock()
        self._best, self._asked_at = "", float("-inf")

    async def head(self) -> Block:
        """The best block."""
        block = await self.rpc.call("chain_getBlockHash")
        return await self.block(block)

    async def block(self, block: str) -> Block:
        """A block by its hash."""
        header = await self.rpc.call("chain_getHeader", block)
        return Block(_number(header), bytes.fromhex(block[2:]))

    async def next_head(self, seen: Block | None, timeout_s: float) -> Block | None:
        """The best block once it is another than this; None if it is the same for so long."""
        deadline = time.monotonic() + timeout_s
        while True:
            best = await self._best_of_all()
            if seen is None or best != _hex(seen.hash):
                return await self.block(best)
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return None
            await asyncio.sleep(min(HEAD_PERIOD_S, left_s))

    async def _best_of_all(self) -> str:
        """Hash of the best block, which is asked for once however many wait for the next."""
        async with self._asking:
            if time.monotonic() - self._asked_at > HEAD_PERIOD_S / 2:
                self._best = await self.rpc.call("chain_getBlockHash")
                self._asked_at = time.monotonic()
            return self._best

    async def runtime(self) -> Runtime:
        """The runtime of the best block; its metadata is read once for each version."""
        version = await self.rpc.call("state_getRuntimeVersion")
        spec, transaction = int(version["specVersion"]), int(version["transactionVersion"])
        if self._runtime is None or self._runtime.spec_version != spec:
            metadata, genesis = await asyncio.gather(
                self.rpc.call("state_getMetadata"), self.rpc.call("chain_getBlockHash", 0)
            )
            # Some tenths of a second of computing.
            parsed = await asyncio.to_thread(Metadata.parse, bytes.fromhex(metadata[2:]))
            self._runtime = Runtime(parsed, bytes.fromhex(genesis[2:]), spec, transaction)
        return self._runtime

    async def account(self, account: bytes) -> dict[str, Any]:
        """``free``, ``reserved`` and ``frozen`` of an account, in smallest units."""
        key = _ACCOUNT + hashlib.blake2b(account, digest_size=16).hexdigest() + account.hex()
        runtime, value = await asyncio.gather(self.runtime(), self.rpc.call("state_getStorage", key))
        if value is None:
            return {"free": 0, "reserved": 0, "frozen": 0}
        data = runtime.metadata.read_storage("System", "Account", bytes.fromhex(value[2:]))
        return dict(data["data"])

    async def transaction_fee(self, account: bytes, call: bytes) -> int:
        """What a call costs by itself, in smallest units, without anything being signed."""
        runtime, head = await asyncio.gather(self.runtime(), self.head())
        data = unsigned(runtime, account, call, head)
        return int((await self.rpc.call("payment_queryInfo", _hex(data)))["partialFee"])

    async def send(self, key: Key, pallet: str, name: str, arguments: dict[str, Any], timeout_s: float) -> Included:
        """Signs a call, and waits until a block has it.

        What the pool drops is given to it again; what comes too late, or finds its nonce taken by another program of
        the same account, is signed anew, but only once the old transaction can no longer come into a block. Raises
        :class:`labora.CallFailed` in the runtime's words, :class:`labora.TransactionRefused` or
        :class:`labora.NotIncluded`.
        """
        deadline = time.monotonic() + timeout_s
        what = f"{pallet.lower()}.{name}"
        for _ in range(_TRIES):
            signed = await self._post(key, pallet, name, arguments, what, deadline)
            included = await self.follow(signed, what, deadline)
            if included is not None:
                await self._check(included, what)
                return included
            _log.info("%s is signed anew: its nonce was taken, or it came too late", what)
        raise TransactionRefused(
            f"{what}: {_TRIES} times its nonce was taken; let one program at a time use the account"
        )

    async def follow(self, signed: Signed, what: str, deadline: float) -> Included | None:
        """Where a transaction is, once a block of the best chain has it; None once no block can have it any more."""
        seen: Block | None = None
        resend_at = time.monotonic() + _RESEND_S
        while True:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise NotIncluded(
                    f"{what} is not in a block yet; it can come into one up to block {signed.last}, so look at jobs "
                    f"and balance before it is sent again"
                )
            head = await self.next_head(seen, min(left_s, _RESEND_S))
            if head is not None:
                seen = head
                if await self._nonce_at(signed.account, head.hash) > signed.nonce:
                    return await self._find(signed, head)
                if head.number > signed.last:
                    return None
            if time.monotonic() > resend_at:
                resend_at = time.monotonic() + _RESEND_S
                await self._resend(signed)

    async def is_on_best_chain(self, block: Block) -> bool:
        """Whether a block is still part of the best chain."""
        return bool(await self.rpc.call("chain_getBlockHash", block.number) == _hex(block.hash))

    async def _post(
        self, key: Key, pallet: str, name: str, arguments: dict[str, Any], what: str, deadline: float
    ) -> Signed:
        """Signs a call with the next nonce, and gives it to the pool."""
        while True:
            async with self._sending:
                runtime = await self.runtime()
                try:
                    call = runtime.metadata.encode_call(pallet, name, arguments)
                except ValueError as error:
                    raise UnsupportedChain(
                        f"{what} has other arguments on this chain: {error}; update labora"
                    ) from error
                birth, nonce = await asyncio.gather(
                    self._birth(), self.rpc.call("system_accountNextIndex", key.address)
                )
                signed = sign(runtime, key, call, int(nonce), birth)
                try:
                    await self.rpc.call("author_submitExtrinsic", _hex(signed.data))
                    return signed
                except RpcError as error:
                    if error.code == _KNOWN:
                        return signed
                    is_mendable = error.code in (_BANNED, _TOO_LOW, _FULL) or any(
                        word in error.sentence for word in _MENDABLE
                    )
                    if not is_mendable or time.monotonic() + _PAUSE_S > deadline:
                        raise TransactionRefused(_refusal(what, error)) from error
            await asyncio.sleep(_PAUSE_S)

    async def _birth(self) -> Block:
        """The block from which a transaction's era counts: a final one, if that is not too long ago."""
        final, best = await asyncio.gather(self.rpc.call("chain_getFinalizedHead"), self.head())
        block = await self.block(final)
        return block if best.number - block.number < PERIOD_BLOCKS // 2 else best

    async def _nonce_at(self, account: bytes, block: bytes) -> int:
        """Nonce of an account after a block."""
        value = await self.rpc.call("state_call", "AccountNonceApi_account_nonce", _hex(account), _hex(block))
        return int.from_bytes(bytes.fromhex(value[2:]), "little")

    async def _find(self, signed: Signed, head: Block) -> Included | None:
        """Where the account's nonce passed that of a transaction: in that block, or nowhere."""
        block = _hex(head.hash)
        for _ in range(PERIOD_BLOCKS + 1):
            header = await self.rpc.call("chain_getHeader", block)
            parent = header["parentHash"]
            if await self._nonce_at(signed.account, bytes.fromhex(parent[2:])) <= signed.nonce:
                break
            if _number(header) <= signed.birth.number:
                return None
            block = parent
        body = await self.rpc.call("chain_getBlock", block)
        extrinsics = body["block"]["extrinsics"]
        if _hex(signed.data) not in extrinsics:
            return None
        index = extrinsics.index(_hex(signed.data))
        at = Block(_number(body["block"]["header"]), bytes.fromhex(block[2:]))
        return Included(signed, at, await self._events(at, index))

    async def _events(self, block: Block, index: int) -> tuple[tuple[str, str, Any], ...]:
        runtime, value = await asyncio.gather(
            self.runtime(), self.rpc.call("state_getStorage", _EVENTS, _hex(block.hash))
        )
        records = await asyncio.to_thread(
            runtime.metadata.read_storage, "System", "Events", bytes.fromhex((value or "0x00")[2:])
        )
        of_this = [record["event"] for record in records if record["phase"] == Choice("ApplyExtrinsic", index)]
        return tuple((pallet, event.name, event.value) for pallet, event in of_this)

    async def _check(self, included: Included, what: str) -> None:
        failed = included.event("System", "ExtrinsicFailed")
        if failed is not None:
            runtime = await self.runtime()
            raise CallFailed(what, *runtime.metadata.explain(failed["dispatch_error"]))
        if included.event("System", "ExtrinsicSuccess") is None:
            raise ProtocolError(f"block {included.block.number} does not say what came of {what}")

    async def _resend(self, signed: Signed) -> None:
        try:
            await self.rpc.call("author_submitExtrinsic", _hex(signed.data))
        except RpcError as error:
            # It has it, or it is in a block by now, or its time is over: the next block tells.
            _log.debug("a transaction was sent again: %s", error)


def own(key: Key | None) -> Key:
    """The key that something has to be signed with."""
    if key is None:
        raise BadKey("this client has no key; give one: labora.Client(url, labora.Key.from_file(…))")
    return key


def is_refused_by(error: LaboraError, *names: str) -> bool:
    """Whether a call failed with one of these errors of the market's."""
    return isinstance(error, CallFailed) and error.name in {f"Jobs.{name}" for name in names}


def _refusal(what: str, error: RpcError) -> str:
    if "Inability to pay" in error.sentence:
        return f"{what}: the account cannot pay the transaction's fee; send it some LAB"
    return f"{what}: the pool does not take it: {error.sentence}"


def _number(header: Any) -> int:
    return int(header["number"], 16)


def _hex(data: bytes) -> str:
    return "0x" + data.hex()
