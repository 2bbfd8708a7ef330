"""The market's client for asyncio: submits products, and finds jobs again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

import numpy.typing as npt

from labora._errors import FeeTooLow, LaboraError, NotEnough, NotIncluded, ProtocolError, Refused, RpcError
from labora._jobs import ss58
from labora._jobs.chain import Chain, Included, own
from labora._jobs.facts import Balance, Cost, JobStatus, Market, Stage
from labora._jobs.grants import Fund, check
from labora._jobs.job import AsyncJob, Crop, crop_of, posted_number, remembered_of
from labora._jobs.keys import Key
from labora._jobs.matrices import Matrices, root_of
from labora._jobs.money import LAB, Amount, fee_of_price, show, to_lab, to_units
from labora._jobs.product import Left, Operands, operands
from labora._jobs.records import Records, Remembered, default_folder
from labora._jobs.rpc import Rpc
from labora._miner import DEFAULT_ENDPOINT

#: Where a node's RPC is unless told otherwise.
DEFAULT_URL = "ws://127.0.0.1:9944"

#: How long a job can be claimed unless told otherwise: a day of 12 s blocks.
DEFAULT_OPEN_BLOCKS = 7_200

#: What posts a job: at one's own cost, or at that of the research fund.
POST, SPONSOR = ("Jobs", "post"), ("Grants", "sponsor")

#: Jobs of earlier runs that are looked after when a client submits its first.
_MOST_TIDIED = 64
#: After so long a transaction that was sent is in a block, or never will be.
_ABANDONED_S = 86_400.0
#: Jobs of a page of `jobs`.
_PAGE = 50
_THREADS = 8

T = TypeVar("T")
_log = logging.getLogger("labora")


class AsyncClient:
    """A client of the market of jobs. ``async with AsyncClient(key=…) as client``.

    ``url``: RPC of a node. ``key``: a :class:`labora.Key` or a URI such as ``//Alice``; without one nothing can be
    submitted, only read. ``matrices``: where that node, or another one with ``--artifacts``, keeps matrices
    (``http://host:port`` or ``unix:/path``; ``LABORA_GEMM`` or :data:`labora.DEFAULT_ENDPOINT` if not given), with
    ``token`` if it wants one (``LABORA_GEMM_TOKEN``). ``records``: folder in which shapes of jobs are remembered;
    None for nowhere. ``timeout_s``: for each question to the node. ``transaction_timeout_s``: until a block has a
    transaction.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        key: Key | str | None = None,
        matrices: str | None = None,
        token: str | None = None,
        *,
        records: str | Path | Literal["default"] | None = "default",
        timeout_s: float = 30.0,
        transaction_timeout_s: float = 600.0,
    ) -> None:
        self.key = Key.from_uri(key) if isinstance(key, str) else key
        self.rpc = Rpc(url, timeout_s)
        self.chain = Chain(self.rpc)
        endpoint = matrices or os.environ.get("LABORA_GEMM") or DEFAULT_ENDPOINT
        self.matrices = Matrices(endpoint, token or os.environ.get("LABORA_GEMM_TOKEN"))
        self.transaction_timeout_s = transaction_timeout_s
        self._folder = default_folder() if records == "default" else None if records is None else Path(records)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="labora")
        #: What this client has submitted and is not over, by number; under an object of its own until it has one.
        self._live: dict[object, Remembered] = {}
        self._is_tidy = False

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        who = self.key.address if self.key else "no key"
        return f"{type(self).__name__}({self.rpc.where!r}, {who}, {self.matrices.endpoint!r})"

    async def close(self) -> None:
        """Closes all connections. Jobs go on; :meth:`job` finds them again."""
        await self.rpc.close()
        self.matrices.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    @overload
    async def submit(
        self, a: Left, b: npt.ArrayLike, price: Amount | None = None, *,
        fee: Amount | None = None, open_blocks: int | None = None, dry_run: Literal[False] = False,
        sponsored: bool = False,
    ) -> AsyncJob: ...  # fmt: skip
    @overload
    async def submit(
        self, a: Left, b: npt.ArrayLike, price: Amount | None = None, *,
        fee: Amount | None = None, open_blocks: int | None = None, dry_run: Literal[True],
        sponsored: bool = False,
    ) -> Cost: ...  # fmt: skip
    async def submit(
        self,
        a: Left,
        b: npt.ArrayLike,
        price: Amount | None = None,
        *,
        fee: Amount | None = None,
        open_blocks: int | None = None,
        dry_run: bool = False,
        sponsored: bool = False,
    ) -> AsyncJob | Cost:
        """Posts a job for A·B, or for each of 1 to 64 A that share B, and returns it once a block has it.

        ``a``: int8, m×k, or a list of such. ``b``: int8, k×n. k is at most 16,384; all else is padded with zeros, and
        the results are cropped. ``price``: LAB for 10¹² multiply-accumulates, padding included; or ``fee``: LAB for
        all of it; without either the going rate, or the least fee where that is more. ``open_blocks``: for how long
        it can be claimed. ``dry_run``: tells what it would cost; nothing is signed, sent or stored. ``sponsored``: the
        research fund pays fee and deposit, for members of an institution, within its quota of the era and the fund's
        terms; such a fee cannot be raised, and the worker is paid once auditors have confirmed the result.

        The matrices are stored in the node and pinned there until the job is over. Raises :class:`TypeError` and
        :class:`ValueError` for what no job can be, :class:`labora.FeeTooLow`, :class:`labora.NotEnough`,
        :class:`labora.NotGranted` for what the fund does not pay, and what storing and sending can raise.
        """
        work = await self.in_thread(operands, a, b)
        market = await self.market()
        units = _fee(work, market, price, fee)
        blocks = _open_blocks(open_blocks, market)
        fund = await Fund.of(self.rpc) if sponsored else None
        if fund is not None:
            # Nobody said how much: as much as the fund pays.
            units = min(units, fund.most(work.macs, market)) if price is None and fee is None else units
            blocks = min(blocks, fund.open_blocks) if open_blocks is None else blocks
            fund.check(units, work.macs, blocks, market)
        call = SPONSOR if sponsored else POST
        if dry_run:
            roots = [bytes(32)] * (1 + len(work.left))
            return await self._cost(work, market, call, _arguments(work, roots, units, blocks))
        key = own(self.key)
        roots = await self.in_thread(lambda: [root_of(_octets(one)) for one in (work.bt, *work.left)])
        arguments = _arguments(work, roots, units, blocks)
        cost = await self._cost(work, market, call, arguments)
        if fund is not None:
            await check(self.rpc, key.address, fund, units, cost.deposit)
        await self._can_pay(cost)
        if not self._is_tidy:
            self._is_tidy = True
            await self.tidy()
        return await self._post(work, remembered_of(roots, work.shapes, work.is_single), call, arguments)

    def job(self, number: int, shapes: tuple[int, int] | Sequence[tuple[int, int]] | None = None) -> AsyncJob:
        """A job by its number, whoever posted it.

        Results are cropped to the shapes that this machine remembers of what it submitted, or to ``shapes``: (m, n),
        or a list of them. Where neither is known they have the padded shape that the chain knows, with rows and
        columns of zeros at their ends.
        """
        return AsyncJob(self, number, crop_of(shapes))

    async def jobs(
        self, stage: Stage | None = None, poster: str | None = None, worker: str | None = None
    ) -> AsyncIterator[JobStatus]:
        """Jobs of a stage, of a poster's, of a worker's (addresses), the newest first; read page by page."""
        below: int | None = None
        while True:
            page, below = await self.page(stage, poster, worker, below)
            for status in page:
                yield status
            if below is None:
                return

    async def market(self) -> Market:
        """Terms and prices."""
        try:
            return Market.of(await self.rpc.call("jobs_market"))
        except RpcError as error:
            if error.code == -32601:
                raise ProtocolError(f"{self.rpc.where} knows no jobs; is it a Labora node, and new enough?") from error
            raise

    async def balance(self, address: str | None = None) -> Balance:
        """An account's LAB; this client's own if none is given."""
        account = own(self.key).account if address is None else ss58.account(address)
        data, spendable = await self._spendable(account)
        return Balance(to_lab(data["free"]), to_lab(data["reserved"]), to_lab(spendable))

    async def tidy(self) -> None:
        """Looks after earlier jobs of this machine: unpins matrices of those that are over, has done what is due."""
        records = await self._records()
        for job in records.abandoned(_ABANDONED_S):
            await self._unpin(job, records)
        for number, _ in list(records.pinned())[:_MOST_TIDIED]:
            with contextlib.suppress(LaboraError):
                handle = self.job(number)
                status = await handle.status()
                if self.key is not None and status.is_due((await self.chain.head()).number):
                    await handle.poke()

    async def page(
        self, stage: Stage | None, poster: str | None, worker: str | None, below: int | None
    ) -> tuple[list[JobStatus], int | None]:
        """A page of jobs, and where the next one begins."""
        given = {"stage": stage, "poster": poster, "worker": worker}
        wanted = {name: value for name, value in given.items() if value is not None}
        answer = await self.rpc.call("jobs_list", wanted or None, below, _PAGE)
        try:
            return [JobStatus.of(one) for one in answer["jobs"]], answer["below"]
        except (KeyError, TypeError) as error:
            raise ProtocolError("the answer to jobs_list is not as this version knows it") from error

    async def send(self, name: str, arguments: dict[str, Any]) -> Included:
        """Signs a call of the market's, and waits until a block has it."""
        return await self._send(("Jobs", name), arguments)

    async def _send(self, call: tuple[str, str], arguments: dict[str, Any]) -> Included:
        return await self.chain.send(own(self.key), *call, arguments, self.transaction_timeout_s)

    async def in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        """Runs what blocks or computes on a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    async def obtain(self, root: bytes, count: int) -> bytearray | None:
        """The bytes of a matrix from the node's store, or from its peers; None if they are not to be had now."""

        def get() -> bytearray | None:
            if not self.matrices.fetch(root, count):
                return None
            try:
                return self.matrices.get(root, count)
            except Refused as refused:
                if refused.status == 404:
                    return None
                raise

        return await self.in_thread(get)

    async def remembered(self, number: int, roots: Sequence[bytes]) -> Remembered | None:
        """What this machine remembers of a job."""
        return (await self._records()).find(number, roots)

    async def remember(self, number: int, job: Remembered) -> None:
        """Notes what a job of this number was submitted as."""
        self._live[number] = job
        (await self._records()).posted(number, job)

    async def forget(self, number: int) -> None:
        """Forgets what was noted of it."""
        self._live.pop(number, None)
        (await self._records()).forget(number)

    async def let_go(self, number: int, job: Remembered) -> None:
        """A job is over: its matrices may be evicted, but for those that other jobs need."""
        self._live.pop(number, None)
        records = await self._records()
        records.posted(number, replace(job, is_pinned=False))
        await self._unpin(job, records)

    async def _records(self) -> Records:
        return Records(self._folder, (await self.chain.runtime()).genesis)

    async def _post(
        self, work: Operands, job: Remembered, call: tuple[str, str], arguments: dict[str, Any]
    ) -> AsyncJob:
        unnumbered, records = object(), await self._records()
        self._live[unnumbered] = job
        try:
            for root, matrix in zip(job.roots, (work.bt, *work.left), strict=True):
                await self.in_thread(self.matrices.keep, root, _octets(matrix))
            records.sending(job)
            included = await self._send(call, arguments)
        except NotIncluded:
            # It can still be posted, and then it needs its matrices.
            raise
        except LaboraError:
            del self._live[unnumbered]
            await self._unpin(job, records)
            raise
        number = posted_number(included)
        if number is None:
            raise ProtocolError(f"block {included.block.number} has the transaction and does not tell the job's number")
        await self.remember(number, job)
        del self._live[unnumbered]
        posted = AsyncJob(self, number, Crop.of(job))
        posted._remembered, posted._posted = job, included
        return posted

    async def _unpin(self, job: Remembered, records: Records) -> None:
        """Lets matrices of a job be evicted that no other one needs, of this client or remembered on this machine."""
        needed = {root for other in self._live.values() for root in other.roots}
        needed |= {root for _, other in records.pinned() for root in other.roots}
        for root in set(job.roots) - needed:
            try:
                await self.in_thread(self.matrices.unpin, root)
            except LaboraError as error:
                _log.warning("matrix %s stays pinned: %s", root.hex(), error)

    async def _cost(self, work: Operands, market: Market, call: tuple[str, str], arguments: dict[str, Any]) -> Cost:
        runtime = await self.chain.runtime()
        encoded = runtime.metadata.encode_call(*call, arguments)
        account = self.key.account if self.key else bytes(32)
        transaction = await self.chain.transaction_fee(account, encoded)
        deposit = market.deposit_base + len(work.left) * market.deposit_per_product
        return Cost(to_lab(arguments["fee"]), deposit, to_lab(transaction), work.macs, call == SPONSOR)

    async def _spendable(self, account: bytes) -> tuple[dict[str, Any], int]:
        runtime, data = await asyncio.gather(self.chain.runtime(), self.chain.account(account))
        existential = int(runtime.metadata.constant("Balances", "ExistentialDeposit"))
        untouchable = max(existential, data["frozen"] - data["reserved"])
        return data, max(0, data["free"] - untouchable)

    async def _can_pay(self, cost: Cost) -> None:
        key = own(self.key)
        _, spendable = await self._spendable(key.account)
        needed = int(cost.total.scaleb(12))
        if spendable < needed:
            parts = "" if cost.sponsored else f"fee {cost.fee:f}, deposit {cost.deposit:f}, "
            raise NotEnough(
                f"the job takes {show(needed)} ({parts}transaction {cost.transaction:f}), and {key.address} can spend "
                f"{show(spendable)}; send it {show(needed - spendable)}, or offer less"
            )


def _fee(work: Operands, market: Market, price: Amount | None, fee: Amount | None) -> int:
    if price is not None and fee is not None:
        raise ValueError("give a price for 10¹² multiply-accumulates, or a fee for all of the job, not both")
    least = int(market.least_fee * LAB)
    if fee is not None:
        units = to_units(fee, "fee")
    elif price is not None:
        units = fee_of_price(price, work.macs)
    else:
        return max(least, fee_of_price(market.going_rate or 0, work.macs))
    if units < least:
        price_of_least = show(-(-least * 10**12 // work.macs))
        raise FeeTooLow(
            f"the fee would be {show(units)}, and the least is {show(least)}: give fee={market.least_fee:f} or "
            f"more, or a price of {price_of_least} for the {work.macs} multiply-accumulates that this is with padding"
        )
    if units >= 1 << 128:
        raise ValueError("the fee is more than there is")
    return units


def _open_blocks(given: int | None, market: Market) -> int:
    if given is None:
        return min(DEFAULT_OPEN_BLOCKS, market.longest_open_blocks)
    if not 1 <= given <= market.longest_open_blocks:
        raise ValueError(f"open_blocks is {given}; a job can be open for 1 to {market.longest_open_blocks} blocks")
    return int(given)


def _arguments(work: Operands, roots: Sequence[bytes], fee: int, open_blocks: int) -> dict[str, Any]:
    left = [{"root": root, "m": matrix.shape[0]} for root, matrix in zip(roots[1:], work.left, strict=True)]
    (n, k) = work.bt.shape
    return {"batch": {"root_b": roots[0], "n": n, "k": k, "left": left}, "fee": fee, "open_blocks": open_blocks}


def _octets(matrix: npt.NDArray[Any]) -> memoryview:
    return matrix.data.cast("B")
