"""torch.linalg: decompositions, solvers, determinants and norms of matrices."""

from __future__ import annotations

import math
from typing import Any

from diptych.core import dtypes as engine
from diptych.core.tensor import Tensor as CoreTensor
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
from diptych.torch import factors, outputs, products, reductions
from diptych.torch.dtypes import core_of
from diptych.torch.dtypes import of as dtype_of
from diptych.torch.gradient_nodes import label
from diptych.torch.joining import cat
from diptych.torch.matrices import LinAlgError as LinAlgError
from diptych.torch.matrices import epsilon as _epsilon
from diptych.torch.matrices import guarded as _guarded
from diptych.torch.matrices import matrices as _matrices
from diptych.torch.movement import matrix_transpose
from diptych.torch.return_types import make
from diptych.torch.tensor import axis_of, face


def inv(A: Any, *, out: Any = None) -> Any:
    """The inverse of each matrix."""
    x = _matrices(A, "linalg.inv", True)
    message = (
        "linalg.inv: The diagonal element is zero, the inversion could not be completed because "
        "the input matrix is singular."
    )
    result = _guarded(operations.inv, message, x)
    return outputs.finish(label(result, "LinalgInvExBackward0"), out, "linalg.inv")


def pinv(A: Any, *, rcond: Any = None, atol: Any = None, rtol: Any = None,
         hermitian: bool = False, out: Any = None) -> Any:  # fmt: skip
    """The pseudo-inverse of each matrix; what is below atol or rtol times the greatest is 0."""
    x = _matrices(A, "linalg.pinv", hermitian)
    share = rcond if rtol is None else rtol
    if share is None:
        positive = atol is not None and (isinstance(atol, CoreTensor) or atol > 0)
        share = 0.0 if positive else max(x.layout.shape[-2:]) * _epsilon(x)
    result = operations.pinv(x, share, 0.0 if atol is None else atol, bool(hermitian))
    return outputs.finish(result, out, "linalg.pinv")


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


def _upper(UPLO: str) -> bool:
    if UPLO.upper() not in ("U", "L"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return UPLO.upper() == "U"


def eigh(A: Any, UPLO: str = "L", *, out: Any = None) -> Any:
    """Eigenvalues and eigenvectors of Hermitian matrices."""
    return make("linalg_eigh", decompositions.eigh(_matrices(A, "linalg.eigh", True), _upper(UPLO)))


def eigvalsh(A: Any, UPLO: str = "L", *, out: Any = None) -> Any:
    """Eigenvalues of Hermitian matrices."""
    x = _matrices(A, "linalg.eigvalsh", True)
    return outputs.finish(decompositions.eigvalsh(x, _upper(UPLO)), out, "linalg.eigvalsh")


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
    if mode == "r":
        r = decompositions.qr(x)[1]
        return make("linalg_qr", (x.new_zeros((0,)), r))  # type: ignore[attr-defined]
    if mode not in ("reduced", "complete"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', "
            "or 'complete'"
        )
    return make("linalg_qr", decompositions.qr(x, mode == "complete"))


def solve_ex(
    A: Any, B: Any, *, left: bool = True, check_errors: bool = False, out: Any = None
) -> Any:
    """X of A X = B, and the info of each matrix (zeros: a singular one raises)."""
    result = solve(A, B, left=left)
    info = result.new_zeros(A.layout.shape[:-2], dtype=dtype_of(engine.int32))
    return make("linalg_solve_ex", (result, info))


def lstsq(A: Any, B: Any, rcond: Any = None, *, driver: str | None = None) -> Any:
    """The solution of least norm of a linear least-squares problem."""
    a, b = _matrices(A, "linalg.lstsq"), face(B, "linalg.lstsq", "B", 2)
    driver = driver or "gelsy"
    if driver not in ("gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(
            "torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)"
        )
    cut = max(a.layout.shape[-2:]) * _epsilon(a) if rcond is None else float(rcond)
    vector = b.layout.ndim == 1 or b.layout.shape == a.layout.shape[:-1]
    grown: Any = movement.reshape(b, (*b.layout.shape, 1)) if vector else b
    solution = operations.lstsq(a, grown, cut)
    rows, columns = a.layout.shape[-2:]
    nothing: Any = a.new_zeros((0,))  # type: ignore[attr-defined]
    nothing = movement.narrow(movement.reshape(solution, (solution.layout.size,)), 0, 0, 0)
    rank, values, residuals = nothing.detach().to(dtype_of(engine.int64)), nothing.detach(), nothing
    if driver != "gels":
        rank = decompositions.matrix_rank(a.detach(), cut)
    if driver in ("gelsd", "gelss"):
        values = decompositions.svdvals(a.detach())
    full = driver == "gels" or bool(comparison.eq(rank, columns).all())
    if rows > columns and driver != "gelsy" and full:
        gap = arithmetic.sub(contraction.matmul(a, solution), grown)
        residuals = reduction.sum_(arithmetic.square(arithmetic.abs_(gap)), (gap.layout.ndim - 2,))
    if vector:
        solution = movement.reshape(solution, solution.layout.shape[:-1])
    return make("linalg_lstsq", (solution, residuals, rank, values))


def matrix_power(A: Any, n: int, *, out: Any = None) -> Any:
    """Each matrix times itself n times."""
    x = face(A, "linalg.matrix_power", "A")
    return outputs.finish(operations.matrix_power(x, int(n)), out, "linalg.matrix_power")


def matrix_exp(A: Any) -> Any:
    """The exponential of each matrix."""
    return operations.matrix_exp(_matrices(A, "linalg.matrix_exp", True))


def matrix_rank(A: Any, tol: Any = None, *, atol: Any = None, rtol: Any = None,
                hermitian: bool = False, out: Any = None) -> Any:  # fmt: skip
    """The number of singular values that are not negligible."""
    if isinstance(tol, bool):  # matrix_rank(A, hermitian)
        tol, hermitian = None, tol
    if tol is not None:
        atol, rtol = tol, 0.0
    x = _matrices(A, "linalg.matrix_rank", hermitian).detach()
    result = decompositions.matrix_rank(x, rtol, atol, bool(hermitian))
    return outputs.finish(face(result, "matrix_rank"), out, "linalg.matrix_rank")


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
    """The inverse of tensordot with A over its last axes."""
    x = face(A, "linalg.tensorinv", "A")
    if ind <= 0:
        raise RuntimeError("Expected a strictly positive integer for 'ind'")
    shape = x.layout.shape
    rows, columns = math.prod(shape[:ind]), math.prod(shape[ind:])
    if rows != columns:
        raise RuntimeError(
            f"Expected self to satisfy the requirement prod(self.shape[ind:]) == "
            f"prod(self.shape[:ind]), but got {columns} != {rows}"
        )
    inverse = inv(movement.reshape(x, (rows, columns)))
    result = movement.reshape(inverse, (*shape[ind:], *shape[:ind]))
    return outputs.finish(result, out, "linalg.tensorinv")


def tensorsolve(A: Any, B: Any, dims: Any = None, *, out: Any = None) -> Any:
    """X of tensordot(A, X) = B."""
    a: Any = face(A, "linalg.tensorsolve", "A")
    b = face(B, "linalg.tensorsolve", "B", 2)
    if dims is not None:
        a = a.movedim(tuple(dims), tuple(range(a.layout.ndim - len(dims), a.layout.ndim)))
    shape = a.layout.shape[b.layout.ndim :]
    rows, columns = b.layout.size, math.prod(shape)
    if a.layout.size != rows * columns or rows != columns:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
            f"prod(self.shape[:other.ndim]), but got {columns} != {rows}"
        )
    solution = solve(movement.reshape(a, (rows, columns)), movement.reshape(b, (rows,)))
    return outputs.finish(movement.reshape(solution, shape), out, "linalg.tensorsolve")


def vander(x: Any, N: int | None = None) -> Any:
    """The powers 0 to N - 1 of each element along a new last axis."""
    x: Any = face(x, "linalg.vander", "x")  # type: ignore[no-redef]
    x = x.reshape(1) if not x.layout.ndim else x
    count = x.layout.shape[-1] if N is None else N
    if count <= 1:
        raise RuntimeError("N must be greater than 1.")
    if x.layout.dtype is engine.bool_ or not x.layout.dtype.is_inexact:
        x = x.to(dtype_of(engine.int64))
    grown = movement.broadcast_to(x.unsqueeze(-1), (*x.layout.shape, count - 1))
    return cat([x.new_ones((*x.layout.shape, 1)), grown.cumprod(-1)], -1)  # type: ignore[attr-defined]


lu, lu_factor, lu_factor_ex = factors.lu, factors.lu_factor, factors.lu_factor_ex
lu_solve, inv_ex, cholesky_ex = factors.lu_solve, factors.inv_ex, factors.cholesky_ex
ldl_factor, ldl_factor_ex = factors.ldl_factor, factors.ldl_factor_ex
ldl_solve, householder_product = factors.ldl_solve, factors.householder_product

# What the torch namespace and Tensor have of these.
NAMESPACE: dict[str, Any] = {
    "det": det, "slogdet": slogdet, "logdet": logdet, "inverse": inv,
    "pinverse": lambda input, rcond=1e-15: pinv(input, rcond=rcond),
    "cholesky": lambda input, upper=False, *, out=None: cholesky(input, upper=upper, out=out),
    "matrix_power": matrix_power, "matrix_exp": matrix_exp,
    "qr": lambda input, some=True: make("qr", tuple(qr(input, "reduced" if some else "complete"))),
    "svd": lambda input, some=True, compute_uv=True: _old_svd(input, some),
}  # fmt: skip


def _old_svd(input: Any, some: bool) -> Any:
    """The deprecated torch.svd: V in place of V^H."""
    left, values, right = svd(input, not some)
    return make("svd", (left, values, arithmetic.conj(matrix_transpose(right))))
