"""Transactions of version 4: what is signed, and how it is written."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

from labora._errors import UnsupportedChain
from labora._jobs.metadata import Extension, Metadata
from labora._jobs.scale import compact

#: Blocks for which a transaction can come into a block; a power of two from 4 to 65,536.
PERIOD_BLOCKS = 64

#: From so many bytes on the hash of what is signed is signed.
_LONGEST_PLAIN_BYTES = 256

_SIGNED_V4 = b"\x84"


class Signer(Protocol):
    """What signs; a :class:`labora.Key` is one."""

    @property
    def account(self) -> bytes: ...
    @property
    def signature_kind(self) -> str: ...
    def sign(self, message: bytes) -> bytes: ...


@dataclass(frozen=True)
class Runtime:
    """A chain's runtime."""

    metadata: Metadata
    genesis: bytes
    spec_version: int
    transaction_version: int


@dataclass(frozen=True)
class Block:
    """A block by number and hash."""

    number: int
    hash: bytes


@dataclass(frozen=True)
class Signed:
    """A transaction that was signed."""

    data: bytes
    account: bytes
    nonce: int
    #: It can come into blocks after this one, up to `last`.
    birth: Block
    last: int

    @property
    def hash(self) -> bytes:
        """Its hash."""
        return hashlib.blake2b(self.data, digest_size=32).digest()


def sign(runtime: Runtime, signer: Signer, call: bytes, nonce: int, birth: Block) -> Signed:
    """Signs a call. It can come into one of the :data:`PERIOD_BLOCKS` blocks from ``birth`` on."""
    extra, additional = _carried(runtime, nonce, birth)
    message = call + extra + additional
    if len(message) > _LONGEST_PLAIN_BYTES:
        message = hashlib.blake2b(message, digest_size=32).digest()
    data = _written(runtime.metadata, signer, signer.sign(message), extra, call)
    return Signed(data, signer.account, nonce, birth, birth.number + PERIOD_BLOCKS - 1)


def unsigned(runtime: Runtime, account: bytes, call: bytes, birth: Block) -> bytes:
    """The bytes of the same with an empty signature, of which the node tells what it would cost."""
    extra, _ = _carried(runtime, 0, birth)
    return _written(runtime.metadata, _Nobody(account), bytes(64), extra, call)


@dataclass(frozen=True)
class _Nobody:
    account: bytes
    signature_kind: str = "Sr25519"

    def sign(self, _: bytes) -> bytes:
        raise AssertionError("nothing is signed here")


def _written(metadata: Metadata, signer: Signer, signature: bytes, extra: bytes, call: bytes) -> bytes:
    address = metadata.types.encode(metadata.address, ("Id", signer.account))
    signed = metadata.types.encode(metadata.signature, (signer.signature_kind, signature))
    data = _SIGNED_V4 + address + signed + extra + call
    return compact(len(data)) + data


def _carried(runtime: Runtime, nonce: int, birth: Block) -> tuple[bytes, bytes]:
    """What the extensions put into a transaction, and under its signature."""
    parts = [_extension(runtime, one, nonce, birth) for one in runtime.metadata.extensions]
    return b"".join(extra for extra, _ in parts), b"".join(additional for _, additional in parts)


def _extension(runtime: Runtime, one: Extension, nonce: int, birth: Block) -> tuple[bytes, bytes]:
    match one.name:
        case "CheckMortality" | "CheckEra":
            return era(birth.number), birth.hash
        case "CheckNonce":
            return compact(nonce), b""
        case "ChargeTransactionPayment":
            # No tip.
            return compact(0), b""
        case "CheckMetadataHash":
            # Not asked for, and so none.
            return b"\0", b"\0"
        case "CheckSpecVersion":
            return b"", runtime.spec_version.to_bytes(4, "little")
        case "CheckTxVersion":
            return b"", runtime.transaction_version.to_bytes(4, "little")
        case "CheckGenesis":
            return b"", runtime.genesis
    types = runtime.metadata.types
    if types.is_empty(one.extra) and types.is_empty(one.additional):
        return b"", b""
    raise UnsupportedChain(f"the chain wants transactions to carry {one.name}, which is not known; update labora")


def era(birth: int) -> bytes:
    """A mortal era of :data:`PERIOD_BLOCKS` blocks from ``birth`` on."""
    # Longer periods than 4,096 count phases in steps; this one does not.
    exponent = PERIOD_BLOCKS.bit_length() - 1
    return (birth % PERIOD_BLOCKS << 4 | exponent - 1).to_bytes(2, "little")
