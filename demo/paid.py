#!/usr/bin/env python3
"""Paid jobs: a real network's layers, then many large products, on the market of a network that runs.

Trains the network of ``digits.py`` and has each layer's product done as a job: a miner claims it, multiplies, stores and
submits it; the result is checked here and the miner paid. Then, unless ``--products 0``, posts one job of many large
products, waits for its audit, and looks for blocks that were mined on its matrices; if there are none, posts a larger
one. Every entry is compared with NumPy's, every amount with the balance.

Exit status: 0 if all of it held, 1 if not, 130 if it was interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

# NumPy's own threads would only fight with those of a node on this machine.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import labora
import numpy as np
import numpy.typing as npt

import report
from chain import Chain, ChainError
from network import LIMIT, SEED, IntegerNetwork, load, train

if TYPE_CHECKING:
    from network import Int8, Int32

#: More than the transactions of a job cost together, in LAB.
FEES = Decimal("0.5")

#: Times the first job's k, at most, where no block was mined on the jobs before: where blocks take longer than a job,
#: which devices decide, chance alone would have to bring one.
MOST_GROWTH = 8


class Wrong(Exception):
    """Something is not as it was promised."""


@dataclass(frozen=True)
class Done:
    """A job that is over."""

    what: str
    macs: int
    fee: Decimal
    #: What went from the poster's balance beside the fee.
    transactions: Decimal
    seconds: float
    #: Whether it was accepted before its audit, which leaves auditors nothing.
    accepted: bool
    mined: int


class Poster:
    """Has products done as jobs, and holds everything against what was promised."""

    def __init__(self, client: labora.Client, chain: Chain, chosen: argparse.Namespace) -> None:
        self._client = client
        self._chain = chain
        self._price = chosen.price
        self._limit_s = chosen.limit
        self._accepts = chosen.accept
        self.done: list[Done] = []

    def product(self, a: Int8, b: Int8, layer: int) -> Int32:
        """A·B as a job that is paid as soon as its result is checked here."""
        before, started = self._total(), time.monotonic()
        job = self._client.submit(a, b, fee=self._fee(a, b))
        report.step(f"job {job.number}: layer {layer}, {a.shape[0]}×{b.shape[1]}×{a.shape[1]}")
        c = job.result(self._limit_s, accept=True)
        if not isinstance(c, np.ndarray):
            raise Wrong(f"job {job.number} gave a list for one product")
        self._compare(job.number, [a], b, [c])
        self._over(job, f"layer {layer}", before, started, accepted=True)
        return c

    def many(self, count: int, size: int, k: int, seed: int) -> int:
        """``count`` products of size×size×k as one job; how many blocks were mined on its matrices."""
        random = np.random.default_rng(seed)
        # In 7 bits, as a quantised network's: such matrices are mined on as they are, wider ones in two parts each.
        left = [random.integers(-LIMIT, LIMIT + 1, (size, k), dtype=np.int8) for _ in range(count)]
        b = random.integers(-LIMIT, LIMIT + 1, (k, size), dtype=np.int8)
        before, started = self._total(), time.monotonic()
        job = self._client.submit(left, b, fee=self._fee(left, b))
        report.step(f"job {job.number}: {count} products of {size}×{size}×{k}")
        results = job.result(self._limit_s, accept=self._accepts)
        self._compare(job.number, left, b, list(results))
        report.step(f"job {job.number} has its result, equal to NumPy's{'' if self._accepts else '; its audit goes on'}")
        job.wait("settled", self._limit_s)
        return self._over(job, f"{count} of {size}×{size}×{k}", before, started, self._accepts)

    def _fee(self, a: Int8 | list[Int8], b: Int8) -> Decimal:
        """By the price, or the least that a job may pay."""
        macs = self._client.submit(a, b, dry_run=True).macs
        return max(self._price * macs / 10**12, self._client.market().least_fee)

    def _total(self) -> Decimal:
        balance = self._client.balance()
        return balance.free + balance.held

    def _compare(self, job: int, left: Sequence[Int8], b: Int8, results: Sequence[npt.NDArray[np.int32]]) -> None:
        # float64 holds every sum exactly.
        right = b.astype(np.float64)
        if len(results) != len(left):
            raise Wrong(f"job {job} has {len(results)} results for {len(left)} products")
        for at, (a, c) in enumerate(zip(left, results, strict=True)):
            if not np.array_equal(c, a.astype(np.float64) @ right):
                raise Wrong(f"product {at} of job {job} differs from NumPy's")

    def _over(self, job: labora.Job, what: str, before: Decimal, started: float, accepted: bool) -> int:
        status = job.status()
        seconds = time.monotonic() - started
        for block in status.mined:
            self._check_seal(status, block)
        # Fee and transactions; the deposit is held, and part of the total.
        beside = before - self._total() - status.fee
        if not 0 <= beside <= FEES:
            raise Wrong(f"job {job.number} cost {status.fee + beside} LAB, and its fee is {status.fee}")
        self.done.append(Done(what, status.macs, status.fee, beside, seconds, accepted, len(status.mined)))
        job.forget()
        return len(status.mined)

    def _check_seal(self, status: labora.JobStatus, block: labora.MinedBlock) -> None:
        """Holds a block that was mined on a job against the seal that the state has of it."""
        seal = self._chain.seal(block.number, self._chain.best())
        product = status.products[block.product]
        found = (seal.block.hash, seal.root_a, seal.root_bt, seal.m, seal.n, seal.k)
        if found != (block.hash, product.a, status.b, product.m, status.n, status.k):
            raise Wrong(f"the seal of block {block.number} does not name product {block.product} of job {status.number}")
        report.step(f"block {block.number} was mined on product {block.product} of job {status.number}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--url", default="ws://127.0.0.1:9944", help="RPC of a node (default: %(default)s)")
    parser.add_argument("--matrices", help="where a node keeps matrices (default: LABORA_GEMM, http://127.0.0.1:9955)")
    parser.add_argument("--key", default="//Dave", help="who pays: a URI, or a keystore file (default: //Dave)")
    parser.add_argument("--price", type=Decimal, default=Decimal(2), help="LAB for 10¹² multiply-accumulates, if that is more than a job's least fee (default: 2)")
    parser.add_argument("--products", type=int, default=64, help="products of the large job (default: 64)")
    parser.add_argument("--size", type=int, default=1024, help="their m and n, and k of the first job (default: 1024)")
    parser.add_argument(
        "--tries",
        type=int,
        default=5,
        help=f"jobs until a block was mined on one's matrices, each with twice the k, up to {MOST_GROWTH} times (default: 5)",
    )
    parser.add_argument("--accept", action="store_true", help="pay for the large job before its audit, too")
    parser.add_argument("--limit", type=float, default=900.0, metavar="SECONDS", help="for each job (default: 900)")
    return parser.parse_args()


def key_of(text: str) -> labora.Key | str:
    return text if text.startswith("/") and not os.path.exists(text) else labora.Key.from_file(text)


def network_as_jobs(poster: Poster) -> None:
    """The test set through the integer network, each layer a job."""
    data = load()
    report.step(f"training on {len(data.train_x)} handwritten digits")
    network = train(data)
    integer = IntegerNetwork.quantise(network, data.train_x)
    scores = integer.scores(data.test_x, poster.product)
    accuracy = float(np.mean(scores.argmax(axis=1) == data.test_y))
    expected = integer.scores(data.test_x, lambda a, b, _: (a.astype(np.float64) @ b).astype(np.int32))
    if not np.array_equal(scores, expected):
        raise Wrong("the network's scores differ from those that NumPy gives")
    report.step(f"{accuracy:.2%} of {len(data.test_y)} digits read, by jobs alone")


def table(done: Sequence[Done], market: labora.Market) -> None:
    """What each job cost, and who got it."""
    head = ("job", "GMAC", "fee", "worker", "auditors", "burned", "transactions", "seconds", "blocks")
    rows = []
    for one in done:
        auditors = Decimal(0) if one.accepted else one.fee * market.auditor_share
        worker = one.fee * market.worker_share
        amounts = (one.fee, worker, auditors, one.fee - worker - auditors, one.transactions)
        shown = [f"{amount:.6f}" for amount in amounts]
        rows.append((one.what, f"{one.macs / 1e9:.2f}", *shown, f"{one.seconds:.0f}", str(one.mined)))
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    report.end_line()
    print()
    for row in (head, *rows):
        print("  " + "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)))
    print("\n  in LAB; where a result is accepted before its audit the auditors' share is burned\n", flush=True)


def run(chosen: argparse.Namespace) -> bool:
    """All of it; whether a block was mined on the large job, where there is one."""
    chain = Chain(chosen.url.replace("ws", "http", 1))
    with labora.Client(chosen.url, key_of(chosen.key), chosen.matrices, records=None) as client:
        poster = Poster(client, chain, chosen)
        network_as_jobs(poster)
        mined = chosen.products == 0
        for attempt in range(chosen.tries):
            if mined:
                break
            k = chosen.size * min(2**attempt, MOST_GROWTH)
            mined = poster.many(chosen.products, chosen.size, k, SEED + attempt) > 0
        table(poster.done, client.market())
    if not mined:
        report.step(f"no block was mined on {chosen.tries} jobs; give more --tries, or more --products")
    return mined


def main() -> int:
    try:
        return 0 if run(arguments()) else 1
    except KeyboardInterrupt:
        report.step("interrupted; jobs go on: labora job list")
        return 130
    except (Wrong, ChainError, labora.LaboraError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
