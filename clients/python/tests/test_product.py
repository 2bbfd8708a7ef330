"""Matrices as jobs have them: what is padded, in which order results lie, and which wrong entries are found."""

from __future__ import annotations

import numpy as np
import pytest

from labora._jobs import product
from labora._jobs.product import Shape, first_fault, from_tiles, operands, to_tiles


def int8(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(-128, 128, shape, dtype=np.int8)


@pytest.mark.parametrize(
    ("shape", "padded"),
    [
        ((1, 1, 1), (32, 32, 256)),
        ((32, 32, 256), (32, 32, 256)),
        ((33, 47, 257), (48, 48, 320)),
        ((1 << 20, 48, 16_384), (1 << 20, 48, 16_384)),
    ],
)
def test_shapes_are_padded_to_the_smallest_provable_ones(shape: tuple, padded: tuple) -> None:
    assert Shape(*shape).padded() == Shape(*padded)


def test_operands_are_padded_with_zeros_and_b_is_transposed() -> None:
    rng = np.random.default_rng(1)
    a, b = int8(rng, 5, 300), int8(rng, 300, 33)
    work = operands(a, b)
    assert (work.left[0].shape, work.bt.shape, work.is_single) == ((32, 320), (48, 320), True)
    assert np.array_equal(work.left[0][:5, :300], a)
    assert np.array_equal(work.bt[:33, :300], b.T)
    assert not work.left[0][5:].any()
    assert not work.left[0][:, 300:].any()
    assert not work.bt[33:].any()
    assert work.macs == 32 * 48 * 320


def test_matrices_of_a_provable_shape_are_not_copied() -> None:
    a = np.ones((32, 256), np.int8)
    assert np.shares_memory(operands(a, np.ones((256, 32), np.int8)).left[0], a)


def test_lists_and_stacks_are_batches() -> None:
    b = np.ones((10, 3), np.int8)
    for batch in ([np.ones((2, 10), np.int8), np.ones((7, 10), np.int8)], np.ones((2, 4, 10), np.int8)):
        work = operands(batch, b)
        assert (len(work.left), work.is_single) == (2, False)
    assert not operands([np.ones((2, 10), np.int8)], b).is_single


ONE = np.ones((4, 10), np.int8)


@pytest.mark.parametrize(
    ("a", "b", "error", "words"),
    [
        (ONE.astype(float), ONE.T, TypeError, "a is float64.*labora.quantise"),
        (np.full((4, 10), np.nan), ONE.T, TypeError, "a is float64"),
        ([[1, 2], [3, 4]], ONE.T, TypeError, r"a\[0\] is int64; jobs take int8"),
        (ONE.astype(np.uint8), ONE.T, TypeError, "a is uint8"),
        (ONE, ONE.T.astype(np.int32), TypeError, "b is int32"),
        ([ONE, ONE.astype(np.int16)], ONE.T, TypeError, r"a\[1\] is int16"),
        (ONE, ONE, ValueError, "a has 10 columns and b 4 rows"),
        ([ONE, ONE[:, 1:]], ONE.T, ValueError, r"a\[1\] has 9 columns"),
        (ONE[0], ONE.T, ValueError, "two dimensions"),
        (ONE[:0], ONE.T, ValueError, "at least 1"),
        ([], ONE.T, ValueError, "0 matrices"),
        ([ONE] * 65, ONE.T, ValueError, "65 matrices"),
        (
            np.ones((1, 16_385), np.int8),
            np.ones((16_385, 1), np.int8),
            ValueError,
            "k = 16385.*add the results in int64",
        ),
        (np.ones(((1 << 20) + 1, 1), np.int8), np.ones((1, 1), np.int8), ValueError, "a has 1048577 rows"),
        (np.ones((1, 1), np.int8), np.ones((1, (1 << 20) + 1), np.int8), ValueError, "b has 1048577 columns"),
    ],
)
def test_what_no_job_can_be_is_refused_in_words(a: object, b: object, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        operands(a, b)


def test_results_lie_in_tiles() -> None:
    c = np.arange(48 * 64, dtype=np.int32).reshape(48, 64)
    flat = to_tiles(c).reshape(-1)
    for i, j in ((0, 0), (17, 5), (47, 63), (16, 48)):
        tile = (i // 16) * (64 // 16) + j // 16
        assert flat[tile * 256 + i % 16 * 16 + j % 16] == c[i, j]
    assert np.array_equal(from_tiles(to_tiles(c).tobytes(), 48, 64), c)


@pytest.mark.parametrize("shape", [(32, 32, 256), (80, 48, 1024), (48, 2064, 320)])
@pytest.mark.parametrize("block", [1 << 22, 700])
def test_right_results_pass_and_each_wrong_entry_is_found(
    shape: tuple[int, int, int], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(product, "_BLOCK_ENTRIES", block)
    m, n, k = shape
    rng = np.random.default_rng(m * n)
    a, bt = int8(rng, m, k), int8(rng, n, k)
    c = (a.astype(np.int32) @ bt.T.astype(np.int32)).astype(np.int32)
    assert first_fault(a, bt, c) is None
    for row, column, off in ((0, 0, 1), (m - 1, n - 1, -1), (m // 2, n // 3, 1 << 16), (5, 7, 2**31 - 1)):
        wrong = c.copy()
        # Wraps, as int32 does.
        wrong[row, column] = np.int64(int(c[row, column]) + off).astype(np.int32)
        fault = first_fault(a, bt, wrong)
        assert fault is not None
        assert (fault.row, fault.column, fault.exact) == (row, column, c[row, column])
        assert fault.committed == wrong[row, column]


def test_the_largest_sums_are_exact() -> None:
    a = np.full((32, 16_384), -128, np.int8)
    bt = np.full((4096, 16_384), -128, np.int8)
    c = np.full((32, 4096), 2**28, np.int32)
    assert first_fault(a, bt, c) is None
    # A multiple of the modulus off, which the check by itself would not see.
    c[3, 9] -= 2**31 - 1
    fault = first_fault(a, bt, c)
    assert fault is not None
    assert (fault.row, fault.column, fault.exact, fault.committed) == (3, 9, 2**28, 2**28 - 2**31 + 1)


def test_a_vector_is_overlooked_by_chance_alone() -> None:
    # With r of 16 bits a row that is off by (1, -1) passes one vector if two of its entries are equal.
    a, bt = np.zeros((32, 256), np.int8), np.zeros((32, 256), np.int8)
    c = np.zeros((32, 32), np.int32)
    c[4, :2] = 1, -1
    assert all(first_fault(a, bt, c) is not None for _ in range(300))
