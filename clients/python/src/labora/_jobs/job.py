"""A job of the market, from its posting to its result, for asyncio; `blocking` has the same without."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from labora._errors import JobGone, JobTimeout, LaboraError, MatrixMissing, RpcError, UnknownJob, WrongResult
from labora._jobs.chain import Included, is_refused_by
from labora._jobs.facts import Explanation, JobStatus, ProductFacts, Progress, Stage
from labora._jobs.money import Amount, to_units
from labora._jobs.product import Shape, first_fault, from_tiles
from labora._jobs.records import Remembered
from labora._miner import Int8Matrix, Int32Matrix

if TYPE_CHECKING:
    from labora._jobs.client import AsyncClient

#: What results are: of one matrix, or of a list.
Results = Int32Matrix | list[Int32Matrix]

#: RPC code of a job that is not in the state.
_UNKNOWN_JOB = -32060

#: How long a missing result of a settled job is looked for. Before that auditors see to it that it is there.
_SETTLED_PATIENCE_S = 120.0
_PAUSE_S = 1.0
#: Blocks after which what is due is asked for again.
_POKE_AGAIN_BLOCKS = 10

#: Why a job was refunded, by the runtime's names.
_REFUNDS = {
    "Cancelled": "it was cancelled, and fee and deposit are back",
    "Deadline": "its deadline passed with nobody working on it, and fee and deposit are back",
    "Unaudited": "too few auditors said anything, several times, and fee and deposit are back; submit it again",
}
_GONE = "it was refunded, or settled and forgotten; client.balance() tells what came back"

_log = logging.getLogger("labora")


@dataclass(frozen=True)
class Crop:
    """What results are cut down to: rows and columns of each, and whether there is one or a list."""

    shapes: tuple[tuple[int, int], ...]
    is_single: bool

    @classmethod
    def of(cls, remembered: Remembered) -> Crop:
        """That of a job that was submitted here."""
        return cls(tuple((shape.m, shape.n) for shape in remembered.shapes), remembered.is_single)


class AsyncJob:
    """A job. ``await job`` is :meth:`result`."""

    def __init__(self, client: AsyncClient, number: int, crop: Crop | None = None) -> None:
        self._client = client
        self._number = number
        self._crop = crop
        #: What it was submitted as, if it was here.
        self._remembered: Remembered | None = None
        self._posted: Included | None = None
        self._last: JobStatus | None = None
        self._gone: str | None = None
        self._poked: tuple[JobStatus, int] | None = None

    @property
    def number(self) -> int:
        """Its number. Another one if the block that posted it is given up, and a later one posts it."""
        return self._number

    def __repr__(self) -> str:
        stage = self._last.stage if self._last else "not looked at yet"
        return f"<{type(self).__name__} {self._number}: {stage}>"

    def __await__(self) -> Generator[Any, None, Results]:
        return self.result().__await__()

    async def status(self) -> JobStatus:
        """How it stands on the best chain. Raises :class:`labora.UnknownJob`, :class:`labora.JobGone`."""
        while True:
            status = await self._ask()
            if status is not None:
                self._last = status
                if status.stage == "settled":
                    await self._over()
                return status
            if self._gone is None and await self._has_moved():
                continue
            # A node that lags says so too: what is remembered stays.
            await self._over()
            if self._last is None and self._posted is None:
                raise UnknownJob(f"there is no job {self._number}: it was never posted, or refunded or forgotten")
            raise JobGone(f"job {self._number} is not in the state any more: {self._gone or _GONE}")

    async def explain(self) -> Explanation:
        """Why it stands there, in the node's words."""
        try:
            return Explanation.of(await self._client.rpc.call("jobs_explain", self._number))
        except RpcError as error:
            if error.code != _UNKNOWN_JOB:
                raise
        await self.status()
        return Explanation.of(await self._client.rpc.call("jobs_explain", self._number))

    async def progress(self) -> Progress:
        """How far it is, with what the node and the auditors say."""
        status = await self.status()
        explanation, market, head = await asyncio.gather(
            self.explain(), self._client.market(), self._client.chain.head()
        )
        return Progress.of(status, explanation, market, head.number)

    async def wait(self, until: Stage = "settled", timeout: float | None = None) -> JobStatus:
        """Waits until it stands at a stage or beyond, ``timeout`` seconds at most.

        What is due meanwhile (a claim that is late, an audit that is over) is asked for, if the client has a key:
        nothing happens on the chain by itself. Raises :class:`labora.JobTimeout`, :class:`labora.JobGone`.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        seen = None
        while True:
            status = await self.status()
            if status.has_reached(until):
                return status
            left_s = 10.0 if deadline is None else deadline - time.monotonic()
            if left_s <= 0:
                raise JobTimeout(f"job {self._number} is {status.stage}, not {until}, after {timeout} s; see explain()")
            head = await self._client.chain.next_head(seen, min(left_s, 10.0))
            seen = head or seen
            if seen is not None and self._client.key is not None and status.is_due(seen.number):
                await self._poke_by_itself(status, seen.number)

    async def result(self, timeout: float | None = None, accept: bool = False, verify: bool = True) -> Results:
        """A·B in int32: an array, or a list for a list.

        As soon as a worker has submitted it and it passes Freivalds' check here (an error is overlooked with
        probability 2⁻⁶⁴); auditors have nothing to add to that. With ``accept`` the worker is paid at once, so that
        its bond is free, unless somebody else pays: that waits for the auditors. Without ``verify`` it is returned once the market has settled it, and only held against its
        BLAKE3 root.

        Raises :class:`labora.WrongResult`, :class:`labora.MatrixMissing`, :class:`labora.JobTimeout`,
        :class:`labora.JobGone`.
        """
        if accept and not verify:
            raise ValueError("accept pays for what was not checked yet; leave verify on")
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
            status = await self._reached("submitted" if verify else "settled", left_s)
            products = await self._results(status, deadline)
            if products is None:
                continue
            if verify:
                await self._verify(status, products, deadline)
            if accept and status.payer is None and status.stage != "settled":
                await self._accept(status)
            return self._cropped(status, products)

    async def accept(self) -> None:
        """Pays the worker at once, without waiting for the audit. The result is not looked at: see :meth:`result`.

        :class:`labora.CallFailed` if somebody else pays and auditors have not confirmed it.
        """
        await self._send("accept")

    async def cancel(self) -> None:
        """Takes an open job back; fee and deposit come back whole."""
        await self._send("cancel")
        self._gone = _REFUNDS["Cancelled"]
        await self._over(forgets=True)

    async def raise_fee(self, by: Amount) -> None:
        """Pays so many LAB more for an open job."""
        await self._send("raise", by=to_units(by, "by"))

    async def forget(self) -> None:
        """Drops a settled job from the chain's state; the deposit comes back."""
        await self._send("forget")
        self._gone = "it was forgotten, and the deposit is back"
        await self._over(forgets=True)

    async def poke(self) -> None:
        """Does what is due; anyone may, and it costs nothing then. :class:`labora.CallFailed` if nothing is."""
        included = await self._send("poke")
        refunded = included.event("Jobs", "Refunded")
        if refunded is not None:
            self._gone = _REFUNDS.get(refunded["refund"].name, _GONE)

    async def _send(self, name: str, **arguments: Any) -> Included:
        return await self._client.send(name, {"job": self._number, **arguments})

    async def _ask(self) -> JobStatus | None:
        """How it stands; None if no job of this number is this one."""
        try:
            status = JobStatus.of(await self._client.rpc.call("jobs_get", self._number))
        except RpcError as error:
            if error.code == _UNKNOWN_JOB:
                return None
            raise
        roots = _roots(status)
        if self._remembered is None:
            self._remembered = await self._client.remembered(self._number, roots)
            if self._remembered is not None and self._crop is None:
                self._crop = Crop.of(self._remembered)
        elif self._remembered.roots != roots:
            return None
        return status

    async def _has_moved(self) -> bool:
        """Whether the block that posted it is given up, and another one has posted it since."""
        posted = self._posted
        if posted is None or await self._client.chain.is_on_best_chain(posted.block):
            return False
        deadline = time.monotonic() + self._client.transaction_timeout_s
        included = await self._client.chain.follow(posted.signed, "jobs.post", deadline)
        if included is None:
            self._gone = "the block that posted it was given up, and no other did; nothing was paid, submit it again"
            return False
        number = posted_number(included)
        if number is None:
            self._gone = "the block that posted it was given up, and in another one it failed; submit it again"
            return False
        if self._remembered is not None:
            await self._client.forget(self._number)
            await self._client.remember(number, self._remembered)
        self._number, self._posted = number, included
        return True

    async def _reached(self, stage: Stage, timeout: float | None) -> JobStatus:
        try:
            return await self.wait(stage, timeout)
        except JobGone:
            # Its result is where it was, if it was paid.
            if self._last is not None and self._last.stage == "settled":
                return self._last
            raise

    async def _poke_by_itself(self, status: JobStatus, now: int) -> None:
        if self._poked is not None:
            before, at = self._poked
            if before == status and now < at + _POKE_AGAIN_BLOCKS:
                return
        self._poked = (status, now)
        try:
            await self.poke()
        except LaboraError as error:
            # Somebody else was faster, or this account cannot; it is asked for again later.
            if not is_refused_by(error, "NotDue", "WrongStage", "NoSuchJob"):
                _log.warning("job %d is due, and jobs.poke failed: %s", self._number, error)

    async def _accept(self, status: JobStatus) -> None:
        try:
            await self.accept()
        except LaboraError as error:
            # Settled meanwhile.
            if not is_refused_by(error, "WrongStage", "NoSuchJob"):
                raise
        self._last = replace(status, stage="settled")
        await self._over()

    async def _results(self, status: JobStatus, deadline: float | None) -> list[Int32Matrix] | None:
        """C of each product, padded; None if the job has another result meanwhile, or none."""
        results = []
        for product in status.products:
            data = await self._obtain(status, product.c or b"", 4 * product.m * status.n, deadline, product)
            if data is None:
                return None
            results.append(await self._client.in_thread(from_tiles, data, product.m, status.n))
        return results

    async def _obtain(
        self, status: JobStatus, root: bytes, count: int, deadline: float | None, product: ProductFacts
    ) -> bytearray | None:
        patience = time.monotonic() + _SETTLED_PATIENCE_S
        while True:
            data = await self._client.obtain(root, count)
            if data is not None:
                return data
            if deadline is not None and time.monotonic() > deadline:
                raise JobTimeout(f"job {self._number}: its result {root.hex()} could not be fetched in time; ask again")
            try:
                now = await self.status()
            except JobGone:
                now = status
            if product not in now.products:
                return None
            if now.stage == "settled" and time.monotonic() > patience:
                raise MatrixMissing(f"job {self._number}: neither this node nor its peers have its result {root.hex()}")
            await asyncio.sleep(_PAUSE_S)

    async def _verify(self, status: JobStatus, products: Sequence[Int32Matrix], deadline: float | None) -> None:
        bt = await self._operand(status.b, status.n, status.k)
        for index, (facts, c) in enumerate(zip(status.products, products, strict=True)):
            a = await self._operand(facts.a, facts.m, status.k)
            fault = await self._client.in_thread(first_fault, a, bt, c)
            if fault is not None:
                raise WrongResult(self._number, index, fault.row, fault.column, fault.committed, fault.exact)

    async def _operand(self, root: bytes, rows: int, k: int) -> Int8Matrix:
        data = await self._client.obtain(root, rows * k)
        if data is None:
            raise MatrixMissing(
                f"job {self._number}: its operand {root.hex()} is neither here nor at peers, so its result cannot be "
                f"checked; result(verify=False) takes what the market has settled"
            )
        return np.frombuffer(data, np.int8).reshape(rows, k)

    def _cropped(self, status: JobStatus, products: Sequence[Int32Matrix]) -> Results:
        crop = self._crop or Crop(tuple((one.m, status.n) for one in status.products), len(status.products) == 1)
        if len(crop.shapes) != len(products):
            raise ValueError(
                f"job {self._number} has {len(products)} products, and {len(crop.shapes)} shapes are given"
            )
        cropped = []
        for (m, n), c in zip(crop.shapes, products, strict=True):
            if m > c.shape[0] or n > c.shape[1]:
                raise ValueError(f"job {self._number}: its result has shape {c.shape}, and {(m, n)} was given")
            cropped.append(c if c.shape == (m, n) else np.ascontiguousarray(c[:m, :n]))
        return cropped[0] if crop.is_single else cropped

    async def _over(self, *, forgets: bool = False) -> None:
        job = self._remembered
        if job is not None and job.is_pinned:
            self._remembered = replace(job, is_pinned=False)
            await self._client.let_go(self._number, job)
        if forgets:
            await self._client.forget(self._number)


def posted_number(included: Included) -> int | None:
    """The number of the job that a transaction posted."""
    posted = included.event("Jobs", "Posted")
    return None if posted is None else int(posted["job"])


def crop_of(shapes: tuple[int, int] | Sequence[tuple[int, int]] | None) -> Crop | None:
    """What a caller says results are cut down to."""
    if shapes is None:
        return None
    if isinstance(shapes, tuple) and len(shapes) == 2 and all(isinstance(one, int) for one in shapes):
        return Crop(((int(shapes[0]), int(shapes[1])),), True)  # type: ignore[arg-type]
    return Crop(tuple((int(m), int(n)) for m, n in shapes), False)  # type: ignore[misc]


def remembered_of(roots: Sequence[bytes], shapes: Sequence[Shape], is_single: bool) -> Remembered:
    """What is remembered of a job that is submitted here; the first root is Bt's."""
    return Remembered(tuple(roots), tuple(shapes), is_single)


def _roots(status: JobStatus) -> tuple[bytes, ...]:
    return (status.b, *(product.a for product in status.products))
