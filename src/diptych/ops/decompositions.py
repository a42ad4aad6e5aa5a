"""Spectral and orthogonal decompositions: eigh, eig, svd, qr; norms, rank."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.core import call
from diptych.core.dtypes import complex_of, int64, real_of
from diptych.core.layout import Layout, Shape, layout
from diptych.core.operation import BadCall, Composite, NoBatching, Params, Sample
from diptych.core.tensor import Tensor
from diptych.errors import DTypeError, LinAlgError
from diptych.ops.arithmetic import (
    abs_,
    add,
    conj,
    div,
    maximum,
    mul,
    sgn,
    sign,
    sqrt,
    square,
    sub,
)
from diptych.ops.comparison import eq, gt, ne
from diptych.ops.contraction import dot
from diptych.ops.families import primitive
from diptych.ops.linalg import (
    TOLERANCE,
    adjoint,
    column,
    hermitian_samples,
    iterative,
    lapack,
    matrices,
    matrix_batch,
    off_diagonal,
    require_matrices,
    row,
    solve,
    solve_triangular,
    square_errors,
    square_samples,
    times,
    with_diagonal,
)
from diptych.ops.movement import concatenate, diagonal, narrow, reshape
from diptych.ops.reduction import count, max_, min_, spread, sum_
from diptych.ops.select import cast, complex_, constant, imag, real, where
from diptych.ops.transcendental import pow_
from diptych.ops.triangle import tril

Array = np.ndarray[Any, Any]


def _gaps(values: Tensor) -> Any:
    """values_j - values_i, with ones on the diagonal."""
    gaps = sub(row(values), column(values))
    return where(off_diagonal(values.layout.shape[-1]), gaps, 1)


# ---- eigenvalues of Hermitian matrices, of which the lower triangle is read


def _eigvalsh_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    place = layouts[0]
    require_matrices(place, "eigh")
    return layout(real_of(place.dtype), place.shape[:-1])


def _eigh_infer(layouts: tuple[Layout, ...], params: Params) -> tuple[Layout, ...]:
    place = layouts[0]
    return _eigvalsh_infer(layouts, params), layout(place.dtype, place.shape)


def _eigh_vjp(ctx: Any, ct_values: Any, ct_vectors: Any) -> Any:
    values, vectors = ctx.y
    dtype = vectors.layout.dtype
    turned = dot(adjoint(vectors), ct_vectors)
    turned = mul(sub(turned, adjoint(turned)), 0.5)  # what moves unitary vectors is skew
    inner = with_diagonal(div(turned, _gaps(values), dtype), ct_values)
    return dot(dot(vectors, inner), adjoint(vectors))


EIGH = primitive(
    "eigh", "host", params=("upper",), infer=_eigh_infer, vjp=_eigh_vjp, saves="o",
    tolerance=TOLERANCE, batch=matrix_batch,
    reference=iterative("eigh", lambda x, upper: tuple(np.linalg.eigh(x, _triangle(upper)))),
    samples=hermitian_samples(False), errors=lambda: square_errors("eigh", False),
)  # fmt: skip


def _triangle(upper: bool) -> Any:
    return "U" if upper else "L"


def _eigvalsh_vjp(ctx: Any, ct: Any) -> Any:
    vectors = eigh(ctx.x[0], ctx.params[0])[1]
    return dot(times(vectors, row(ct)), adjoint(vectors))


EIGVALSH = primitive(
    "eigvalsh", "host", params=("upper",), infer=_eigvalsh_infer, vjp=_eigvalsh_vjp, saves="0",
    tolerance=TOLERANCE, batch=matrix_batch,
    reference=iterative("eigvalsh", lambda x, upper: np.linalg.eigvalsh(x, _triangle(upper))),
    samples=hermitian_samples(False), errors=lambda: square_errors("eigh", False),
)  # fmt: skip


def _eig_infer(layouts: tuple[Layout, ...], params: Params) -> tuple[Layout, ...]:
    place = layouts[0]
    require_matrices(place, "eig")
    dtype = complex_of(place.dtype)
    return layout(dtype, place.shape[:-1]), layout(dtype, place.shape)


def _eig_vjp(ctx: Any, ct_values: Any, ct_vectors: Any) -> Any:
    """Vectors of length one: what a cotangent asks along themselves only turns their phase."""
    values, vectors = ctx.y
    adjoint_v = adjoint(vectors)
    turned = dot(adjoint_v, ct_vectors)
    last = turned.layout.ndim
    along = real(diagonal(turned, 0, last - 2, last - 1))
    turned = sub(turned, times(dot(adjoint_v, vectors), row(along)))
    inner = with_diagonal(div(turned, conj(_gaps(values))), ct_values)
    result = solve(adjoint_v, dot(inner, adjoint_v))
    place = ctx.layout(0)
    return result if place.dtype.is_complex else real(result)


EIG = primitive(
    "eig", "host", infer=_eig_infer, vjp=_eig_vjp, saves="o",
    tolerance=TOLERANCE, batch=matrix_batch, samples=square_samples(),
    reference=iterative("eig", lambda x: tuple(np.linalg.eig(x))),
    errors=lambda: square_errors("eig"),
)  # fmt: skip


# ---- singular values


def _svd_infer(layouts: tuple[Layout, ...], params: Params) -> tuple[Layout, ...]:
    place = layouts[0]
    require_matrices(place, "svd", square=False)
    *batch, rows, columns = place.shape
    least = min(rows, columns)
    wide, tall = (rows, columns) if params[0] else (least, least)
    return (
        layout(place.dtype, (*batch, rows, wide)),
        layout(real_of(place.dtype), (*batch, least)),
        layout(place.dtype, (*batch, tall, columns)),
    )


def _svd_vjp(ctx: Any, ct_u: Any, ct_s: Any, ct_vh: Any) -> Any:
    u, s, vh = ctx.y
    least = s.layout.shape[-1]
    last = u.layout.ndim - 1
    if u.layout.shape[-1] != least:  # the extra vectors are arbitrary: PyTorch leaves them out
        u, ct_u = narrow(u, last, 0, least), narrow(ct_u, last, 0, least)
    if vh.layout.shape[-2] != least:
        vh, ct_vh = narrow(vh, last - 1, 0, least), narrow(ct_vh, last - 1, 0, least)
    dtype = u.layout.dtype
    u_h, v, ct_v = adjoint(u), adjoint(vh), adjoint(ct_vh)
    gaps = _gaps(square(s))
    turned = dot(u_h, ct_u)
    left = div(sub(turned, adjoint(turned)), gaps, dtype)
    right = dot(vh, ct_v)
    right = div(sub(right, adjoint(right)), gaps, dtype)
    core = add(times(left, row(s)), times(right, column(s)))
    middle = cast(ct_s, dtype)
    if dtype.is_complex:
        last = turned.layout.ndim
        phase = div(imag(diagonal(turned, 0, last - 2, last - 1)), s)
        middle = complex_(ct_s, phase)
    result = dot(dot(u, with_diagonal(core, middle)), vh)
    if u.layout.shape[-2] > least:
        outside = div(ct_u, row(s), dtype)
        outside = sub(outside, dot(u, dot(u_h, outside)))
        result = add(result, dot(outside, vh))
    if vh.layout.shape[-1] > least:
        outside = div(ct_vh, column(s), dtype)
        outside = sub(outside, dot(dot(outside, v), vh))
        result = add(result, dot(u, outside))
    return result


def _rectangles() -> list[Array]:
    return [*matrices(3, 2), *matrices(2, 3), matrices(2, 3, 3)[1]]


SVD = primitive(
    "svd", "host", params=("full_matrices",), infer=_svd_infer, vjp=_svd_vjp, saves="o",
    reference=iterative("svd", lambda x, full: tuple(np.linalg.svd(x, full))),
    samples=lambda: [Sample((array,), (False,)) for array in _rectangles()],
    errors=lambda: [
        *square_errors("svd", False, square=False),
        BadCall((np.full((5, 3), -np.inf),), LinAlgError, "non-finite values", (False,)),
    ],
    tolerance=TOLERANCE, batch=matrix_batch,
)  # fmt: skip


def _svdvals_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    return _svd_infer(layouts, (False,))[1]


def _svdvals_vjp(ctx: Any, ct: Any) -> Any:
    u, _, vh = svd(ctx.x[0], False)
    return dot(times(u, row(ct)), vh)


SVDVALS = primitive(
    "svdvals", "host", infer=_svdvals_infer, vjp=_svdvals_vjp, saves="0",
    tolerance=TOLERANCE, batch=matrix_batch,
    reference=iterative(
        "svdvals", lambda x: np.linalg.svd(x, compute_uv=False)
    ),
    samples=lambda: [Sample((array,)) for array in _rectangles()],
    errors=lambda: square_errors("svd", square=False),
)  # fmt: skip


# ---- QR


def _qr_infer(layouts: tuple[Layout, ...], params: Params) -> tuple[Layout, ...]:
    place = layouts[0]
    require_matrices(place, "qr", square=False)
    *batch, rows, columns = place.shape
    inner = rows if params[0] else min(rows, columns)
    return layout(place.dtype, (*batch, rows, inner)), layout(place.dtype, (*batch, inner, columns))


def _hermitian_of_lower(x: Tensor) -> Any:
    """The Hermitian matrix whose lower triangle is that of ``x``."""
    below = tril(x, -1)
    last = x.layout.ndim
    return with_diagonal(add(below, adjoint(below)), real(diagonal(x, 0, last - 2, last - 1)))


def _qr_vjp(ctx: Any, ct_q: Any, ct_r: Any) -> Any:
    q, r = ctx.y
    rows, columns = q.layout.shape[-2], r.layout.shape[-1]
    inner = q.layout.shape[-1]
    if inner > columns:
        raise NotImplementedError(
            "qr: the gradient in mode 'complete' is not defined when A has more rows than columns"
        )
    last = q.layout.ndim - 1
    extra = columns - rows
    ct_left = ct_r
    if extra > 0:
        # A = [X, Y], R = [U, V] with V = Q^H Y: Y's share of Q's cotangent comes first.
        x_columns = narrow(r, last, 0, inner)
        v, ct_v = narrow(r, last, inner, extra), narrow(ct_r, last, inner, extra)
        ct_left = narrow(ct_r, last, 0, inner)
        ct_q = add(ct_q, dot(dot(q, v), adjoint(ct_v)))
        r = x_columns
    turned = sub(dot(r, adjoint(ct_left)), dot(adjoint(ct_q), q))
    whole = add(ct_q, dot(q, _hermitian_of_lower(turned)))
    ct_x = adjoint(solve_triangular(r, adjoint(whole), upper=True))
    if extra > 0:
        return concatenate((ct_x, dot(q, ct_v)), last)
    return ct_x


QR = primitive(
    "qr", "host", params=("complete",), infer=_qr_infer, vjp=_qr_vjp, saves="o",
    reference=lapack(
        "qr", "failed",
        lambda x, complete: tuple(np.linalg.qr(x, "complete" if complete else "reduced")),
    ),
    samples=lambda: [Sample((array,), (False,)) for array in _rectangles()],
    errors=lambda: square_errors("qr", False, square=False),
    tolerance=TOLERANCE, batch=matrix_batch,
)  # fmt: skip


# ---- norms of vectors


def _norm_forward(x: Tensor, order: float, axes: Shape) -> Any:
    if not x.layout.dtype.is_inexact:
        raise DTypeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{x.layout.dtype}",
            op="vector_norm", got=x.layout.dtype,
        )  # fmt: skip
    size = abs_(x)
    if order == 0:
        return sum_(cast(ne(x, 0), size.layout.dtype), axes)
    if order in (np.inf, -np.inf):
        return max_(size, axes) if order > 0 else min_(size, axes)
    if order == 1:
        return sum_(size, axes)
    if order == 2:
        return sqrt(sum_(square(size), axes))
    return pow_(sum_(pow_(size, order), axes), 1.0 / order)


def _norm_vjp(ctx: Any, ct: Any) -> Any:
    """Zero where the norm is not differentiable, as PyTorch has it."""
    x, y = ctx.x[0], ctx.y[0]
    order, axes = ctx.params
    shape, dtype = x.layout.shape, x.layout.dtype
    direction = sgn(x) if dtype.is_complex else sign(x)
    ct, y = spread(ct, shape, axes), spread(y, shape, axes)
    if order == 0:
        return mul(x, 0.0)
    if order == 1:
        return times(direction, ct)
    if order in (np.inf, -np.inf):
        hit = eq(abs_(x), y)
        share = div(ct, spread(sum_(cast(hit, ct.layout.dtype), axes), shape, axes))
        return times(direction, where(hit, share, 0))
    zero = eq(y, 0)
    if order == 2:
        return times(x, where(zero, 0, div(ct, where(zero, 1, y))))
    size = abs_(x)
    slope = pow_(div(size, where(zero, 1, y)), order - 1)
    positive = gt(size, 0)
    return times(direction, where(positive, mul(ct, where(positive, slope, 0)), 0))


def _norm_samples() -> list[Sample]:
    samples = []
    for order in (0.0, 1.0, 2.0, 3.0, 0.5, np.inf, -np.inf):
        samples.append(Sample((matrices(3, 4)[1],), (order, (1,))))
    samples += [Sample((array,), (2.0, (0, 1))) for array in matrices(3, 4)]
    samples.append(Sample((np.zeros((2, 3)),), (2.0, (1,))))
    return [*samples, Sample((np.ones((0, 3)),), (2.0, (0,)))]


VECTOR_NORM = Composite(
    "vector_norm", params=("order", "axes"), forward=_norm_forward, vjp=_norm_vjp, saves="0o",
    batch=NoBatching("it is batched through the operations it is made of"), samples=_norm_samples,
    errors=lambda: [BadCall((np.ones(2, np.int64),), DTypeError, "floating point", (2.0, (0,)))],
    tolerance=TOLERANCE,
)  # fmt: skip


# ---- the functions


def eigh(x: Tensor, upper: bool = False) -> tuple[Tensor, Tensor]:
    """Ascending eigenvalues and the eigenvectors (columns); one triangle is read."""
    return call.current.apply1(EIGH, x, (upper,))


def eigvalsh(x: Tensor, upper: bool = False) -> Tensor:
    """Ascending eigenvalues of Hermitian matrices; one triangle is read."""
    return call.current.apply1(EIGVALSH, x, (upper,))


def eig(x: Tensor) -> tuple[Tensor, Tensor]:
    """Complex eigenvalues and eigenvectors (columns) of any square matrices."""
    return call.current.apply1(EIG, x, ())


def svd(x: Tensor, full_matrices: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """U, descending singular values, and V^H."""
    return call.current.apply1(SVD, x, (full_matrices,))


def svdvals(x: Tensor) -> Tensor:
    """Descending singular values."""
    return call.current.apply1(SVDVALS, x, ())


def qr(x: Tensor, complete: bool = False) -> tuple[Tensor, Tensor]:
    """Q with orthonormal columns and upper triangular R; ``complete`` makes Q square."""
    return call.current.apply1(QR, x, (complete,))


def vector_norm(x: Tensor, order: float, axes: Shape) -> Tensor:
    """(sum |x|^order)^(1/order) over ``axes``; 0 counts the nonzero, inf and -inf take extrema."""
    return call.current.apply1(VECTOR_NORM, x, (float(order), axes))


def matrix_rank(x: Tensor, rtol: Any = None, atol: Any = None, hermitian: bool = False) -> Tensor:
    """How many singular values exceed both ``atol`` and ``rtol`` times the greatest.

    By default ``rtol`` is the larger extent times the dtype's epsilon, or 0 where ``atol`` is given
    and positive. Either may be a tensor, one for each matrix.
    """
    values = abs_(eigvalsh(x)) if hermitian else svdvals(x)
    place = values.layout
    last = place.ndim - 1
    if not count(place.shape, (last,)):
        return sum_(values, (last,), int64)
    top = reshape(max_(values, (last,)), (*place.shape[:-1], 1))
    least = cutoff(top, x.layout, rtol, atol)
    return sum_(cast(gt(values, least), int64), (last,))


def cutoff(top: Tensor, place: Layout, rtol: Any, atol: Any) -> Any:
    """The value below which singular values count as zero; ``top`` (*, 1) is the greatest."""
    dtype = top.layout.dtype
    default = max(place.shape[-2:]) * float(np.finfo(dtype.numpy).eps)
    floor = _each(0.0 if atol is None else atol, top)
    if rtol is None:
        share = _each(default, top)
        if atol is not None:
            share = where(gt(floor, 0.0), constant(0.0, dtype), share)
    else:
        share = _each(rtol, top)
    return maximum(floor, mul(share, top, dtype), dtype)


def _each(value: Any, like: Tensor) -> Any:
    """A number, or a tensor with one for each matrix, to compare with (*, 1)."""
    dtype = like.layout.dtype
    if isinstance(value, Tensor):
        value = cast(value, dtype)
        return reshape(value, (*value.layout.shape, 1))
    return constant(value, dtype)
