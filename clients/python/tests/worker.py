"""Plays a worker of the market: claims a job, multiplies with NumPy, stores the results and submits them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import labora
from labora._jobs.matrices import root_of
from labora._jobs.product import to_tiles

Spoil = Callable[[np.ndarray], None]


async def work(client: labora.AsyncClient, number: int, spoil: Spoil | None = None) -> None:
    """Does all of a job. ``spoil`` changes the last result before it is stored."""
    await client.send("claim", {"job": number})
    status = await client.job(number).status()
    assert client.key is not None
    assert (status.stage, status.worker) == ("claimed", client.key.address)
    bt = await matrix(client, status.b, status.n, status.k)
    roots = []
    for product in status.products:
        a = await matrix(client, product.a, product.m, status.k)
        c = (a.astype(np.float64) @ bt.T.astype(np.float64)).astype(np.int32)
        if spoil is not None and product is status.products[-1]:
            spoil(c)
        data = memoryview(to_tiles(c)).cast("B")
        root = root_of(data)
        await client.in_thread(client.matrices.keep, root, data)
        roots.append(root)
    await client.send("submit", {"job": number, "roots": roots})


async def matrix(client: labora.AsyncClient, root: bytes, rows: int, k: int) -> np.ndarray:
    """A matrix of the job, from the store."""
    data = await client.obtain(root, rows * k)
    assert data is not None
    return np.frombuffer(data, np.int8).reshape(rows, k)
