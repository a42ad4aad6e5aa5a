"""Functions on packed factorisations: LU, LDL, reflectors, Cholesky factors; low-rank ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.core import dtypes as engine
from diptych.core.tensor import Tensor as CoreTensor
from diptych.ops import arithmetic, contraction, decompositions, movement
from diptych.ops import factors as operations
from diptych.ops import linalg as algebra
from diptych.torch import outputs, random
from diptych.torch.dtypes import of
from diptych.torch.joining import stack
from diptych.torch.matrices import LinAlgError, matrices
from diptych.torch.movement import matrix_transpose
from diptych.torch.return_types import make
from diptych.torch.tensor import face


def _no_info(x: CoreTensor) -> Any:
    """The ``info`` of matrices with which nothing was wrong: zeros."""
    return x.new_zeros(x.layout.shape[:-2], dtype=of(engine.int32))  # type: ignore[attr-defined]


def _written(results: Any, out: Any, name: str) -> Any:
    """Several results, put into ``out`` where it is given."""
    if out is None:
        return results
    for target, result in zip(out, results, strict=True):
        outputs.write(target, result, name)
    return out


# ---- LU


def _pivoted(pivot: bool, name: str) -> None:
    if not pivot:
        raise RuntimeError(f"{name}: LU without pivoting is not implemented on the CPU")


def lu_factor_ex(A: Any, *, pivot: bool = True, check_errors: bool = False, out: Any = None) -> Any:
    """L and U packed in one matrix, the pivots, and which diagonal entry of U is zero."""
    x = matrices(A, "linalg.lu_factor_ex")
    _pivoted(pivot, "linalg.lu_factor")
    packed, pivots = operations.lu_factor(x)
    info = _first_zero(packed, x)
    if check_errors and bool((info != 0).any()):
        raise LinAlgError(
            "torch.linalg.lu_factor_ex: U[{0},{0}] is zero and using it on lu_solve would result "
            "in a division by zero.".format(int(info.max()))
        )
    return _written(make("linalg_lu_factor_ex", (packed, pivots, info)), out, "lu_factor_ex")


def _first_zero(packed: Any, x: Any) -> Any:
    """Per matrix the place (from 1) of the first zero on a diagonal; 0 where there is none."""
    values = np.diagonal(packed.detach().values(), axis1=-2, axis2=-1) == 0
    info: Any = _no_info(x)
    if values.size:
        info.array()[...] = np.where(values.any(-1), values.argmax(-1) + 1, 0)
    return info


def lu_factor(A: Any, *, pivot: bool = True, out: Any = None) -> Any:
    """L and U packed in one matrix, and the pivots."""
    packed, pivots, _ = lu_factor_ex(A, pivot=pivot)
    return _written(make("linalg_lu_factor", (packed, pivots)), out, "lu_factor")


def lu(A: Any, *, pivot: bool = True, out: Any = None) -> Any:
    """P, L and U of A = P L U."""
    x = matrices(A, "linalg.lu")
    _pivoted(pivot, "linalg.lu")
    packed, pivots = operations.lu_factor(x)
    exchange = operations.permutation(pivots, x.layout.shape[-2], x.layout.dtype)
    lower, upper = operations.lu_factors(packed)
    return _written(make("linalg_lu", (_ours(exchange), lower, upper)), out, "lu")


def _ours(x: Any) -> Any:
    return face(x, "linalg")


def lu_solve(
    LU: Any, pivots: Any, B: Any, *, left: bool = True, adjoint: bool = False, out: Any = None
) -> Any:
    """X of A X = B (or X A = B) from A's LU factors."""
    packed, b = matrices(LU, "linalg.lu_solve", True), matrices(B, "linalg.lu_solve")
    exchanged = face(pivots, "linalg.lu_solve", "pivots", 2)
    if left:
        result = operations.lu_solve(packed, exchanged, b, adjoint)
    else:  # X A = B is A^H X^H = B^H
        turned = operations.lu_solve(packed, exchanged, algebra.adjoint(b), not adjoint)
        result = algebra.adjoint(turned)
    return outputs.finish(result, out, "linalg.lu_solve")


def old_lu_solve(b: Any, LU_data: Any, LU_pivots: Any, *, out: Any = None) -> Any:
    """``torch.lu_solve``: the factors come after the right-hand side."""
    return lu_solve(LU_data, LU_pivots, b, out=out)


def old_lu(A: Any, pivot: bool = True, get_infos: bool = False, out: Any = None) -> Any:
    """``torch.lu``: the packed factors, the pivots, and the infos when asked."""
    packed, pivots, info = lu_factor_ex(A, pivot=pivot)
    return (packed, pivots, info) if get_infos else (packed, pivots)


def lu_unpack(
    LU_data: Any, LU_pivots: Any, unpack_data: bool = True, unpack_pivots: bool = True, *,
    out: Any = None,
) -> Any:  # fmt: skip
    """P, L and U from the packed matrix and its pivots (empty where not asked for)."""
    packed = face(LU_data, "lu_unpack", "LU_data")
    pivots = face(LU_pivots, "lu_unpack", "LU_pivots", 2)
    nothing: Any = packed.new_zeros((0,))  # type: ignore[attr-defined]
    exchange = lower = upper = nothing
    if unpack_pivots:
        exchange = _ours(
            operations.permutation(pivots, packed.layout.shape[-2], packed.layout.dtype)
        )
    if unpack_data:
        lower, upper = operations.lu_factors(packed)
    return _written(make("lu_unpack", (exchange, lower, upper)), out, "lu_unpack")


# ---- forms that report instead of raising


def _trying(name: str, function: Any, x: Any, check_errors: bool) -> tuple[Any, Any]:
    """A function of matrices and its info: 0, or 1 for each matrix where LAPACK gave up."""
    try:
        return function(x), _no_info(x)
    except LinAlgError:
        if check_errors:
            raise
    if x.layout.ndim == 2:
        return x.new_full(x.layout.shape, float("nan")), _no_info(x) + 1
    parts = [_trying(name, function, part, False) for part in x.unbind()]
    return stack([part[0] for part in parts]), stack([part[1] for part in parts])


def cholesky_ex(A: Any, *, upper: bool = False, check_errors: bool = False, out: Any = None) -> Any:
    """The triangular factor, and where it does not exist."""
    x = matrices(A, "linalg.cholesky_ex", True)
    factor, info = _trying("linalg.cholesky_ex", algebra.cholesky, x, check_errors)
    factor = arithmetic.conj(matrix_transpose(factor)) if upper else factor
    return _written(make("linalg_cholesky_ex", (factor, info)), out, "linalg.cholesky_ex")


def inv_ex(A: Any, *, check_errors: bool = False, out: Any = None) -> Any:
    """The inverse, and where there is none."""
    x = matrices(A, "linalg.inv_ex", True)
    inverse, info = _trying("linalg.inv_ex", algebra.inv, x, check_errors)
    return _written(make("linalg_inv_ex", (inverse, info)), out, "linalg.inv_ex")


# ---- LDL


def ldl_factor_ex(
    A: Any, *, hermitian: bool = False, check_errors: bool = False, out: Any = None
) -> Any:
    """L and D packed in one matrix, the pivots, and LAPACK's info."""
    x = matrices(A, "linalg.ldl_factor_ex", True)
    packed, pivots, info = operations.ldl_factor(x, bool(hermitian))
    return _written(make("linalg_ldl_factor_ex", (packed, pivots, info)), out, "ldl_factor_ex")


def ldl_factor(A: Any, *, hermitian: bool = False, out: Any = None) -> Any:
    """L and D packed in one matrix, and the pivots."""
    packed, pivots, _ = ldl_factor_ex(A, hermitian=hermitian)
    return _written(make("linalg_ldl_factor", (packed, pivots)), out, "ldl_factor")


def ldl_solve(LD: Any, pivots: Any, B: Any, *, hermitian: bool = False, out: Any = None) -> Any:
    """X of A X = B from A's LDL factors."""
    packed, b = matrices(LD, "linalg.ldl_solve", True), matrices(B, "linalg.ldl_solve")
    result = operations.ldl_solve(packed, face(pivots, "ldl_solve", "pivots", 2), b, hermitian)
    return outputs.finish(result, out, "linalg.ldl_solve")


# ---- reflectors


def householder_product(A: Any, tau: Any, *, out: Any = None) -> Any:
    """The first columns of the product of the reflectors below a diagonal."""
    x = matrices(A, "linalg.householder_product")
    factors = face(tau, "linalg.householder_product", "tau", 2)
    rows, columns = x.layout.shape[-2:]
    if rows < columns:
        raise RuntimeError(
            "torch.linalg.householder_product: input.shape[-2] must be greater than or equal to "
            "input.shape[-1]"
        )
    if columns < factors.layout.shape[-1]:
        raise RuntimeError(
            "torch.linalg.householder_product: input.shape[-1] must be greater than or equal to "
            "tau.shape[-1]"
        )
    result = operations.householder_product(x, factors)
    return outputs.finish(_ours(result), out, "linalg.householder_product")


def ormqr(
    input: Any, tau: Any, other: Any, left: bool = True, transpose: bool = False, *, out: Any = None
) -> Any:
    """The product of reflectors times a matrix, from either side."""
    x, c = matrices(input, "ormqr"), matrices(other, "ormqr")
    result = operations.reflected(x, face(tau, "ormqr", "tau", 2), c, bool(left), bool(transpose))
    return outputs.finish(_ours(result), out, "ormqr")


def geqrf(input: Any, *, out: Any = None) -> Any:
    """R above the diagonal, reflectors below it, and their factors."""
    return _written(make("geqrf", operations.geqrf(matrices(input, "geqrf"))), out, "geqrf")


# ---- triangular factors


def cholesky_inverse(L: Any, upper: bool = False, *, out: Any = None) -> Any:
    """The inverse of a matrix known by its Cholesky factor."""
    result = operations.cholesky_inverse(matrices(L, "cholesky_inverse", True), bool(upper))
    return outputs.finish(_ours(result), out, "cholesky_inverse")


def cholesky_solve(B: Any, L: Any, upper: bool = False, *, out: Any = None) -> Any:
    """X of A X = B from A's Cholesky factor."""
    b, factor = matrices(B, "cholesky_solve"), matrices(L, "cholesky_solve", True)
    return outputs.finish(operations.cholesky_solve(b, factor, bool(upper)), out, "cholesky_solve")


def triangular_solve(
    b: Any, A: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False, *,
    out: Any = None,
) -> Any:  # fmt: skip
    """X of A X = b where A is triangular, and a copy of A."""
    right, a = matrices(b, "triangular_solve"), matrices(A, "triangular_solve", True)
    turned, above = (matrix_transpose(a), not upper) if transpose else (a, bool(upper))
    solution = _ours(algebra.solve_triangular(turned, right, above, bool(unitriangular)))
    batch = solution.layout.shape[:-2]
    copied = movement.broadcast_to(a, (*batch, *a.layout.shape[-2:])).clone()  # type: ignore[attr-defined]
    return _written(make("triangular_solve", (solution, copied)), out, "triangular_solve")


# ---- low rank


def _basis(a: Any, count: int, iterations: int) -> Any:
    """A matrix whose columns span the range of ``a``, nearly: of a random matrix and powers."""
    start = random.randn(a.layout.shape[-1], count, dtype=a.dtype)
    q = decompositions.qr(contraction.matmul(a, start))[0]
    for _ in range(iterations):
        q = decompositions.qr(contraction.matmul(algebra.adjoint(a), q))[0]
        q = decompositions.qr(contraction.matmul(a, q))[0]
    return q


def svd_lowrank(A: Any, q: int | None = 6, niter: int | None = 2, M: Any = None) -> Any:
    """U, S and V of a matrix of low rank, by a random basis of its range."""
    a: Any = matrices(A, "svd_lowrank")
    count = 6 if q is None else q
    rows, columns = a.layout.shape[-2:]
    if M is not None:
        a = a - matrices(M, "svd_lowrank")
    if rows < columns:
        a = algebra.adjoint(a)
    basis = _basis(a, count, 2 if niter is None else niter)
    small = contraction.matmul(algebra.adjoint(basis), a)
    left, values, right = decompositions.svd(small, False)
    left, right = contraction.matmul(basis, left), algebra.adjoint(right)
    return (right, values, left) if rows < columns else (left, values, right)


def pca_lowrank(A: Any, q: int | None = None, center: bool = True, niter: int = 2) -> Any:
    """The principal components of the rows of a matrix."""
    a: Any = matrices(A, "pca_lowrank")
    rows, columns = a.layout.shape[-2:]
    count = min(6, rows, columns) if q is None else q
    if not 0 <= count <= min(rows, columns):
        raise ValueError(
            f"q(={count}) must be non-negative integer and not greater than min(m, n)="
            f"{min(rows, columns)}"
        )
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    if center:
        a = a - a.mean(-2, True)
    return svd_lowrank(a, count, niter)


# What torch.linalg has of these, and what the namespace and Tensor have.
LINALG: dict[str, Any] = {
    f.__name__: f
    for f in (lu, lu_factor, lu_factor_ex, lu_solve, cholesky_ex, inv_ex, ldl_factor,
              ldl_factor_ex, ldl_solve, householder_product)
}  # fmt: skip
METHODS: dict[str, Any] = {
    "geqrf": geqrf, "ormqr": ormqr, "orgqr": householder_product, "lu_solve": old_lu_solve,
    "cholesky_inverse": cholesky_inverse, "cholesky_solve": cholesky_solve, "lu": old_lu,
    "triangular_solve": triangular_solve,
}  # fmt: skip
FUNCTIONS: dict[str, Any] = {
    **METHODS, "lu_unpack": lu_unpack, "svd_lowrank": svd_lowrank, "pca_lowrank": pca_lowrank,
}  # fmt: skip
