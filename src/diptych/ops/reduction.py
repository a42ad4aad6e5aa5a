"""Reductions over any axes: sums, products, extrema, truth, positions; means and variances."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from diptych.core import call, dtypes
from diptych.core.dtypes import ALL, NUMERIC, REAL, DType, bool_, int64
from diptych.core.layout import Layout, Shape, layout
from diptych.core.operation import (
    BadCall,
    Composite,
    NoBatching,
    NotDifferentiable,
    Params,
    Primitive,
    Sample,
    Tolerance,
)
from diptych.core.tensor import Tensor
from diptych.errors import ArgumentError, DTypeError, UnsupportedDTypeError
from diptych.ops.arithmetic import add, conj, div, mul, square, sub, zeros_like
from diptych.ops.comparison import eq
from diptych.ops.families import draw, hooks, primitive
from diptych.ops.select import cast, constant, where

# Reductions drop the reduced axes; keeping them is a reshape, which costs nothing.


def kept_shape(shape: Shape, axes: Shape) -> Shape:
    """The shape left after reducing ``axes``."""
    return tuple(extent for axis, extent in enumerate(shape) if axis not in axes)


def ones_shape(shape: Shape, axes: Shape) -> Shape:
    """The shape after reducing ``axes`` with each kept as an axis of extent 1."""
    return tuple(1 if axis in axes else extent for axis, extent in enumerate(shape))


def _reduction(
    name: str,
    *,
    accepts: tuple[DType, ...],
    reference: Callable[..., Any],
    vjp: Any,
    saves: str | tuple[str, ...] = "",
    result: DType | None = None,
    empty: bool = True,
    tolerance: Tolerance | None = None,
) -> Primitive:
    """Declare a reduction over ``axes`` in ``dtype``; ``empty``: whether it may reduce nothing."""

    def infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
        axes, dtype = params
        place = layouts[0]
        if dtype not in accepts:
            raise UnsupportedDTypeError(
                f"\"{name}\" not implemented for '{dtype}'", op=name, got=dtype
            )
        if not empty and any(place.shape[axis] == 0 for axis in axes):
            raise ArgumentError(
                f"{name}(): Expected reduction dim to be specified for input.numel() == 0, or to "
                f"have a non-zero size; got shape {list(place.shape)}, axes {axes}.",
                op=name,
            )
        return layout(result or dtype, kept_shape(place.shape, axes))

    def samples() -> Iterable[Sample]:
        for dtype in accepts:
            generator = np.random.default_rng(dtype.index)
            storage = dtype if dtype.exact else dtypes.float32
            for shape, axes in [((7,), (0,)), ((5, 37), (1,)), ((5, 37), (0,)), ((3, 4, 5), (0, 2)),
                                ((70, 3), (0, 1)), ((), ())]:  # fmt: skip
                array = draw(generator, shape, storage, (-2.0, 2.0))
                if not dtype.exact:
                    array = dtypes.float32_to_bfloat16(array)
                yield Sample((array,), (axes, dtype))
            if empty:
                yield Sample((np.zeros((0, 3), dtype.numpy),), ((0,), dtype))

    def errors() -> Iterable[BadCall]:
        if not empty:
            yield BadCall(
                (np.zeros((0, 3), np.float32),),
                ArgumentError,
                "non-zero size",
                ((0,), dtypes.float32),
            )
        outside = next((d for d in ALL if d not in accepts), None)
        if outside is not None:
            yield BadCall(
                (np.zeros(3, outside.numpy),), DTypeError, "not implemented", ((0,), outside)
            )

    return primitive(
        name, "reduction", params=("axes", "dtype"), infer=infer, reference=reference, vjp=vjp,
        saves=saves, samples=samples, errors=errors, lower=name, batch=reduction_batch,
        tolerance=tolerance or Tolerance({"float32": 2e-5, "complex64": 2e-5}),
    )  # fmt: skip


def reduction_batch(
    op: Primitive, operands: tuple[Any, ...], axes: tuple[int | None, ...], params: Params
) -> tuple[Any, int]:
    """Batch by moving the mapped axis to the front and shifting the reduced ones."""
    x = hooks.move_axis(operands[0], axes[0] or 0, 0)  # its one operand is the mapped one
    shifted = tuple(axis + 1 for axis in params[0])
    return call.current.apply1(op, x, (shifted, *params[1:])), 0


def _spread(ct: Tensor, ctx: Any) -> Tensor:
    """A cotangent or output of a reduction, broadcast back over the reduced axes."""
    shape = ctx.layout(0).shape
    return spread(ct, shape, ctx.params[0])


def spread(x: Tensor, shape: Shape, axes: Shape) -> Tensor:
    """``x`` with the reduced ``axes`` put back as broadcast axes, to ``shape``."""
    kept = hooks.reshape(x, ones_shape(shape, axes))
    return hooks.broadcast_to(kept, shape)


def _sum_vjp(ctx: Any, ct: Any) -> Any:
    place = ctx.layout(0)
    grown = _spread(ct, ctx)
    if grown.layout.dtype.is_complex and not place.dtype.is_complex:
        grown = hooks.real(grown)
    return cast(grown, place.dtype)


def _prod_vjp(ctx: Any, ct: Any) -> Any:
    """ct * prod(others): by division where no element is zero, else by masked products."""
    x = ctx.x[0]
    dtype = ctx.params[1]
    axes = ctx.params[0]
    x = cast(x, dtype)
    zero = eq(x, 0.0)
    without = where(zero, 1.0, x)
    product = spread(prod(without, axes), x.layout.shape, axes)
    zeros = spread(sum_(cast(zero, int64), axes), x.layout.shape, axes)
    # No zero: product / x. One zero: only its own slot gets the product of the others.
    slope = where(
        eq(zeros, 0), div(product, without), where(zero, where(eq(zeros, 1), product, 0.0), 0.0)
    )
    return cast(mul(_spread(ct, ctx), conj(slope)), ctx.layout(0).dtype)


def _extremum_vjp(ctx: Any, ct: Any) -> Any:
    """The cotangent shared evenly among the elements that attain it, as PyTorch's amax."""
    x, y = ctx.x[0], ctx.y[0]
    axes = ctx.params[0]
    hit = eq(x, spread(y, x.layout.shape, axes))
    count = sum_(cast(hit, ct.layout.dtype), axes)
    share = spread(div(ct, count), x.layout.shape, axes)
    return where(hit, share, 0.0)


def _accumulating(function: Callable[..., Any]) -> Callable[..., Any]:
    """A NumPy reduction that keeps its sum in the given dtype."""

    def reduce(x: Any, axes: Shape, dtype: DType) -> Any:
        kind = dtype.numpy if dtype.exact else np.dtype(np.float32)
        if dtype is dtypes.float16:
            kind = np.dtype(np.float32)
        with np.errstate(all="ignore"):
            return function(x, axis=axes, dtype=kind)

    return reduce


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    def reduce(x: Any, axes: Shape, dtype: DType) -> Any:
        with np.errstate(all="ignore"):
            return function(x, axis=axes)

    return reduce


SUM = _reduction("sum", accepts=(bool_, *NUMERIC), reference=_accumulating(np.sum), vjp=_sum_vjp)
PROD = _reduction(
    "prod", accepts=(bool_, *NUMERIC), reference=_accumulating(np.prod), vjp=_prod_vjp, saves="0"
)
MAX = _reduction(
    "max",
    accepts=(bool_, *REAL),
    reference=_plain(np.max),
    vjp=_extremum_vjp,
    saves="0o",
    empty=False,
)
MIN = _reduction(
    "min",
    accepts=(bool_, *REAL),
    reference=_plain(np.min),
    vjp=_extremum_vjp,
    saves="0o",
    empty=False,
)
_TRUTH = NotDifferentiable("its result is a truth value")
ANY = _reduction("any", accepts=(bool_,), reference=_plain(np.any), vjp=_TRUTH)
ALL_ = _reduction("all", accepts=(bool_,), reference=_plain(np.all), vjp=_TRUTH)


# ---- positions: over one axis


def _position(name: str, function: Callable[..., Any]) -> Primitive:
    def infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
        place, axis = layouts[0], params[0]
        if place.dtype not in REAL and place.dtype is not bool_:
            raise UnsupportedDTypeError(f"\"{name}\" not implemented for '{place.dtype}'", op=name)
        if place.shape[axis] == 0:
            raise ArgumentError(
                f"{name}(): Expected reduction dim {axis} to have non-zero size.", op=name
            )
        return layout(int64, kept_shape(place.shape, (axis,)))

    def samples() -> Iterable[Sample]:
        for dtype in (bool_, *REAL):
            generator = np.random.default_rng(dtype.index)
            storage = dtype if dtype.exact else dtypes.float32
            for shape, axis in [((7,), 0), ((5, 37), 1), ((40, 6), 0)]:
                array = draw(generator, shape, storage, (-2.0, 2.0))
                yield Sample(
                    (array if dtype.exact else dtypes.float32_to_bfloat16(array),), (axis,)
                )
        yield Sample((np.array([1.0, np.nan, 3.0, np.nan], np.float32),), (0,))

    return primitive(
        name, "reduction", params=("axis",), infer=infer,
        reference=lambda x, axis: function(x, axis=axis),
        vjp=NotDifferentiable("its result is a position"), samples=samples, lower=name,
        errors=lambda: [BadCall((np.zeros((0, 2), np.float32),), ArgumentError, "non-zero", (0,))],
    )  # fmt: skip


ARGMAX = _position("argmax", np.argmax)
ARGMIN = _position("argmin", np.argmin)


# ---- the functions: ``axes`` counted from the front and in order; None means all


def _all_axes(x: Tensor, axes: Shape | None) -> Shape:
    return tuple(range(x.layout.ndim)) if axes is None else axes


def sum_(x: Tensor, axes: Shape | None = None, dtype: DType | None = None) -> Tensor:
    """The sum over ``axes``, kept and returned in ``dtype`` (the tensor's own unless given)."""
    return call.current.apply1(SUM, x, (_all_axes(x, axes), dtype or x.layout.dtype))


def prod(x: Tensor, axes: Shape | None = None, dtype: DType | None = None) -> Tensor:
    """The product over ``axes``."""
    return call.current.apply1(PROD, x, (_all_axes(x, axes), dtype or x.layout.dtype))


def max_(x: Tensor, axes: Shape | None = None) -> Tensor:
    """The largest element over ``axes``; NaN wins."""
    return call.current.apply1(MAX, x, (_all_axes(x, axes), x.layout.dtype))


def min_(x: Tensor, axes: Shape | None = None) -> Tensor:
    """The smallest element over ``axes``; NaN wins."""
    return call.current.apply1(MIN, x, (_all_axes(x, axes), x.layout.dtype))


def any_(x: Tensor, axes: Shape | None = None) -> Tensor:
    """Whether any element is nonzero."""
    return call.current.apply1(ANY, x, (_all_axes(x, axes), bool_))


def all_(x: Tensor, axes: Shape | None = None) -> Tensor:
    """Whether all elements are nonzero."""
    return call.current.apply1(ALL_, x, (_all_axes(x, axes), bool_))


def argmax(x: Tensor, axis: int) -> Tensor:
    """The first position of the largest element along an axis (int64); a NaN wins."""
    return call.current.apply1(ARGMAX, x, (axis,))


def argmin(x: Tensor, axis: int) -> Tensor:
    """The first position of the smallest element along an axis (int64); a NaN wins."""
    return call.current.apply1(ARGMIN, x, (axis,))


def count(shape: Shape, axes: Shape) -> int:
    """How many elements a reduction over ``axes`` joins."""
    return math.prod(shape[axis] for axis in axes)


def mean(x: Tensor, axes: Shape | None = None, dtype: DType | None = None) -> Tensor:
    """The mean over ``axes`` (NaN of nothing)."""
    axes = _all_axes(x, axes)
    total = sum_(x, axes, dtype)
    return div(total, float(count(x.layout.shape, axes)))


def _variance(x: Tensor, axes: Shape, correction: float) -> Tensor:
    shape = x.layout.shape
    if not x.layout.dtype.is_inexact:
        raise DTypeError(f"\"variance\" not implemented for '{x.layout.dtype}'", op="variance")
    centre = sub(x, spread(mean(x, axes), shape, axes))
    if centre.layout.dtype.is_complex:
        squares = hooks.real(mul(centre, conj(centre)))
    else:
        squares = square(centre)
    number = max(count(shape, axes) - correction, 0.0)
    return div(sum_(squares, axes), float(number))


def _variance_samples() -> Iterable[Sample]:
    for dtype in (dtypes.float32, dtypes.float64):
        generator = np.random.default_rng(dtype.index)
        for shape, axes in [((7,), (0,)), ((5, 37), (1,)), ((5, 37), (0,)), ((3, 4, 5), (0, 2))]:
            yield Sample((draw(generator, shape, dtype, (-2.0, 2.0)),), (axes, 1.0))
    yield Sample((np.ones((2, 3), np.float32),), ((0, 1), 0.0))


VARIANCE = Composite(
    "variance", forward=_variance, params=("axes", "correction"), samples=_variance_samples,
    tolerance=Tolerance({"float32": 2e-5}),
    errors=lambda: [BadCall((np.ones(3, np.int32),), DTypeError, "not implemented", ((0,), 1.0))],
    batch=NoBatching("it is batched through the operations it is made of"),
)  # fmt: skip


def variance(x: Tensor, axes: Shape | None = None, correction: float = 1.0) -> Tensor:
    """The variance over ``axes``, in two passes; ``correction`` is taken from the count."""
    return call.current.apply1(VARIANCE, x, (_all_axes(x, axes), correction))


def with_zero_gradient(value: Tensor, *operands: Tensor) -> Tensor:
    """``value`` itself, on the tape with a gradient of zero for the operands that want one."""
    for x in operands:
        if x.node is None:
            continue
        if x.layout.shape == value.layout.shape and x.layout.dtype is value.layout.dtype:
            value = where(constant(False, bool_), x, value)
        else:
            value = add(value, sum_(zeros_like(x)), value.layout.dtype)
    return value
