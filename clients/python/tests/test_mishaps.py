"""What can go wrong between a client, a node and a chain, and what comes of it."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest
import websockets.sync.server

import fake_chain
import labora
from fake_chain import FakeChain, Refusal, until
from world import LIMIT_S, ONE, World

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
        (record,) = world.folder.glob("*/sent-*.json")
    # After a day it cannot come any more, and its matrices need not stay.
    yesterday = time.time() - 90_000
    os.utime(record, (yesterday, yesterday))
    with world.client() as client:
        client.tidy()
    assert not world.store.pinned
    assert not record.exists()


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
    world.chain.claim_blocks = 20
    with world.client() as client, world.client("//Charlie") as late:
        job = client.submit(ONE, ONE.T, fee=1)
        late._loop.run(late.aio.send("claim", {"job": job.number}))
        waiting = job.future(LIMIT_S)
        until(lambda: world.chain.chain[-1].jobs[0]["stage"] == "open")
        world.chain.claim_blocks = 2_000
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
