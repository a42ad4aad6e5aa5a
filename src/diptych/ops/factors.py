"""Factorisations kept packed, as LAPACK has them: LU with pivots, reflectors (QR), LDL."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from diptych.core import call
from diptych.core.dtypes import DType, float32, int32
from diptych.core.layout import Layout, layout
from diptych.core.operation import (
    BadCall,
    Composite,
    NoBatching,
    NotDifferentiable,
    Params,
    Sample,
)
from diptych.core.tensor import Tensor
from diptych.errors import DTypeError, OutOfRangeError, ShapeError
from diptych.ops.arithmetic import add, mul, neg, sub
from diptych.ops.contraction import dot
from diptych.ops.families import primitive
from diptych.ops.linalg import (
    TOLERANCE,
    adjoint,
    column,
    eye,
    lapack,
    matrices,
    matrix_batch,
    require_matrices,
    solve_triangular,
    square_errors,
)
from diptych.ops.movement import broadcast_to, concatenate, narrow, sum_to, swap_axes
from diptych.ops.reduction import with_zero_gradient
from diptych.ops.triangle import tril, triu

Array = np.ndarray[Any, Any]


# ---- LU with partial pivoting: both factors in one matrix, and the rows exchanged


def _lu_infer(layouts: tuple[Layout, ...], params: Params) -> tuple[Layout, ...]:
    place = layouts[0]
    require_matrices(place, "lu_factor", square=False)
    count = min(place.shape[-2:])
    return layout(place.dtype, place.shape), layout(int32, (*place.shape[:-2], count))


def _size(x: Array) -> Array:
    """What LAPACK compares when it looks for a pivot."""
    return np.abs(x.real) + np.abs(x.imag) if np.iscomplexobj(x) else np.abs(x)


def _lu_factor(x: Array) -> tuple[Array, Array]:
    """Both factors in one matrix, and the rows exchanged at each step, from 1 as in LAPACK."""
    rows, columns = x.shape[-2:]
    count = min(rows, columns)
    if not x.size:
        ranks = np.broadcast_to(np.arange(1, count + 1, dtype=np.int32), (*x.shape[:-2], count))
        return np.array(x), np.array(ranks)
    work = np.array(x).reshape(-1, rows, columns)
    pivots = np.zeros((len(work), count), np.int32)
    each = np.arange(len(work))
    with np.errstate(all="ignore"):
        for step in range(count):
            chosen = step + np.argmax(_size(work[:, step:, step]), axis=1)
            pivots[:, step] = chosen + 1
            held = work[each, chosen].copy()
            work[each, chosen] = work[:, step]
            work[:, step] = held
            diagonal = work[:, step, step]
            below = work[:, step + 1 :, step] / np.where(diagonal == 0, 1, diagonal)[:, None]
            work[:, step + 1 :, step] = below
            work[:, step + 1 :, step + 1 :] -= below[:, :, None] * work[:, step, None, step + 1 :]
    return work.reshape(x.shape), pivots.reshape(*x.shape[:-2], count)


def _lu_vjp(ctx: Any, ct: Any, ct_pivots: Any) -> Any:
    """Through the factors: what is strictly lower moves L, the rest U."""
    packed, pivots = ctx.y
    rows, columns = packed.layout.shape[-2:]
    count = min(rows, columns)
    last = packed.layout.ndim - 1
    lower, upper = lu_factors(packed)
    ct_lower, ct_upper = tril(ct, -1), triu(ct)
    ct_lower = narrow(ct_lower, last, 0, count)
    ct_upper = narrow(ct_upper, last - 1, 0, count)
    square_l, square_u = narrow(lower, last - 1, 0, count), narrow(upper, last, 0, count)
    left = dot(adjoint(square_l), narrow(ct_lower, last - 1, 0, count))
    right = dot(narrow(ct_upper, last, 0, count), adjoint(square_u))
    if columns > rows:
        wide = narrow(upper, last, count, columns - count)
        ct_wide = narrow(ct_upper, last, count, columns - count)
        left = sub(left, dot(ct_wide, adjoint(wide)))
    if rows > columns:
        tall = narrow(lower, last - 1, count, rows - count)
        ct_tall = narrow(ct_lower, last - 1, count, rows - count)
        right = sub(right, dot(adjoint(tall), ct_tall))
    inner = add(tril(left, -1), triu(right))
    # inner U^-H, from the adjoint equation, then L^-H in front.
    inner = adjoint(solve_triangular(square_u, adjoint(inner), upper=True))
    result = solve_triangular(adjoint(square_l), inner, upper=True, unit=True)
    if columns > rows:
        beside = solve_triangular(adjoint(square_l), ct_wide, upper=True, unit=True)
        result = concatenate((result, beside), last)
    if rows > columns:
        below = adjoint(solve_triangular(square_u, adjoint(ct_tall), upper=True))
        result = concatenate((result, below), last - 1)
    return dot(permutation(pivots, rows, result.layout.dtype), result)


LU_FACTOR = primitive(
    "lu_factor", "host", infer=_lu_infer, reference=_lu_factor,
    tolerance=TOLERANCE, batch=matrix_batch, vjp=_lu_vjp, saves="o",
    samples=lambda: [
        Sample((array,)) for array in (*matrices(3, 3), *matrices(2, 4, 3)[:2], *matrices(2, 4))
    ],
    errors=lambda: square_errors("lu_factor", square=False),
)  # fmt: skip


def _permutation_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    place = layouts[0]
    if place.dtype is not int32:
        raise DTypeError(
            f"lu_unpack: torch.int32 dtype is expected for LU_pivots, got {place.dtype}",
            op="permutation", got=place.dtype,
        )  # fmt: skip
    rows, dtype = params
    if not place.ndim or place.shape[-1] > rows:
        raise ShapeError(
            op="permutation", argument="pivots", got=place.shape, expected=f"at most {rows} each"
        )
    return layout(dtype, (*place.shape[:-1], rows, rows))


def _permutation(pivots: Array, rows: int, dtype: DType) -> Array:
    if pivots.size and (pivots.min() < 1 or pivots.max() > rows):
        raise OutOfRangeError(
            "LU_pivots: pivots must be between 1 and LU.size(-2), got "
            f"{int(pivots.min())} to {int(pivots.max())}",
            op="permutation",
        )
    flat = pivots.reshape(int(np.prod(pivots.shape[:-1])), pivots.shape[-1])
    order = np.broadcast_to(np.arange(rows), (len(flat), rows)).copy()
    each = np.arange(len(flat))
    for step in range(flat.shape[-1]):
        other = flat[:, step] - 1
        held = order[each, other].copy()
        order[each, other] = order[:, step]
        order[:, step] = held
    matrix = np.zeros((len(flat), rows, rows), dtype.numpy)
    matrix[each[:, None], order, np.arange(rows)] = 1
    return matrix.reshape(*pivots.shape[:-1], rows, rows)


PERMUTATION = primitive(
    "permutation", "host", params=("rows", "dtype"), infer=_permutation_infer,
    reference=_permutation, vjp=NotDifferentiable("it is made of whole numbers"),
    samples=lambda: [
        Sample((np.array([3, 3, 3], np.int32),), (3, float32)),
        Sample((np.array([[2, 2], [1, 4]], np.int32),), (4, float32)),
    ],
    errors=lambda: [
        BadCall((np.array([7], np.int32),), OutOfRangeError, "between 1 and", (3, float32)),
        BadCall((np.array([1.0]),), DTypeError, "int32", (3, float32)),
        BadCall((np.array([1, 2], np.int32),), ShapeError, "at most 1", (1, float32)),
    ],
)  # fmt: skip


def lu_factor(x: Tensor) -> tuple[Tensor, Tensor]:
    """L and U in one matrix, and the rows exchanged (int32, from 1), with partial pivoting."""
    return call.current.apply1(LU_FACTOR, x, ())


def permutation(pivots: Tensor, rows: int, dtype: DType) -> Tensor:
    """The matrix P of A = P L U from the rows that were exchanged."""
    return call.current.apply1(PERMUTATION, pivots, (rows, dtype))


def lu_factors(packed: Tensor) -> tuple[Tensor, Tensor]:
    """L (ones on its diagonal) and U from the matrix that holds both."""
    rows, columns = packed.layout.shape[-2:]
    count = min(rows, columns)
    last = packed.layout.ndim - 1
    lower = tril(narrow(packed, last, 0, count), -1)
    lower = add(lower, eye((rows, count), packed.layout.dtype))
    return lower, triu(narrow(packed, last - 1, 0, count))


def lu_solve(packed: Tensor, pivots: Tensor, b: Tensor, conjugate: bool = False) -> Tensor:
    """X of A X = B (or A^H X = B) from A's packed factors."""
    rows = packed.layout.shape[-1]
    exchange = permutation(pivots, rows, packed.layout.dtype)
    lower, upper = packed, triu(packed)
    if conjugate:
        inner = solve_triangular(adjoint(upper), b, upper=False)
        return dot(exchange, solve_triangular(adjoint(lower), inner, upper=True, unit=True))
    inner = dot(swap_axes(exchange, -1, -2), b)
    return solve_triangular(upper, solve_triangular(lower, inner, False, True), upper=True)


# ---- products of Householder reflectors: Q = I - V T V^H (T upper triangular)


def _block(packed: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
    """V, unit lower trapezoidal, and T of the product of reflectors."""
    rows, count = packed.layout.shape[-2], tau.layout.shape[-1]
    last = packed.layout.ndim - 1
    v = tril(narrow(packed, last, 0, count), -1)
    v = add(v, eye((rows, count), packed.layout.dtype))
    # T = (I + D S)^-1 D, D the diagonal of tau, S the strict upper triangle of V^H V.
    inner = mul(column(tau), triu(dot(adjoint(v), v), 1))
    diagonal = mul(column(tau), eye((count, count), packed.layout.dtype))
    return v, solve_triangular(inner, diagonal, upper=True, unit=True)


def reflected(
    packed: Tensor, tau: Tensor, other: Tensor, left: bool = True, conjugate: bool = False
) -> Tensor:
    """Q C, Q^H C, C Q or C Q^H for the product Q of the reflectors below a diagonal."""
    if not tau.layout.shape[-1] or not other.layout.size:
        return with_zero_gradient(add(other, 0.0), packed, tau)
    v, t = _block(packed, tau)
    t = adjoint(t) if conjugate else t
    if left:
        return sub(other, dot(v, dot(t, dot(adjoint(v), other))))
    return sub(other, dot(dot(dot(other, v), t), adjoint(v)))


def householder_product(packed: Tensor, tau: Tensor) -> Tensor:
    """The first columns of the product of reflectors, as many as the packed matrix has."""
    *batch, rows, columns = packed.layout.shape
    start = broadcast_to(eye((rows, columns), packed.layout.dtype), (*batch, rows, columns))
    return reflected(packed, tau, start)


def _geqrf_infer(layouts: tuple[Layout, ...], params: Params) -> tuple[Layout, ...]:
    place = layouts[0]
    require_matrices(place, "geqrf", square=False)
    return layout(place.dtype, place.shape), layout(
        place.dtype, (*place.shape[:-2], min(place.shape[-2:]))
    )


def _geqrf(x: Array) -> tuple[Array, Array]:
    if not x.size:
        return x.copy(), np.zeros((*x.shape[:-2], min(x.shape[-2:])), x.dtype)
    packed, tau = np.linalg.qr(x, "raw")
    return np.asarray(np.swapaxes(packed, -1, -2), x.dtype), np.asarray(tau, x.dtype)


GEQRF = primitive(
    "geqrf", "host", infer=_geqrf_infer, reference=lapack("geqrf", "failed", _geqrf),
    vjp=NotDifferentiable("PyTorch has no gradient of the packed form: use qr"),
    tolerance=TOLERANCE, batch=matrix_batch,
    samples=lambda: [Sample((array,)) for array in (*matrices(3, 2)[:2], *matrices(2, 2, 3)[:2])],
    errors=lambda: square_errors("geqrf", square=False),
)  # fmt: skip


def geqrf(x: Tensor) -> tuple[Tensor, Tensor]:
    """R above the diagonal, the reflectors below it, and their factors."""
    return call.current.apply1(GEQRF, x, ())


# ---- LDL of symmetric or Hermitian matrices (Bunch-Kaufman), through SciPy's LAPACK


def _routine(name: str, hermitian: bool, dtype: Any) -> Any:
    letter = {"float32": "s", "float64": "d", "complex64": "c", "complex128": "z"}[dtype.name]
    kind = "he" if hermitian and letter in "cz" else "sy"
    try:
        lapack_module = importlib.import_module("scipy.linalg.lapack")
    except ImportError:
        raise ImportError('linalg.ldl_factor needs SciPy (diptych\'s extra "scipy")') from None
    return getattr(lapack_module, f"{letter}{kind}{name}")


def _ldl_infer(layouts: tuple[Layout, ...], params: Params) -> tuple[Layout, ...]:
    place = layouts[0]
    require_matrices(place, "ldl_factor")
    batch = place.shape[:-2]
    return (
        layout(place.dtype, place.shape), layout(int32, place.shape[:-1]), layout(int32, batch)
    )  # fmt: skip


def _ldl(x: Array, hermitian: bool) -> tuple[Array, Array, Array]:
    packed = np.array(x)
    pivots = np.zeros(x.shape[:-1], np.int32)
    info = np.zeros(x.shape[:-2], np.int32)
    if x.size:
        routine = _routine("trf", hermitian, x.dtype)
        for place in np.ndindex(*x.shape[:-2]):
            factor, exchanged, info[place] = routine(x[place], lower=1)
            packed[place] = np.tril(factor) + np.triu(x[place], 1)
            # SciPy counts exchanged rows from 0 and marks blocks of two by -row - 1.
            pivots[place] = exchanged
    return np.tril(packed), pivots, info


LDL_FACTOR = primitive(
    "ldl_factor", "host", params=("hermitian",), infer=_ldl_infer, reference=_ldl,
    vjp=NotDifferentiable("PyTorch has no gradient of it"), tolerance=TOLERANCE,
    batch=matrix_batch,
    samples=lambda: [Sample((a + a.T,), (False,)) for a in matrices(3, 3)[:2]],
    errors=lambda: square_errors("ldl_factor", False),
)  # fmt: skip


def _ldl_solve_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    packed, pivots, b = layouts
    require_matrices(packed, "ldl_solve")
    if pivots.dtype is not int32 or b.dtype is not packed.dtype:
        raise DTypeError(
            f"linalg.ldl_solve: LD ({packed.dtype}), B ({b.dtype}) and int32 pivots are needed",
            op="ldl_solve",
        )
    if b.ndim < 2 or b.shape[-2] != packed.shape[-1] or pivots.shape != packed.shape[:-1]:
        raise ShapeError(
            f"linalg.ldl_solve: incompatible shapes of LD {list(packed.shape)}, pivots "
            f"{list(pivots.shape)} and B {list(b.shape)}",
            op="ldl_solve",
        )
    batch = np.broadcast_shapes(packed.shape[:-2], b.shape[:-2])
    return layout(packed.dtype, (*batch, *b.shape[-2:]))


def _ldl_solve(packed: Array, pivots: Array, b: Array, hermitian: bool) -> Array:
    rows = packed.shape[-1]
    if pivots.size and (np.abs(pivots).max() > rows or (pivots == 0).any()):
        raise OutOfRangeError("linalg.ldl_solve: pivots out of range", op="ldl_solve")
    batch = np.broadcast_shapes(packed.shape[:-2], b.shape[:-2])
    left = np.broadcast_to(packed, (*batch, rows, rows))
    exchanged = np.broadcast_to(pivots, (*batch, rows))
    result = np.array(np.broadcast_to(b, (*batch, *b.shape[-2:])))
    if result.size:
        routine = _routine("trs", hermitian, packed.dtype)
        for place in np.ndindex(*batch):
            result[place] = routine(left[place], exchanged[place], result[place], lower=1)[0]
    return result


LDL_SOLVE = primitive(
    "ldl_solve", "host", params=("hermitian",), infer=_ldl_solve_infer, reference=_ldl_solve,
    vjp=NotDifferentiable("PyTorch has no gradient of it"), tolerance=TOLERANCE,
    samples=lambda: [
        Sample((np.eye(2) * 2, np.array([1, 2], np.int32), np.ones((2, 1))), (False,))
    ],
    errors=lambda: [
        BadCall((np.eye(2), np.array([1, 2]), np.ones((2, 1))), DTypeError, "int32", (False,)),
        BadCall((np.eye(2), np.array([1, 9], np.int32), np.ones((2, 1))), OutOfRangeError,
                "out of range", (False,)),
        BadCall((np.eye(2), np.array([1, 2], np.int32), np.ones((3, 1))), ShapeError,
                "incompatible", (False,)),
    ],
)  # fmt: skip


def ldl_factor(x: Tensor, hermitian: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """L and the blocks of D in one matrix, LAPACK's pivots, and its info; the lower triangle."""
    return call.current.apply1(LDL_FACTOR, x, (hermitian,))


def ldl_solve(packed: Tensor, pivots: Tensor, b: Tensor, hermitian: bool = False) -> Tensor:
    """X of A X = B from :func:`ldl_factor`."""
    return call.current.apply(LDL_SOLVE, (packed, pivots, b), (hermitian,))


# ---- factors that are solved with


def _cholesky_solve_forward(b: Tensor, factor: Tensor, upper: bool) -> Tensor:
    lower = adjoint(factor) if upper else factor
    inner = solve_triangular(lower, b, upper=False)
    return solve_triangular(adjoint(lower), inner, upper=True)


def _cholesky_solve_vjp(ctx: Any, ct: Any) -> Any:
    """As PyTorch has it: of the whole factor, though only its triangle is read."""
    factor, upper = ctx.x[1], ctx.params[0]
    back = cholesky_solve(ct, factor, upper)
    moved = None
    if ctx.needs[1]:
        outer = dot(back, adjoint(ctx.y[0]))
        outer = add(outer, adjoint(outer))
        moved = neg(dot(factor, outer) if upper else dot(outer, factor))
        moved = sum_to(moved, ctx.layout(1).shape)
    return sum_to(back, ctx.layout(0).shape) if ctx.needs[0] else None, moved


CHOLESKY_SOLVE = Composite(
    "cholesky_solve", params=("upper",), forward=_cholesky_solve_forward,
    vjp=_cholesky_solve_vjp, saves="1o", tolerance=TOLERANCE,
    batch=NoBatching("it is batched through the operations it is made of"),
    samples=lambda: [
        Sample((b, np.tril(a)), (False,))
        for a, b in zip(matrices(3, 3), matrices(3, 2), strict=True)
    ],
    errors=lambda: [
        BadCall((np.ones((2, 1)), np.eye(3)), ShapeError, "Incompatible shapes", (False,)),
    ],
)  # fmt: skip


def cholesky_solve(b: Tensor, factor: Tensor, upper: bool = False) -> Tensor:
    """X of A X = B where A = L L^H (or U^H U) is known by its factor."""
    return call.current.apply2(CHOLESKY_SOLVE, b, factor, (upper,))


def cholesky_inverse(factor: Tensor, upper: bool = False) -> Tensor:
    """The inverse of a matrix known by its Cholesky factor."""
    *batch, rows, _ = factor.layout.shape
    one = broadcast_to(eye((rows, rows), factor.layout.dtype), (*batch, rows, rows))
    return cholesky_solve(one, factor, upper)
