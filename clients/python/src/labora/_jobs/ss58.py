"""SS58: how accounts are written for people."""

from __future__ import annotations

import hashlib

from labora._errors import BadKey

#: Prefix of addresses that belong to no chain in particular, which Labora uses.
DEFAULT_PREFIX = 42

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_ACCOUNT_BYTES = 32
_CHECK_BYTES = 2


def address(account: bytes, prefix: int = DEFAULT_PREFIX) -> str:
    """The address of a 32-byte account."""
    if not 0 <= prefix < 64:
        raise BadKey(f"{prefix} is no prefix that this version writes")
    data = bytes([prefix]) + account
    return _base58(data + _checksum(data))


def account(text: str) -> bytes:
    """The account of an address of whatever prefix; :class:`labora.BadKey` if it is none."""
    data = _from_base58(text)
    head = 1 if data and data[0] < 64 else 2
    if len(data) != head + _ACCOUNT_BYTES + _CHECK_BYTES or _checksum(data[:-_CHECK_BYTES]) != data[-_CHECK_BYTES:]:
        raise BadKey(f"{text!r} is no address: its length or checksum is wrong; copy it again")
    return data[head:-_CHECK_BYTES]


def _checksum(data: bytes) -> bytes:
    return hashlib.blake2b(b"SS58PRE" + data).digest()[:_CHECK_BYTES]


def _base58(data: bytes) -> str:
    number, out = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        out = _ALPHABET[digit] + out
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + out


def _from_base58(text: str) -> bytes:
    # No address is longer than this; what is takes no time.
    if not text or len(text) > 64 or any(letter not in _ALPHABET for letter in text):
        return b""
    number = 0
    for letter in text:
        number = number * 58 + _ALPHABET.index(letter)
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
