"""torch.linalg: decompositions, solvers, determinants and norms of matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diptych.core import dtypes as engine
from diptych.ops import (
    arithmetic,
    comparison,
    contraction,
    decompositions,
    movement,
    reduction,
    select,
)
from diptych.ops import linalg as operations
from diptych.torch import outputs, products, reductions
from diptych.torch.dtypes import core_of
from diptych.torch.dtypes import scalar_name as word
from diptych.torch.gradient_nodes import label
from diptych.torch.movement import matrix_transpose
from diptych.torch.return_types import make
from diptych.torch.tensor import Tensor, axis_of, face


class LinAlgError(RuntimeError):
    """A matrix that has no inverse, no factor or no solution."""

    __module__ = "torch._C"


def _matrices(x: Any, name: str, square: bool = False) -> Tensor:
    x = face(x, name, "A")
    shape = x.layout.shape
    if len(shape) < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    if square and shape[-1] != shape[-2]:
        raise RuntimeError(
            f"{name}: A must be batches of square matrices, but they are {shape[-2]} by "
            f"{shape[-1]} matrices"
        )
    if x.layout.dtype not in (*engine.FLOATS[2:], *engine.COMPLEX):
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got "
            f"{word(x.layout.dtype)}"
        )
    return x


def _guarded(function: Any, message: str, *operands: Any) -> Any:
    """Call LAPACK through an operation; its complaint in PyTorch's class and words."""
    try:
        return function(*operands)
    except np.linalg.LinAlgError as error:
        raise LinAlgError(f"{message} ({error})") from error


def inv(A: Any, *, out: Any = None) -> Any:
    """The inverse of each matrix."""
    x = _matrices(A, "linalg.inv", True)
    message = (
        "linalg.inv: The diagonal element is zero, the inversion could not be completed because "
        "the input matrix is singular."
    )
    result = _guarded(operations.inv, message, x)
    return outputs.finish(label(result, "LinalgInvExBackward0"), out, "linalg.inv")


def pinv(A: Any, *, atol: Any = None, rtol: Any = None, hermitian: bool = False,
         out: Any = None) -> Any:  # fmt: skip
    """The pseudo-inverse of each matrix."""
    x = _matrices(A, "linalg.pinv")
    cut = rtol
    if cut is None:
        cut = max(x.layout.shape[-2:]) * _epsilon(x)
    if atol not in (None, 0, 0.0):
        raise NotImplementedError("torch.linalg.pinv with atol is not implemented in diptych")
    return outputs.finish(operations.pinv(x, float(cut)), out, "linalg.pinv")


def _epsilon(x: Tensor) -> float:
    return 2.0**-52 if engine.real_of(x.layout.dtype) is engine.float64 else 2.0**-23


def solve(A: Any, B: Any, *, left: bool = True, out: Any = None) -> Any:
    """X of A X = B (or X A = B)."""
    a, b = _matrices(A, "linalg.solve", True), face(B, "linalg.solve", "B", 2)
    if not left:
        return matrix_transpose(solve(matrix_transpose(a), matrix_transpose(b)))
    message = "torch.linalg.solve: The solver failed because the input matrix is singular."
    vector = b.layout.ndim == 1 or (
        b.layout.ndim == a.layout.ndim - 1 and b.layout.shape == a.layout.shape[:-1]
    )
    if vector:
        grown = movement.reshape(b, (*b.layout.shape, 1))
        result = _guarded(operations.solve, message, a, grown)
        result = movement.reshape(result, result.layout.shape[:-1])
    else:
        if b.layout.shape[-2] != a.layout.shape[-1]:
            raise RuntimeError(
                f"linalg.solve: Incompatible shapes of A and B for the equation AX = B "
                f"({a.layout.shape[-2]}x{a.layout.shape[-1]} and {b.layout.shape[-2]}x"
                f"{b.layout.shape[-1]})"
            )
        result = _guarded(operations.solve, message, a, b)
    return outputs.finish(label(result, "LinalgSolveExBackward0"), out, "linalg.solve")


def solve_triangular(
    A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False, out: Any = None
) -> Any:
    """X of A X = B where A is triangular."""
    a, b = _matrices(A, "linalg.solve_triangular", True), _matrices(B, "linalg.solve_triangular")
    if not left:
        turned = solve_triangular(
            matrix_transpose(a), matrix_transpose(b), upper=not upper, unitriangular=unitriangular
        )
        return matrix_transpose(turned)
    result = operations.solve_triangular(a, b, upper, unitriangular)
    return outputs.finish(result, out, "linalg.solve_triangular")


def cholesky(A: Any, *, upper: bool = False, out: Any = None) -> Any:
    """The triangular factor of each positive definite matrix."""
    x = _matrices(A, "linalg.cholesky", True)
    message = (
        "linalg.cholesky: The factorization could not be completed because the input is not "
        "positive-definite."
    )
    result = _guarded(operations.cholesky, message, x)
    if upper:
        result = arithmetic.conj(matrix_transpose(result))
    return outputs.finish(label(result, "LinalgCholeskyExBackward0"), out, "linalg.cholesky")


def det(A: Any, *, out: Any = None) -> Any:
    """The determinant of each matrix."""
    result = operations.det(_matrices(A, "linalg.det", True))
    return outputs.finish(label(result, "LinalgDetBackward0"), out, "linalg.det")


def slogdet(A: Any, *, out: Any = None) -> Any:
    """The determinant's sign and the logarithm of its size."""
    return make("linalg_slogdet", operations.slogdet(_matrices(A, "linalg.slogdet", True)))


def logdet(input: Any) -> Any:
    """The logarithm of the determinant (NaN of a negative one)."""
    sign, size = operations.slogdet(_matrices(input, "logdet", True))
    return face(select.where(comparison.lt(sign, 0), math.nan, size), "logdet")


def eigh(A: Any, UPLO: str = "L", *, out: Any = None) -> Any:
    """Eigenvalues and eigenvectors of Hermitian matrices."""
    x = _matrices(A, "linalg.eigh", True)
    if UPLO.upper() == "U":
        x = arithmetic.conj(matrix_transpose(x))
    return make("linalg_eigh", decompositions.eigh(x))


def eigvalsh(A: Any, UPLO: str = "L", *, out: Any = None) -> Any:
    """Eigenvalues of Hermitian matrices."""
    x = _matrices(A, "linalg.eigvalsh", True)
    if UPLO.upper() == "U":
        x = arithmetic.conj(matrix_transpose(x))
    return outputs.finish(decompositions.eigvalsh(x), out, "linalg.eigvalsh")


def eig(A: Any, *, out: Any = None) -> Any:
    """Eigenvalues and eigenvectors of square matrices."""
    return make("linalg_eig", decompositions.eig(_matrices(A, "linalg.eig", True)))


def eigvals(A: Any, *, out: Any = None) -> Any:
    """Eigenvalues of square matrices."""
    result = decompositions.eig(_matrices(A, "linalg.eigvals", True))[0]
    return outputs.finish(result, out, "linalg.eigvals")


def svd(A: Any, full_matrices: bool = True, *, driver: Any = None, out: Any = None) -> Any:
    """U, singular values, and V^H."""
    return make("linalg_svd", decompositions.svd(_matrices(A, "linalg.svd"), bool(full_matrices)))


def svdvals(A: Any, *, driver: Any = None, out: Any = None) -> Any:
    """Singular values."""
    return outputs.finish(decompositions.svdvals(_matrices(A, "linalg.svdvals")), out, "svdvals")


def qr(A: Any, mode: str = "reduced", *, out: Any = None) -> Any:
    """Q with orthonormal columns and triangular R."""
    x = _matrices(A, "linalg.qr")
    if mode not in ("reduced", "complete"):
        if mode == "r":
            raise NotImplementedError("torch.linalg.qr(mode='r') is not implemented in diptych")
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', "
            "or 'complete'"
        )
    return make("linalg_qr", decompositions.qr(x, mode == "complete"))


def lstsq(A: Any, B: Any, rcond: Any = None, *, driver: Any = None) -> Any:
    """The solution of least norm of a linear least-squares problem."""
    a, b = _matrices(A, "linalg.lstsq"), face(B, "linalg.lstsq", "B", 2)
    cut = max(a.layout.shape[-2:]) * _epsilon(a) if rcond is None else float(rcond)
    solution = operations.lstsq(a, b, cut)
    rows, columns = a.layout.shape[-2:]
    rank = decompositions.matrix_rank(a)
    nothing = a.new_zeros((0,))  # type: ignore[attr-defined]
    residuals = nothing
    if rows > columns and bool(comparison.eq(rank, columns).all()):
        gap = arithmetic.sub(contraction.matmul(a, solution), b)
        residuals = reduction.sum_(arithmetic.square(arithmetic.abs_(gap)), (gap.layout.ndim - 2,))
    return make("linalg_lstsq", (solution, residuals, rank, nothing))


def matrix_power(A: Any, n: int, *, out: Any = None) -> Any:
    """Each matrix times itself n times."""
    x = face(A, "linalg.matrix_power", "A")
    return outputs.finish(operations.matrix_power(x, int(n)), out, "linalg.matrix_power")


def matrix_exp(A: Any) -> Any:
    """The exponential of each matrix."""
    return operations.matrix_exp(_matrices(A, "linalg.matrix_exp", True))


def matrix_rank(A: Any, *, atol: Any = None, rtol: Any = None, hermitian: bool = False,
                out: Any = None) -> Any:  # fmt: skip
    """The number of singular values that are not negligible."""
    if atol is not None:
        raise NotImplementedError("torch.linalg.matrix_rank with atol is not implemented")
    x = _matrices(A, "linalg.matrix_rank")
    return decompositions.matrix_rank(x, None if rtol is None else float(rtol))


def norm(
    A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, out: Any = None,
    dtype: Any = None,
) -> Any:  # fmt: skip
    """A vector or matrix norm, as ord and dim say."""
    x = face(A, "linalg.norm", "A")
    if ord is None and dim is None:
        return vector_norm(x, 2, None, keepdim, dtype=dtype, out=out)
    axes = dim if isinstance(dim, (tuple, list)) else None if dim is None else (dim,)
    count = x.layout.ndim if axes is None else len(axes)
    if isinstance(ord, str) or (ord is not None and count == 2):
        return matrix_norm(x, ord, axes or (-2, -1), keepdim, dtype=dtype, out=out)
    return vector_norm(x, 2 if ord is None else ord, axes, keepdim, dtype=dtype, out=out)


vector_norm = reductions.vector_norm


def matrix_norm(
    A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None,
    out: Any = None,
) -> Any:  # fmt: skip
    """The norm of each matrix: fro, nuc, 1, 2, inf and their negatives."""
    x = face(A, "linalg.matrix_norm", "A")
    if x.layout.ndim < 2:
        raise RuntimeError(
            "linalg.matrix_norm: The input tensor A must have at least 2 dimensions."
        )
    if dtype is not None:
        x = select.cast(x, core_of(dtype))  # type: ignore[assignment]
    first, second = (axis_of(d, x.layout.ndim) for d in dim)
    if ord == "fro":
        return vector_norm(x, 2, (first, second), keepdim, out=out)
    if ord in ("nuc", 2, -2):
        moved: Any = x.movedim((first, second), (-2, -1))  # type: ignore[attr-defined]
        values = decompositions.svdvals(moved)
        last = (values.layout.ndim - 1,)
        over = {"nuc": reduction.sum_, 2: reduction.max_, -2: reduction.min_}[ord]
        result = over(values, last)
    elif ord in (1, -1, math.inf, -math.inf):
        inner, outer = (first, second) if ord in (1, -1) else (second, first)
        sums = reduction.sum_(arithmetic.abs_(x), (inner,))
        place = (outer - (outer > inner),)
        result = reduction.max_(sums, place) if ord > 0 else reduction.min_(sums, place)
    else:
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    return outputs.finish(reductions.kept(result, x, tuple(sorted((first, second))), keepdim), out,
                          "linalg.matrix_norm")  # fmt: skip


def cond(A: Any, p: Any = None, *, out: Any = None) -> Any:
    """The condition number of each matrix."""
    x = _matrices(A, "linalg.cond")
    if p in (None, 2):
        values = decompositions.svdvals(x)
        last = (values.layout.ndim - 1,)
        return arithmetic.div(reduction.max_(values, last), reduction.min_(values, last))
    return arithmetic.mul(matrix_norm(x, p), matrix_norm(inv(x), p))


def multi_dot(tensors: Any, *, out: Any = None) -> Any:
    """The product of several matrices."""
    if not isinstance(tensors, (tuple, list)) or len(tensors) < 2:
        raise RuntimeError(
            "multi_dot(): expected at least 2 tensors in a tuple or list, got "
            f"{len(tensors) if isinstance(tensors, (tuple, list)) else type(tensors).__name__}"
        )
    result = tensors[0]
    for x in tensors[1:]:
        result = products.matmul(result, x)
    return outputs.finish(result, out, "linalg.multi_dot")


def cross(input: Any, other: Any, *, dim: int = -1, out: Any = None) -> Any:
    """The cross product along an axis."""
    return products.cross(input, other, dim, out=out)


def vecdot(x: Any, y: Any, *, dim: int = -1, out: Any = None) -> Any:
    """Sums of products along an axis, the first conjugated."""
    product = face(x, "linalg.vecdot").conj() * y  # type: ignore[attr-defined]
    return outputs.finish(product.sum(dim), out, "linalg.vecdot")


def diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """A view of each matrix's diagonal."""
    return A.diagonal(offset, dim1, dim2)


matmul = products.matmul


def tensorinv(A: Any, ind: int = 2, *, out: Any = None) -> Any:
    """Not there yet."""
    raise NotImplementedError("torch.linalg.tensorinv is not implemented in diptych")


# What the torch namespace and Tensor have of these.
NAMESPACE: dict[str, Any] = {
    "det": det, "slogdet": slogdet, "logdet": logdet, "inverse": inv, "pinverse": pinv,
    "cholesky": lambda input, upper=False, *, out=None: cholesky(input, upper=upper, out=out),
    "matrix_power": matrix_power, "matrix_exp": matrix_exp,
    "qr": lambda input, some=True: make("qr", tuple(qr(input, "reduced" if some else "complete"))),
    "svd": lambda input, some=True, compute_uv=True: _old_svd(input, some),
}  # fmt: skip


def _old_svd(input: Any, some: bool) -> Any:
    """The deprecated torch.svd: V in place of V^H."""
    left, values, right = svd(input, not some)
    return make("svd", (left, values, arithmetic.conj(matrix_transpose(right))))
