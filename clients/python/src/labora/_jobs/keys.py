"""Keys that sign transactions: sr25519, ed25519 and ECDSA, from URIs, phrases, seeds and keystores.

The derivation is the SDK's, so that ``//Alice`` and phrases with paths are the same accounts as in wallets and in
``labora key``. Secrets show up neither in ``repr`` nor in errors.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

import bip39  # type: ignore[import-untyped]
import coincurve
import nacl.exceptions
import nacl.signing
import sr25519  # type: ignore[import-untyped]

from labora._errors import BadKey
from labora._jobs import keystore, ss58
from labora._jobs.scale import compact

Scheme = Literal["sr25519", "ed25519", "ecdsa"]

#: What development accounts are derived from; everybody knows it.
DEV_PHRASE = "bottom drive obey lake curtain smoke basket hold race lonely fit walk"

#: A key file is a line, or a keystore of a few hundred bytes.
MAX_FILE_BYTES = 64 << 10

_URI = re.compile(r"(?P<phrase>[\d\w ]+)?(?P<path>(//?[^/]+)*)(///(?P<password>.*))?", re.DOTALL)
_JUNCTION = re.compile(r"(?P<hard>//?)(?P<name>[^/]+)")

#: Variants of the runtime's ``MultiSignature``.
_SIGNATURES = {"sr25519": "Sr25519", "ed25519": "Ed25519", "ecdsa": "Ecdsa"}


class Key:
    """A key pair. Made by :meth:`from_uri`, :meth:`from_keystore` or :meth:`from_file`."""

    def __init__(self, scheme: Scheme, public: bytes, sign: Callable[[bytes], bytes]) -> None:
        self._scheme: Scheme = scheme
        self._public = public
        self._sign = sign

    @classmethod
    def from_uri(cls, uri: str, scheme: Scheme = "sr25519") -> Key:
        """A key from ``PHRASE//hard/soft///password``, where PHRASE is a mnemonic or a seed in hex (``0x…``).

        Without a phrase it is that of the development accounts: ``//Alice``. ed25519 and ECDSA know hard steps only.
        """
        _check_scheme(scheme)
        parsed = _URI.fullmatch(uri.strip())
        if parsed is None:
            raise BadKey("this is no key URI: give PHRASE//hard/soft///password, or //Alice for a development account")
        seed = _seed(parsed["phrase"] or DEV_PHRASE, parsed["password"] or "")
        steps = [(step["hard"] == "//", _chain_code(step["name"])) for step in _JUNCTION.finditer(parsed["path"])]
        if scheme == "sr25519":
            return cls._sr25519(seed, steps)
        for is_hard, code in steps:
            if not is_hard:
                raise BadKey(f"{scheme} has no soft steps; write //step instead of /step")
            tag = b"Ed25519HDKD" if scheme == "ed25519" else b"Secp256k1HDKD"
            seed = hashlib.blake2b(compact(len(tag)) + tag + seed + code, digest_size=32).digest()
        return cls._ed25519(seed) if scheme == "ed25519" else cls._ecdsa(seed)

    @classmethod
    def from_keystore(cls, path: str | Path, password: str | None = None) -> Key:
        """A key from the JSON file that polkadot-js and its wallets export.

        Raises :class:`labora.WrongPassword`, or :class:`labora.BadKey` if the file is no such keystore.
        """
        return cls._from_keystore(_read_file(Path(path)), password)

    @classmethod
    def from_file(cls, path: str | Path, password: str | None = None, scheme: Scheme = "sr25519") -> Key:
        """A key from a file: a keystore in JSON, which states its scheme, or a URI as for :meth:`from_uri`.

        The URI may stand in quotes, as in the node's keystore. Keep such a file readable by its owner only.
        """
        text = _read_file(Path(path)).strip()
        if text.startswith("{"):
            return cls._from_keystore(text, password)
        if text.startswith('"'):
            try:
                text = str(json.loads(text))
            except ValueError:
                raise BadKey(f"{path} begins with a quote and holds no JSON string") from None
        if "\n" in text:
            raise BadKey(f"{path} has several lines; a key file has one, with a phrase or 0x…")
        return cls.from_uri(text, scheme)

    @property
    def scheme(self) -> Scheme:
        """``sr25519``, ``ed25519`` or ``ecdsa``."""
        return self._scheme

    @property
    def public(self) -> bytes:
        """The public key: 32 bytes, 33 for ECDSA."""
        return self._public

    @property
    def account(self) -> bytes:
        """The account's 32 bytes."""
        if self._scheme == "ecdsa":
            return hashlib.blake2b(self._public, digest_size=32).digest()
        return self._public

    @property
    def address(self) -> str:
        """The account's SS58 address."""
        return ss58.address(self.account)

    @property
    def signature_kind(self) -> str:
        """Variant of the runtime's ``MultiSignature``."""
        return _SIGNATURES[self._scheme]

    def sign(self, message: bytes) -> bytes:
        """64 bytes; 65 for ECDSA, with which key it can be recovered from."""
        return self._sign(message)

    def __repr__(self) -> str:
        return f"Key({self.address}, {self._scheme})"

    def __reduce__(self) -> str:
        raise TypeError("a key is not pickled: secrets would lie about; make it where it is used")

    @classmethod
    def _from_keystore(cls, text: str, password: str | None) -> Key:
        opened = keystore.open_keystore(text, password)
        if opened.scheme == "sr25519":
            # polkadot-js keeps the scalar times the cofactor, as ed25519 does.
            public, secret = sr25519.pair_from_ed25519_secret_key(opened.secret)
            key = cls("sr25519", public, lambda message: sr25519.sign((public, secret), message))
        elif opened.scheme == "ed25519":
            key = cls._ed25519(opened.secret[:32])
        else:
            key = cls._ecdsa(opened.secret)
        if key.public != opened.public:
            raise BadKey("the keystore's secret and public key do not belong together; export it again")
        return key

    @classmethod
    def _sr25519(cls, seed: bytes, steps: list[tuple[bool, bytes]]) -> Key:
        public, secret = sr25519.pair_from_seed(seed)
        for is_hard, code in steps:
            derive = sr25519.hard_derive_keypair if is_hard else sr25519.derive_keypair
            _, public, secret = derive((code, public, secret), b"")
        return cls("sr25519", public, lambda message: sr25519.sign((public, secret), message))

    @classmethod
    def _ed25519(cls, seed: bytes) -> Key:
        signing = nacl.signing.SigningKey(seed)
        return cls("ed25519", bytes(signing.verify_key), lambda message: signing.sign(message).signature)

    @classmethod
    def _ecdsa(cls, seed: bytes) -> Key:
        try:
            private = coincurve.PrivateKey(seed)
        except ValueError:
            raise BadKey("this seed is no ECDSA key") from None

        def sign(message: bytes) -> bytes:
            return private.sign_recoverable(hashlib.blake2b(message, digest_size=32).digest(), hasher=None)

        return cls("ecdsa", private.public_key.format(compressed=True), sign)


def verify(key: Key, message: bytes, signature: bytes) -> bool:
    """Whether a signature is this key's."""
    if key.scheme == "sr25519":
        return bool(sr25519.verify(signature, message, key.public))
    if key.scheme == "ed25519":
        try:
            nacl.signing.VerifyKey(key.public).verify(message, signature)
        except nacl.exceptions.BadSignatureError:
            return False
        return True
    digest = hashlib.blake2b(message, digest_size=32).digest()
    recovered = coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None)
    return recovered.format(compressed=True) == key.public


def _check_scheme(scheme: str) -> None:
    if scheme not in get_args(Scheme):
        raise BadKey(f"{scheme!r} is no scheme: give {', '.join(get_args(Scheme))}")


def _read_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise BadKey(f"the key file {path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise BadKey(f"{path} is longer than {MAX_FILE_BYTES} bytes, and no key file")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BadKey(f"{path} is no text, and no key file") from None


def _seed(phrase: str, password: str) -> bytes:
    if phrase.startswith("0x"):
        try:
            seed = bytes.fromhex(phrase[2:])
        except ValueError:
            seed = b""
        if len(seed) != 32:
            raise BadKey("a seed is 0x and 64 digits in hex")
        return seed
    words = " ".join(phrase.split())
    try:
        return bytes(bip39.bip39_to_mini_secret(words, password, "en"))
    except ValueError:
        raise BadKey("the phrase is no mnemonic: 12 to 24 English words whose checksum holds, or a seed 0x…") from None


def _chain_code(name: str) -> bytes:
    if name.isascii() and name.isdigit() and int(name) < 1 << 64:
        return int(name).to_bytes(32, "little")
    encoded = name.encode()
    code = compact(len(encoded)) + encoded
    if len(code) > 32:
        return hashlib.blake2b(code, digest_size=32).digest()
    return code.ljust(32, b"\0")
