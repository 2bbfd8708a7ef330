"""Matrices as jobs have them: padded to provable shapes, in the market's byte order, and checked.

A: m×k int8, row-major. Bt (B transposed): n×k int8, row-major. C: m×n int32 little-endian in tiles of 16×16, row-major
in each, tile (i, j) at position i·n/16 + j. m and n are multiples of 16 in 32..=2²⁰, k of 64 in 256..=16,384.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from labora._miner import Int8Matrix, Int32Matrix, _transposed

TILE = 16
MIN_ROWS, MAX_ROWS = 32, 1 << 20
K_STEP, MIN_K, MAX_K = 64, 256, 16_384
MAX_PRODUCTS = 64

#: What a job is submitted with: one matrix (int8, m×k), or a list or stack of several that share B.
Left = Any

#: Independent vectors of Freivalds' check: a wrong row passes each with probability 2⁻¹⁶ at most.
_VECTORS = 4
#: A prime above twice what entries of A·B can differ by from those in range, so that no wrong entry is 0 by it.
_MODULUS = 2**31 - 1
#: Entries of a block that is converted to float64 at a time: 32 MiB.
_BLOCK_ENTRIES = 4 << 20

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """m×n and k."""

    m: int
    n: int
    k: int

    def padded(self) -> Shape:
        """The smallest provable shape that holds it."""
        return Shape(
            max(MIN_ROWS, _up(self.m, TILE)), max(MIN_ROWS, _up(self.n, TILE)), max(MIN_K, _up(self.k, K_STEP))
        )

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.m * self.n * self.k


@dataclass(frozen=True)
class Operands:
    """The matrices of a job, padded with zeros."""

    #: m×k each.
    left: tuple[Int8Matrix, ...]
    #: n×k.
    bt: Int8Matrix
    #: What was asked for, before padding.
    shapes: tuple[Shape, ...]
    #: Whether one matrix was given, not a list.
    is_single: bool

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all products, padding included: what is paid for."""
        return sum(shape.padded().macs for shape in self.shapes)


def operands(a: Left, b: npt.ArrayLike) -> Operands:
    """The matrices of a job for A·B, or for each of a list (or stack) of A.

    :class:`TypeError` for what is not int8, :class:`ValueError` for shapes that do not fit or that no job can have.
    """
    right = _int8(b, "b")
    is_single = not isinstance(a, (list, tuple)) and np.ndim(a) != 3
    given = [a] if is_single else list(a)
    if not 1 <= len(given) <= MAX_PRODUCTS:
        raise ValueError(f"{len(given)} matrices are given; a job has 1 to {MAX_PRODUCTS}; submit several")
    lefts = [_int8(one, "a" if is_single else f"a[{index}]") for index, one in enumerate(given)]
    k, n = right.shape
    for index, left in enumerate(lefts):
        if left.shape[1] != k:
            name = "a" if is_single else f"a[{index}]"
            raise ValueError(f"{name} has {left.shape[1]} columns and b {k} rows; they must be equal")
    if k > MAX_K:
        raise ValueError(
            f"k = {k} is longer than {MAX_K}; split a by columns and b by rows, and add the results in int64"
        )
    shapes = tuple(Shape(left.shape[0], n, k) for left in lefts)
    for name, rows in [("b has", n), *(("a has", shape.m) for shape in shapes)]:
        if rows > MAX_ROWS:
            what = "columns" if name == "b has" else "rows"
            raise ValueError(f"{name} {rows} {what}, and a product at most {MAX_ROWS}; split it, and join the results")
    padded = [_padded(left, shape.padded().m, shape.padded().k) for left, shape in zip(lefts, shapes, strict=True)]
    bt = _padded(_transposed(right), shapes[0].padded().n, shapes[0].padded().k)
    return Operands(tuple(padded), bt, shapes, is_single)


def _up(value: int, step: int) -> int:
    return -(-value // step) * step


def _int8(given: npt.ArrayLike, name: str) -> Int8Matrix:
    array: npt.NDArray[Any] = np.asarray(given)
    if array.dtype.kind == "f":
        raise TypeError(f"{name} is {array.dtype}; jobs take int8: labora.quantise makes it of floats, with scales")
    if array.dtype != np.int8:
        raise TypeError(
            f"{name} is {array.dtype}; jobs take int8: if all of it is in -128..=127, give .astype(np.int8)"
        )
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{name} has shape {array.shape}; give two dimensions, each at least 1")
    return array


def _padded(matrix: Int8Matrix, rows: int, columns: int) -> Int8Matrix:
    if matrix.shape == (rows, columns):
        return np.ascontiguousarray(matrix)
    padded = np.zeros((rows, columns), np.int8)
    padded[: matrix.shape[0], : matrix.shape[1]] = matrix
    return padded


def to_tiles(c: Int32Matrix) -> npt.NDArray[np.int32]:
    """C (m×n, padded) in the market's order, as a contiguous array of its bytes' values."""
    m, n = c.shape
    tiles = c.reshape(m // TILE, TILE, n // TILE, TILE).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(tiles, dtype="<i4")


def from_tiles(data: bytes | bytearray | memoryview, m: int, n: int) -> Int32Matrix:
    """C (m×n, padded), row-major, from its bytes in the market's order."""
    tiles = np.frombuffer(data, dtype="<i4").reshape(m // TILE, n // TILE, TILE, TILE)
    return np.ascontiguousarray(tiles.transpose(0, 2, 1, 3)).reshape(m, n).astype(np.int32, copy=False)


@dataclass(frozen=True)
class Fault:
    """An entry that is wrong."""

    row: int
    column: int
    committed: int
    exact: int


def first_fault(a: Int8Matrix, bt: Int8Matrix, c: Int32Matrix) -> Fault | None:
    """The first wrong entry of C in the first row that has one, or None if C = A·B.

    Freivalds' check, with vectors of 16 random bits modulo 2³¹-1: C·r = A·(B·r). What it takes for right is wrong with
    probability 2⁻⁶⁴ at most; what it takes for wrong is wrong for certain. All sums are integers below 2⁵³, so float64,
    and with it the machine's BLAS, is exact:

    * B·r: 2²⁰ terms of 2⁷·2¹⁶; A·x with x below 2³¹: 2¹⁴ terms of 2⁷·2³¹;
    * C·r: the upper and lower 16 bits of C apart, each 2²⁰ terms of 2¹⁶·2¹⁶.

    Entries out of the range of k products are wrong by themselves; in it, exact and committed differ by less than 2³⁰,
    so that a difference which is 0 modulo 2³¹-1 is 0.
    """
    k = a.shape[1]
    largest = k * 2**14
    r = np.frombuffer(os.urandom(2 * _VECTORS * len(bt)), "<u2").reshape(len(bt), _VECTORS).astype(np.float64)
    x = np.zeros((k, _VECTORS))
    for rows in _blocks(bt):
        x += bt[rows].astype(np.float64).T @ r[rows]
    x %= _MODULUS
    for rows in _blocks(c):
        given = _times(c[rows], r)
        exact = np.concatenate([(a[part].astype(np.float64) @ x) % _MODULUS for part in _blocks(a, rows)])
        is_wrong = (given != exact).any(axis=1) | (c[rows] > largest).any(axis=1) | (c[rows] < -largest).any(axis=1)
        if is_wrong.any():
            return _fault_of_row(rows.start + int(is_wrong.argmax()), a, bt, c)
    return None


def _blocks(matrix: npt.NDArray[Any], within: slice | None = None) -> list[slice]:
    """Rows of a matrix, a block at a time."""
    start, stop = (within.start, within.stop) if within else (0, len(matrix))
    step = max(1, _BLOCK_ENTRIES // matrix.shape[1])
    return [slice(first, min(first + step, stop)) for first in range(start, stop, step)]


def _times(c: Int32Matrix, r: Float64) -> Float64:
    """C·r modulo the prime."""
    high = (c >> 16).astype(np.float64) @ r % _MODULUS
    low = (c & 0xFFFF).astype(np.float64) @ r % _MODULUS
    product: Float64 = (high * 2**16 + low) % _MODULUS
    return product


def _fault_of_row(row: int, a: Int8Matrix, bt: Int8Matrix, c: Int32Matrix) -> Fault:
    line = a[row].astype(np.float64)
    for columns in _blocks(bt):
        exact = bt[columns].astype(np.float64) @ line
        is_wrong = exact != c[row, columns]
        if is_wrong.any():
            column = int(is_wrong.argmax())
            at = columns.start + column
            return Fault(row, at, int(c[row, at]), int(exact[column]))
    raise AssertionError(f"row {row} fails its check and has no wrong entry")
