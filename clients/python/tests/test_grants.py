"""Jobs that the research fund pays for."""

from __future__ import annotations

import asyncio
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
from fake_chain import LAB
from real_market import RealMarket

DAVE = labora.Key.from_uri("//Dave").address


@dataclass
class Fund:
    """A chain on which Dave is a member of an institution, and where matrices are."""

    url: str
    matrices: str
    records: Path
    chain: fake_chain.FakeChain | None

    def client(self, key: str | None = "//Dave") -> labora.Client:
        return labora.Client(self.url, key, self.matrices, records=self.records)


@pytest.fixture(params=["fake", "real"])
def fund(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fund]:
    if request.param == "real":
        real: RealMarket = request.getfixturevalue("real_market")
        real.grant(labora.Key.from_uri("//Dave"))
        yield Fund(real.url, real.matrices, tmp_path, None)
        return
    chain, store = fake_chain.FakeChain(), fake_store.FakeStore()
    chain.grants[DAVE] = 10 * LAB
    with fake_chain.running(chain) as url, fake_store.running(store) as matrices:
        yield Fund(url, matrices, tmp_path, chain)


def int8(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(-128, 128, shape, dtype=np.int8)


def test_a_members_job_is_paid_by_the_fund(fund: Fund) -> None:
    with fund.client() as client:
        before = client.balance()
        # Nobody says how much: the least fee, or the going rate as far as the fund pays it.
        job = client.submit(int8(3, 4), int8(4, 5), sponsored=True)
        status = job.status()
        assert (status.poster, status.fee) == (DAVE, Decimal("0.02"))
        assert status.payer is not None
        assert before.held == client.balance().held
        own = client.submit(int8(3, 4), int8(4, 5), fee=1)
        assert own.status().payer is None
        job.cancel()
        own.cancel()


def test_what_it_would_cost_is_the_transaction(fund: Fund) -> None:
    with fund.client(None) as client:
        cost = client.submit(int8(3, 4), int8(4, 5), fee="0.02", sponsored=True, dry_run=True)
        assert (cost.fee, cost.deposit, cost.sponsored) == (Decimal("0.02"), Decimal("0.012"), True)
        assert cost.total == cost.transaction


def test_more_than_the_fund_pays_is_refused_before_anything_is_sent(fund: Fund) -> None:
    a, b = int8(3, 4), int8(4, 5)
    with fund.client() as client, pytest.raises(labora.NotGranted, match=r"at most 0\.02 LAB"):
        client.submit(a, b, fee="0.03", sponsored=True)
    with fund.client("//Eve") as stranger, pytest.raises(labora.NotGranted, match="member of no institution"):
        stranger.submit(a, b, sponsored=True)
    if fund.chain is None:
        return
    with fund.client() as client:
        fund.chain.grants[DAVE] = LAB // 100
        with pytest.raises(labora.NotGranted, match=r"institution 2 has 0\.01 LAB left"):
            client.submit(a, b, sponsored=True)
        fund.chain.grants[DAVE] = LAB
        fund.chain.fund = LAB // 50
        with pytest.raises(labora.NotGranted, match=r"has 0\.02 LAB, and this takes 0\.032"):
            client.submit(a, b, sponsored=True)
        fund.chain.fund, fund.chain.room = LAB, LAB // 50
        with pytest.raises(labora.NotGranted, match=r"only 0\.02 more can be held for jobs of institution 2"):
            client.submit(a, b, sponsored=True)
        assert not fund.chain.called["author_submitExtrinsic"]


def test_the_going_rate_is_offered_as_far_as_the_fund_pays_it(fund: Fund) -> None:
    if fund.chain is None:
        pytest.skip("what was paid on a real chain is not known beforehand")
    fund.chain.going_rate, fund.chain.max_rate = 10**6 * LAB, 10**5 * LAB
    macs = 32 * 32 * 256
    with fund.client(None) as client:
        cost = client.submit(int8(3, 4), int8(4, 5), sponsored=True, dry_run=True)
        assert cost.fee == Decimal(-(-(10**5 * LAB * macs) // 10**12)).scaleb(-12)


def test_a_sponsored_job_is_open_for_no_longer_than_the_fund_allows(fund: Fund) -> None:
    a, b = int8(3, 4), int8(4, 5)
    with fund.client() as client, pytest.raises(labora.NotGranted, match="stays open for at most 14400"):
        client.submit(a, b, sponsored=True, open_blocks=14_401)
    if fund.chain is None:
        return
    # Nobody says how long: a day, or what the fund allows.
    fund.chain.open_blocks = 100
    with fund.client() as client:
        job = client.submit(a, b, sponsored=True)
        status = job.status()
        assert status.deadline <= fund.chain.chain[-1].number + 100
        job.cancel()


def test_a_result_that_the_fund_pays_for_is_there_at_once_and_paid_by_its_audit(fund: Fund) -> None:
    if fund.chain is None:
        pytest.skip("nobody audits on the real chain of the tests")
    a, b = int8(3, 4), int8(4, 5)
    with fund.client() as client:
        job = client.submit(a, b, sponsored=True)
        asyncio.run(work(fund, job.number))
        # Nothing is accepted, whatever is asked for.
        c = job.result(60, accept=True)
        assert np.array_equal(c, a.astype(np.int32) @ b.astype(np.int32))
        assert job.status().stage == "submitted"
        with pytest.raises(labora.CallFailed, match="auditors have to have confirmed the result first"):
            job.accept()
        assert job.wait("settled", 60).stage == "settled"


async def work(fund: Fund, number: int) -> None:
    async with labora.AsyncClient(fund.url, "//Charlie", fund.matrices, records=None) as client:
        await worker.work(client, number)
