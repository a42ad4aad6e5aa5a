"""How samples of gamma and Dirichlet distributions move with their concentrations.

A sample is a function of the concentration through the quantile of its probability, so its slope is
-(dF/da)(x) / f(x) (implicit reparameterization; Figurnov et al., arXiv 1805.08498). dF/da is an
integral over the tail of less mass, and over it both integrands fall off at least exponentially in
the logarithm (or the logit) of the variable, where Gauss-Legendre panels take it to 1e-9 or so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from diptych.core import call
from diptych.core.dtypes import FLOATS
from diptych.core.layout import Layout, layout
from diptych.core.operation import BadCall, NotDifferentiable, Params, Sample, Tolerance
from diptych.core.tensor import Tensor
from diptych.errors import DTypeError, ShapeError
from diptych.ops import special
from diptych.ops.families import primitive

Array = np.ndarray[Any, Any]

_FALL = 45.0  # e-folds after which the rest is nothing
_PANELS = (0.0, 1 / 64, 1 / 16, 1 / 4, 1.0)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)


def _integral(
    height: Callable[[Array], Array], factor: Callable[[Array], Array], end: Array
) -> Array:
    """The integral of factor * exp(height) over 0 to ``end``, for every element."""
    total = np.zeros_like(end)
    for low, high in zip(_PANELS, _PANELS[1:], strict=False):
        middle, half = (low + high) / 2, (high - low) / 2
        for node, weight in zip(_NODES, _WEIGHTS, strict=True):
            w = end * (middle + half * node)
            total += weight * half * end * factor(w) * np.exp(height(w))
    return total


def _end(height: Callable[[Array], Array], scale: Array) -> Array:
    """Where a falling height has come down far enough: doubled, then halved, for every element."""
    end = scale.copy()
    for _ in range(60):
        near = height(end) > -_FALL
        if not near.any():
            break
        end = np.where(near, 2 * end, end)
    low = np.zeros_like(end)
    for _ in range(12):
        middle = (low + end) / 2
        near = height(middle) > -_FALL
        low, end = np.where(near, middle, low), np.where(near, end, middle)
    return end


def gamma_slopes(concentration: Array, sample: Array) -> Array:
    """The slope of a gamma sample (of rate 1) by its concentration."""
    with np.errstate(all="ignore"):
        a, x = np.broadcast_arrays(concentration.astype(np.float64), sample.astype(np.float64))
        centre = special.digamma(np.array(a))
        log_x = np.log(x)
        below = x < a
        side = np.where(below, -1.0, 1.0)

        def height(w: Array) -> Array:
            return side * a * w - x * np.expm1(side * w)

        def factor(w: Array) -> Array:
            return side * (log_x + side * w - centre)

        end = _end(height, 1.0 / (np.sqrt(a) + np.abs(a - x) + 1e-300))
        slopes = x * _integral(height, factor, end)
        return np.asarray(np.where((a > 0) & (x > 0), slopes, np.where(x == 0, 0.0, np.nan)))


def dirichlet_slopes(x: Array, concentration: Array, total: Array) -> Array:
    """The slope of a beta sample by its first concentration, over 1 - x; ``total`` is of both."""
    with np.errstate(all="ignore"):
        x, a, total = np.broadcast_arrays(
            x.astype(np.float64), concentration.astype(np.float64), total.astype(np.float64)
        )
        b = total - a
        centre = special.digamma(np.array(a)) - special.digamma(np.array(total))
        logit = np.log(x) - np.log1p(-x)
        log_x, log_rest = np.log(x), np.log1p(-x)
        side = np.where(x < a / total, -1.0, 1.0)

        def log_share(w: Array) -> Array:
            return -np.logaddexp(0.0, -(logit + side * w))

        def height(w: Array) -> Array:
            rest = -np.logaddexp(0.0, logit + side * w)
            return a * (log_share(w) - log_x) + b * (rest - log_rest)

        def factor(w: Array) -> Array:
            return side * (log_share(w) - centre)

        end = _end(height, 1.0 / (np.sqrt(a * b / total) + np.abs(a - x * total) + 1e-300))
        slopes = x * _integral(height, factor, end)
        return np.asarray(np.where((x > 0) & (x < 1), slopes, 0.0))


def _same(name: str) -> Callable[[tuple[Layout, ...], Params], Layout]:
    def infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
        first = layouts[0]
        for place in layouts:
            if place.shape != first.shape:
                raise ShapeError(op=name, got=place.shape, expected=str(first.shape))
            if place.dtype not in FLOATS or place.dtype is not first.dtype:
                raise DTypeError(f"\"{name}\" not implemented for '{place.dtype}'", op=name)
        return layout(first.dtype, first.shape)

    return infer


def _reference(function: Callable[..., Array]) -> Callable[..., Any]:
    def reference(*operands: Array) -> Any:
        return np.asarray(function(*operands), operands[0].dtype)

    return reference


def _samples(count: int) -> Callable[[], Iterable[Sample]]:
    def samples() -> Iterable[Sample]:
        for kind in (np.float32, np.float64):
            for shape in ((7,), (2, 3), (0,), ()):
                draw = np.random.default_rng(0)
                first, second = draw.uniform(0.1, 5, shape), draw.uniform(0.1, 5, shape)
                operands: tuple[Any, ...] = (first, second)
                if count == 3:
                    operands = (first / (first + second), first, first + second)
                yield Sample(tuple(np.asarray(x, kind) for x in operands))

    return samples


def _errors(count: int) -> Callable[[], Iterable[BadCall]]:
    def errors() -> Iterable[BadCall]:
        yield BadCall((np.ones(2, np.int64),) * count, DTypeError, "not implemented")
        yield BadCall((*[np.ones(2)] * (count - 1), np.ones(3)), ShapeError, "")

    return errors


GAMMA_SLOPE = primitive(
    "gamma_slope", "host", infer=_same("gamma_slope"), reference=_reference(gamma_slopes),
    vjp=NotDifferentiable("the slope of a gamma sample is not differentiated further"),
    samples=_samples(2), errors=_errors(2), tolerance=Tolerance(default=1e-5),
)  # fmt: skip
DIRICHLET_SLOPE = primitive(
    "dirichlet_slope", "host", infer=_same("dirichlet_slope"),
    reference=_reference(dirichlet_slopes),
    vjp=NotDifferentiable("the slope of a Dirichlet sample is not differentiated further"),
    samples=_samples(3), errors=_errors(3), tolerance=Tolerance(default=1e-5),
)  # fmt: skip


def gamma_slope(concentration: Tensor, sample: Tensor) -> Tensor:
    """The slope of a gamma sample (of rate 1) by its concentration."""
    return call.current.apply2(GAMMA_SLOPE, concentration, sample, ())


def dirichlet_slope(sample: Tensor, concentration: Tensor, total: Tensor) -> Tensor:
    """The slope of a share of a Dirichlet sample by its concentration, over what is left of one."""
    return call.current.apply(DIRICHLET_SLOPE, (sample, concentration, total), ())
