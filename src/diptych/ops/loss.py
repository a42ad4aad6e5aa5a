"""Losses that are compiled whole: cross entropy over class indices, squared and absolute error."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from diptych.core import call, recording
from diptych.core.dtypes import FLOATS, float32, int64
from diptych.core.layout import Layout, layout
from diptych.core.operation import BadCall, Composite, NoBatching, Params, Sample, Tolerance
from diptych.core.samples import behind
from diptych.core.tensor import Tensor
from diptych.errors import DTypeError, OutOfRangeError, ShapeError
from diptych.ops.arithmetic import abs_, add, div, mul, sign, square, sub
from diptych.ops.comparison import eq, ne
from diptych.ops.creation import iota
from diptych.ops.families import draw, primitive
from diptych.ops.movement import broadcast_to, reshape
from diptych.ops.reduction import max_, spread, sum_
from diptych.ops.select import cast, where
from diptych.ops.transcendental import exp, log

_BATCH = NoBatching("it is batched through the operations it is made of")
_TOLERANCE = Tolerance({"float32": 2e-5})


def reduced(losses: Tensor, reduction: str) -> Tensor:
    """Losses as they are ("none"), their "sum", or their "mean"."""
    if reduction == "none":
        return losses
    total = sum_(losses)
    return total if reduction == "sum" else div(total, float(losses.layout.size))


# ---- one element of each row, at an index that the caller has checked


def _pick_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    x, index = layouts
    if index.dtype is not int64 or index.shape[params[0]] != 1:
        raise ShapeError(
            op="pick", argument="index", got=index, expected="int64, extent 1 on the axis"
        )
    return layout(x.dtype, index.shape)


def _pick(x: Any, index: Any, axis: int) -> Any:
    return np.take_along_axis(x, np.clip(index, 0, max(x.shape[axis] - 1, 0)), axis)


def _pick_vjp(ctx: Any, ct: Any) -> Any:
    place, axis = ctx.layout(0), ctx.params[0]
    hit = eq(iota(place.shape, axis), broadcast_to(ctx.x[1], place.shape))
    return where(hit, broadcast_to(ct, place.shape), 0.0), None


PICK = primitive(
    "pick", "pick", params=("axis",), infer=_pick_infer, reference=_pick, vjp=_pick_vjp, saves="1",
    lower="pick", errors=lambda: [],
    samples=lambda: [
        Sample((np.arange(12.0, dtype=np.float32).reshape(3, 4), np.array([[1], [0], [3]])), (1,))
    ],
)  # fmt: skip


# ---- cross entropy of (rows, classes) logits and int64 class numbers


def _cross_entropy(x: Tensor, target: Tensor, ignore: int, reduction: str) -> Any:
    rows, classes = x.layout.shape
    full = (rows, classes)
    top = max_(x, (1,))
    level = add(log(sum_(exp(sub(x, spread(top, full, (1,)))), (1,))), top)
    safe = where(eq(target, ignore), 0, target)
    chosen = reshape(call.apply(PICK, x, reshape(safe, (rows, 1)), params=(1,)), (rows,))
    kept = ne(target, ignore)
    losses = where(kept, sub(level, chosen), 0.0)
    weight = cast(kept, x.layout.dtype)
    count = sum_(weight)
    if reduction == "none":
        return losses, level, count
    total = sum_(losses)
    return total if reduction == "sum" else div(total, count), level, count


def _cross_entropy_vjp(ctx: Any, ct: Any) -> Any:
    """(softmax(x) - one_hot(target)) times each row's cotangent."""
    x, target = ctx.x
    _, level, count = ctx.y
    ignore, reduction = ctx.params
    full = rows, _ = x.layout.shape
    if reduction == "mean":
        ct = div(ct, count)
    if reduction != "none":
        ct = broadcast_to(ct, (rows,))
    ct = where(ne(target, ignore), ct, 0.0)
    hit = eq(iota(full, 1), spread(target, full, (1,)))
    share = exp(sub(x, spread(level, full, (1,))))
    return mul(sub(share, cast(hit, x.layout.dtype)), spread(ct, full, (1,))), None


def _cross_entropy_samples() -> Iterable[Sample]:
    generator = np.random.default_rng(0)
    for rows, classes in [(5, 10), (64, 37), (1, 1)]:
        x = draw(generator, (rows, classes), float32, (-4.0, 4.0))
        target = generator.integers(0, classes, rows)
        target[0] = -100 if rows > 1 else 0
        for reduction in ("mean", "sum", "none"):
            yield Sample((x, target), (-100, reduction))


CROSS_ENTROPY = Composite(
    "cross_entropy", forward=_cross_entropy, vjp=_cross_entropy_vjp, saves="*o", residuals=2,
    params=("ignore", "reduction"), samples=_cross_entropy_samples, batch=_BATCH,
    tolerance=_TOLERANCE,
    errors=lambda: [],
)  # fmt: skip


def check_classes(target: Tensor, classes: int, ignore: int) -> None:
    """Raise OutOfRangeError for a class number outside [0, classes) that is not ``ignore``."""
    if recording.active is not None:
        recording.active.check(check_classes, target, (classes, ignore))
        return
    values = behind(target).array()
    # One pass in the common case: as unsigned, a negative number is larger than any class.
    if values.size == 0 or int(values.view(np.uint64).max()) < classes:
        return
    bad = values[((values < 0) | (values >= classes)) & (values != ignore)]
    if bad.size:
        raise OutOfRangeError(
            f"Target {int(bad[0])} is out of bounds.", op="cross_entropy", got=int(bad[0])
        )


def cross_entropy(x: Tensor, target: Tensor, ignore: int = -100, reduction: str = "mean") -> Tensor:
    """-log softmax(x)[target] of each row of logits (rows, classes) and int64 targets (rows,).

    Rows whose target is ``ignore`` count neither in the sum nor in the mean. ``reduction`` is
    "mean", "sum" or "none". Raises ShapeError, DTypeError, OutOfRangeError.
    """
    place, goal = x.layout, target.layout
    if place.ndim != 2 or goal.shape != place.shape[:1]:
        raise ShapeError(
            f"Expected input batch_size ({place.shape[0] if place.ndim else 0}) to match target "
            f"batch_size ({goal.shape[0] if goal.ndim else 0}): logits {list(place.shape)}, "
            f"targets {list(goal.shape)}.",
            op="cross_entropy",
        )
    if place.dtype not in FLOATS:
        raise DTypeError(
            f"\"cross_entropy\" not implemented for '{place.dtype}'", op="cross_entropy"
        )
    if goal.dtype is not int64:
        raise DTypeError(f"expected scalar type Long but found {goal.dtype}", op="cross_entropy")
    check_classes(target, place.shape[1], ignore)
    return call.current.apply2(CROSS_ENTROPY, x, target, (ignore, reduction))


# ---- distances


def _distance(name: str, of: Callable[[Any], Any], slope: Callable[[Any], Any]) -> Composite:
    """Declare a loss of the difference of two tensors of one shape, by its slope."""

    def forward(x: Tensor, target: Tensor, reduction: str) -> Any:
        return reduced(of(sub(x, target)), reduction)

    def vjp(ctx: Any, ct: Any) -> Any:
        x, target = ctx.x
        if ctx.params[0] == "mean":
            ct = div(ct, float(x.layout.size))
        pulled = mul(slope(sub(x, target)), ct)
        return pulled, mul(pulled, -1.0) if ctx.needs[1] else None

    def samples() -> Iterable[Sample]:
        generator = np.random.default_rng(0)
        for shape in [(5,), (3, 70), ()]:
            pair = tuple(draw(generator, shape, float32, (-2.0, 2.0)) for _ in range(2))
            for reduction in ("mean", "sum", "none"):
                yield Sample(pair, (reduction,))

    wrong = (np.ones((2, 3), np.float32), np.ones((2, 4), np.float32))
    return Composite(
        name, forward=forward, vjp=vjp, saves="01", params=("reduction",), samples=samples,
        batch=_BATCH, tolerance=_TOLERANCE,
        errors=lambda: [BadCall(wrong, ShapeError, "must match", ("mean",))],
    )  # fmt: skip


SQUARED_ERROR = _distance("squared_error", square, lambda d: mul(d, 2.0))
ABSOLUTE_ERROR = _distance("absolute_error", abs_, sign)


def squared_error(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """(x - target)^2 of tensors of one shape and dtype, reduced."""
    return call.current.apply2(SQUARED_ERROR, x, target, (reduction,))


def absolute_error(x: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """|x - target| of tensors of one shape and dtype, reduced."""
    return call.current.apply2(ABSOLUTE_ERROR, x, target, (reduction,))
