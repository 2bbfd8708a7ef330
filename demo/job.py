"""The job: the test set through the integer network, again and again under fresh noise, until a block stands on it.

The same product under the same block template has the same tickets, so running the clean test set twice would mine
nothing new. Each pass after the first therefore adds fresh noise to the images, as one does to see how robust a network
is: other matrices, other tickets, and an accuracy worth knowing.
"""

from __future__ import annotations

import concurrent.futures
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import labora
import numpy as np
import numpy.typing as npt
from blake3 import blake3
from tqdm import tqdm

from chain import Block, Chain, Seal
from network import LIMIT, SEED, Data, IntegerNetwork

#: Passes with noise after the clean one, at least.
PASSES = 24

#: Noisy copies of the test set in one pass. 6·592 rows: below 4,096, so that each product is one piece with one pair of
#: roots.
COPIES = 6

#: Standard deviations of the noise, where a pixel is in [0, 1]; one per pass, in turn.
NOISE = (0.05, 0.1, 0.2, 0.3)

#: Passes under way at a time: while one is compared here the node multiplies for another, and never runs dry. Each
#: holds some 60 MB.
THREADS = min(max(4, os.cpu_count() or 4), 16)

#: Seconds between looks at the chain.
LOOK_S = 0.5

#: Seconds that the last block may take to be built upon, which is when the state tells what it was mined on.
SETTLE_S = 180

#: float32 holds every integer up to here, so sums below it are exact in whatever order they are added.
EXACT_FLOAT32 = 1 << 24


class JobError(Exception):
    """A product was wrong, or the chain says something that cannot be."""


@dataclass(frozen=True)
class Origin:
    """Which of the network's products a pair of roots belongs to."""

    run: int
    layer: int

    def __str__(self) -> str:
        return f"layer {self.layer}, {'clean test set' if self.run == 0 else f'noisy pass {self.run}'}"


@dataclass
class Results:
    """What came of a job."""

    accuracy: float = 0.0
    #: Standard deviation of the noise, and the accuracies of its passes.
    noisy: dict[float, list[float]] = field(default_factory=dict)
    products: int = 0
    #: Multiply-accumulates of the products themselves, then as the node did them, padding included.
    macs: int = 0
    padded_macs: int = 0
    mined_macs: int = 0
    #: What the node multiplied meanwhile that nobody asked for.
    filler_macs: int = 0
    seconds: float = 0.0
    seals: list[Seal] = field(default_factory=list)
    #: Those blocks that were mined on the network's own matrices, by number.
    own: dict[int, Origin] = field(default_factory=dict)

    @property
    def held(self) -> bool:
        """Whether at least one block stands on the network's matrices; wrong products raise."""
        return bool(self.own)


class Job:
    """Runs the network's products through a node."""

    def __init__(self, miner: labora.Miner, chain: Chain, network: IntegerNetwork, data: Data) -> None:
        self._miner = miner
        self._chain = chain
        self._network = network
        self._data = data
        self._lock = threading.Lock()
        self._results = Results()
        self._looked = 0.0
        self._origins: dict[tuple[bytes, bytes], Origin] = {}
        self._roots_of_weights = [_root(layer.weights.T) for layer in network.layers]

    def run(self, deadline_s: float) -> Results:
        """Run the clean pass and :data:`PASSES` noisy ones, and more until a block stands on them or time is up."""
        results = self._results
        first = self._chain.best().number + 1
        filler_before = self._filler_macs()
        started = time.monotonic()
        with tqdm(total=PASSES + 1, desc="passes", unit="pass", disable=None, leave=False) as bar:
            for done in self._passes(started + deadline_s):
                bar.total = max(bar.total, done)
                bar.update(1)
                rate = results.padded_macs / (time.monotonic() - started) / 1e9
                bar.set_postfix_str(f"{rate:.0f} GMAC/s, blocks {len(results.seals)}, own {len(results.own)}")
                self._look(first)
        results.seconds = time.monotonic() - started
        results.filler_macs = self._filler_macs() - filler_before
        self._settle(first)
        return results

    def _passes(self, deadline: float) -> Iterator[int]:
        """Yields after each pass how many are done."""
        pool = concurrent.futures.ThreadPoolExecutor(THREADS)
        try:
            self._pass(0)
            yield 1
            run, done = 0, 1
            under_way: set[concurrent.futures.Future[None]] = set()
            while True:
                enough = run >= PASSES and (self._results.own or time.monotonic() > deadline)
                while not enough and len(under_way) < THREADS:
                    run += 1
                    under_way.add(pool.submit(self._pass, run))
                    enough = run >= PASSES and bool(self._results.own)
                if not under_way:
                    return
                finished, under_way = concurrent.futures.wait(under_way, return_when=concurrent.futures.FIRST_COMPLETED)
                for future in finished:
                    future.result()
                    done += 1
                    yield done
        finally:
            # Those under way end with the node, if this is an interrupt.
            pool.shutdown(wait=False, cancel_futures=True)

    def _pass(self, run: int) -> None:
        images, digits = self._data.test_x, self._data.test_y
        noise = 0.0
        if run:
            noise = NOISE[(run - 1) % len(NOISE)]
            random = np.random.default_rng((SEED, run))
            images = np.tile(images, (COPIES, 1))
            images += random.normal(0, noise, images.shape).astype(np.float32)
            images = np.clip(images, 0, 1)
            digits = np.tile(digits, COPIES)
        scores = self._network.scores(images, lambda a, b, layer: self._multiply(a, b, Origin(run, layer)))
        accuracy = float(np.mean(scores.argmax(axis=1) == digits))
        with self._lock:
            if run:
                self._results.noisy.setdefault(noise, []).append(accuracy)
            else:
                self._results.accuracy = accuracy

    def _multiply(self, a: npt.NDArray[np.int8], b: npt.NDArray[np.int8], origin: Origin) -> npt.NDArray[np.int32]:
        """One exact product, compared with NumPy's, and its roots noted."""
        product = self._miner.multiply(a, b)
        if not np.array_equal(product.c, _by_numpy(a, b)):
            raise JobError(f"the product of {origin} is not NumPy's")
        roots = (_root(a), self._roots_of_weights[origin.layer - 1])
        # Reckoned here from the matrices alone; what the node says must be the same.
        if any((said.a, said.bt) != roots for said in product.roots):
            raise JobError(f"the node names other roots for {origin} than its matrices have")
        with self._lock:
            self._origins[roots] = origin
            self._results.products += 1
            self._results.macs += a.shape[0] * b.size
            self._results.padded_macs += product.macs
            self._results.mined_macs += product.mined_macs
        return product.c

    def _filler_macs(self) -> int:
        return int(self._miner.status()["worker"]["macs_filler"])

    def _look(self, first: int) -> None:
        """Read the seals of blocks that were built upon since the last look, now and then."""
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        self._read_seals(first, self._chain.best())

    def _read_seals(self, first: int, best: Block) -> None:
        results = self._results
        for number in range(first + len(results.seals), best.number):
            seal = self._chain.seal(number, best)
            if seal.block.hash != self._chain.hash(number):
                raise JobError(f"the state names another hash for block {number} than the chain has")
            results.seals.append(seal)
            origin = self._origins.get((seal.root_a, seal.root_bt))
            if origin:
                results.own[number] = origin

    def _settle(self, first: int) -> None:
        """Wait until the last block of the job was built upon, so that all of them can be told."""
        last = self._chain.best().number
        deadline = time.monotonic() + SETTLE_S
        while self._chain.best().number <= last:
            if time.monotonic() > deadline:
                raise JobError(f"no block came in {SETTLE_S} s after block {last}; the node mines no more")
            time.sleep(0.1)
        self._read_seals(first, Block(last + 1, self._chain.hash(last + 1)))


def _by_numpy(a: npt.NDArray[np.int8], b: npt.NDArray[np.int8]) -> npt.NDArray[np.int32]:
    """NumPy's own product. In floats, which it multiplies fast, but only where those are exact."""
    is_exact = a.shape[1] * LIMIT * LIMIT < EXACT_FLOAT32
    dtype = np.float32 if is_exact else np.float64
    return (a.astype(dtype) @ b.astype(dtype)).astype(np.int32)


def _root(matrix: npt.NDArray[np.int8]) -> bytes:
    """BLAKE3 of a matrix padded with zeros for a device: rows to 16, 32 at least; columns to 64, 256 at least."""
    rows, k = matrix.shape
    rows_more = max(-rows % 16, 32 - rows, 0)
    k_more = max(-k % 64, 256 - k, 0)
    return blake3(np.pad(matrix, ((0, rows_more), (0, k_more))).tobytes()).digest()
