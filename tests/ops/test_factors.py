"""Packed factorisations, histograms and polynomials: what the generated tests do not say."""

from __future__ import annotations

import numpy as np
import pytest

from diptych.core.dtypes import float32
from diptych.core.tensor import Tensor, from_array
from diptych.errors import ArgumentError, OutOfRangeError, ShapeError
from diptych.ops import factors, histograms, orthogonal
from diptych.ops.contraction import dot

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def tensor(values: object) -> Tensor:
    return from_array(np.array(values), Tensor)


def drawn(*shape: int) -> Array:
    return np.random.default_rng(4).uniform(-1, 1, shape)


@pytest.mark.parametrize("shape", [(4, 4), (2, 3, 5), (2, 5, 3), (0, 3), (1, 1)])
def test_lu_factors_multiply_to_the_matrix(shape: tuple[int, ...]) -> None:
    x = drawn(*shape)
    packed, pivots = factors.lu_factor(tensor(x))
    lower, upper = factors.lu_factors(packed)
    exchange = factors.permutation(pivots, shape[-2], packed.layout.dtype)
    whole = dot(exchange, dot(lower, upper)).values()
    np.testing.assert_allclose(whole, x, atol=1e-12)


@pytest.mark.parametrize("conjugate", [False, True])
def test_lu_solve_solves(conjugate: bool) -> None:
    a, b = drawn(2, 4, 4), drawn(2, 4, 3)
    packed, pivots = factors.lu_factor(tensor(a))
    x = factors.lu_solve(packed, pivots, tensor(b), conjugate).values()
    np.testing.assert_allclose((a.swapaxes(-1, -2) if conjugate else a) @ x, b, atol=1e-11)


def test_pivots_out_of_range_are_refused() -> None:
    pivots = tensor(np.array([1, 5], np.int32))
    with pytest.raises(OutOfRangeError, match="between 1 and"):
        factors.permutation(pivots, 3, float32)


def test_reflectors_give_what_qr_gives() -> None:
    x = drawn(5, 3)
    packed, tau = factors.geqrf(tensor(x))
    q = factors.householder_product(packed, tau).values()
    np.testing.assert_allclose(q @ np.triu(packed.values()[:3]), x, atol=1e-12)
    c = drawn(5, 2)
    there = factors.reflected(packed, tau, tensor(c))
    back = factors.reflected(packed, tau, there, conjugate=True)
    np.testing.assert_allclose(back.values(), c, atol=1e-12)


def test_ldl_solves_what_cholesky_cannot() -> None:
    pytest.importorskip("scipy")
    a = np.array([[0.0, 2.0, 1.0], [2.0, 0.0, 3.0], [1.0, 3.0, 1.0]])
    packed, pivots, info = factors.ldl_factor(tensor(a))
    b = drawn(3, 2)
    x = factors.ldl_solve(packed, pivots, tensor(b)).values()
    assert not info.values().any()
    np.testing.assert_allclose(a @ x, b, atol=1e-12)


def test_histogram_holds_the_last_edge_and_leaves_out_the_rest() -> None:
    points = tensor(np.array([[0.0], [0.5], [1.0], [2.0], [np.nan]]))
    counts, (edges,) = histograms.histogram(points, (2,), (0.0, 1.0))
    assert counts.values().tolist() == [1.0, 2.0]
    assert edges.values().tolist() == [0.0, 0.5, 1.0]


def test_histograms_refuse_what_they_cannot_hold() -> None:
    points = tensor(np.zeros((2, 4)))
    with pytest.raises(ArgumentError, match="in all"):
        histograms.histogram(points, (1000, 1000, 1000, 1000))
    with pytest.raises(ShapeError, match="4 of them"):
        histograms.histogram(points, (2,))
    with pytest.raises(ArgumentError, match="positive"):
        histograms.histogram(points, (0, 1, 1, 1))


def test_polynomials_refuse_degrees_that_would_never_end() -> None:
    laguerre = orthogonal.FUNCTIONS["laguerre_polynomial_l"]
    with pytest.raises(ArgumentError, match="degree of at most"):
        laguerre(tensor([0.5]), tensor([1e9]))
    chebyshev = orthogonal.FUNCTIONS["chebyshev_polynomial_t"]  # has a closed form within +-1
    assert abs(chebyshev(tensor([0.5]), tensor([1e9])).values()[0]) <= 1
