"""How ``Miner`` finds a node, and what it makes of answers that are no product."""

from __future__ import annotations

import numpy as np
import pytest

import labora
from conftest import FakeNode
from labora import _miner
from labora._transport import Endpoint

ONE = np.ones((1, 1), np.int8)
BUSY = (429, {"Retry-After": "1"}, b'{"error": "64 products wait already"}')


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://127.0.0.1:9955", "http://127.0.0.1:9955"),
        ("localhost:80", "http://localhost:80"),
        ("http://[::1]:9955/", "http://[::1]:9955"),
        ("unix:/run/gemm.sock", "unix:/run/gemm.sock"),
        ("unix:///run/gemm.sock", "unix:/run/gemm.sock"),
        ("/run/gemm.sock", "unix:/run/gemm.sock"),
    ],
)
def test_endpoints_are_read(text: str, shown: str) -> None:
    assert str(Endpoint.parse(text)) == shown


@pytest.mark.parametrize("text", ["", "https://host:1", "http://host", "host:port", "http://host:1/path", "host:99999"])
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no endpoint"):
        Endpoint.parse(text)


def test_the_environment_names_node_and_token(fake: FakeNode, fake_tcp: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABORA_GEMM", fake_tcp)
    monkeypatch.setenv("LABORA_GEMM_TOKEN", "0123456789abcdef")
    assert labora.matmul(ONE, ONE)[0, 0] == 1
    assert fake.authorizations == ["Bearer 0123456789abcdef"]


def test_roots_and_figures_are_read(fake_tcp: str) -> None:
    product = labora.Miner(fake_tcp).multiply(np.ones((2, 3), np.int8), np.ones((3, 4), np.int8))
    assert product.macs == 24
    assert product.roots == (labora.Roots(b"\xab" * 32, b"\xcd" * 32),)


def test_a_busy_node_is_asked_again(fake: FakeNode, fake_tcp: str) -> None:
    fake.script = [BUSY] * 3
    assert labora.Miner(fake_tcp).multiply(ONE, ONE).c[0, 0] == 1
    assert len(fake.requests) == 4


def test_patience_with_a_busy_node_ends(fake: FakeNode, fake_tcp: str) -> None:
    fake.script = [BUSY] * 1000
    with pytest.raises(labora.Busy, match="64 products wait"):
        labora.Miner(fake_tcp, patience_s=0.3).multiply(ONE, ONE)
    assert len(fake.requests) < 20


def test_a_refusal_is_not_tried_again(fake: FakeNode, fake_tcp: str) -> None:
    fake.script = [(413, {}, b'{"error": "too large"}')]
    with pytest.raises(labora.Refused, match="too large") as caught:
        labora.Miner(fake_tcp).multiply(ONE, ONE)
    assert (caught.value.status, caught.value.sentence, len(fake.requests)) == (413, "too large", 1)


def test_a_node_without_devices_is_an_error_of_its_own(fake: FakeNode, fake_tcp: str) -> None:
    fake.script = [(503, {}, b'{"error": "no device"}')]
    with pytest.raises(labora.NodeError, match="no device"):
        labora.Miner(fake_tcp).multiply(ONE, ONE)


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, b"123"),
        (200, {"labora-macs": "many"}, bytes(4)),
        (200, {"labora-roots": "no:hex"}, bytes(4)),
    ],
)
def test_answers_that_are_no_product_are_found_out(
    fake: FakeNode, fake_tcp: str, answer: tuple[int, dict[str, str], bytes]
) -> None:
    fake.script = [answer]
    with pytest.raises(labora.ProtocolError):
        labora.Miner(fake_tcp).multiply(ONE, ONE)


def test_an_answer_that_breaks_off_is_unreachable(fake: FakeNode, fake_tcp: str) -> None:
    fake.closes_after_answer = True
    fake.script = [(200, {"Content-Length": "4"}, b"12")]
    with pytest.raises(labora.Unreachable):
        labora.Miner(fake_tcp).multiply(ONE, ONE)


def test_a_refusal_that_is_no_json_is_still_a_refusal(fake: FakeNode, fake_tcp: str) -> None:
    fake.script = [(404, {}, b"<html>")]
    with pytest.raises(labora.Refused, match="Not Found"):
        labora.Miner(fake_tcp).multiply(ONE, ONE)


@pytest.mark.parametrize("endpoint", ["unix:/nowhere/at/all", "http://127.0.0.1:1"])
def test_nobody_there_is_unreachable_and_names_the_endpoint(endpoint: str) -> None:
    with pytest.raises(labora.Unreachable, match=endpoint):
        labora.Miner(endpoint).multiply(ONE, ONE)


def test_connections_are_kept_and_replaced_when_closed(fake: FakeNode, fake_unix: str) -> None:
    with labora.Miner(fake_unix) as miner:
        fake.closes_after_answer = True
        for _ in range(3):
            assert miner.multiply(ONE, ONE).c[0, 0] == 1
    assert len(fake.requests) == 3


def test_what_is_too_large_for_one_request_is_split(
    fake: FakeNode, fake_tcp: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_miner, "MAX_OPERAND_BYTES", 1000)
    monkeypatch.setattr(_miner, "MAX_PRODUCT_BYTES", 500)
    rng = np.random.default_rng(5)
    a = rng.integers(-128, 128, (37, 20), dtype=np.int8)
    b = rng.integers(-128, 128, (20, 51), dtype=np.int8)
    product = labora.Miner(fake_tcp).multiply(a, b)
    assert np.array_equal(product.c, a.astype(np.int32) @ b.astype(np.int32))
    assert product.macs == 37 * 51 * 20
    assert len(product.roots) == len(fake.requests) > 4
    with pytest.raises(ValueError, match="too long"):
        labora.Miner(fake_tcp).multiply(np.ones((1, 600), np.int8), np.ones((600, 1), np.int8))


def test_miners_multiply_int8_matrices_only(fake_tcp: str) -> None:
    miner = labora.Miner(fake_tcp)
    with pytest.raises(TypeError, match="2-dimensional int8"):
        miner.multiply(ONE.astype(np.int16), ONE)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="columns"):
        miner.multiply(np.ones((2, 3), np.int8), np.ones((2, 3), np.int8))
    with pytest.raises(ValueError, match="at least 1"):
        miner.multiply(np.ones((0, 3), np.int8), np.ones((3, 1), np.int8))
