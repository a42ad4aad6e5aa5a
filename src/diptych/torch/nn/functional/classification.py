"""Losses over class numbers and class probabilities."""

from __future__ import annotations

from typing import Any

from diptych.core.dtypes import int64
from diptych.ops import contraction
from diptych.ops import loss as engine
from diptych.ops.movement import move_axis
from diptych.torch.dynamic import face, index_select, one_hot, reshape, take_along, where
from diptych.torch.nn.functional.activations import log_softmax
from diptych.torch.nn.functional.reduction import checked, legacy, reduced
from diptych.torch.tensor import Tensor


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """-log softmax(input) at the target class; targets are class numbers or probabilities."""
    if size_average is not None or reduce is not None:
        reduction = legacy(size_average, reduce, reduction)
    if not isinstance(input, Tensor):
        input = face(input, "cross_entropy_loss", "self")
    target = face(target, "cross_entropy_loss", "target", 2)
    place, goal = input.layout, target.layout
    if weight is None and label_smoothing == 0.0 and goal.dtype is int64:
        if place.ndim == 2 and goal.ndim == 1 and reduction in ("mean", "sum", "none"):
            return engine.cross_entropy(input, target, ignore_index, reduction)
    checked(reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(
            f"label_smoothing must be between 0.0 and 1.0. Got: {float(label_smoothing):g}"
        )
    axis = 0 if place.ndim == 1 else 1
    if place.ndim == 0:
        raise RuntimeError("cross_entropy: input must have at least one dimension, of the classes")
    if goal.shape == place.shape and goal.dtype.is_float:
        return _of_probabilities(input, target, weight, axis, reduction, label_smoothing)
    rows, classes, shape = _in_rows(input, target, axis)
    target = reshape(target, (rows.layout.shape[0],))
    if weight is None and label_smoothing == 0.0:
        losses = engine.cross_entropy(rows, target, ignore_index, reduction)
        return reshape(losses, shape) if reduction == "none" else losses
    log_p = log_softmax(rows, 1)
    nll = _nll_rows(log_p, target, weight, ignore_index, reduction)
    if label_smoothing > 0.0:
        smooth = _smoothed(log_p, target, weight, ignore_index, reduction)
        nll = nll * (1 - label_smoothing) + smooth * (label_smoothing / classes)
    return reshape(nll, shape) if reduction == "none" else nll


def _in_rows(input: Any, target: Any, axis: int) -> tuple[Any, int, tuple[int, ...]]:
    """The input as (rows, classes), its number of classes, and the shape the targets must have."""
    shape = input.layout.shape
    wanted = shape[:axis] + shape[axis + 1 :]
    goal = target.layout.shape
    if goal != wanted:
        if len(shape) > 1 and (not goal or goal[0] != shape[0]):
            raise ValueError(
                f"Expected input batch_size ({shape[0]}) to match target batch_size "
                f"({goal[0] if goal else 0})."
            )
        raise RuntimeError(f"Expected target size {list(wanted)}, got {list(goal)}")
    classes = shape[axis]
    if axis == 0:
        return reshape(input, (1, classes)), classes, wanted
    moved = move_axis(input, 1, len(shape) - 1)
    count = input.layout.size // classes if classes else 0
    return reshape(moved, (count, classes)), classes, wanted


def _of_probabilities(
    input: Any, target: Any, weight: Any, axis: int, reduction: str, smoothing: float
) -> Any:
    classes = input.layout.shape[axis]
    if smoothing > 0.0:
        target = target * (1 - smoothing) + smoothing / max(classes, 1)
    terms = log_softmax(input, axis) * target
    if weight is not None:
        weight = face(weight, "cross_entropy", "weight", 3)
        terms = terms * _along(weight, axis, input.layout.ndim)
    if reduction == "none":
        return -terms.sum(axis)
    total = -terms.sum()
    return total if reduction == "sum" else total / (input.layout.size / classes)


def _along(weight: Any, axis: int, ndim: int) -> Any:
    shape = [1] * ndim
    shape[axis] = weight.layout.size
    return reshape(weight, tuple(shape))


def _nll_rows(log_p: Any, target: Any, weight: Any, ignore: int, reduction: str) -> Any:
    """The negative log likelihood of (rows, classes) at the targets (rows,)."""
    rows, classes = log_p.layout.shape
    if target.layout.dtype is not int64:
        if target.layout.dtype.name == "uint8":
            target = target.long()
        else:
            raise RuntimeError(
                f"expected scalar type Long but found {target.type().split('.')[-1][:-6]}"
            )
    engine.check_classes(target, classes, ignore)
    kept = target != ignore
    safe = where(kept, target, 0)
    chosen = reshape(take_along(log_p, reshape(safe, (rows, 1)), 1), (rows,))
    if weight is None:
        share = kept.to(log_p.dtype)
        losses = where(kept, -chosen, 0.0)
    else:
        _check_weight(weight, classes)
        share = where(kept, index_select(weight, safe, 0), 0.0)
        losses = where(kept, -chosen * share, 0.0)
    if reduction == "none":
        return losses
    total = losses.sum()
    return total if reduction == "sum" else total / share.sum()


def _check_weight(weight: Any, classes: int) -> None:
    weight = face(weight, "nll_loss", "weight", 3)
    if weight.layout.shape != (classes,):
        raise RuntimeError(
            f"weight tensor should be defined either for all {classes} classes or no classes but "
            f"got weight tensor of shape: {list(weight.layout.shape)}"
        )


def _smoothed(log_p: Any, target: Any, weight: Any, ignore: int, reduction: str) -> Any:
    terms = log_p if weight is None else log_p * weight
    kept = target != ignore
    losses = where(kept, -terms.sum(1), 0.0)
    if reduction == "none":
        return losses
    total = losses.sum()
    if reduction == "sum":
        return total
    if weight is None:
        return total / kept.sum()
    safe = where(kept, target, 0)
    return total / where(kept, index_select(weight, safe, 0), 0.0).sum()


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Minus the input (log probabilities) at the target class."""
    reduction = checked(legacy(size_average, reduce, reduction))
    input, target = face(input, "nll_loss"), face(target, "nll_loss", "target", 2)
    ndim = input.layout.ndim
    if ndim == 0:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    axis = 0 if ndim == 1 else 1
    rows, _, shape = _in_rows(input, target, axis)
    losses = _nll_rows(
        rows, reshape(target, (rows.layout.shape[0],)), weight, ignore_index, reduction
    )
    return reshape(losses, shape) if reduction == "none" else losses


def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """How far the target class fails to lead each other class by the margin, to the power p."""
    reduction = legacy(size_average, reduce, reduction)
    input, target = face(input, "multi_margin_loss"), face(target, "multi_margin_loss", "target", 2)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    single = input.layout.ndim < 2
    rows = reshape(input, (1, input.layout.size)) if single else input
    count, classes = rows.layout.shape
    if target.layout.size != count or target.layout.ndim > 1:
        raise RuntimeError(
            f"inconsistent target size, expected {count} but got {list(target.layout.shape)}"
        )
    index = reshape(target, (count, 1))
    engine.check_classes(reshape(target, (count,)), classes, -1 << 62)
    gap = (margin - take_along(rows, index, 1) + rows).clamp_min(0)
    if p == 2:
        gap = gap * gap
    if weight is not None:
        _check_weight(weight, classes)
        gap = gap * reshape(index_select(weight, reshape(target, (count,)), 0), (count, 1))
    own = one_hot(reshape(target, (count,)), classes).bool()
    losses = where(own, 0.0, gap, gap.layout.dtype).sum(1) / classes
    return reduced(reshape(losses, ()) if single else losses, reduction)


def multilabel_margin_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Any:
    """How far each target class fails to lead each other class by one; -1 ends the targets."""
    reduction = legacy(size_average, reduce, reduction)
    input = face(input, "multilabel_margin_loss")
    target = face(target, "multilabel_margin_loss", "target", 2)
    if input.layout.shape != target.layout.shape:
        raise RuntimeError(
            f"inconsistent target size: {list(target.layout.shape)} for input of size: "
            f"{list(input.layout.shape)}"
        )
    single = input.layout.ndim < 2
    rows = reshape(input, (1, input.layout.size)) if single else input
    goals = reshape(target, rows.layout.shape)
    count, classes = rows.layout.shape
    ended = (goals < 0).long().cumsum(1) > 0
    safe = where(ended, 0, goals, int64)
    engine.check_classes(reshape(safe, (count * classes,)), classes, -1 << 62)
    hits = one_hot(safe, classes) * (~ended).long().unsqueeze(-1)
    is_target = hits.sum(1) > 0  # (rows, classes)
    chosen = take_along(rows, safe, 1)
    gap = (1 - chosen.unsqueeze(2) + rows.unsqueeze(1)).clamp_min(0)  # (rows, targets, classes)
    counted = (~ended).unsqueeze(2) & (~is_target).unsqueeze(1)
    losses = where(counted, gap, 0.0).sum(2).sum(1) / classes
    return reduced(reshape(losses, ()) if single else losses, reduction)


def multilabel_soft_margin_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Binary cross entropy with logits, averaged over the classes."""
    reduction = legacy(size_average, reduce, reduction)
    input = face(input, "multilabel_soft_margin_loss")
    positive = -((-input).clamp_min(0) + (-(input.abs())).exp().log1p())
    loss = -(target * positive + (1 - target) * (positive - input))
    if weight is not None:
        loss = loss * weight
    return reduced(loss.sum(-1) / input.layout.shape[-1], reduction)


def linear_cross_entropy(
    input: Any,
    linear_weight: Any,
    target: Any,
    *,
    linear_bias: Any = None,
    weight: Any = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Any:
    """cross_entropy of ``linear(input, linear_weight)``; the weight is (C, d1, ..., in).

    ``options`` say how PyTorch would cut the batch; the result does not depend on them.
    """
    input = face(input, "linear_cross_entropy")
    linear_weight = face(linear_weight, "linear_cross_entropy", "linear_weight", 2)
    place = linear_weight.layout.shape
    if not place or not place[-1]:
        raise RuntimeError(
            f"linear_cross_entropy: linear_weight must be (classes, ..., in), got {list(place)}"
        )
    several = len(place) > 2
    rows = reshape(linear_weight, (linear_weight.layout.size // place[-1], place[-1]))
    bias = None
    if linear_bias is not None:
        bias = face(linear_bias, "linear_cross_entropy", "linear_bias", 4)
        bias = reshape(bias, (bias.layout.size,))
    logits = contraction.linear(input, rows, bias)
    if several:
        if input.layout.ndim != 2:
            raise RuntimeError(
                "linear_cross_entropy: weights of several dimensions need input (N, in_features), "
                f"got {list(input.layout.shape)}"
            )
        logits = reshape(logits, (input.layout.shape[0], *place[:-1]))
    ignored = -100 if ignore_index is None else ignore_index
    return cross_entropy(
        logits, target, weight, ignore_index=ignored, reduction=reduction,
        label_smoothing=label_smoothing,
    )  # fmt: skip
