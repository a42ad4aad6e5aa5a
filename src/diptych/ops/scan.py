"""Cumulative operations along an axis: sums, products, log-sum-exp, extrema and their places."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from diptych.core import call, dtypes
from diptych.core.dtypes import FLOATS, NUMERIC, REAL, DType, bool_, int64
from diptych.core.layout import Layout, layout
from diptych.core.operation import BadCall, Params, Primitive, Sample, Tolerance
from diptych.core.tensor import Tensor
from diptych.errors import AxisError, DTypeError
from diptych.ops.arithmetic import add, conj, div, mul, neg, sub
from diptych.ops.comparison import eq, gt, logical_and
from diptych.ops.families import draw, hooks, primitive
from diptych.ops.indexing import scatter, zeros
from diptych.ops.movement import flip, reshape
from diptych.ops.select import cast, real, where
from diptych.ops.transcendental import exp, log

Array = np.ndarray[Any, Any]


def require_axis(place: Layout, axis: int, op: str) -> None:
    """Raise AxisError unless ``axis`` counts an axis from the front; a 0-d tensor has axis 0."""
    if not 0 <= axis < max(place.ndim, 1):
        raise AxisError(op=op, argument="axis", got=axis, expected=f"0 to {max(place.ndim, 1) - 1}")


def along_axis_batch(
    op: Primitive, operands: tuple[Any, ...], axes: tuple[int | None, ...], params: Params
) -> tuple[Any, int]:
    """Batch an operation along one axis (its first parameter): the mapped axis goes first."""
    x = hooks.move_axis(operands[0], axes[0] or 0, 0)
    if x.layout.ndim > 1:
        return call.current.apply1(op, x, (params[0] + 1, *params[1:])), 0
    # Each slice is 0-d, which counts as a row of one.
    extent = x.layout.shape[0]
    result = call.current.apply1(op, reshape(x, (extent, 1)), (1, *params[1:]))
    if isinstance(result, tuple):
        return tuple([reshape(part, (extent,)) for part in result]), 0
    return reshape(result, (extent,)), 0


def axis_samples(
    accepts: tuple[DType, ...], params: Callable[[int, DType], Params], domain: tuple[float, float]
) -> Iterable[Sample]:
    """Operands over dtypes and shapes; ``params`` gives the parameters of an axis and a dtype."""
    for dtype in accepts:
        generator = np.random.default_rng(dtype.index)
        storage = dtype if dtype.exact else dtypes.float32
        shapes: list[tuple[tuple[int, ...], int]] = [((7,), 0), ((), 0)]
        if dtype in (dtypes.float32, dtypes.int64):
            shapes += [((3, 5), 1), ((4, 1, 3), 0), ((0, 3), 0), ((3, 0), 0)]
        for shape, axis in shapes:
            array = draw(generator, shape, storage, domain)
            if not dtype.exact:
                array = dtypes.float32_to_bfloat16(array)
            yield Sample((array,), params(axis, dtype))


def _scan(
    name: str, *, accepts: tuple[DType, ...], reference: Callable[..., Any], vjp: Any,
    saves: str = "", domain: tuple[float, float] = (-2.0, 2.0), tolerance: Tolerance | None = None,
) -> Primitive:  # fmt: skip
    """Declare a running reduction along ``axis`` that computes in ``dtype``."""

    def infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
        axis, dtype = params
        require_axis(layouts[0], axis, name)
        if dtype not in accepts:
            raise DTypeError(f"\"{name}\" not implemented for '{dtype}'", op=name, got=dtype)
        return layout(dtype, layouts[0].shape)

    def errors() -> Iterable[BadCall]:
        yield BadCall((np.zeros(2, np.float32),), AxisError, name, (1, dtypes.float32))
        yield BadCall((np.zeros(2, bool),), DTypeError, "not implemented", (0, bool_))

    return primitive(
        name, "scan", lower="scan", params=("axis", "dtype"), infer=infer, reference=reference,
        vjp=vjp, saves=saves, errors=errors, batch=along_axis_batch,
        samples=lambda: axis_samples(accepts, lambda axis, dtype: (axis, dtype), domain),
        tolerance=tolerance,
    )  # fmt: skip


def _in_wide(function: Callable[..., Any]) -> Callable[..., Any]:
    """A NumPy accumulation that keeps its running value in the widest dtype of its kind."""
    wide = {"f": np.float64, "c": np.complex128}

    def accumulate(x: Array, axis: int, dtype: DType) -> Any:
        kind = wide[dtype.kind] if dtype.is_inexact else dtype.numpy
        with np.errstate(all="ignore"):
            if x.dtype.kind == "c" and not dtype.is_complex:
                x = x.real
            return function(np.atleast_1d(x), axis=axis, dtype=kind).reshape(x.shape)

    return accumulate


def _to_operand(ctx: Any, value: Tensor) -> Tensor:
    """A cotangent in the dtype of the operand it belongs to."""
    dtype = ctx.layout(0).dtype
    return cast(value if dtype.is_complex else real(value), dtype)


def _reversed_cumsum(x: Tensor, axis: int) -> Tensor:
    if not x.layout.ndim:
        return x
    return flip(cumsum(flip(x, (axis,)), axis), (axis,))


CUMSUM = _scan(
    "cumsum", accepts=NUMERIC, reference=_in_wide(np.cumsum),
    vjp=lambda ctx, ct: _to_operand(ctx, _reversed_cumsum(ct, ctx.params[0])),
)  # fmt: skip


def _cumprod_vjp(ctx: Any, ct: Any) -> Any:
    """Before the first zero by division; at it, from products that leave it out; after it, zero."""
    axis, dtype = ctx.params
    x = cast(ctx.x[0], dtype)
    zero = eq(x, 0.0)
    seen = cumsum(cast(zero, int64), axis)
    first = logical_and(zero, eq(seen, 1))
    whole = _reversed_cumsum(mul(ct, conj(ctx.y[0])), axis)
    without = cumprod(where(first, 1.0, x), axis)
    rest = _reversed_cumsum(mul(ct, conj(without)), axis)
    before = div(whole, conj(where(zero, 1.0, x)))
    return _to_operand(ctx, where(eq(seen, 0), before, where(first, rest, 0.0)))


CUMPROD = _scan(
    "cumprod", accepts=NUMERIC, reference=_in_wide(np.cumprod), vjp=_cumprod_vjp, saves="0o"
)


def _logcumsumexp(x: Array, axis: int, dtype: DType) -> Any:
    wide = np.atleast_1d(x).astype(np.float64)
    with np.errstate(all="ignore"):
        return np.logaddexp.accumulate(wide, axis=axis).reshape(x.shape)


def _logcumsumexp_vjp(ctx: Any, ct: Any) -> Any:
    """sum over i >= k of ct_i exp(x_k - y_i), in logarithms; positive and negative parts apart."""
    axis = ctx.params[0]
    x, y = cast(ctx.x[0], ctx.params[1]), ctx.y[0]

    def part(positive: Tensor) -> Any:
        present = gt(positive, 0.0)
        logarithm = where(present, sub(log(where(present, positive, 1.0)), y), -np.inf)
        if logarithm.layout.ndim:
            logarithm = flip(logcumsumexp(flip(logarithm, (axis,)), axis), (axis,))
        return exp(add(logarithm, x))

    return _to_operand(ctx, sub(part(ct), part(neg(ct))))


LOGCUMSUMEXP = _scan(
    "logcumsumexp", accepts=FLOATS, reference=_logcumsumexp, vjp=_logcumsumexp_vjp, saves="0o"
)


# ---- running extrema and where they stand


def _running(name: str, function: Any) -> Primitive:
    def infer(layouts: tuple[Layout, ...], params: Params) -> tuple[Layout, ...]:
        place = layouts[0]
        require_axis(place, params[0], name)
        if place.dtype not in REAL and place.dtype is not bool_:
            raise DTypeError(f"\"{name}\" not implemented for '{place.dtype}'", op=name)
        return layout(place.dtype, place.shape), layout(int64, place.shape)

    def reference(x: Array, axis: int) -> Any:
        row = np.atleast_1d(x)
        best = function.accumulate(row, axis=axis)
        shape = [1] * row.ndim
        shape[axis] = -1
        # The latest position that attains the extremum; once NaN came, the latest NaN.
        attained = (row == best) | (row != row)
        here = np.where(attained, np.arange(row.shape[axis]).reshape(shape), 0)
        return best, np.maximum.accumulate(here, axis=axis)

    def vjp(ctx: Any, ct: Any, _: Any) -> Any:
        return scatter(zeros(ct.layout.shape, ct.layout.dtype), ctx.y[1], ct, ctx.params[0], "add")

    def samples() -> Iterable[Sample]:
        yield from axis_samples((bool_, *REAL), lambda axis, dtype: (axis,), (-2.0, 2.0))
        yield Sample((np.array([1.0, 3.0, np.nan, 4.0, np.nan, 0.0], np.float32),), (0,))

    return primitive(
        name, "scan", lower="scan", params=("axis",), infer=infer, reference=reference, vjp=vjp,
        saves="o", samples=samples, batch=_running_batch,
        errors=lambda: [
            BadCall((np.zeros(2, np.complex64),), DTypeError, "not implemented", (0,)),
            BadCall((np.zeros(2, np.float32),), AxisError, name, (1,)),
        ],
        tolerance=Tolerance({"float32": 0.0, "float64": 0.0}),
    )  # fmt: skip


def _running_batch(
    op: Primitive, operands: tuple[Any, ...], axes: tuple[int | None, ...], params: Params
) -> tuple[Any, tuple[int, int]]:
    result, axis = along_axis_batch(op, operands, axes, params)
    return result, (axis, axis)


CUMMAX = _running("cummax", np.maximum)
CUMMIN = _running("cummin", np.minimum)


# ---- the functions: ``axis`` counted from the front


def cumsum(x: Tensor, axis: int, dtype: DType | None = None) -> Tensor:
    """The running sum along ``axis``, in ``dtype`` (the tensor's own unless given)."""
    return call.current.apply1(CUMSUM, x, (axis, dtype or x.layout.dtype))


def cumprod(x: Tensor, axis: int, dtype: DType | None = None) -> Tensor:
    """The running product along ``axis``."""
    return call.current.apply1(CUMPROD, x, (axis, dtype or x.layout.dtype))


def logcumsumexp(x: Tensor, axis: int) -> Tensor:
    """The logarithm of the running sum of exponentials along ``axis``."""
    return call.current.apply1(LOGCUMSUMEXP, x, (axis, x.layout.dtype))


def cummax(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """The running maximum along ``axis`` and its latest position; NaN stays once it came."""
    return call.current.apply1(CUMMAX, x, (axis,))


def cummin(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """The running minimum along ``axis`` and its latest position; NaN stays once it came."""
    return call.current.apply1(CUMMIN, x, (axis,))
