"""A chain and a store of matrices in this process, and a client of both."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import fake_chain
import fake_store
import labora
import worker
from fake_chain import FakeChain
from fake_store import FakeStore

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


@contextmanager
def running(folder: Path) -> Iterator[World]:
    """Serves both."""
    chain, store = FakeChain(), FakeStore()
    with fake_chain.running(chain) as url, fake_store.running(store) as matrices:
        yield World(url, matrices, chain, store, folder)
