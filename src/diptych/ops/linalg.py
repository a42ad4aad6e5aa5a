"""Linear algebra through LAPACK (NumPy's): factorisations, inverses, solutions, determinants."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from diptych.core import call
from diptych.core.dtypes import COMPLEX, FLOATS, real_of
from diptych.core.layout import Layout, Shape, broadcast_shapes, layout
from diptych.core.operation import BadCall, Params, Primitive, Sample, Tolerance
from diptych.core.tensor import Tensor
from diptych.errors import DTypeError, LinAlgError, ShapeError
from diptych.ops.arithmetic import add, conj, mul, neg, sub
from diptych.ops.comparison import ne
from diptych.ops.contraction import dot
from diptych.ops.creation import iota
from diptych.ops.families import primitive
from diptych.ops.movement import concatenate, move_axis, narrow, reshape, sum_to, swap_axes
from diptych.ops.reduction import sum_
from diptych.ops.select import cast, complex_, constant, imag, where
from diptych.ops.triangle import tril, triu

Array = np.ndarray[Any, Any]
ACCEPTS = (*FLOATS[2:], *COMPLEX)
TOLERANCE = Tolerance({"float32": 1e-3, "complex64": 1e-3, "float64": 1e-9, "complex128": 1e-9})


# ---- what all of them share


def require_matrices(place: Layout, op: str, *, square: bool = True) -> None:
    """Raise unless a layout holds (square) matrices of a dtype that LAPACK works in."""
    if place.dtype not in ACCEPTS:
        raise DTypeError(
            f"linalg.{op}: \"{op}\" not implemented for '{place.dtype}'; cast it to a float dtype",
            op=op, got=place.dtype,
        )  # fmt: skip
    if place.ndim < 2:
        raise ShapeError(
            f"linalg.{op}: The input tensor A must have at least 2 dimensions; got {place.ndim}.",
            op=op, got=place.shape,
        )  # fmt: skip
    if square and place.shape[-1] != place.shape[-2]:
        raise ShapeError(
            f"linalg.{op}: A must be batches of square matrices, but they are {place.shape[-2]} by "
            f"{place.shape[-1]} matrices",
            op=op, got=place.shape,
        )  # fmt: skip


def lapack(op: str, why: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A NumPy function whose failure is our LinAlgError, saying what the matrix lacked."""

    def safely(*arguments: Any) -> Any:
        try:
            with np.errstate(all="ignore"):
                result = function(*arguments)
        except np.linalg.LinAlgError as error:
            raise LinAlgError(f"linalg.{op}: {why} ({error})", op=op) from None
        return tuple(result) if isinstance(result, tuple) else result

    return safely


def iterative(op: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A NumPy function that iterates until it converges: with infinities LAPACK may never end."""
    converging = lapack(op, "it did not converge", function)

    def finitely(*arguments: Any) -> Any:
        for array in arguments:
            if isinstance(array, np.ndarray) and not np.isfinite(array).all():
                raise LinAlgError(
                    f"linalg.{op}: The algorithm failed to converge because the input matrix "
                    "contained non-finite values.",
                    op=op,
                )  # fmt: skip
        return converging(*arguments)

    return finitely


def matrix_batch(
    op: Primitive, operands: tuple[Any, ...], axes: tuple[int | None, ...], params: Params
) -> tuple[Any, Any]:
    """Batch by one more leading axis: these operations work on batches of matrices as they are."""
    rank = max(x.layout.ndim - (axis is not None) for x, axis in zip(operands, axes, strict=True))
    moved = []
    for x, axis in zip(operands, axes, strict=True):
        if axis is not None:
            x = move_axis(x, axis, 0)
            first, *rest = x.layout.shape
            x = reshape(x, (first, *([1] * (rank - len(rest))), *rest))
        moved.append(x)
    result = call.current.apply(op, moved, params)
    return result, (0,) * len(result) if isinstance(result, tuple) else 0


def adjoint(x: Tensor) -> Tensor:
    """The conjugate transpose of each matrix."""
    return swap_axes(conj(x), -1, -2)


def column(x: Tensor) -> Tensor:
    return reshape(x, (*x.layout.shape, 1))


def row(x: Tensor) -> Tensor:
    shape = x.layout.shape
    return reshape(x, (*shape[:-1], 1, shape[-1]))


def times(matrix: Tensor, factor: Tensor) -> Any:
    """Elementwise, in the matrix's dtype (the factor may be its real dtype)."""
    return mul(matrix, factor, matrix.layout.dtype)


def off_diagonal(count: int) -> Any:
    return ne(iota((count, count), 0), iota((count, count), 1))


def with_diagonal(matrix: Tensor, diagonal: Tensor) -> Tensor:
    """A matrix with its diagonal replaced."""
    dtype = matrix.layout.dtype
    return where(off_diagonal(matrix.layout.shape[-1]), matrix, cast(row(diagonal), dtype))


def matrices(*shape: int) -> list[Array]:
    """Well-conditioned samples: random ones with a strong diagonal, in each dtype."""
    samples = []
    for dtype in ACCEPTS:
        generator = np.random.default_rng(dtype.index)
        values = generator.uniform(-1, 1, shape)
        if dtype.is_complex:
            values = values + 1j * generator.uniform(-1, 1, shape)
        values = values + 2.0 * np.eye(shape[-2], shape[-1]) * np.arange(1, shape[-1] + 1)
        samples.append(values.astype(dtype.numpy))
    return samples


def _hermitian(*shape: int) -> list[Array]:
    return [(a + np.conj(np.swapaxes(a, -1, -2))) / 2 for a in matrices(*shape)]


def square_samples(*params: Any) -> Callable[[], Iterable[Sample]]:
    return lambda: [
        Sample((array,), params)
        for array in (*matrices(3, 3), *matrices(2, 2, 2)[:2], np.zeros((0, 2, 2)), np.eye(1))
    ]


def hermitian_samples(*params: Any) -> Callable[[], Iterable[Sample]]:
    return lambda: [
        Sample((array,), params)
        for array in (*_hermitian(3, 3), *_hermitian(2, 2, 2)[:2], np.zeros((0, 2, 2)), np.eye(1))
    ]


def square_errors(op: str, *params: Any, square: bool = True) -> list[BadCall]:
    calls = [
        BadCall((np.ones(3),), ShapeError, "at least 2 dimensions", params),
        BadCall((np.ones((2, 2), np.int64),), DTypeError, "not implemented", params),
    ]
    if square:
        calls.append(BadCall((np.ones((2, 3)),), ShapeError, "2 by 3 matrices", params))
    return calls


def _same_shape(op: str) -> Callable[..., Layout]:
    def infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
        require_matrices(layouts[0], op)
        return layout(layouts[0].dtype, layouts[0].shape)

    return infer


# ---- Cholesky: the lower factor of a Hermitian matrix, of which the lower triangle is read


def _cholesky_vjp(ctx: Any, ct: Any) -> Any:
    factor = ctx.y[0]
    inner = tril(dot(adjoint(factor), ct))
    half = where(off_diagonal(inner.layout.shape[-1]), inner, mul(inner, 0.5))
    left = solve_triangular(adjoint(factor), half, upper=True)
    whole = adjoint(solve_triangular(adjoint(factor), adjoint(left), upper=True))
    return mul(add(whole, adjoint(whole)), 0.5)


CHOLESKY = primitive(
    "cholesky", "host", infer=_same_shape("cholesky"), vjp=_cholesky_vjp, saves="o",
    reference=lapack(
        "cholesky", "the input is not positive-definite", lambda x: np.linalg.cholesky(x)
    ),
    samples=hermitian_samples(), tolerance=TOLERANCE, batch=matrix_batch,
    errors=lambda: [
        *square_errors("cholesky"), BadCall((-np.eye(2),), LinAlgError, "not positive-definite"),
    ],
)  # fmt: skip


# ---- inverse, pseudo-inverse, solutions


INV = primitive(
    "inv", "host", infer=_same_shape("inv"), saves="o", samples=square_samples(),
    reference=lapack("inv", "the input matrix is singular", np.linalg.inv),
    tolerance=TOLERANCE, batch=matrix_batch,
    vjp=lambda ctx, ct: neg(dot(dot(adjoint(ctx.y[0]), ct), adjoint(ctx.y[0]))),
    errors=lambda: [
        *square_errors("inv"), BadCall((np.zeros((2, 2)),), LinAlgError, "is singular"),
    ],
)  # fmt: skip


def _pinv_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    place = layouts[0]
    require_matrices(place, "pinv", square=params[0])
    *batch, rows, columns = place.shape
    batch = list(broadcast_shapes((tuple(batch), layouts[1].shape, layouts[2].shape), "pinv"))
    return layout(place.dtype, (*batch, columns, rows))


def _pinv(x: Array, share: Array, floor: Array, hermitian: bool) -> Array:
    """What is at most ``floor``, or ``share`` of the greatest singular value, counts as zero."""
    if not x.size:
        batch = np.broadcast_shapes(x.shape[:-2], share.shape, floor.shape)
        return np.zeros((*batch, x.shape[-1], x.shape[-2]), x.dtype)
    if hermitian:
        values, left = np.linalg.eigh(x)
        right = np.conj(np.swapaxes(left, -1, -2))
    else:
        left, values, right = np.linalg.svd(x, full_matrices=False)
    size = np.abs(values)
    least = np.maximum(floor, share * size.max(-1))[..., None]
    kept = size > least
    inverse = np.where(kept, 1 / np.where(kept, values, 1), 0)
    back = np.conj(np.swapaxes(right, -1, -2)) * inverse[..., None, :]
    return np.asarray(back @ np.conj(np.swapaxes(left, -1, -2)), x.dtype)


def _pinv_cotangent(x: Tensor, inverse: Tensor, ct: Tensor) -> Tensor:
    """The cotangent of a matrix from that of its pseudo-inverse (of constant rank)."""
    inverse_h, ct_h = adjoint(inverse), adjoint(ct)
    direct = dot(dot(inverse_h, ct), inverse_h)
    rows = dot(dot(ct_h, inverse), inverse_h)
    rows = sub(rows, dot(x, dot(inverse, rows)))
    columns = dot(inverse_h, dot(inverse, ct_h))
    columns = sub(columns, dot(dot(columns, inverse), x))
    return sub(add(rows, columns), direct)


PINV = primitive(
    "pinv", "host", params=("hermitian",), infer=_pinv_infer, saves=("0o", "", ""),
    tolerance=TOLERANCE, reference=iterative("pinv", _pinv),
    vjp=lambda ctx, ct: (_pinv_cotangent(ctx.x[0], ctx.y[0], ct), None, None),
    samples=lambda: [
        Sample((array, np.float32(1e-6), np.float32(0)), (False,))
        for array in (*matrices(3, 2), *matrices(2, 2, 3)[:2])
    ],
    errors=lambda: [
        BadCall((np.ones(3), np.float64(0), np.float64(0)), ShapeError, "at least 2", (False,)),
        BadCall((np.ones((2, 3)), np.float64(0), np.float64(0)), ShapeError, "2 by 3", (True,)),
    ],
)  # fmt: skip


def _solve_shapes(op: str, *, square: bool = True) -> Callable[..., Layout]:
    def infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
        a, b = layouts
        require_matrices(a, op, square=square)
        if b.dtype is not a.dtype:
            raise DTypeError(
                f"linalg.{op}: Expected A and B to have the same dtype, but got A of type "
                f"{a.dtype} and B of type {b.dtype} instead",
                op=op,
            )
        if b.ndim < 2 or b.shape[-2] != a.shape[-2]:
            raise ShapeError(
                f"linalg.{op}: Incompatible shapes of A and B for the equation AX = B "
                f"({'x'.join(map(str, a.shape))} and {'x'.join(map(str, b.shape))})",
                op=op, got=(a.shape, b.shape),
            )  # fmt: skip
        batch = broadcast_shapes((a.shape[:-2], b.shape[:-2]), op)
        return layout(a.dtype, (*batch, a.shape[-1], b.shape[-1]))

    return infer


def _pair_samples(rows: int, columns: int, *params: Any) -> Callable[[], Iterable[Sample]]:
    def samples() -> Iterable[Sample]:
        for a, b in zip(matrices(rows, columns), matrices(rows, 2), strict=True):
            yield Sample((a, b), params)
        yield Sample((matrices(2, rows, columns)[1], matrices(rows, 2)[1]), params)
        yield Sample((matrices(rows, columns)[1], matrices(2, rows, 1)[1]), params)

    return samples


def _pair_errors(op: str, *params: Any) -> list[BadCall]:
    return [
        BadCall((np.eye(2), np.ones((3, 1))), ShapeError, "Incompatible shapes", params),
        BadCall((np.eye(2), np.ones((2, 1), np.float32)), DTypeError, "same dtype", params),
    ]


def _solve_vjp(ctx: Any, ct: Any) -> Any:
    back = solve(adjoint(ctx.x[0]), ct)
    left = None
    if ctx.needs[0]:
        left = sum_to(neg(dot(back, adjoint(ctx.y[0]))), ctx.layout(0).shape)
    return left, sum_to(back, ctx.layout(1).shape) if ctx.needs[1] else None


SOLVE = primitive(
    "solve", "host", infer=_solve_shapes("solve"), vjp=_solve_vjp, saves="0o",
    tolerance=TOLERANCE, batch=matrix_batch,
    reference=lapack("solve", "the input matrix is singular", np.linalg.solve),
    samples=_pair_samples(3, 3),
    errors=lambda: [
        *_pair_errors("solve"),
        BadCall((np.zeros((2, 2)), np.ones((2, 1))), LinAlgError, "is singular"),
    ],
)  # fmt: skip


def _solve_triangular(a: Array, b: Array, upper: bool, unit: bool) -> Array:
    """Substitution row by row; a zero on the diagonal gives infinities, as BLAS does."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    count = a.shape[-1]
    x: Array = np.array(np.broadcast_to(b, (*batch, *b.shape[-2:])))
    with np.errstate(all="ignore"):
        for row in range(count - 1, -1, -1) if upper else range(count):
            known = slice(row + 1, count) if upper else slice(0, row)
            part = a[..., row : row + 1, known] @ x[..., known, :]
            x[..., row, :] -= part[..., 0, :]
            if not unit:
                x[..., row, :] /= a[..., row, row][..., None]
    return x


def _solve_triangular_vjp(ctx: Any, ct: Any) -> Any:
    upper, unit = ctx.params
    back = solve_triangular(adjoint(ctx.x[0]), ct, upper=not upper, unit=unit)
    left = None
    if ctx.needs[0]:
        outer = neg(dot(back, adjoint(ctx.y[0])))
        kept = triu(outer, int(unit)) if upper else tril(outer, -int(unit))
        left = sum_to(kept, ctx.layout(0).shape)
    return left, sum_to(back, ctx.layout(1).shape) if ctx.needs[1] else None


SOLVE_TRIANGULAR = primitive(
    "solve_triangular", "host", params=("upper", "unit"), infer=_solve_shapes("solve_triangular"),
    reference=_solve_triangular, vjp=_solve_triangular_vjp, saves="0o",
    tolerance=TOLERANCE, batch=matrix_batch,
    samples=lambda: [
        *_pair_samples(3, 3, True, False)(), *_pair_samples(3, 3, False, True)(),
    ],
    errors=lambda: _pair_errors("solve_triangular", True, False),
)  # fmt: skip


def _lstsq(a: Array, b: Array, rcond: float) -> Array:
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    x = np.empty((*batch, a.shape[-1], b.shape[-1]), a.dtype)
    left = np.broadcast_to(a, (*batch, *a.shape[-2:]))
    right = np.broadcast_to(b, (*batch, *b.shape[-2:]))
    for place in np.ndindex(*batch):
        x[place] = np.linalg.lstsq(left[place], right[place], rcond)[0]
    return x


def _lstsq_vjp(ctx: Any, ct: Any) -> Any:
    a, b = ctx.x
    inverse = pinv(a, ctx.params[0])
    left = None
    if ctx.needs[0]:
        left = sum_to(_pinv_cotangent(a, inverse, dot(ct, adjoint(b))), ctx.layout(0).shape)
    right = sum_to(dot(adjoint(inverse), ct), ctx.layout(1).shape) if ctx.needs[1] else None
    return left, right


LSTSQ = primitive(
    "lstsq", "host", params=("rcond",), infer=_solve_shapes("lstsq", square=False), saves="01",
    reference=iterative("lstsq", _lstsq), vjp=_lstsq_vjp,
    tolerance=TOLERANCE, batch=matrix_batch,
    samples=lambda: [*_pair_samples(4, 3, 1e-6)(), *_pair_samples(2, 3, 1e-6)()],
    errors=lambda: _pair_errors("lstsq", 1e-6),
)  # fmt: skip


# ---- determinants


def _det_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    require_matrices(layouts[0], "det")
    return layout(layouts[0].dtype, layouts[0].shape[:-2])


def _cofactors(x: Array) -> Array:
    """The derivative of the determinant; from singular values, so singular matrices have it."""
    u, s, vh = np.linalg.svd(x)
    count = s.shape[-1]
    others = np.where(np.eye(count, dtype=bool), 1, s[..., None, :]).prod(-1)
    sign = (np.linalg.det(u) * np.linalg.det(vh))[..., None, None]
    adjugate = sign * ((np.conj(np.swapaxes(vh, -1, -2)) * others[..., None, :])
                       @ np.conj(np.swapaxes(u, -1, -2)))  # fmt: skip
    return np.asarray(np.swapaxes(adjugate, -1, -2))


def _cofactors_vjp(ctx: Any, ct: Any) -> Any:
    """C = det(A) A^-T; where A is regular."""
    cofactors = ctx.y[0]
    inverse_t = swap_axes(inv(ctx.x[0]), -1, -2)
    along = sum_(mul(ct, conj(inverse_t)), (cofactors.layout.ndim - 2, cofactors.layout.ndim - 1))
    along = reshape(along, (*along.layout.shape, 1, 1))
    across = dot(dot(conj(cofactors), swap_axes(ct, -1, -2)), conj(inverse_t))
    return sub(mul(conj(cofactors), along), across)


COFACTORS = primitive(
    "cofactors", "host", infer=_same_shape("det"), vjp=_cofactors_vjp, saves="0o",
    reference=lapack("det", "it did not converge", _cofactors), samples=square_samples(),
    errors=lambda: square_errors("det"), tolerance=TOLERANCE, batch=matrix_batch,
)  # fmt: skip
DET = primitive(
    "det", "host", infer=_det_infer, saves="0", reference=lapack("det", "failed", np.linalg.det),
    vjp=lambda ctx, ct: mul(
        conj(call.apply(COFACTORS, ctx.x[0])), reshape(ct, (*ct.layout.shape, 1, 1))
    ),
    samples=square_samples(), errors=lambda: square_errors("det"),
    tolerance=TOLERANCE, batch=matrix_batch,
)  # fmt: skip


def _slogdet_infer(layouts: tuple[Layout, ...], params: Params) -> tuple[Layout, ...]:
    place = layouts[0]
    require_matrices(place, "slogdet")
    return layout(place.dtype, place.shape[:-2]), layout(real_of(place.dtype), place.shape[:-2])


def _slogdet_vjp(ctx: Any, ct_sign: Any, ct: Any) -> Any:
    x, sign = ctx.x[0], ctx.y[0]
    if sign.layout.dtype.is_complex:
        ct = complex_(ct, imag(mul(ct_sign, conj(sign))))
    return mul(adjoint(inv(x)), reshape(ct, (*ct.layout.shape, 1, 1)))


SLOGDET = primitive(
    "slogdet", "host", infer=_slogdet_infer, vjp=_slogdet_vjp, saves="0o",
    tolerance=TOLERANCE, batch=matrix_batch,
    reference=lapack("slogdet", "failed", np.linalg.slogdet), samples=square_samples(),
    errors=lambda: square_errors("slogdet"),
)  # fmt: skip


# ---- the matrix exponential


def _matrix_exp(x: Array) -> Array:
    """Scaling and squaring of a Taylor polynomial, exact to the last place at norm 1/2."""
    wide = x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)
    size = np.abs(wide).sum(-2).max(initial=0.0)
    halvings = max(0, int(np.ceil(np.log2(size))) + 1) if 0 < size < np.inf else 0
    wide = wide / 2.0**halvings
    result = np.broadcast_to(np.eye(x.shape[-1], dtype=wide.dtype), wide.shape)
    for order in range(17, 0, -1):
        result = np.eye(x.shape[-1]) + wide @ result / order
    for _ in range(halvings):
        result = result @ result
    return np.asarray(result)


def _matrix_exp_vjp(ctx: Any, ct: Any) -> Any:
    """exp([[A^H, G], [0, A^H]]) holds the adjoint derivative in its upper right block."""
    a = adjoint(ctx.x[0])
    count = a.layout.shape[-1]
    last = a.layout.ndim - 1
    upper = concatenate((a, ct), last)
    lower = concatenate((mul(a, 0.0), a), last)
    whole = matrix_exp(concatenate((upper, lower), last - 1))
    return narrow(narrow(whole, last - 1, 0, count), last, count, count)


MATRIX_EXP = primitive(
    "matrix_exp", "host", infer=_same_shape("matrix_exp"), vjp=_matrix_exp_vjp, saves="0",
    reference=lapack("matrix_exp", "failed", _matrix_exp), samples=square_samples(),
    errors=lambda: square_errors("matrix_exp"), tolerance=TOLERANCE, batch=matrix_batch,
)  # fmt: skip


# ---- the functions


def cholesky(x: Tensor) -> Tensor:
    """The lower factor L of L L^H; the lower triangle is read. LinAlgError where there is none."""
    return call.current.apply1(CHOLESKY, x, ())


def inv(x: Tensor) -> Tensor:
    """The inverse of each matrix; LinAlgError for a singular one."""
    return call.current.apply1(INV, x, ())


def pinv(x: Tensor, rcond: Any = 1e-15, floor: Any = 0.0, hermitian: bool = False) -> Tensor:
    """The pseudo-inverse; values below ``floor``, or ``rcond`` times the largest, count as zero."""
    real = real_of(x.layout.dtype)
    bounds = [b if isinstance(b, Tensor) else constant(b, real) for b in (rcond, floor)]
    return call.current.apply(PINV, (x, *bounds), (hermitian,))


def solve(a: Tensor, b: Tensor) -> Tensor:
    """X of A X = B for square A and matrices B (batches broadcast); LinAlgError if singular."""
    return call.current.apply2(SOLVE, a, b, ())


def solve_triangular(a: Tensor, b: Tensor, upper: bool, unit: bool = False) -> Tensor:
    """X of A X = B where only one triangle of A is read, with ones on its diagonal if ``unit``."""
    return call.current.apply2(SOLVE_TRIANGULAR, a, b, (upper, unit))


def lstsq(a: Tensor, b: Tensor, rcond: float = 1e-15) -> Tensor:
    """X of least norm that minimises |A X - B|."""
    return call.current.apply2(LSTSQ, a, b, (rcond,))


def det(x: Tensor) -> Tensor:
    """The determinant of each matrix."""
    return call.current.apply1(DET, x, ())


def slogdet(x: Tensor) -> tuple[Tensor, Tensor]:
    """The determinant's sign (or phase) and the logarithm of its size."""
    return call.current.apply1(SLOGDET, x, ())


def matrix_exp(x: Tensor) -> Tensor:
    """The exponential of each matrix."""
    return call.current.apply1(MATRIX_EXP, x, ())


def eye(shape: Shape, dtype: Any) -> Tensor:
    """Ones on the diagonal of the last two axes of ``shape``."""
    count = shape[-2:]
    one = cast(ne(iota(count, 0), iota(count, 1)), dtype)
    return sub(1, one)


def matrix_power(x: Tensor, exponent: int) -> Tensor:
    """Each matrix times itself, by squaring; a negative exponent inverts first."""
    require_matrices(x.layout, "matrix_power")
    if exponent < 0:
        x, exponent = inv(x), -exponent
    result: Tensor | None = None
    while exponent:
        if exponent & 1:
            result = x if result is None else dot(result, x)
        exponent >>= 1
        if exponent:
            x = dot(x, x)
    if result is None:
        return add(mul(x, 0.0), eye(x.layout.shape, x.layout.dtype))
    return result
