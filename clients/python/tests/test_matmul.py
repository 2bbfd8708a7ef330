"""What ``labora.matmul`` and ``Miner`` promise, against a fake server and, if there is one, a real node."""

from __future__ import annotations

import concurrent.futures

import numpy as np
import pytest

import labora


def int8(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(-128, 128, shape, dtype=np.int8)


@pytest.mark.parametrize(
    ("m", "n", "k"), [(1, 1, 1), (3, 5, 7), (33, 17, 256), (64, 128, 300), (5, 700, 600), (2, 3, 20_000)]
)
def test_int8_gives_the_exact_int32_product(endpoint: str, m: int, n: int, k: int) -> None:
    rng = np.random.default_rng(m * n * k)
    a, b = int8(rng, m, k), int8(rng, k, n)
    c = labora.matmul(a, b, endpoint)
    assert c.dtype == np.int32
    assert np.array_equal(c, a.astype(np.int32) @ b.astype(np.int32))


def test_strided_and_transposed_arrays_are_multiplied_as_they_look(endpoint: str) -> None:
    rng = np.random.default_rng(1)
    a, b = int8(rng, 40, 30)[::2, ::-3], int8(rng, 20, 10).T
    assert np.array_equal(labora.matmul(a, b, endpoint), a.astype(np.int32) @ b.astype(np.int32))


@pytest.mark.parametrize(("left", "right"), [((6,), (6,)), ((6,), (6, 2)), ((4, 6), (6,)), ((2, 3, 4, 6), (6, 5))])
def test_shapes_are_those_of_numpy(endpoint: str, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    a, b = int8(rng, *left), int8(rng, *right)
    c, expected = labora.matmul(a, b, endpoint), np.matmul(a.astype(np.int32), b.astype(np.int32))
    assert np.shape(c) == np.shape(expected)
    assert np.array_equal(c, expected)


@pytest.mark.parametrize(("left", "right"), [((0, 3), (3, 2)), ((2, 0), (0, 3)), ((2, 3), (3, 0))])
def test_empty_products_are_zeros_and_need_no_node(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    c = labora.matmul(np.zeros(left, np.int8), np.zeros(right, np.int8), "unix:/nowhere")
    assert np.array_equal(c, np.zeros((left[0], right[1]), np.int32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_are_within_the_documented_bound(endpoint: str, dtype: type) -> None:
    rng = np.random.default_rng(3)
    # Rows and columns of very different sizes: scales per row and per column are what makes this hold.
    a = (rng.standard_normal((50, 70)) * 10.0 ** rng.integers(-6, 6, (50, 1))).astype(dtype)
    b = (rng.standard_normal((70, 30)) * 10.0 ** rng.integers(-6, 6, (1, 30))).astype(dtype)
    c = labora.matmul(a, b, endpoint)
    assert c.dtype == dtype
    exact = a.astype(np.float64) @ b.astype(np.float64)
    bound = labora.error_bound(a, b)
    rounding = np.abs(exact) * np.finfo(dtype).eps
    assert (np.abs(c - exact) <= bound + rounding).all()
    coarse = 0.0160 * 70 * np.abs(a).max(axis=1)[:, None] * np.abs(b).max(axis=0)
    assert (bound <= coarse).all()
    # The bound says something: a typical error is a good part of it.
    assert np.median(np.abs(c - exact) / bound) > 0.01


def test_the_bound_is_reached_by_entries_half_a_step_off() -> None:
    # Scale 1 by the first column, then entries as far as can be from the grid.
    a = np.array([[63.0] + [10.5 - 1e-9] * 40])
    quantised = labora.quantise(a)
    assert np.array_equal(quantised.values, [[63] + [10] * 40])
    error = (a - quantised.values * quantised.scales[:, None])[0, 1:]
    assert np.allclose(error, quantised.half_steps[0], rtol=1e-6)


def test_zero_rows_stay_zero_and_tiny_ones_are_within_the_bound(fake_tcp: str) -> None:
    a = np.array([[0.0, 0.0], [1e-300, -1e-300], [1.0, 2.0]])
    b = np.array([[1.0, 0.0], [1.0, 0.0]])
    c = labora.matmul(a, b, fake_tcp)
    assert not c[0].any()
    assert not c[:, 1].any()
    assert (np.abs(c - a @ b) <= labora.error_bound(a, b)).all()


def test_a_mixed_product_is_a_float_product(fake_tcp: str) -> None:
    a, b = np.array([[1.0, -2.0]], np.float32), np.array([[3], [4]], np.int8)
    c = labora.matmul(a, b, fake_tcp)
    assert c.dtype == np.float32
    assert abs(c[0, 0] + 5) <= labora.error_bound(a, b)[0, 0] + 1e-6


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.int64, np.bool_, np.complex64])
def test_other_types_are_refused_with_what_to_give(dtype: type) -> None:
    with pytest.raises(TypeError, match="give int8"):
        labora.matmul(np.zeros((2, 2), dtype), np.zeros((2, 2), np.int8), "unix:/nowhere")


@pytest.mark.parametrize(("left", "right"), [((2, 3), (2, 3)), ((2,), (3,)), ((2, 2), (2, 2, 2)), ((), (2, 2))])
def test_shapes_that_do_not_fit_are_refused(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shapes"):
        labora.matmul(np.zeros(left, np.int8), np.zeros(right, np.int8), "unix:/nowhere")


@pytest.mark.parametrize("scales", [(1e305, 1e-280), (1e-290, 1e290), (1e305, 1e-300), (1e-300, 1e-300)])
def test_scales_far_apart_lose_nothing_on_the_way(endpoint: str, scales: tuple[float, float]) -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(3, 200)), rng.normal(size=(200, 2))
    # Powers of two, so that the product in exact arithmetic is that of the parts.
    powers = [int(np.frexp(scale)[1]) for scale in scales]
    product = labora.matmul(np.ldexp(a, powers[0]), np.ldexp(b, powers[1]), endpoint)
    bound = labora.error_bound(np.ldexp(a, powers[0]), np.ldexp(b, powers[1]))
    exact = np.ldexp(a @ b, sum(powers))
    assert np.isfinite(bound).all()
    assert (np.abs(product - exact) <= bound + np.abs(exact) * 1e-12).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="NaN and infinity"):
        labora.matmul(np.array([[value]]), np.array([[1.0]]), "unix:/nowhere")


def test_a_sum_beyond_int32_is_refused(endpoint: str) -> None:
    k = 131_072
    a = np.full((1, k), -128, np.int8)
    assert labora.matmul(a[:, :-1], a.T[:-1], endpoint)[0, 0] == 2**31 - 2**14
    with pytest.raises(labora.Refused, match="int32") as caught:
        labora.matmul(a, a.T, endpoint)
    assert caught.value.status == 400


def test_many_threads_share_one_miner(endpoint: str) -> None:
    rng = np.random.default_rng(4)
    pairs = [(int8(rng, 20, 300), int8(rng, 300, 10)) for _ in range(40)]
    with labora.Miner(endpoint) as miner, concurrent.futures.ThreadPoolExecutor(8) as pool:
        products = pool.map(lambda pair: miner.multiply(*pair).c, pairs)
        for (a, b), c in zip(pairs, products, strict=True):
            assert np.array_equal(c, a.astype(np.int32) @ b.astype(np.int32))


def test_status_tells_the_version(endpoint: str) -> None:
    with labora.Miner(endpoint) as miner:
        assert "version" in miner.status()


def test_a_node_says_what_it_did(node: str) -> None:
    with labora.Miner(node) as miner:
        product = miner.multiply(np.ones((5, 300), np.int8), np.ones((300, 7), np.int8))
        # Padded to 32×32×320.
        assert product.macs == 32 * 32 * 320
        assert product.mined_macs in (0, product.macs)
        assert len(product.roots) == (1 if product.mined_macs else 0)
