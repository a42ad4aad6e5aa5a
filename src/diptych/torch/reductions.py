"""Reductions: sums, products, extrema, truth, means, variances, norms, quantiles."""

from __future__ import annotations

import math
import warnings
from typing import Any

from diptych.core import call
from diptych.core import dtypes as engine
from diptych.core.dtypes import DType
from diptych.core.tensor import Tensor as CoreTensor
from diptych.ops import (
    arithmetic,
    comparison,
    decompositions,
    indexing,
    movement,
    reduction,
    select,
    sorting,
    transcendental,
)
from diptych.torch import outputs
from diptych.torch.dtypes import core_of, scalar_name
from diptych.torch.gradient_nodes import label
from diptych.torch.operators import FRACTIONS
from diptych.torch.return_types import make
from diptych.torch.tensor import Tensor, axes_of, axis_of, face

Axes = tuple[int, ...]


def axes_or_all(dim: Any, ndim: int) -> Axes:
    """The axes of a ``dim`` argument: None and () mean all."""
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return tuple(range(ndim))
    axes = axes_of(dim, ndim)
    return axes if ndim else ()


def kept(result: Any, x: CoreTensor, axes: Axes, keepdim: bool) -> Any:
    """A reduction's result with the reduced axes put back as 1 when asked."""
    if not keepdim:
        return result
    return movement.reshape(result, reduction.ones_shape(x.layout.shape, axes))


def _sum_dtype(x: CoreTensor, dtype: Any) -> DType:
    if dtype is not None:
        return core_of(dtype, "sum")
    core = x.layout.dtype
    return core if core.is_inexact else engine.int64


def sum(
    input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, axis: Any = None,
    out: Any = None,
) -> Any:  # fmt: skip
    """The sum over some axes or all."""
    x = input if input.__class__ is Tensor else face(input, "sum")
    if dim is None and axis is None:
        place = x.layout
        core = place.dtype if dtype is None and place.dtype.is_inexact else _sum_dtype(x, dtype)
        axes: Axes = tuple(range(place.ndim))
    else:
        axes = axes_or_all(axis if dim is None else dim, x.layout.ndim)
        core = _sum_dtype(x, dtype)
    result = call.current.apply1(reduction.SUM, x, (axes, core))
    if keepdim:
        result = label(kept(result, x, axes, True), "SumBackward1")
    return result if out is None else outputs.write(out, result, "sum")


def nansum(
    input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None
) -> Any:
    """The sum of what is not NaN."""
    x = face(input, "nansum")
    if x.layout.dtype.is_complex:
        raise RuntimeError("nansum on CPU does not support complex inputs")
    if x.layout.dtype.is_float:
        x = face(select.where(comparison.ne(x, x), 0.0, x), "nansum")
    return sum(x, dim, keepdim, dtype=dtype, out=out)


def prod(
    input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None
) -> Any:
    """The product over one axis or all."""
    x = face(input, "prod")
    axes = axes_or_all(dim, x.layout.ndim)
    core = _sum_dtype(x, dtype)
    result = call.current.apply1(reduction.PROD, x, (axes, core))
    return outputs.finish(kept(result, x, axes, keepdim), out, "prod")


def _mean_dtype(x: CoreTensor, dtype: Any, name: str) -> DType:
    core = x.layout.dtype if dtype is None else core_of(dtype, name)
    if not core.is_inexact:
        what = "Input" if dtype is None else "Optional"
        raise RuntimeError(
            f"{name}(): could not infer output dtype. {what} dtype must be either a floating point "
            f"or complex dtype. Got: {scalar_name(core)}"
        )
    return core


def mean(
    input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, axis: Any = None,
    out: Any = None,
) -> Any:  # fmt: skip
    """The mean over some axes or all (NaN of nothing)."""
    x = input if input.__class__ is Tensor else face(input, "mean")
    core = _mean_dtype(x, dtype, "mean")
    axes = axes_or_all(axis if dim is None else dim, x.layout.ndim)
    result = kept(reduction.mean(x, axes, core), x, axes, keepdim)
    if result.node is not None:
        label(result, "MeanBackward0" if dim is None and axis is None else "MeanBackward1")
    return result if out is None else outputs.write(out, result, "mean")


def nanmean(
    input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None
) -> Any:
    """The mean of what is not NaN."""
    x = face(input, "nanmean")
    total = nansum(x, dim, keepdim, dtype=dtype)
    number = sum(comparison.eq(x, x), dim, keepdim)
    return outputs.finish(arithmetic.div(total, number, total.layout.dtype), out, "nanmean")


def _correction(args: tuple[Any, ...], given: dict[str, Any], name: str) -> Any:
    """dim, correction and keepdim of the overlapping signatures of var and std."""
    values = list(args)
    unbiased = given.pop("unbiased", None)
    if values and isinstance(values[0], bool):
        unbiased = values.pop(0)
    dim = values.pop(0) if values else given.pop("dim", given.pop("axis", None))
    if values:
        unbiased = values.pop(0)
    keepdim = values.pop(0) if values else given.pop("keepdim", False)
    correction = given.pop("correction", None)
    if given:
        raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(given))}'")
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    return dim, correction, keepdim


def _variance(x: Any, dim: Any, correction: Any, name: str) -> tuple[Any, Axes]:
    if not x.layout.dtype.is_inexact:
        raise RuntimeError(f"{name} only support floating point and complex dtypes")
    axes = axes_or_all(dim, x.layout.ndim)
    number = reduction.count(x.layout.shape, axes)
    if number - correction <= 0 and math.prod(reduction.kept_shape(x.layout.shape, axes)):
        warnings.warn(
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the "
            "reduction factor (input numel divided by output numel).",
            UserWarning,
            stacklevel=3,
        )
    return reduction.variance(x, axes, correction), axes


def var(input: Any, *args: Any, out: Any = None, **given: Any) -> Any:
    """The variance; ``correction`` (1) is taken from the count."""
    x = face(input, "var")
    dim, correction, keepdim = _correction(args, given, "var")
    result, axes = _variance(x, dim, correction, "var")
    return outputs.finish(label(kept(result, x, axes, keepdim), "VarBackward0"), out, "var")


def std(input: Any, *args: Any, out: Any = None, **given: Any) -> Any:
    """The standard deviation; ``correction`` (1) is taken from the count."""
    x = face(input, "std")
    dim, correction, keepdim = _correction(args, given, "std")
    result, axes = _variance(x, dim, correction, "std")
    result = kept(transcendental_root(result), x, axes, keepdim)
    return outputs.finish(label(result, "StdBackward0"), out, "std")


def transcendental_root(x: Any) -> Any:
    """The square root whose slope at zero is zero, as PyTorch's std and norms have it."""
    zero = comparison.eq(x, 0.0)
    if x.node is None:
        return arithmetic.sqrt(x)
    root = arithmetic.sqrt(select.where(zero, 1.0, x))
    return face(select.where(zero, 0.0, root), "sqrt")


def var_mean(input: Any, *args: Any, **given: Any) -> tuple[Any, Any]:
    """Variance and mean."""
    dim, correction, keepdim = _correction(args, dict(given), "var_mean")
    return var(input, dim, correction=correction, keepdim=keepdim), mean(input, dim, keepdim)


def std_mean(input: Any, *args: Any, **given: Any) -> tuple[Any, Any]:
    """Standard deviation and mean."""
    dim, correction, keepdim = _correction(args, dict(given), "std_mean")
    return std(input, dim, correction=correction, keepdim=keepdim), mean(input, dim, keepdim)


# ---- extrema


def _nothing(x: CoreTensor, name: str) -> None:
    if not x.layout.size:
        raise RuntimeError(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the "
            "reduction dim with the 'dim' argument."
        )


def _nonempty_axis(x: CoreTensor, axis: int, name: str) -> None:
    if x.layout.ndim and x.layout.shape[axis] == 0:
        raise IndexError(f"{name}(): Expected reduction dim {axis} to have non-zero size.")


_KERNELS = {"max": "max_all", "min": "min_all", "amax": "max_values_cpu", "amin": "min_values_cpu"}


def _ordered(x: CoreTensor, name: str) -> None:
    if x.layout.dtype.is_complex:
        word = scalar_name(x.layout.dtype)
        raise NotImplementedError(f"\"{_KERNELS.get(name, name)}\" not implemented for '{word}'")


def _extremum(name: str, whole: Any, position: Any, pair: str) -> Any:
    def function(input: Any, *args: Any, out: Any = None, **given: Any) -> Any:
        x = face(input, name)
        values = list(args)
        other = given.pop("other", None)
        if values and isinstance(values[0], CoreTensor):
            other = values.pop(0)
        if other is not None:
            return getattr(x, pair)(other)
        dim = values.pop(0) if values else given.pop("dim", given.pop("axis", None))
        keepdim = values.pop(0) if values else given.pop("keepdim", False)
        if given:
            raise TypeError(f"{name}() got an unexpected keyword argument '{next(iter(given))}'")
        _ordered(x, name)
        if dim is None:
            _nothing(x, name)
            result = label(whole(x), f"{name.capitalize()}Backward1")
            return outputs.finish(result, out, name)
        axis = axis_of(dim, x.layout.ndim)
        _nonempty_axis(x, axis, name)
        chosen, places = _chosen(x, axis, position, keepdim)
        if out is not None:
            chosen = outputs.write(out[0], chosen, name)
            places = outputs.write(out[1], places, name)
        return make(name, (label(chosen, f"{name.capitalize()}Backward0"), places))

    function.__name__ = function.__qualname__ = name
    return function


def _chosen(x: Any, axis: int, position: Any, keepdim: bool) -> tuple[Any, Any]:
    """The extremum along an axis, its gradient going to the position it was found at."""
    if not x.layout.ndim:
        return movement.reshape(select.copy(x), ()), position(movement.reshape(x, (1,)), 0)
    if not keepdim:
        op = sorting.MAX_ALONG if position is reduction.argmax else sorting.MIN_ALONG
        return call.current.apply1(op, x, (axis,))
    places = position(x, axis)
    grown = movement.reshape(places, reduction.ones_shape(x.layout.shape, (axis,)))
    values = indexing.take_along(x, grown, axis)
    return values, grown


max = _extremum("max", reduction.max_, reduction.argmax, "maximum")
min = _extremum("min", reduction.min_, reduction.argmin, "minimum")


def _over_axes(name: str, function: Any) -> Any:
    def reduce(input: Any, dim: Any = None, keepdim: bool = False, *, out: Any = None) -> Any:
        x = face(input, name)
        axes = axes_or_all(dim, x.layout.ndim)
        _ordered(x, name)
        for axis in axes:
            if not x.layout.shape[axis]:
                if dim is None or dim == ():
                    raise RuntimeError(
                        f"{name}(): Expected reduction dim to be specified for input.numel() == 0. "
                        "Specify the reduction dim with the 'dim' argument."
                    )
                _nonempty_axis(x, axis, name)
        return outputs.finish(kept(function(x, axes), x, axes, keepdim), out, name)

    reduce.__name__ = reduce.__qualname__ = name
    return reduce


amax = _over_axes("amax", reduction.max_)
amin = _over_axes("amin", reduction.min_)


def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False, out: Any = None) -> Any:
    """The smallest and the largest element."""
    return make("aminmax", (amin(input, dim, keepdim), amax(input, dim, keepdim)))


def _arg(name: str, function: Any) -> Any:
    def position(
        input: Any, dim: int | None = None, keepdim: bool = False, *, axis: Any = None,
        out: Any = None,
    ) -> Any:  # fmt: skip
        x = face(input, name)
        dim = axis if dim is None else dim
        _ordered(x, name)
        if x.layout.dtype is engine.bool_:
            raise RuntimeError(f"{name}(): does not support bool input")
        if dim is None:
            if not x.layout.size:
                raise IndexError(
                    f"{name}(): Expected reduction dim to be specified for input.numel() == 0."
                )
            result = function(movement.reshape(x, (x.layout.size,)), 0)
            if keepdim:
                result = movement.reshape(result, (1,) * x.layout.ndim)
        else:
            along = axis_of(dim, x.layout.ndim)
            _nonempty_axis(x, along, name)
            if not x.layout.ndim:
                return outputs.finish(function(movement.reshape(x, (1,)), 0), out, name)
            result = kept(function(x, along), x, (along,), keepdim)
        return outputs.finish(result, out, name)

    position.__name__ = position.__qualname__ = name
    return position


argmax = _arg("argmax", reduction.argmax)
argmin = _arg("argmin", reduction.argmin)


# ---- truth and counts


def _truth(name: str, function: Any) -> Any:
    def reduce(
        input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None, out: Any = None
    ) -> Any:
        x = face(input, name)
        axes = axes_or_all(axis if dim is None else dim, x.layout.ndim)
        result = kept(function(x, axes), x, axes, keepdim)
        if x.layout.dtype is engine.uint8:  # PyTorch keeps uint8 here
            result = select.cast(result, engine.uint8)
        return outputs.finish(result, out, name)

    reduce.__name__ = reduce.__qualname__ = name
    return reduce


any = _truth("any", reduction.any_)
all = _truth("all", reduction.all_)


def count_nonzero(input: Any, dim: Any = None) -> Any:
    """How many elements are not zero."""
    x = face(input, "count_nonzero")
    return sum(comparison.ne(x, 0), dim)


# ---- norms and logarithms of sums


def vector_norm(
    x: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None,
    out: Any = None,
) -> Any:  # fmt: skip
    """torch.linalg.vector_norm: the norm of all elements, or over axes."""
    x = face(x, "linalg.vector_norm")
    core = x.layout.dtype if dtype is None else core_of(dtype)
    if not core.is_inexact:
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{scalar_name(core)}"
        )
    x = select.cast(x, core)
    axes = axes_or_all(dim, x.layout.ndim)
    if ord in (math.inf, -math.inf) and not reduction.count(x.layout.shape, axes):
        raise RuntimeError(
            f"linalg.vector_norm cannot compute the {ord} norm on an empty tensor because the "
            "operation does not have an identity"
        )
    result = kept(decompositions.vector_norm(x, ord, axes), x, axes, keepdim)
    return outputs.finish(label(result, "LinalgVectorNormBackward0"), out, "linalg.vector_norm")


def norm(
    input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, out: Any = None,
    dtype: Any = None,
) -> Any:  # fmt: skip
    """The p-norm (by default the square root of the sum of squares)."""
    if p is None or p == "fro":
        p = 2
    if p == "nuc":
        return _nuclear(face(input, "norm"), dim, keepdim, out)
    x = face(input, "norm")
    if not x.layout.dtype.is_inexact and dtype is None:
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{scalar_name(x.layout.dtype)}"
        )
    return vector_norm(x, p, dim, keepdim, dtype=dtype, out=out)


def _nuclear(x: Any, dim: Any, keepdim: bool, out: Any) -> Any:
    """The sum of the singular values of the matrices over two axes."""
    dims = tuple(range(x.layout.ndim)) if dim is None else tuple(dim)
    if len(dims) != 2:
        raise RuntimeError(f"norm: the nuclear norm needs two dims, got {len(dims)}")
    first, second = (axis_of(d, x.layout.ndim) for d in dims)
    moved = x.movedim((first, second), (-2, -1))
    values = decompositions.svdvals(moved)
    result = reduction.sum_(values, (values.layout.ndim - 1,))
    axes = (first, second) if first < second else (second, first)
    return outputs.finish(kept(result, x, axes, keepdim), out, "norm")


def dist(input: Any, other: Any, p: float = 2) -> Any:
    """The p-norm of the difference."""
    return norm(face(input, "dist") - other, p)


def logsumexp(input: Any, dim: Any, keepdim: bool = False, *, out: Any = None) -> Any:
    """log(sum(exp(x))) without overflow."""
    x = face(input, "logsumexp")
    core = FRACTIONS[x.layout.dtype][0]
    if core.is_complex:
        raise NotImplementedError(
            "torch.logsumexp of complex tensors is not implemented in diptych"
        )
    x = select.cast(x, core)  # type: ignore[assignment]
    axes = axes_or_all(dim, x.layout.ndim)
    shape = x.layout.shape
    if not x.layout.size:
        result = transcendental.log(reduction.sum_(x, axes))
    else:
        top = reduction.max_(x, axes).detach()  # type: ignore[attr-defined]
        infinite = comparison.eq(arithmetic.abs_(top), math.inf)
        top = select.where(infinite, 0.0, top)
        gap = transcendental.exp(arithmetic.sub(x, reduction.spread(top, shape, axes)))
        result = arithmetic.add(transcendental.log(reduction.sum_(gap, axes)), top)
    result = kept(result, x, axes, keepdim)
    return outputs.finish(label(result, "LogsumexpBackward0"), out, "logsumexp")


# ---- middles


def _middle(name: str, function: Any) -> Any:
    def reduce(input: Any, dim: Any = None, keepdim: bool = False, *, out: Any = None) -> Any:
        x = face(input, name)
        if dim is None:
            if not x.layout.size:
                return make_nan(x)
            flat = movement.reshape(x, (x.layout.size,))
            return function(flat, 0)[0]
        axis = axis_of(dim, x.layout.ndim)
        values, places = function(x, axis)
        return make(name, (kept(values, x, (axis,), keepdim), kept(places, x, (axis,), keepdim)))

    reduce.__name__ = reduce.__qualname__ = name
    return reduce


def make_nan(x: Any) -> Any:
    """NaN in a tensor's dtype: the median of nothing."""
    return x.new_full((), math.nan if x.layout.dtype.is_float else -(1 << 63))


median = _middle("median", sorting.median)
nanmedian = _middle("nanmedian", lambda x, axis: sorting.median(x, axis, True))


def mode(input: Any, dim: int = -1, keepdim: bool = False, *, out: Any = None) -> Any:
    """The most frequent value along an axis and a place where it stands."""
    x = face(input, "mode")
    axis = axis_of(dim, x.layout.ndim)
    values, places = sorting.mode(x, axis)
    return make("mode", (kept(values, x, (axis,), keepdim), kept(places, x, (axis,), keepdim)))


def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False, *, out: Any = None) -> Any:
    """The k-th smallest value along an axis and its place."""
    x = face(input, "kthvalue")
    axis = axis_of(dim, x.layout.ndim)
    values, places = sorting.kthvalue(x, int(k), axis)
    return make("kthvalue", (kept(values, x, (axis,), keepdim), kept(places, x, (axis,), keepdim)))


_BOTH = (
    sum, nansum, prod, mean, nanmean, var, std, max, min, amax, amin, aminmax, argmax, argmin, any,
    all, count_nonzero, norm, dist, logsumexp, median, nanmedian, mode, kthvalue,
)  # fmt: skip
METHODS: dict[str, Any] = {f.__name__: f for f in _BOTH}
FUNCTIONS: dict[str, Any] = {**METHODS, "var_mean": var_mean, "std_mean": std_mean}
