"""The same client and jobs for programs without asyncio: an event loop on a thread does the work."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Generator, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import Any, Literal, TypeVar, overload

import numpy.typing as npt

from labora._errors import LaboraError
from labora._jobs.client import DEFAULT_URL, AsyncClient
from labora._jobs.facts import Balance, Cost, Explanation, JobStatus, Market, Progress, Stage
from labora._jobs.job import AsyncJob, Results
from labora._jobs.keys import Key
from labora._jobs.money import Amount
from labora._jobs.product import Left

T = TypeVar("T")


class _Loop:
    """An event loop on a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="labora-client", daemon=True)
        self._thread.start()

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        if not self._thread.is_alive():
            work.close()
            raise LaboraError(
                "the client was closed, or belongs to the process that this one was forked from; make one"
            )
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        future = self.start(work)
        try:
            return future.result()
        except BaseException:
            # An interrupt ends what it interrupts.
            future.cancel()
            raise

    def end(self, client: AsyncClient) -> None:
        """Ends whatever still waits, the client and the thread."""
        if self._thread.is_alive():
            with contextlib.suppress(TimeoutError, FutureTimeout):
                self.start(_end(client)).result(timeout=20)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=10)
        if not self._thread.is_alive() and not self._loop.is_closed():
            self._loop.close()


async def _end(client: AsyncClient) -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=5)
    await client.close()


class Job:
    """A job. Its methods wait; :meth:`future` and ``await job`` do not. See :class:`labora.AsyncJob`."""

    def __init__(self, job: AsyncJob, loop: _Loop) -> None:
        self._job = job
        self._loop = loop

    @property
    def number(self) -> int:
        """Its number. Another one if the block that posted it is given up, and a later one posts it."""
        return self._job.number

    def __repr__(self) -> str:
        return repr(self._job).replace("AsyncJob", "Job")

    def __await__(self) -> Generator[Any, None, Results]:
        return asyncio.wrap_future(self.future()).__await__()

    def status(self) -> JobStatus:
        """How it stands on the best chain."""
        return self._loop.run(self._job.status())

    def explain(self) -> Explanation:
        """Why it stands there, in the node's words."""
        return self._loop.run(self._job.explain())

    def progress(self) -> Progress:
        """How far it is, with what the node and the auditors say."""
        return self._loop.run(self._job.progress())

    def wait(self, until: Stage = "settled", timeout: float | None = None) -> JobStatus:
        """Waits until it stands at a stage or beyond, ``timeout`` seconds at most; has done meanwhile what is due."""
        return self._loop.run(self._job.wait(until, timeout))

    def result(self, timeout: float | None = None, accept: bool = False, verify: bool = True) -> Results:
        """A·B in int32, checked here: an array, or a list for a list. With ``accept`` the worker is paid at once, unless
        somebody else pays: that waits for the auditors."""
        return self._loop.run(self._job.result(timeout, accept, verify))

    def future(self, timeout: float | None = None, accept: bool = False, verify: bool = True) -> Future[Results]:
        """The same as a future, which runs from now on; cancelling it ends the waiting, not the job."""
        return self._loop.start(self._job.result(timeout, accept, verify))

    def accept(self) -> None:
        """Pays the worker at once, without looking at the result."""
        self._loop.run(self._job.accept())

    def cancel(self) -> None:
        """Takes an open job back; fee and deposit come back whole."""
        self._loop.run(self._job.cancel())

    def raise_fee(self, by: Amount) -> None:
        """Pays so many LAB more for an open job."""
        self._loop.run(self._job.raise_fee(by))

    def forget(self) -> None:
        """Drops a settled job from the chain's state; the deposit comes back."""
        self._loop.run(self._job.forget())

    def poke(self) -> None:
        """Does what is due."""
        self._loop.run(self._job.poke())


class Client:
    """A client of the market of jobs. ``with Client(key=…) as client``. May be used by many threads at once.

    The arguments are those of :class:`labora.AsyncClient`, which :attr:`aio` is for coroutines of this client's own
    loop.
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
        self.aio = AsyncClient(
            url, key, matrices, token,
            records=records, timeout_s=timeout_s, transaction_timeout_s=transaction_timeout_s,
        )  # fmt: skip
        self._loop = _Loop()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self.aio).replace("AsyncClient", "Client")

    @property
    def key(self) -> Key | None:
        """What it signs with."""
        return self.aio.key

    def close(self) -> None:
        """Closes all connections. Jobs go on; :meth:`job` finds them again."""
        self._loop.end(self.aio)

    @overload
    def submit(
        self, a: Left, b: npt.ArrayLike, price: Amount | None = None, *,
        fee: Amount | None = None, open_blocks: int | None = None, dry_run: Literal[False] = False,
        sponsored: bool = False,
    ) -> Job: ...  # fmt: skip
    @overload
    def submit(
        self, a: Left, b: npt.ArrayLike, price: Amount | None = None, *,
        fee: Amount | None = None, open_blocks: int | None = None, dry_run: Literal[True],
        sponsored: bool = False,
    ) -> Cost: ...  # fmt: skip
    def submit(
        self,
        a: Left,
        b: npt.ArrayLike,
        price: Amount | None = None,
        *,
        fee: Amount | None = None,
        open_blocks: int | None = None,
        dry_run: bool = False,
        sponsored: bool = False,
    ) -> Job | Cost:
        """Posts a job for A·B, or for each of a list of A; see :meth:`labora.AsyncClient.submit`."""
        if dry_run:
            told = self.aio.submit(a, b, price, fee=fee, open_blocks=open_blocks, dry_run=True, sponsored=sponsored)
            return self._loop.run(told)
        posted = self.aio.submit(a, b, price, fee=fee, open_blocks=open_blocks, sponsored=sponsored)
        return Job(self._loop.run(posted), self._loop)

    def job(self, number: int, shapes: tuple[int, int] | Sequence[tuple[int, int]] | None = None) -> Job:
        """A job by its number; see :meth:`labora.AsyncClient.job`."""
        return Job(self.aio.job(number, shapes), self._loop)

    def jobs(
        self, stage: Stage | None = None, poster: str | None = None, worker: str | None = None
    ) -> Iterator[JobStatus]:
        """Jobs of a stage, of a poster's, of a worker's (addresses), the newest first; read page by page."""
        below: int | None = None
        while True:
            page, below = self._loop.run(self.aio.page(stage, poster, worker, below))
            yield from page
            if below is None:
                return

    def market(self) -> Market:
        """Terms and prices."""
        return self._loop.run(self.aio.market())

    def balance(self, address: str | None = None) -> Balance:
        """An account's LAB; this client's own if none is given."""
        return self._loop.run(self.aio.balance(address))

    def tidy(self) -> None:
        """Looks after jobs that this machine submitted earlier; see :meth:`labora.AsyncClient.tidy`."""
        self._loop.run(self.aio.tidy())
