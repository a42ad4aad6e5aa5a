"""Update rules that look at a whole parameter: Adafactor's factored squares, Muon's directions."""

from __future__ import annotations

import math
from typing import Any

from diptych.core.dtypes import bfloat16
from diptych.core.tensor import Tensor
from diptych.ops.arithmetic import add, div, maximum, mul, rsqrt, sqrt, square, sub
from diptych.ops.contraction import dot
from diptych.ops.movement import reshape, transpose
from diptych.ops.reduction import mean, sum_
from diptych.ops.select import cast
from diptych.optim.rules import Tensors, signed, toward
from diptych.optim.update import Flags, Rule


def _length(x: Any) -> Any:
    """The Euclidean length of all elements."""
    return sqrt(sum_(square(x), tuple(range(x.layout.ndim))))


def _kept(x: Any, shape: tuple[int, ...], axis: int) -> Any:
    """A reduction's result with the axis it reduced put back, of extent one."""
    return reshape(x, (*shape[:axis], 1, *shape[axis + 1 :]))


def _mean_square(g: Any, axis: int) -> Any:
    """The mean of the squares along an axis, which stays."""
    total = square(sqrt(sum_(square(g), (axis,))))
    shape = g.layout.shape
    return div(_kept(total, shape, axis), float(max(shape[axis], 1)))


def _adafactor(p: Tensor, g: Tensor, slots: Tensors, numbers: Tensors, flags: Flags) -> Tensors:
    """Flags: maximize, weight decay. Two slots: the squares of a matrix by row and by column."""
    share, rate, least, decay, floor, floor_square, clipping = numbers
    dtype = p.layout.dtype
    g = signed(g, flags[0])
    size = max(p.layout.size, 1)
    scale = maximum(least, div(_length(p), math.sqrt(size)), dtype)
    if flags[1]:
        p = mul(p, decay)
    if len(slots) == 2:
        ndim = p.layout.ndim
        kept = (
            toward(slots[0], _mean_square(g, ndim - 1), share, False, share),
            toward(slots[1], _mean_square(g, ndim - 2), share, False, share),
        )
        rows = kept[0].layout.shape
        floor_row = maximum(_kept(mean(kept[0], (ndim - 2,)), rows, ndim - 2), floor)
        estimate = div(mul(kept[0], kept[1]), floor_row)
    else:
        kept = (toward(slots[0], square(g), share, False, share),)  # type: ignore[assignment]
        estimate = kept[0]
    update = mul(rsqrt(maximum(estimate, floor_square)), g)
    excess = maximum(div(_length(update), mul(clipping, math.sqrt(size)), dtype), 1.0)
    step = div(mul(scale, rate, dtype), excess)
    return sub(p, mul(update, step)), *kept


_ADAFACTOR_NUMBERS = (
    "share", "rate", "least", "weight_decay", "floor", "floor^2", "clipping",
)  # fmt: skip
# Shazeer, Stern, arXiv 1804.04235.
ADAFACTOR = Rule("adafactor", ("row_var", "col_var"), _ADAFACTOR_NUMBERS, _adafactor, whole=True)
ADAFACTOR_VECTOR = Rule(
    "adafactor_vector", ("variance",), _ADAFACTOR_NUMBERS, _adafactor, whole=True
)


def _orthogonal(x: Any, coefficients: tuple[float, float, float], steps: int, eps: float) -> Any:
    """Newton-Schulz iterations in bfloat16 toward the matrix whose singular values are one."""
    a, b, c = coefficients
    x = cast(x, bfloat16)
    rows, columns = x.layout.shape
    tall = rows > columns
    if tall:
        x = transpose(x, (1, 0))
    x = div(x, maximum(_length(x), eps))
    for _ in range(steps):
        gram = dot(x, transpose(x, (1, 0)))
        polynomial = add(mul(gram, b), mul(dot(gram, gram), c))
        x = add(mul(x, a), dot(polynomial, x))
    return transpose(x, (1, 0)) if tall else x


def _muon(p: Tensor, g: Tensor, slots: Tensors, numbers: Tensors, flags: Flags) -> Tensors:
    """Flags: nesterov, heavy, coefficients, steps, eps."""
    share, rest, minus_rate, decay = numbers
    nesterov, heavy, coefficients, steps, eps = flags
    held = toward(slots[0], g, share, heavy, rest)
    # What moves is interpolated with the weights the other way around.
    direction = toward(g, held, rest, rest_is_heavy(heavy), share) if nesterov else held
    turned = cast(_orthogonal(direction, coefficients, steps, eps), p.layout.dtype)
    return add(mul(p, decay), mul(turned, minus_rate)), held


def rest_is_heavy(share_is_heavy: bool) -> bool:
    """Whether 1 - w is half or more, told by whether w is more than half."""
    return not share_is_heavy


# Jordan et al., "Muon: an optimizer for hidden layers" (2024).
MUON = Rule(
    "muon", ("momentum_buffer",), ("1 - momentum", "momentum", "minus_rate", "weight_decay"),
    _muon, whole=True,
)  # fmt: skip
