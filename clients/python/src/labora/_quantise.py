"""Symmetric 7-bit quantisation of floats, and how far the product of two quantised matrices can be off.

A row x is stored as q = round(x / s) with s = max|x| / 63: q is in [-63, 63], and every entry off by at most s / 2.
Then, for row i of A and column j of B with scales s and t, k terms and exact arithmetic,

    |A·B - s·t·(qa·qb)| <= s·t·( (‖qa‖₁ + ‖qb‖₁) / 2 + k / 4 ) <= 0.0160·k·max|A_i|·max|B_j|

where ‖·‖₁ is the sum of absolute values over the row or column. :func:`error_bound` gives the first, with what floating
point adds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

#: Largest absolute value of a quantised entry; the node's devices take 7 bits in one pass.
LIMIT = 63

#: Rows whose largest entry is below this are stored as zeros: their scale would lose digits.
SMALLEST = 1e-305

#: Relative slack for rounding in float64. Its largest share: a quotient of 63 is off by 63·2⁻⁵³, of half a step 2⁻⁴⁶.
_SLACK = 2.0**-44

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Quantised:
    """``values[i, :] * scales[i]`` is row i, each entry off by at most ``half_steps[i]``."""

    #: rows×k, in [-63, 63].
    values: npt.NDArray[np.int8]
    #: One per row, above zero.
    scales: Float64
    #: One per row.
    half_steps: Float64


def quantise(rows: npt.NDArray[Any]) -> Quantised:
    """Quantise each row of a 2-dimensional array of finite floats."""
    exact = np.asarray(rows, dtype=np.float64)
    if not np.isfinite(exact).all():
        raise ValueError("NaN and infinity cannot be quantised; clean the matrix first")
    largest = np.abs(exact).max(axis=1, initial=0.0)
    is_zero = largest < SMALLEST
    scales = np.where(is_zero, 1.0, largest / LIMIT)
    values = np.rint(exact / scales[:, None])
    values[is_zero] = 0.0
    half_steps = np.where(is_zero, largest, scales / 2 * (1 + _SLACK))
    return Quantised(values.astype(np.int8), scales, half_steps)


def scale(values: Float64, rows: Float64, columns: Float64) -> Float64:
    """``values[i, j] * rows[i] * columns[j]``, without passing through infinity or zero where the result is neither.

    A large scale times a small one may be harmless while either by itself is not, so powers of two are set aside.
    """
    row_parts, row_powers = np.frexp(rows)
    column_parts, column_powers = np.frexp(columns)
    parts = values * row_parts[:, None] * column_parts
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.ldexp(parts, row_powers[:, None] + column_powers), dtype=np.float64)


def error_bound(a: npt.ArrayLike, b: npt.ArrayLike) -> Float64:
    """Most by which each entry of ``labora.matmul(a, b)`` of floats can be off ``a @ b`` in exact arithmetic.

    ``a`` is m×k and ``b`` k×n; the result is m×n. Holds for results in float64; a result in float32 is off by its own
    rounding too, 2⁻²⁴ of its value.
    """
    exact_a, exact_b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if exact_a.ndim != 2 or exact_b.ndim != 2 or exact_a.shape[1] != exact_b.shape[0]:
        raise ValueError(f"shapes {exact_a.shape} and {exact_b.shape} are not those of a product")
    left, right = quantise(exact_a), quantise(exact_b.T)
    norm_a = np.abs(left.values.astype(np.float64)).sum(axis=1)
    norm_b = np.abs(right.values.astype(np.float64)).sum(axis=1)
    shape = (len(norm_a), len(norm_b))
    bound = scale(np.broadcast_to(norm_a[:, None], shape), left.scales, right.half_steps)
    bound += scale(np.broadcast_to(norm_b, shape), left.half_steps, right.scales)
    bound += scale(np.full(shape, float(exact_a.shape[1])), left.half_steps, right.half_steps)
    # The product's own size, for the rounding when it is scaled back.
    size = np.abs(left.values.astype(np.float64)) @ np.abs(right.values.astype(np.float64)).T
    bound += _SLACK * scale(size, left.scales, right.scales)
    return np.asarray(bound * (1 + _SLACK), dtype=np.float64)
