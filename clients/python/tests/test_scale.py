"""SCALE as the specification has it, and what is announced and not there."""

from __future__ import annotations

import pytest

import labora
from labora._jobs.metadata import Metadata
from labora._jobs.scale import Choice, Reader, compact
from labora._jobs.transaction import era
from tiny_metadata import METADATA, PARSED


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, "00"),
        (1, "04"),
        (42, "a8"),
        (63, "fc"),
        (64, "0101"),
        (69, "1501"),
        (16_383, "fdff"),
        (16_384, "02000100"),
        (65_535, "feff0300"),
        (2**30 - 1, "feffffff"),
        (2**30, "0300000040"),
        (100_000_000_000_000, "0b00407a10f35a"),
        (2**64 - 1, "13ffffffffffffffff"),
    ],
)
def test_compact_integers_are_those_of_the_specification(value: int, encoded: str) -> None:
    assert compact(value).hex() == encoded
    assert Reader(bytes.fromhex(encoded)).compact() == value


def test_calls_are_read_as_they_were_written() -> None:
    batch = {"root_b": bytes(32), "n": 64, "k": 256, "left": [{"root": b"\1" * 32, "m": 48}]}
    call = PARSED.encode_call("Jobs", "post", {"batch": batch, "fee": 2**127, "open_blocks": 7})
    assert call[:2] == bytes([40, 0])
    assert len(call) == 2 + 32 + 4 + 4 + 1 + 36 + 16 + 4
    read = PARSED.types.decode(PARSED.call, call)
    assert read == Choice("Jobs", Choice("post", {"batch": batch, "fee": 2**127, "open_blocks": 7}))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("cancel", {}),
        ("cancel", {"job": -1}),
        ("cancel", {"job": 2**64}),
        ("cancel", {"job": 1, "more": 2}),
        ("nothing", {}),
        ("submit", {"job": 1, "roots": [bytes(31)]}),
    ],
)
def test_calls_with_other_arguments_are_refused(name: str, arguments: dict) -> None:
    with pytest.raises(ValueError, match="fields are|does not fit|is none of|are expected"):
        PARSED.encode_call("Jobs", name, arguments)


def test_a_pallet_that_is_not_there_is_named() -> None:
    with pytest.raises(labora.UnsupportedChain, match="no pallet Kitties"):
        PARSED.encode_call("Kitties", "breed", {})


def test_what_breaks_off_or_goes_on_is_refused() -> None:
    call = PARSED.encode_call("Jobs", "submit", {"job": 1, "roots": [bytes(32)] * 3})
    for wrong in (call[:-1], call + b"\0", call[:1], b"", bytes([40, 99]), bytes([7])):
        with pytest.raises(labora.ProtocolError):
            PARSED.types.decode(PARSED.call, wrong)
    # A list of four milliards of items in seven bytes.
    with pytest.raises(labora.ProtocolError, match="announced"):
        PARSED.types.decode(PARSED.call, call[:10] + b"\x03\xff\xff\xff\xff")
    for length in range(0, len(METADATA), 7):
        with pytest.raises((labora.ProtocolError, labora.UnsupportedChain)):
            Metadata.parse(METADATA[:length])


def test_errors_of_the_runtime_have_its_words() -> None:
    of_module = Choice("Module", {"index": 40, "error": bytes([2, 0, 0, 0])})
    assert PARSED.explain(of_module) == ("Jobs.WrongStage", "The job does not stand where this can be done.")
    unknown = Choice("Module", {"index": 41, "error": bytes(4)})
    assert "41" in PARSED.explain(unknown)[1]
    assert PARSED.explain(Choice("Token", Choice("FundsUnavailable")))[0] == "Token.FundsUnavailable"
    assert PARSED.explain(Choice("BadOrigin"))[1] == "this account may not do this"


@pytest.mark.parametrize(("birth", "encoded"), [(42, "a502"), (64, "0500"), (127, "f503")])
def test_eras_are_those_of_the_specification(birth: int, encoded: str) -> None:
    # Mortal, 64 blocks: as sp_runtime::generic::Era::mortal(64, birth) is encoded.
    assert era(birth).hex() == encoded
