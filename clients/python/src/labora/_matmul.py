"""``labora.matmul``: NumPy's matrix product, computed by a node."""

from __future__ import annotations

import functools
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from labora._miner import Miner
from labora._quantise import quantise, scale


def matmul(a: npt.ArrayLike, b: npt.ArrayLike, endpoint: str | Miner | None = None) -> npt.NDArray[Any]:
    """The product of ``a`` and ``b``, computed by the node at ``endpoint``.

    Both int8: the exact product, in int32. Floats (or one float and one int8): each row of ``a`` and each column of
    ``b`` is quantised to 7 bits, and the product of those is exact; :func:`labora.error_bound` says how far off it is
    at most. The result is float32, or float64 if an operand is. Other types raise :class:`TypeError`.

    Shapes are as for ``numpy.matmul`` with ``b`` of one or two dimensions: ``a`` may be a vector, a matrix, or a stack
    of matrices. ``endpoint`` is a :class:`labora.Miner`, an address, or None for the node of this machine.
    """
    left, right = np.asarray(a), np.asarray(b)
    result_type = _result_type(left.dtype, right.dtype)
    if left.ndim == 0 or right.ndim not in (1, 2):
        raise ValueError(f"shapes {left.shape} and {right.shape}: a needs one dimension or more, b one or two")
    k = right.shape[0]
    if left.shape[-1] != k:
        raise ValueError(f"shapes {left.shape} and {right.shape}: {left.shape[-1]} and {k} must be equal")
    shape = left.shape[:-1] + right.shape[1:]
    if left.size == 0 or right.size == 0:
        return np.zeros(shape, dtype=result_type)
    rows, columns = left.reshape(-1, k), right.reshape(k, -1)
    miner = endpoint if isinstance(endpoint, Miner) else _miner(endpoint)
    if result_type == np.int32:
        return _scalar_or_array(miner.multiply(rows, columns).c.reshape(shape))
    quantised_a, quantised_b = quantise(rows), quantise(columns.T)
    exact = miner.multiply(quantised_a.values, quantised_b.values.T).c
    product = scale(exact.astype(np.float64), quantised_a.scales, quantised_b.scales)
    return _scalar_or_array(product.astype(result_type).reshape(shape))


def _result_type(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    for name, dtype in (("a", a), ("b", b)):
        if dtype != np.int8 and dtype.kind != "f":
            raise TypeError(f"{name} is {dtype}; give int8 for an exact product, or floats")
    if a == b == np.int8:
        return np.dtype(np.int32)
    is_double = any(dtype.kind == "f" and dtype.itemsize > 4 for dtype in (a, b))
    return np.dtype(np.float64 if is_double else np.float32)


def _scalar_or_array(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    # As NumPy: two vectors give a number.
    result: npt.NDArray[Any] = array[()] if array.ndim == 0 else array
    return result


@functools.lru_cache(maxsize=8)
def _miner_at(endpoint: str | None, _environment: tuple[str | None, ...]) -> Miner:
    return Miner(endpoint)


def _miner(endpoint: str | None) -> Miner:
    environment = (os.environ.get("LABORA_GEMM"), os.environ.get("LABORA_GEMM_TOKEN"))
    return _miner_at(endpoint, environment)
