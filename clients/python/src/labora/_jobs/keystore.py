"""Keystores of polkadot-js and its wallets: JSON with a secret that a password opens (scrypt, XSalsa20-Poly1305)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import nacl.exceptions
import nacl.secret

from labora._errors import BadKey, WrongPassword

#: Most that opening may take of memory, by what the file asks of scrypt (128·N·r bytes). Wallets ask for 16 to 128 MiB.
MAX_SCRYPT_BYTES = 512 << 20

_SALT_BYTES = 32
_NONCE_BYTES = 24
#: PKCS #8 as polkadot-js writes it: a head, the secret, a divider, the public key.
_HEAD = bytes.fromhex("3053020101300506032b657004220420")
_DIVIDER = bytes.fromhex("a123032100")
#: Bytes of secret and public key.
_LENGTHS = {"sr25519": (64, 32), "ed25519": (64, 32), "ecdsa": (32, 33)}


@dataclass(frozen=True)
class Opened:
    """What a keystore holds."""

    scheme: Literal["sr25519", "ed25519", "ecdsa"]
    public: bytes
    secret: bytes = field(repr=False)


def open_keystore(text: str, password: str | None) -> Opened:
    """Opens a keystore of version 3, or one without a password."""
    content, kinds, encoded = _parse(text)
    scheme = content[1] if len(content) == 2 else ""
    if content[:1] != ["pkcs8"] or scheme not in _LENGTHS:
        raise BadKey(f"the keystore holds {content}, and pkcs8 with {', '.join(_LENGTHS)} can be read")
    if kinds == ["none"]:
        plain = encoded
    elif kinds == ["scrypt", "xsalsa20-poly1305"]:
        if password is None:
            raise WrongPassword("the keystore has a password; give it")
        plain = _decrypt(encoded, password)
    else:
        raise BadKey(f"the keystore is encrypted by {kinds}; export it anew from a wallet of today")
    secret_bytes, public_bytes = _LENGTHS[scheme]
    divider = len(_HEAD) + secret_bytes
    public = divider + len(_DIVIDER)
    is_whole = len(plain) == public + public_bytes
    if not is_whole or plain[: len(_HEAD)] != _HEAD or plain[divider:public] != _DIVIDER:
        raise BadKey("what the keystore holds is no key pair; export it again")
    kind = cast(Literal["sr25519", "ed25519", "ecdsa"], scheme)
    return Opened(kind, plain[public:], plain[len(_HEAD) : divider])


def _parse(text: str) -> tuple[list[str], list[str], bytes]:
    try:
        fields: Any = json.loads(text)
        encoding = fields["encoding"]
        content, kinds = encoding["content"], encoding["type"]
        kinds = [kinds] if isinstance(kinds, str) else list(kinds)
        data = str(fields["encoded"])
        encoded = bytes.fromhex(data[2:]) if data.startswith("0x") else base64.b64decode(data, validate=True)
        return [str(one) for one in content], [str(one) for one in kinds], encoded
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise BadKey("this is no keystore of polkadot-js: JSON with `encoded` and `encoding` is expected") from None


def _decrypt(encoded: bytes, password: str) -> bytes:
    head = _SALT_BYTES + 12
    if len(encoded) < head + _NONCE_BYTES:
        raise BadKey("the keystore is cut off; export it again")
    salt = encoded[:_SALT_BYTES]
    n, p, r = (int.from_bytes(encoded[at : at + 4], "little") for at in range(_SALT_BYTES, head, 4))
    needed = 128 * n * r
    if n < 2 or n & (n - 1) or not 1 <= p <= 16 or r < 1 or needed > MAX_SCRYPT_BYTES:
        raise BadKey(f"the keystore asks scrypt for N = {n}, r = {r}, p = {p}, which is no wallet's")
    derived = hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=needed + (64 << 20), dklen=64)
    nonce, box = encoded[head : head + _NONCE_BYTES], encoded[head + _NONCE_BYTES :]
    try:
        return nacl.secret.SecretBox(derived[:32]).decrypt(box, nonce)
    except nacl.exceptions.CryptoError:
        raise WrongPassword("the password does not open the keystore") from None
