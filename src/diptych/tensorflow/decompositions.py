"""Determinants, inverses, solvers and decompositions of ``tf.linalg``."""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any

from diptych.core import dtypes
from diptych.errors import DiptychError
from diptych.ops import decompositions, linalg
from diptych.ops.arithmetic import conj
from diptych.ops.movement import diagonal, swap_axes
from diptych.ops.select import real
from diptych.tensorflow import elementwise as table
from diptych.tensorflow import reductions
from diptych.tensorflow.conversion import tensor_of
from diptych.tensorflow.dtype import BY_INDEX
from diptych.tensorflow.errors import invalid

ALLOWED = (
    dtypes.float16, dtypes.float32, dtypes.float64, dtypes.complex64, dtypes.complex128,
)  # fmt: skip

Qr = collections.namedtuple("Qr", ["q", "r"])
LogMatrixDeterminant = collections.namedtuple(
    "LogMatrixDeterminant", ["sign", "log_abs_determinant"]
)


def matrix(x: Any, op: str, square: bool = True) -> Any:
    """``x`` as a (batch of) matrices of a dtype that the kernels take."""
    x = tensor_of(x)
    if x.layout.dtype not in ALLOWED:
        raise table.not_allowed(op, x.layout.dtype, ALLOWED)
    if x.layout.ndim < 2:
        raise invalid(op, f"Input tensor 0 must have rank >= 2, got {x.layout.ndim}")
    if square and x.layout.shape[-1] != x.layout.shape[-2]:
        raise invalid(op, "Input matrix must be square.")
    return x


def run(op: str, message: str, function: Callable[..., Any], *operands: Any) -> Any:
    """The result of an engine function, its failure in TensorFlow's words."""
    try:
        return function(*operands)
    except DiptychError as error:
        raise invalid(op, message or str(error)) from error


def det(input: Any, name: Any = None) -> Any:
    """The determinant of each matrix."""
    return run("MatrixDeterminant", "", linalg.det, matrix(input, "MatrixDeterminant"))


def slogdet(input: Any, name: Any = None) -> Any:
    """The determinant's sign and the logarithm of its size."""
    op = "LogMatrixDeterminant"
    return LogMatrixDeterminant(*run(op, "", linalg.slogdet, matrix(input, op)))


def cholesky(input: Any, name: Any = None) -> Any:
    """The lower factor L of L L^H."""
    message = "Cholesky decomposition was not successful. The input might not be valid."
    return run("Cholesky", message, linalg.cholesky, matrix(input, "Cholesky"))


def logdet(matrix: Any, name: Any = None) -> Any:
    """The logarithm of the determinant of each positive definite matrix."""
    factor = cholesky(matrix)
    ndim = factor.layout.ndim
    line = real(diagonal(factor, 0, ndim - 2, ndim - 1))  # that of a factor is real
    return reductions.reduce_sum(table.multiply(table.log(line), 2), -1)


def inv(input: Any, adjoint: bool = False, name: Any = None) -> Any:
    """The inverse of each matrix."""
    op = "MatrixInverse"
    x = matrix(input, op)
    return run(op, "Input is not invertible.", linalg.inv, linalg.adjoint(x) if adjoint else x)


def pinv(a: Any, rcond: Any = None, validate_args: bool = False, name: Any = None) -> Any:
    """The pseudo-inverse of each matrix."""
    x = matrix(a, "Svd", square=False)
    if rcond is None:
        digits = {4: 1.1920929e-07, 8: 2.220446049250313e-16}
        width = dtypes.real_of(x.layout.dtype).itemsize
        rcond = 10.0 * max(x.layout.shape[-2:]) * digits.get(width, 9.765625e-4)
    return run("Svd", "", linalg.pinv, x, float(rcond))


def solve(matrix: Any, rhs: Any, adjoint: bool = False, name: Any = None) -> Any:
    """X of A X = B."""
    a, b = _system(matrix, rhs, "MatrixSolve")
    a = linalg.adjoint(a) if adjoint else a
    return run("MatrixSolve", "Input matrix is not invertible.", linalg.solve, a, b)


def triangular_solve(
    matrix: Any, rhs: Any, lower: bool = True, adjoint: bool = False, name: Any = None
) -> Any:
    """X of A X = B where only one triangle of A is read."""
    op = "MatrixTriangularSolve"
    a, b = _system(matrix, rhs, op)
    if adjoint:
        a, lower = linalg.adjoint(a), not lower
    message = "Input matrix is not invertible."
    return run(op, message, linalg.solve_triangular, a, b, not lower)


def _system(a: Any, b: Any, op: str) -> tuple[Any, Any]:
    """The two sides of an equation, of one dtype."""
    a, b = table.operands(a, b)
    a = matrix(a, op)
    if b.layout.dtype is not a.layout.dtype:
        raise table.mismatch(op, 1, a.layout.dtype, b.layout.dtype)
    if b.layout.ndim < 2 or b.layout.shape[-2] != a.layout.shape[-1]:
        raise invalid(
            op,
            f"Input matrix and rhs are incompatible: {BY_INDEX[a.layout.dtype.index].name} "
            f"{list(a.layout.shape)} and {list(b.layout.shape)}",
        )
    return a, b


def expm(input: Any, name: Any = None) -> Any:
    """The exponential of each matrix."""
    return run("MatrixExponential", "", linalg.matrix_exp, matrix(input, "MatrixExponential"))


def qr(input: Any, full_matrices: bool = False, name: Any = None) -> Any:
    """Q with orthonormal columns and upper triangular R."""
    return Qr(*run("Qr", "", decompositions.qr, matrix(input, "Qr", False), bool(full_matrices)))


def svd(tensor: Any, full_matrices: bool = False, compute_uv: bool = True, name: Any = None) -> Any:
    """Descending singular values, U and V (not its transpose)."""
    x = matrix(tensor, "Svd", square=False)
    if not compute_uv:
        return run("Svd", "", decompositions.svdvals, x)
    u, s, vh = run("Svd", "", decompositions.svd, x, bool(full_matrices))
    ndim = x.layout.ndim
    v = swap_axes(vh, ndim - 2, ndim - 1)
    return s, u, conj(v) if x.layout.dtype.is_complex else v


def eigh(tensor: Any, name: Any = None) -> Any:
    """Ascending eigenvalues and the eigenvectors (columns) of self-adjoint matrices."""
    return run("SelfAdjointEigV2", "", decompositions.eigh, matrix(tensor, "SelfAdjointEigV2"))


def eigvalsh(tensor: Any, name: Any = None) -> Any:
    """Ascending eigenvalues of self-adjoint matrices."""
    return run("SelfAdjointEigV2", "", decompositions.eigvalsh, matrix(tensor, "SelfAdjointEigV2"))
