"""Statistics: covariances, quantiles, histograms."""

from __future__ import annotations

import math
from typing import Any

from diptych.core import dtypes as engine
from diptych.core.tensor import Tensor as CoreTensor
from diptych.ops import (
    arithmetic,
    comparison,
    histograms,
    indexing,
    movement,
    reduction,
    select,
    sorting,
)
from diptych.ops.select import constant
from diptych.torch import outputs
from diptych.torch.creation import as_dtype
from diptych.torch.return_types import make
from diptych.torch.tensor import Tensor, axis_of, face

# ---- covariances


def _weights(given: Any, count: int, name: str, whole: bool) -> Any:
    w: Any = face(given, "cov", name)
    if w.layout.ndim > 1:
        raise RuntimeError(
            f"cov(): expected {name} to have one or fewer dimensions but got {name} with "
            f"{w.layout.ndim} dimensions"
        )
    if whole == w.layout.dtype.is_inexact or w.layout.dtype.is_complex:
        kind = "integral" if whole else "floating point"
        raise RuntimeError(f"cov(): expected {name} to have {kind} dtype")
    if w.layout.size != count:
        raise RuntimeError(
            f"cov(): expected {name} to have the same numel as there are observations in the "
            f"input, got {w.layout.size} != {count}"
        )
    return w.reshape(-1)


def cov(input: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """The covariance of variables (rows) over observations (columns)."""
    x: Any = face(input, "cov")
    if x.layout.ndim > 2:
        raise RuntimeError(
            f"cov(): expected input to have two or fewer dimensions but got an input with "
            f"{x.layout.ndim} dimensions"
        )
    grown = x.reshape(1, -1) if x.layout.ndim < 2 else x
    count = grown.layout.shape[1]
    w: Any = None
    if fweights is not None:
        w = _weights(fweights, count, "fweights", True)
    if aweights is not None:
        each = _weights(aweights, count, "aweights", False)
        w = each if w is None else w * each
    if w is None:
        centred = grown - grown.mean(1, True) if count else grown
        scaled = centred @ centred.t().conj() / max(count - correction, 0)
    else:
        total = w.sum()
        centred = grown - (grown * w).sum(1, True) / total
        if aweights is None:
            freedom = total - correction
        else:
            freedom = total - correction * (w * aweights.reshape(-1)).sum() / total
        scaled = (centred * w) @ centred.t().conj() / freedom.clamp(min=0)
    return scaled.squeeze()


def corrcoef(input: Any) -> Any:
    """The correlation of variables (rows)."""
    c = cov(input)
    if not c.layout.ndim:
        return c / c
    spread = c.diagonal().sqrt()
    result = c / spread[:, None] / spread[None]
    return result if result.layout.dtype.is_complex else result.clamp(-1, 1)


# ---- quantiles

_HOW = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(name: str, ignore_nan: bool) -> Any:
    def function(
        input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *,
        interpolation: str = "linear", out: Any = None,
    ) -> Any:  # fmt: skip
        x = face(input, name)
        if x.layout.dtype not in (engine.float32, engine.float64):
            raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
        if interpolation not in _HOW:
            raise RuntimeError(
                f"{name}() interpolation must be one of linear, lower, higher, midpoint or "
                f"nearest, but got {interpolation}"
            )
        shares: Any = q if isinstance(q, CoreTensor) else as_dtype(_numbers(q), x.layout.dtype)
        if shares.layout.dtype is not x.layout.dtype or shares.layout.ndim > 1:
            raise RuntimeError(
                f"{name}() q tensor must be a scalar or 1D tensor of the input's dtype"
            )
        values = shares.detach().values()
        if values.size and not bool(((values >= 0) & (values <= 1)).all()):
            raise RuntimeError(f"{name}() q values must be in the range [0, 1]")
        return outputs.finish(
            _between(x, shares, dim, keepdim, interpolation, ignore_nan, name), out, name
        )

    function.__name__ = function.__qualname__ = name
    return function


def _numbers(q: Any) -> Any:
    made: Any = constant(float(q), engine.float64).values()
    return made


def _between(
    x: Tensor, shares: Any, dim: int | None, keepdim: bool, how: str, ignore_nan: bool, name: str
) -> Any:
    """The values at shares of the way through the order, interpolated between neighbours."""
    if not x.layout.size:
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    whole = dim is None or not x.layout.ndim
    source: Any = movement.reshape(x, (x.layout.size,)) if whole else x
    axis = 0 if whole else axis_of(dim, x.layout.ndim)
    if dim is not None:
        axis_of(dim, x.layout.ndim)  # refuses a wrong one of a 0-d tensor
    source = movement.move_axis(source, axis, source.layout.ndim - 1)
    dtype, last = x.layout.dtype, source.layout.ndim - 1
    extent = source.layout.shape[-1]
    ordered = sorting.sort(source, last)[0]
    rows = source.layout.shape[:-1]
    number = shares.layout.size
    broken = comparison.ne(source, source)
    shares = movement.reshape(shares, (number,))
    if ignore_nan:
        there = reduction.sum_(select.cast(comparison.logical_not(broken), dtype), (last,))
        top = arithmetic.maximum(arithmetic.sub(there, 1.0), 0.0)
        place = arithmetic.mul(movement.reshape(top, (*rows, 1)), shares)
    else:
        place = arithmetic.mul(shares, float(extent - 1))
        some = movement.reshape(reduction.any_(broken, (last,)), (*rows, 1))
        place = select.where(some, float(extent - 1), place)  # where NaN stands
    below, above = arithmetic.floor(place), arithmetic.ceil(place)
    if how == "lower":
        above = below
    elif how == "higher":
        below = above
    elif how == "nearest":
        below = above = arithmetic.round_(place)
    weight = constant(0.5, dtype) if how == "midpoint" else arithmetic.sub(place, below)
    first, second = (
        indexing.take_along(ordered, movement.broadcast_to(
            select.cast(at, engine.int64), (*rows, number)), last)
        for at in (below, above)
    )  # fmt: skip
    result = first
    if how in ("linear", "midpoint"):
        result = arithmetic.add(first, arithmetic.mul(arithmetic.sub(second, first), weight))
    return _arranged(face(result, name), x, shares, axis, dim, keepdim, number)


def _arranged(
    result: Any, x: Tensor, shares: Any, axis: int, dim: int | None, keepdim: bool, number: int
) -> Any:
    """One result for each share, in front; without that axis for a single number."""
    result = movement.move_axis(result, result.layout.ndim - 1, 0)
    parts = result.layout.shape[1:]
    if keepdim:
        if dim is None:
            parts = (1,) * x.layout.ndim
        elif x.layout.ndim:
            parts = (*parts[:axis], 1, *parts[axis:])
    return movement.reshape(result, (number, *parts))


def _scalar_or_row(function: Any) -> Any:
    """A number q gives no axis of its own; a row of them does."""

    def run(input: Any, q: Any, *args: Any, out: Any = None, **given: Any) -> Any:
        result = function(input, q, *args, **given)
        if not isinstance(q, CoreTensor) or not q.layout.ndim:
            result = movement.reshape(result, result.layout.shape[1:])
        return outputs.finish(result, out, function.__name__)

    run.__name__ = run.__qualname__ = function.__name__
    return run


quantile = _scalar_or_row(_quantile("quantile", False))
nanquantile = _scalar_or_row(_quantile("nanquantile", True))


# ---- histograms


def histogram(
    input: Any, bins: Any = 100, *, range: Any = None, weight: Any = None, density: bool = False,
    out: Any = None,
) -> Any:  # fmt: skip
    """Counts of values between edges, and the edges."""
    x: Any = face(input, "histogram")
    if not x.layout.dtype.is_float:
        raise NotImplementedError(f"\"histogram_cpu\" not implemented for '{x.layout.dtype}'")
    points = movement.reshape(x.detach(), (x.layout.size, 1))
    if weight is not None and weight.layout.shape != x.layout.shape:
        raise RuntimeError(
            "torch.histogramdd: if weight tensor is provided it should have the same shape as the "
            "input tensor excluding its innermost dimension"
        )
    found, edges = histograms.histogram(points, (bins,), range, weight, bool(density))
    if out is not None:
        outputs.write(out[0], found, "histogram")
        outputs.write(out[1], edges[0], "histogram")
        return out
    return make("histogram", (found, edges[0]))


def histogramdd(
    input: Any, bins: Any, *, range: Any = None, weight: Any = None, density: bool = False,
    out: Any = None,
) -> Any:  # fmt: skip
    """Counts of points (rows along the last axis) in boxes, and the edges along each axis."""
    x: Any = face(input, "histogramdd")
    if x.layout.ndim < 2:
        raise RuntimeError(
            "torch.histogramdd: input tensor should have at least 2 dimensions, but got "
            f"{x.layout.ndim}"
        )
    axes = x.layout.shape[-1]
    each = [bins] * axes if isinstance(bins, int) else list(bins)
    points = movement.reshape(x.detach(), (math.prod(x.layout.shape[:-1]), axes))
    found, edges = histograms.histogram(points, each, range, weight, bool(density))
    return make("histogramdd", (found, tuple(edges)))


_BOTH = (cov, corrcoef, quantile, nanquantile, histogram)
METHODS: dict[str, Any] = {f.__name__: f for f in _BOTH}
FUNCTIONS: dict[str, Any] = {**METHODS, "histogramdd": histogramdd}
