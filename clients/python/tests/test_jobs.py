"""Jobs from their posting to their result, on a chain in this process and, if LABORA_BIN names one, on a real node."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

import fake_chain
import fake_store
import labora
import worker
from real_market import RealMarket

LIMIT_S = 120


@dataclass
class Market:
    """Where a chain, and a store of matrices, are."""

    url: str
    matrices: str
    records: Path

    def client(self, key: str | labora.Key | None = "//Dave") -> labora.Client:
        return labora.Client(self.url, key, self.matrices, records=self.records)

    def work(self, number: int, spoil: worker.Spoil | None = None, key: str = "//Charlie") -> None:
        async def run() -> None:
            async with labora.AsyncClient(self.url, key, self.matrices, records=None) as client:
                await worker.work(client, number, spoil)

        asyncio.run(run())


@pytest.fixture(params=["fake", "real"])
def market(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Market]:
    if request.param == "real":
        real: RealMarket = request.getfixturevalue("real_market")
        yield Market(real.url, real.matrices, tmp_path)
        return
    chain, store = fake_chain.FakeChain(), fake_store.FakeStore()
    with fake_chain.running(chain) as url, fake_store.running(store) as matrices:
        yield Market(url, matrices, tmp_path)


def int8(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(-128, 128, shape, dtype=np.int8)


def exact(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a.astype(np.int32) @ b.astype(np.int32)


def test_a_product_is_posted_computed_checked_and_paid(market: Market) -> None:
    a, b = int8(50, 300), int8(300, 70)
    with market.client() as client:
        before = client.balance()
        job = client.submit(a, b, fee="0.5")
        status = job.status()
        assert client.key is not None
        assert (status.stage, status.poster, status.fee) == ("open", client.key.address, Decimal("0.5"))
        assert (status.n, status.k, status.products[0].m) == (80, 320, 64)
        assert job.progress().fraction == 0
        assert str(job.explain()).count("\n") >= 1
        market.work(job.number)
        assert job.wait("submitted", LIMIT_S).stage == "submitted"
        assert 0.5 <= job.progress().fraction < 1
        c = job.result(LIMIT_S, accept=True)
        assert c.dtype == np.int32
        assert np.array_equal(c, exact(a, b))
        assert job.status().stage == "settled"
        assert job.progress().fraction == 1
        assert np.array_equal(job.result(LIMIT_S, verify=False), c)
        job.forget()
        with pytest.raises(labora.JobGone, match="forgotten"):
            job.status()
        assert before.free >= client.balance().free


@pytest.mark.parametrize("scheme", ["sr25519", "ed25519", "ecdsa"])
def test_keys_of_all_schemes_post_jobs(market: Market, scheme: str, request: pytest.FixtureRequest) -> None:
    key = labora.Key.from_uri("//Dave", scheme)
    if "real" in request.node.name:
        request.getfixturevalue("real_market").give(key)
    with market.client(key) as client:
        job = client.submit(int8(3, 4), int8(4, 5), fee=1)
        assert job.status().poster == key.address
        job.raise_fee("0.25")
        assert job.status().fee == Decimal("1.25")
        job.cancel()
        with pytest.raises(labora.JobGone, match="cancelled"):
            job.result(LIMIT_S)


def test_a_batch_is_one_job_and_gives_a_list(market: Market) -> None:
    left, b = [int8(32, 256), int8(1, 256), int8(100, 256)], int8(256, 32)
    with market.client() as client:
        job = client.submit(left, b, fee=1)
        market.work(job.number)
        results = job.result(LIMIT_S, accept=True)
        assert isinstance(results, list)
        for a, c in zip(left, results, strict=True):
            assert np.array_equal(c, exact(a, b))


def test_many_jobs_at_once_and_their_futures(market: Market) -> None:
    b = int8(256, 32)
    lefts = [int8(32 + index, 256) for index in range(4)]
    with market.client() as client, concurrent.futures.ThreadPoolExecutor(4) as pool:
        jobs = list(pool.map(lambda a: client.submit(a, b, fee=1), lefts))
        assert len({job.number for job in jobs}) == 4
        futures = [job.future(LIMIT_S, accept=True) for job in jobs]
        for job in jobs:
            market.work(job.number)
        for a, future in zip(lefts, futures, strict=True):
            assert np.array_equal(future.result(LIMIT_S), exact(a, b))


def test_coroutines_do_the_same(market: Market) -> None:
    a, b = int8(20, 30), int8(30, 40)

    async def run() -> None:
        async with labora.AsyncClient(market.url, "//Dave", market.matrices, records=None) as client:
            cost = await client.submit(a, b, dry_run=True)
            job = await client.submit(a, b, fee=max(1, cost.fee))
            await asyncio.to_thread(market.work, job.number)
            assert np.array_equal(await job, exact(a, b))
            found = [status.number async for status in client.jobs(stage="submitted")]
            assert job.number in found
            await job.accept()
            assert (await job.wait(timeout=LIMIT_S)).stage == "settled"

    asyncio.run(run())


def test_a_blocking_job_can_be_awaited(market: Market) -> None:
    a, b = int8(20, 30), int8(30, 40)

    async def result(job: labora.Job) -> object:
        return await job

    with market.client() as client:
        job = client.submit(a, b, fee=1)
        market.work(job.number)
        assert np.array_equal(asyncio.run(result(job)), exact(a, b))
        job.accept()


def test_a_wrong_result_is_named_and_not_paid(market: Market) -> None:
    def spoil(c: np.ndarray) -> None:
        c[17, 5] += 3

    left, b = [int8(32, 256), int8(40, 256)], int8(256, 32)
    with market.client() as client:
        job = client.submit(left, b, fee=1)
        market.work(job.number, spoil)
        with pytest.raises(labora.WrongResult, match=r"product 1: entry \(17, 5\)") as caught:
            job.result(LIMIT_S, accept=True)
        wrong, right = caught.value, exact(left[1], b)[17, 5]
        assert (wrong.product, wrong.row, wrong.column) == (1, 17, 5)
        assert (wrong.exact, wrong.committed) == (right, right + 3)
        assert job.status().stage == "submitted"


def test_jobs_are_picked_up_again_with_their_shapes(market: Market) -> None:
    a, b = int8(5, 300), int8(300, 7)
    with market.client() as client:
        number = client.submit(a, b, fee=1).number
    market.work(number)
    with market.client() as client:
        assert np.array_equal(client.job(number).result(LIMIT_S), exact(a, b))
    # Another machine: the shape is that of the chain, or what is said.
    elsewhere = Market(market.url, market.matrices, market.records / "elsewhere")
    with elsewhere.client() as client:
        padded = client.job(number).result(LIMIT_S)
        assert padded.shape == (32, 32)
        assert np.array_equal(padded[:5, :7], exact(a, b))
        assert not padded[5:].any()
        assert np.array_equal(client.job(number, (5, 7)).result(LIMIT_S), exact(a, b))
        assert isinstance(client.job(number, [(5, 7)]).result(LIMIT_S), list)
        with pytest.raises(ValueError, match="its result has shape"):
            client.job(number, (33, 7)).result(LIMIT_S)
        client.job(number).accept()


def test_matrices_are_pinned_until_the_job_is_over(market: Market) -> None:
    a, b = int8(33, 300), int8(300, 44)
    with market.client() as client:
        first, second = client.submit(a, b, fee=1), client.submit(a[:32], b, fee=1)
        shared = first.status().b
        own = first.status().products[0].a
        first.cancel()
        pinned = pins(market)
        assert shared.hex() in pinned
        assert own.hex() not in pinned
        second.cancel()
        assert shared.hex() not in pins(market)


def pins(market: Market) -> set[str]:
    """Roots that are pinned in the store."""
    with urllib.request.urlopen(f"{market.matrices}/v1/artifacts?limit=1000") as response:
        return {one["root"] for one in json.load(response)["artifacts"] if one["pinned"]}


def test_what_a_job_would_cost_is_told_without_signing(market: Market) -> None:
    with market.client(None) as client:
        cost = client.submit([int8(32, 256)] * 3, int8(256, 32), fee="0.5", dry_run=True)
        assert (cost.fee, cost.deposit, cost.macs) == (Decimal("0.5"), Decimal("0.016"), 3 * 32 * 32 * 256)
        assert 0 < cost.transaction < Decimal("0.1")
        assert cost.total == cost.fee + cost.deposit + cost.transaction
        with pytest.raises(labora.BadKey, match="no key"):
            client.submit(int8(2, 2), int8(2, 2), fee=1)


def test_a_fee_below_the_least_is_refused_with_the_figure(market: Market) -> None:
    with market.client() as client:
        with pytest.raises(labora.FeeTooLow, match=r"the least is 0\.02 LAB: give fee=0\.02 or more"):
            client.submit(int8(2, 2), int8(2, 2), fee=0.019)
        with pytest.raises(labora.FeeTooLow, match="a price of"):
            client.submit(int8(2, 2), int8(2, 2), price=1)
        price = Decimal("0.02") / (32 * 32 * 256) * 10**12
        assert client.submit(int8(2, 2), int8(2, 2), price=price + 1, dry_run=True).fee >= Decimal("0.02")
        with pytest.raises(ValueError, match="not both"):
            client.submit(int8(2, 2), int8(2, 2), price=1, fee=1)
        for bad in (-1, "much", float("nan"), float("inf")):
            with pytest.raises(ValueError, match="give a number of LAB"):
                client.submit(int8(2, 2), int8(2, 2), fee=bad)
        with pytest.raises(ValueError, match="open_blocks"):
            client.submit(int8(2, 2), int8(2, 2), fee=1, open_blocks=0)


def test_more_than_the_account_has_is_refused_before_anything_is_sent(market: Market) -> None:
    with market.client() as client:
        with pytest.raises(labora.NotEnough, match="send it"):
            client.submit(int8(2, 2), int8(2, 2), fee=10**9)
        assert not [*market.records.glob("*/*.json")]


def test_calls_fail_in_the_runtimes_words(market: Market) -> None:
    with market.client() as client:
        job = client.submit(int8(2, 2), int8(2, 2), fee=1)
        with pytest.raises(
            labora.CallFailed, match=r"jobs\.accept: The job does not stand where this can be done"
        ) as caught:
            job.accept()
        assert caught.value.name == "Jobs.WrongStage"
        with market.client("//Charlie") as other, pytest.raises(labora.CallFailed, match="Only the poster"):
            other.job(job.number).cancel()
        with pytest.raises(labora.CallFailed, match="Nothing is due yet"):
            job.poke()
        job.cancel()
        with pytest.raises(labora.UnknownJob, match="there is no job 999999"):
            client.job(999_999).explain()


def test_jobs_are_listed_page_by_page(market: Market) -> None:
    with market.client() as client:
        posted = [client.submit(int8(2, 2), int8(2, 2), fee=1) for _ in range(5)]
        assert client.key is not None
        mine = [status.number for status in client.jobs(stage="open", poster=client.key.address)]
        assert [job.number for job in reversed(posted)] == mine[:5]
        assert client.market().posted >= 5
        for job in posted:
            job.cancel()


def test_waiting_ends_in_time(market: Market) -> None:
    with market.client() as client:
        job = client.submit(int8(2, 2), int8(2, 2), fee=1)
        with pytest.raises(labora.JobTimeout, match="is open, not settled"):
            job.wait(timeout=1)
        waiting = job.future()
        assert not waiting.done()
        ended = threading.Timer(0.5, waiting.cancel)
        ended.start()
        with pytest.raises(concurrent.futures.CancelledError):
            waiting.result(LIMIT_S)
        job.cancel()


def test_what_is_due_is_done_by_the_posters_client(market: Market) -> None:
    with market.client() as client:
        # Nobody claims it in time: its poster is given its money back.
        job = client.submit(int8(2, 2), int8(2, 2), fee=1, open_blocks=3)
        with pytest.raises(labora.JobGone, match="deadline passed"):
            job.wait(timeout=LIMIT_S)


def test_a_job_is_settled_once_its_window_is_over(market: Market) -> None:
    a, b = int8(4, 5), int8(5, 6)
    with market.client() as client:
        job = client.submit(a, b, fee=1)
        # The only validator of the chain, so that there is nobody else to audit it.
        market.work(job.number, key="//Alice")
        assert np.array_equal(job.result(LIMIT_S, verify=False), exact(a, b))
        assert job.status().stage == "settled"
