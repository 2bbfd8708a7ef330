"""Keys are those of wallets and of the SDK, in all three schemes, and say nothing of their secrets."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

import labora
from labora._jobs import keystore, ss58
from labora._jobs.keys import DEV_PHRASE, verify

VECTORS = json.loads(Path(__file__).with_name("vectors").joinpath("keys.json").read_text())
PASSWORD = "correct horse"
ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"


def write(folder: Path, keystore: object) -> Path:
    path = folder / "key.json"
    path.write_text(json.dumps(keystore))
    return path


@pytest.mark.parametrize(("scheme", "uri", "address"), VECTORS["uris"])
def test_uris_are_the_accounts_that_wallets_make_of_them(scheme: str, uri: str, address: str) -> None:
    key = labora.Key.from_uri(uri, scheme)
    assert (key.address, key.scheme) == (address, scheme)
    for message in (b"", b"short", b"long" * 100):
        signature = key.sign(message)
        assert verify(key, message, signature)
        assert not verify(key, message + b"!", signature)


@pytest.mark.parametrize("vector", VECTORS["keystores"], ids=lambda one: "-".join(one["json"]["encoding"]["content"]))
def test_keystores_of_polkadot_js_are_opened(tmp_path: Path, vector: dict) -> None:
    path = write(tmp_path, vector["json"])
    for key in (labora.Key.from_keystore(path, PASSWORD), labora.Key.from_file(path, PASSWORD)):
        assert (key.address, key.scheme) == (vector["address"], vector["type"])
        assert key.public == labora.Key.from_uri("//Labora//keystore", vector["type"]).public
        assert verify(key, b"message", key.sign(b"message"))


@pytest.mark.parametrize("password", ["wrong", "", None])
def test_a_wrong_password_is_said_to_be_one(tmp_path: Path, password: str | None) -> None:
    with pytest.raises(labora.WrongPassword, match="password"):
        labora.Key.from_keystore(write(tmp_path, VECTORS["keystores"][0]["json"]), password)


def test_keystores_that_are_none_or_ask_for_too_much_are_refused(tmp_path: Path) -> None:
    good = VECTORS["keystores"][0]["json"]
    other = {**good["encoding"], "type": ["rot13"]}
    salt_and_n = bytes(32) + (1 << 30).to_bytes(4, "little") + (1).to_bytes(4, "little") + (8).to_bytes(4, "little")
    for bad in (
        {},
        [],
        {**good, "encoded": "?"},
        {**good, "encoded": ""},
        {**good, "encoding": other},
        {**good, "encoded": "0x" + (salt_and_n + bytes(100)).hex()},
    ):
        with pytest.raises(labora.BadKey):
            labora.Key.from_keystore(write(tmp_path, bad), PASSWORD)


@pytest.mark.parametrize("text", ["//Alice\n", f"{DEV_PHRASE}//Alice", json.dumps(f"{DEV_PHRASE}//Alice")])
def test_files_with_a_line_are_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    assert labora.Key.from_file(path).address == ALICE


def test_files_that_are_no_keys_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    for content in (b"//Alice\n//Bob", b"\xff\xfe", b"no mnemonic at all", b'"', bytes(100_000)):
        path.write_bytes(content)
        with pytest.raises(labora.BadKey):
            labora.Key.from_file(path)
    with pytest.raises(labora.BadKey, match="cannot be read"):
        labora.Key.from_file(tmp_path / "none")


@pytest.mark.parametrize("scheme", ["ed25519", "ecdsa"])
def test_soft_steps_are_refused_where_there_are_none(scheme: str) -> None:
    with pytest.raises(labora.BadKey, match="write //step"):
        labora.Key.from_uri("//Alice/soft", scheme)


@pytest.mark.parametrize(
    ("uri", "scheme"),
    [("0x1234", "sr25519"), ("twelve words", "sr25519"), ("//Alice", "rsa"), (f"{DEV_PHRASE} legal", "sr25519")],
)
def test_what_is_no_uri_is_refused_without_being_repeated(uri: str, scheme: str) -> None:
    with pytest.raises(labora.BadKey) as caught:
        labora.Key.from_uri(uri, scheme)
    assert uri not in str(caught.value)


def test_keys_do_not_show_their_secrets() -> None:
    secret = VECTORS["uris"][6][1].partition("//")[0]
    key = labora.Key.from_uri(secret)
    shown = repr(key) + str(key) + repr(vars(key)) + repr(labora.AsyncClient(key=key))
    assert secret[2:10] not in shown
    assert key.address in shown
    opened = keystore.open_keystore(json.dumps(VECTORS["keystores"][1]["json"]), None)
    assert opened.secret.hex()[:8] not in repr(opened)
    assert str(opened.secret) not in repr(opened)
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_addresses_are_read_and_written() -> None:
    account = labora.Key.from_uri("//Alice").account
    assert ss58.address(account) == ALICE
    assert ss58.account(ALICE) == account
    # Polkadot's prefix, and one of two bytes.
    assert ss58.account("15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5") == account
    for bad in ("", "5Grw", ALICE[:-1] + "Z", ALICE + "1", "0" + ALICE[1:], "1" * 60):
        with pytest.raises(labora.BadKey, match="is no address"):
            ss58.account(bad)
