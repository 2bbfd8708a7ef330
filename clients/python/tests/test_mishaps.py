"""What can go wrong between a client, a node, a chain and a store, and what comes of it."""

from __future__ import annotations

import asyncio
import builtins
import importlib
import logging
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import websockets.sync.server

import fake_chain
import fake_store
import labora
import worker
from fake_chain import FakeChain, Refusal, until
from fake_store import FakeStore
from labora._jobs import chain as chain_module
from labora._jobs import job as job_module
from labora._jobs import matrices as matrices_module

ONE = np.ones((2, 3), np.int8)
LIMIT_S = 30


class World:
    """A chain, a store, and a client of both."""

    def __init__(self, url: str, matrices: str, chain: FakeChain, store: FakeStore, folder: Path) -> None:
        self.url, self.matrices, self.chain, self.store, self.folder = url, matrices, chain, store, folder

    def client(self, key: str | None = "//Dave", **options: object) -> labora.Client:
        return labora.Client(self.url, key, self.matrices, records=self.folder, **options)  # type: ignore[arg-type]

    def work(self, number: int) -> None:
        async def run() -> None:
            async with labora.AsyncClient(self.url, "//Charlie", self.matrices, records=None) as client:
                await worker.work(client, number)

        asyncio.run(run())


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(chain_module, "_RESEND_S", 0.3)
    monkeypatch.setattr(chain_module, "_PAUSE_S", 0.05)
    monkeypatch.setattr(chain_module, "HEAD_PERIOD_S", 0.02)
    monkeypatch.setattr(job_module, "_PAUSE_S", 0.05)
    chain, store = FakeChain(), FakeStore()
    with fake_chain.running(chain) as url, fake_store.running(store) as matrices:
        yield World(url, matrices, chain, store, tmp_path)


# ---- transactions


def test_a_transaction_that_the_pool_drops_is_sent_again(world: World) -> None:
    world.chain.drops = 2
    with world.client() as client:
        assert client.submit(ONE, ONE.T, fee=1).status().stage == "open"
    assert world.chain.called["author_submitExtrinsic"] >= 3
    assert world.chain.chain[-1].posted == 1


def test_a_connection_that_breaks_is_opened_again(world: World) -> None:
    with world.client() as client:
        job = client.submit(ONE, ONE.T, fee=1)
        for _ in range(10):
            world.chain.cuts = 1
            assert job.status().stage == "open"
        world.chain.cuts = 3
        job.cancel()
    assert world.chain.chain[-1].posted == 1


def test_a_transaction_whose_time_is_over_is_signed_anew_and_posted_once(world: World) -> None:
    world.chain.drops = 10**9
    with world.client() as client:

        def end_of_drops() -> None:
            until(lambda: world.chain.called["author_submitExtrinsic"] > 0)
            first = world.chain.chain[-1].number
            until(lambda: world.chain.chain[-1].number > first + 70)
            world.chain.drops = 0

        thread = threading.Thread(target=end_of_drops)
        thread.start()
        job = client.submit(ONE, ONE.T, fee=1)
        thread.join()
        assert job.status().stage == "open"
    assert world.chain.chain[-1].posted == 1


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(1014, "Priority is too low: (1 vs 1)", "The transaction has too low priority"),
        Refusal(1010, "Invalid Transaction", "Transaction is outdated"),
        Refusal(1012, "Transaction is temporarily banned"),
        Refusal(1016, "Immediately Dropped"),
    ],
)
def test_what_another_nonce_or_a_moment_mends_is_tried_again(world: World, refusal: Refusal) -> None:
    world.chain.refusals = [refusal] * 2
    with world.client() as client:
        assert client.submit(ONE, ONE.T, fee=1).number == 0


def test_another_program_that_takes_the_nonce_does_not_lose_a_job(world: World) -> None:
    world.chain.drops = 1
    with world.client() as client, world.client() as other:
        results: list[labora.Job] = []
        thread = threading.Thread(target=lambda: results.append(client.submit(ONE, ONE.T, fee=1)))
        thread.start()
        until(lambda: world.chain.called["author_submitExtrinsic"] == 1)
        second = other.submit(ONE, ONE.T, fee=2)
        thread.join()
        assert {results[0].number, second.number} == {0, 1}
        assert results[0].status().fee == 1
        assert second.status().fee == 2


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (
            Refusal(1010, "Invalid Transaction", "Inability to pay some fees (e.g. account balance too low)"),
            "cannot pay",
        ),
        (Refusal(1002, "Verification Error", "Runtime error"), "Verification Error: Runtime error"),
    ],
)
def test_what_the_pool_refuses_is_said_and_matrices_are_let_go(world: World, refusal: Refusal, words: str) -> None:
    world.chain.refusals = [refusal]
    with world.client() as client, pytest.raises(labora.TransactionRefused, match=words):
        client.submit(ONE, ONE.T, fee=1)
    assert not world.store.pinned


def test_a_transaction_in_no_block_says_until_when_it_can_come(world: World) -> None:
    world.chain.drops = 10**9
    with world.client(transaction_timeout_s=0.5) as client:
        with pytest.raises(labora.NotIncluded, match=r"up to block \d+"):
            client.submit(ONE, ONE.T, fee=1)
        assert world.store.pinned
        assert list(world.folder.glob("*/sent-*.json"))


def test_a_job_whose_block_is_given_up_is_found_where_it_is_posted_again(world: World) -> None:
    with world.client() as client, world.client("//Charlie") as other:
        job = client.submit(ONE, ONE.T, fee=1)
        with world.chain.lock:
            world.chain.runs = False
            depth = world.chain.chain[-1].number - next(b.number for b in world.chain.chain if b.extrinsics) + 1
            world.chain.give_up(depth)
            mine, world.chain.pool = world.chain.pool, []
            world.chain.runs = True
        # Meanwhile somebody else's gets its number.
        assert other.submit(ONE + ONE, ONE.T, fee=3).number == 0
        world.chain.pool += mine
        assert job.status().fee == 1
        assert job.number == 1


def test_a_job_whose_block_is_given_up_for_good_says_so(world: World) -> None:
    with world.client() as client:
        job = client.submit(ONE, ONE.T, fee=1)
        with world.chain.lock:
            depth = world.chain.chain[-1].number - next(b.number for b in world.chain.chain if b.extrinsics) + 1
            world.chain.give_up(depth, loses=True)
            world.chain.drops = 10**9
        with pytest.raises(labora.JobGone, match="given up.*submit it again"):
            job.status()


def test_a_late_worker_is_poked_away_by_the_posters_client(world: World) -> None:
    with world.client() as client, world.client("//Charlie") as late:
        job = client.submit(ONE, ONE.T, fee=1)
        late._loop.run(late.aio.send("claim", {"job": job.number}))
        waiting = job.future(LIMIT_S)
        until(lambda: world.chain.chain[-1].jobs[0]["stage"] == "open")
        world.work(job.number)
        assert np.array_equal(waiting.result(LIMIT_S), ONE.astype(np.int32) @ ONE.T)


def test_an_audit_that_is_over_is_settled_by_the_posters_client(world: World) -> None:
    with world.client() as client:
        job = client.submit(ONE, ONE.T, fee=1)
        world.work(job.number)
        assert world.store.pinned
        assert np.array_equal(job.result(LIMIT_S, verify=False), ONE.astype(np.int32) @ ONE.T)
        assert job.status().stage == "settled"
        # But for C, which is the worker's.
        assert len(world.store.pinned) == 1
        with pytest.raises(ValueError, match="leave verify on"):
            job.result(accept=True, verify=False)


# ---- nodes


def test_nobody_there_is_unreachable_at_once() -> None:
    begin = time.monotonic()
    with (
        labora.Client("ws://127.0.0.1:1", "//Dave", records=None) as client,
        pytest.raises(labora.Unreachable) as caught,
    ):
        client.market()
    assert "ws://127.0.0.1:1" in str(caught.value)
    assert time.monotonic() - begin < 5


def test_a_node_that_does_not_answer_is_unreachable_in_time(world: World) -> None:
    with world.client(timeout_s=0.5) as client:
        client.market()
        with world.chain.lock, pytest.raises(labora.Unreachable, match="no answer"):
            client.market()


@pytest.mark.parametrize(
    "answer", ["no JSON", "[]", '{"id": 1}', '{"id": 1, "result": {"leastFee": "much"}}', '{"id":1,"error":7}']
)
def test_what_is_no_node_is_found_out(answer: str) -> None:
    def serve(connection: websockets.sync.server.ServerConnection) -> None:
        for _ in connection:
            connection.send(answer)

    with websockets.sync.server.serve(serve, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        with labora.Client(url, records=None, timeout_s=1) as client, pytest.raises(labora.LaboraError) as caught:
            client.market()
        assert isinstance(caught.value, (labora.ProtocolError, labora.Unreachable, labora.RpcError))
        server.shutdown()
        thread.join()


def test_chains_that_are_not_known_are_said_to_be(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for metadata, words in ((b"meta\x0f", "version 15.*update labora"), (b"data", "is none")):
        monkeypatch.setattr(fake_chain, "METADATA", metadata)
        with world.client() as client, pytest.raises(labora.UnsupportedChain, match=words):
            client.balance()
    monkeypatch.delattr(FakeChain, "rpc_jobs_market")
    with world.client() as client, pytest.raises(labora.ProtocolError, match="knows no jobs"):
        client.market()


@pytest.mark.parametrize("url", ["http://127.0.0.1:9944", "127.0.0.1:9944", "", "ws://"])
def test_addresses_that_are_none_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="give ws://"):
        labora.AsyncClient(url)


def test_a_closed_client_says_so(world: World) -> None:
    client = world.client()
    job = client.submit(ONE, ONE.T, fee=1)
    waiting = job.future()
    client.close()
    client.close()
    assert waiting.cancelled()
    with pytest.raises(labora.LaboraError, match="was closed"):
        job.status()


# ---- matrices


def test_matrices_that_are_there_are_not_sent_again(world: World) -> None:
    with world.client() as client:
        client.submit(ONE, ONE.T, fee=1)
        client.submit(ONE, ONE.T, fee=1)
    assert len([request for request in world.store.requests if request.startswith("PUT") and "pin" not in request]) == 1


@pytest.mark.parametrize("script", [[429, 429], [409]])
def test_a_busy_store_is_asked_again(world: World, script: list[int]) -> None:
    world.store.script = [404, *script]
    with world.client() as client:
        assert client.submit(ONE, ONE.T, fee=1).number == 0


def test_a_store_without_room_is_said_to_be(world: World) -> None:
    world.store.script = [404, 507]
    with world.client() as client, pytest.raises(labora.NodeError, match="507"):
        client.submit(ONE, ONE.T, fee=1)
    assert world.chain.chain[-1].posted == 0


def test_the_token_is_sent_and_not_shown(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "0123456789abcdef"
    with labora.Client(world.url, "//Dave", world.matrices, secret, records=None) as client:
        client.submit(ONE, ONE.T, fee=1)
        assert secret not in repr(client)
    assert world.store.authorizations == {f"Bearer {secret}"}
    assert secret not in caplog.text.replace("Authorization", "")


def test_bytes_that_are_not_the_roots_are_found_out(world: World) -> None:
    with world.client() as client:
        job = client.submit(ONE, ONE.T, fee=1)
        world.work(job.number)
        world.store.lies = True
        with pytest.raises(labora.ProtocolError, match="other bytes"):
            job.result(LIMIT_S)


def test_results_come_from_peers(world: World) -> None:
    with world.client() as client:
        job = client.submit(ONE, ONE.T, fee=1)
        world.work(job.number)
        status = job.status()
        root = (status.products[0].c or b"").hex()
        world.store.peers = {root: world.store.held.pop(root)}
        assert np.array_equal(job.result(LIMIT_S), ONE.astype(np.int32) @ ONE.T)
        assert f"POST {root[:6]}/fetch" in world.store.requests


def test_a_result_that_cannot_be_had_is_waited_for_and_said_to_be_missing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "_SETTLED_PATIENCE_S", 0.3)
    with world.client() as client:
        job = client.submit(ONE, ONE.T, fee=1)
        world.work(job.number)
        held, world.store.held = world.store.held, {}
        with pytest.raises(labora.JobTimeout, match="could not be fetched"):
            job.result(timeout=1)
        job.wait(timeout=LIMIT_S)
        with pytest.raises(labora.MatrixMissing, match="neither this node nor its peers"):
            job.result(LIMIT_S)
        # Operands that are gone, but the result is there.
        status = job.status()
        root = (status.products[0].c or b"").hex()
        world.store.held = {root: held[root]}
        with pytest.raises(labora.MatrixMissing, match="verify=False"):
            job.result(LIMIT_S)
        assert np.array_equal(job.result(LIMIT_S, verify=False), ONE.astype(np.int32) @ ONE.T)


def test_a_broken_connection_to_the_store_is_not_the_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrices_module, "_FIRST_PAUSE_S", 0.01)
    store = matrices_module.Matrices("http://127.0.0.1:1", None)
    with pytest.raises(labora.Unreachable, match="127.0.0.1:1"):
        store.has(bytes(32))


# ---- this machine


def test_records_that_are_damaged_or_cannot_be_written_are_only_warned_of(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with world.client() as client:
        number = client.submit(ONE, ONE.T, fee=1).number
    world.work(number)
    (record,) = world.folder.glob("*/*.json")
    record.write_text("{")
    with world.client() as client:
        assert client.job(number).result(LIMIT_S).shape == (32, 32)
    assert "cannot be read" in caplog.text
    blocked = world.folder / "file"
    blocked.write_text("")
    with labora.Client(world.url, "//Dave", world.matrices, records=blocked) as client:
        client.submit(ONE, ONE.T, fee=1)
    assert "cannot be written" in caplog.text


def test_jobs_of_earlier_runs_are_looked_after(world: World) -> None:
    with world.client() as client:
        job = client.submit(ONE, ONE.T, fee=1)
        world.work(job.number)
        assert len(world.store.pinned) == 2
    until(lambda: world.chain.chain[-1].number > world.chain.chain[-1].jobs[0]["window"]["ends"] + 1)
    with world.client() as client:
        client.tidy()
        client.tidy()
    assert world.chain.chain[-1].jobs[0]["stage"] == "settled"
    assert len(world.store.pinned) == 1


def test_without_the_extra_its_name_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("labora")]:
        monkeypatch.delitem(sys.modules, name)
    really = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name.partition(".")[0] == "sr25519":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return really(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    fresh = importlib.import_module("labora")
    assert fresh.matmul
    with pytest.raises(ImportError, match=r"pip install 'labora\[jobs\]'"):
        _ = fresh.Client
    with pytest.raises(AttributeError, match="no attribute"):
        _ = fresh.Nothing
