"""Linear algebra and Fourier transforms by what defines them, and gradients that need symmetry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from diptych import engine as engine
from diptych.core import tape
from diptych.core.tensor import Tensor, copy_array
from diptych.errors import ArgumentError, LinAlgError
from diptych.ops import decompositions, factors, fft, linalg
from diptych.ops.arithmetic import add, mul
from diptych.ops.contraction import dot
from diptych.ops.reduction import sum_
from diptych.ops.select import real

Array = np.ndarray[Any, Any]
GENERATOR = np.random.default_rng(0)
SQUARE = GENERATOR.normal(size=(2, 3, 3)) + 3 * np.eye(3)
COMPLEX = SQUARE + 1j * GENERATOR.normal(size=(2, 3, 3))


def tensor(values: Any) -> Tensor:
    return copy_array(np.asarray(values), Tensor)


def transposed(array: Array) -> Array:
    return np.conj(np.swapaxes(array, -1, -2))


def arrays(results: Any) -> list[Array]:
    """Copies: an array is valid only while the tensor lives whose memory it shows."""
    return [result.array().copy() for result in results]


def check_gradient(function: Callable[[Tensor], Tensor], at: Array) -> None:
    """The gradient of a real number against differences along one direction."""
    x = tensor(at)
    tape.require_gradient(x)
    y = function(x)
    found = (
        tape.backward([(y.node, y.output, tensor(np.ones(())))], [(x.node, 0)])[0].array().copy()
    )
    direction = np.random.default_rng(1).normal(size=at.shape)
    if at.dtype.kind == "c":
        direction = direction * (1 + 0.5j)
    step = 1e-6
    ahead, behind = (function(tensor(at + s * direction)).item() for s in (step, -step))
    slope = np.sum(np.real(np.conj(found) * direction))
    assert np.isclose(slope, (ahead - behind) / (2 * step), rtol=1e-5, atol=1e-6)


def hermitian(x: Tensor) -> Tensor:
    """A positive definite matrix made of any: what a Cholesky factor's gradient needs."""
    return dot(x, linalg.adjoint(x))


def weighted(x: Tensor) -> Tensor:
    weights = np.random.default_rng(2).normal(size=x.layout.shape)
    return sum_(mul(real(x), tensor(weights)))


@pytest.mark.parametrize("matrix", [SQUARE, COMPLEX], ids=["real", "complex"])
def test_decompositions_multiply_back(matrix: Array) -> None:
    x = tensor(matrix)
    q, r = arrays(decompositions.qr(x))
    assert np.allclose(q @ r, matrix) and np.allclose(np.tril(r, -1), 0)
    u, s, vh = arrays(decompositions.svd(x))
    assert np.allclose((u * s[:, None, :]) @ vh, matrix)
    values, vectors = arrays(decompositions.eig(x))
    assert np.allclose(matrix @ vectors, vectors * values[:, None, :])
    positive = matrix @ transposed(matrix)
    values, vectors = arrays(decompositions.eigh(tensor(positive)))
    assert np.allclose((vectors * values[:, None, :]) @ transposed(vectors), positive)
    lower = arrays([linalg.cholesky(tensor(positive))])[0]
    assert np.allclose(lower @ transposed(lower), positive)
    assert np.allclose(linalg.inv(x).array() @ matrix, np.eye(3))


def test_lu_with_pivots_counted_from_one() -> None:
    for matrix in (SQUARE, COMPLEX, GENERATOR.normal(size=(4, 2)), GENERATOR.normal(size=(2, 4))):
        packed, pivots = arrays(factors.lu_factor(tensor(matrix)))
        count = min(matrix.shape[-2:])
        lower = np.tril(packed, -1)[..., :count] + np.eye(matrix.shape[-2], count)
        product = lower @ np.triu(packed)[..., :count, :]
        rows = np.array(matrix)
        for place in np.ndindex(matrix.shape[:-2]):
            for step, other in enumerate(pivots[place] - 1):
                rows[place][[step, other]] = rows[place][[other, step]]
        assert np.allclose(product, rows)


def test_a_singular_matrix_is_an_error_that_says_so() -> None:
    singular = tensor(np.ones((2, 2)))
    for function in (linalg.inv, lambda x: linalg.solve(x, x)):
        with pytest.raises(LinAlgError, match="singular") as caught:
            function(singular)
        assert isinstance(caught.value, RuntimeError)
    with pytest.raises(LinAlgError, match="not positive-definite"):
        linalg.cholesky(tensor(-np.eye(2)))
    assert linalg.det(singular).item() == 0.0
    sign, size = arrays(linalg.slogdet(singular))
    assert sign == 0 and size == -np.inf


def test_a_singular_matrix_has_a_determinants_gradient() -> None:
    check_gradient(linalg.det, np.array([[1.0, 2.0], [2.0, 4.0]]))
    check_gradient(linalg.det, np.zeros((2, 2)))


@pytest.mark.parametrize("matrix", [SQUARE[0], COMPLEX[0]], ids=["real", "complex"])
def test_gradients_through_hermitian_matrices(matrix: Array) -> None:
    check_gradient(lambda x: weighted(linalg.cholesky(hermitian(x))), matrix)
    check_gradient(lambda x: weighted(decompositions.eigvalsh(hermitian(x))), matrix)

    def projector(x: Tensor) -> Tensor:
        """The vectors squared: what phases leave alone."""
        values, vectors = decompositions.eigh(hermitian(x))
        scaled = mul(vectors, linalg.row(values), vectors.layout.dtype)
        return weighted(dot(scaled, linalg.adjoint(scaled)))

    check_gradient(projector, matrix)


@pytest.mark.parametrize("matrix", [SQUARE[0], COMPLEX[0]], ids=["real", "complex"])
def test_gradients_of_what_phases_leave_alone(matrix: Array) -> None:
    def polar(x: Tensor) -> Tensor:
        u, _, vh = decompositions.svd(x, False)
        return weighted(dot(u, vh))

    check_gradient(polar, matrix)
    check_gradient(polar, matrix[:, :2])
    check_gradient(polar, matrix[:2])
    check_gradient(lambda x: linalg.slogdet(x)[1], matrix)


def test_equal_singular_values_have_a_gradient() -> None:
    check_gradient(lambda x: sum_(decompositions.svdvals(x)), 2 * np.eye(3))


@pytest.mark.parametrize("exponent", [-3, -1, 0, 1, 2, 5])
def test_matrix_power(exponent: int) -> None:
    got = linalg.matrix_power(tensor(SQUARE), exponent).array()
    assert np.allclose(got, np.linalg.matrix_power(SQUARE, exponent))


def test_matrix_exp() -> None:
    angle = 20.0
    turned = linalg.matrix_exp(tensor([[0.0, -angle], [angle, 0.0]])).array()
    cos, sin = np.cos(angle), np.sin(angle)
    assert np.allclose(turned, [[cos, -sin], [sin, cos]])
    assert np.allclose(linalg.matrix_exp(tensor(np.zeros((3, 3)))).array(), np.eye(3))


def test_least_squares_and_pseudo_inverse() -> None:
    tall = GENERATOR.normal(size=(5, 2))
    right = GENERATOR.normal(size=(5, 1))
    got = arrays([linalg.lstsq(tensor(tall), tensor(right))])[0]
    assert np.allclose(tall.T @ (tall @ got - right), 0)
    assert np.allclose(linalg.pinv(tensor(tall)).array(), np.linalg.inv(tall.T @ tall) @ tall.T)


def test_a_triangular_solution_reads_one_triangle() -> None:
    lower = np.tril(SQUARE)
    got = linalg.solve_triangular(tensor(SQUARE), tensor(np.eye(3)), upper=False).array()
    assert np.allclose(lower @ got, np.eye(3))
    unit = linalg.solve_triangular(tensor(SQUARE), tensor(np.eye(3)), upper=True, unit=True)
    assert np.allclose((np.triu(SQUARE, 1) + np.eye(3)) @ unit.array(), np.eye(3))


@pytest.mark.parametrize("order", [0, 1, 2, 3.5, np.inf, -np.inf])
def test_vector_norms(order: float) -> None:
    array = np.array([[3.0, -4.0, 0.0], [1.0, 1.0, 1.0]])
    got = decompositions.vector_norm(tensor(array), order, (1,)).array()
    assert np.allclose(got, [np.linalg.norm(row, order) for row in array])


def test_the_norm_of_zero_has_a_gradient_of_zero() -> None:
    x = tensor(np.zeros(3))
    tape.require_gradient(x)
    y = decompositions.vector_norm(x, 2, (0,))
    tape.backward([(y.node, y.output, tensor(np.ones(())))])
    assert x.grad.array().tolist() == [0.0, 0.0, 0.0]


def test_rank() -> None:
    flat = np.outer([1.0, 2.0, 3.0], [1.0, 1.0, 2.0])
    got = decompositions.matrix_rank(tensor(np.stack([flat, flat + np.eye(3), 0 * flat])))
    assert got.array().tolist() == [1, 3, 0]


# ---- Fourier transforms, by the sum that defines them


def transform(x: Array, sign: int) -> Array:
    count = x.shape[-1]
    k = np.arange(count)
    return x @ np.exp(sign * 2j * np.pi * np.outer(k, k) / count)


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_fft_is_its_sum(count: int) -> None:
    x = GENERATOR.normal(size=(3, count)) + 1j * GENERATOR.normal(size=(3, count))
    assert np.allclose(fft.fft(tensor(x), (1,)).array(), transform(x, -1))
    assert np.allclose(fft.ifft(tensor(x), (1,)).array(), transform(x, 1) / count)
    half = arrays([fft.rfft(tensor(x.real), (1,))])[0]
    assert np.allclose(half, transform(x.real, -1)[:, : count // 2 + 1])
    back = fft.irfft(tensor(half), (1,), (count,)).array()
    assert np.allclose(back, x.real)


@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
def test_norms_lengths_and_axes_are_numpys(norm: Any) -> None:
    x = GENERATOR.normal(size=(3, 4)) + 1j * GENERATOR.normal(size=(3, 4))
    got = fft.fft(tensor(x), (0, 1), (2, 6), norm).array()
    assert np.allclose(got, np.fft.fft2(x, (2, 6), norm=norm))
    got = fft.irfft(tensor(x), (0, 1), None, norm).array()
    assert np.allclose(got, np.fft.irfft2(x, norm=norm))
    assert np.allclose(fft.ifft(fft.fft(tensor(x), (1,), None, norm), (1,), None, norm).array(), x)


def test_bad_transforms() -> None:
    x = tensor(np.ones(3))
    with pytest.raises(ArgumentError, match="Invalid normalization mode"):
        fft.fft(x, (0,), None, "unitary")
    with pytest.raises(ArgumentError, match=r"number of data points \(0\)"):
        fft.rfft(x, (0,), (0,))
    with pytest.raises(ArgumentError, match="number of data points"):
        fft.irfft(tensor(np.ones(1, np.complex64)), (0,))


def test_shifts() -> None:
    x = np.arange(10.0).reshape(2, 5)
    assert np.array_equal(fft.fftshift(tensor(x), (0, 1)).array(), np.fft.fftshift(x))
    assert np.array_equal(fft.ifftshift(tensor(x), (1,)).array(), np.fft.ifftshift(x, 1))
    total = add(tensor(x), fft.ifftshift(fft.fftshift(tensor(x), (0, 1)), (0, 1)))
    assert np.array_equal(total.array(), 2 * x)
