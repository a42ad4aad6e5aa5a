"""Losses on the distance between an input and a target of its shape."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from diptych.core.layout import broadcast_shapes
from diptych.ops import loss as engine
from diptych.ops.movement import broadcast_to
from diptych.ops.select import cast
from diptych.torch.dynamic import face, where
from diptych.torch.nn.functional.reduction import checked, legacy, reduced
from diptych.torch.promotion import of_layouts
from diptych.torch.tensor import Tensor


def _matched(input: Any, target: Any, name: str) -> tuple[Any, Any]:
    """Both operands of one shape and dtype, with PyTorch's warning where the shapes differ."""
    if not isinstance(input, Tensor):
        input = face(input, name)
    if not isinstance(target, Tensor):
        target = face(target, name, "target", 2)
    a, b = input.layout, target.layout
    if a.shape != b.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=3,
        )
        shape = broadcast_shapes((a.shape, b.shape), name)
        input, target = broadcast_to(input, shape), broadcast_to(target, shape)
    if a.dtype is not b.dtype:
        dtype = of_layouts(a, b)
        input, target = cast(input, dtype), cast(target, dtype)
    return input, target


def _weighted(loss: Any, weight: Any, reduction: str) -> Any:
    if weight is None:
        return reduced(loss, reduction)
    weight = face(weight, "mse_loss", "weight", 3)
    if weight.layout.shape != loss.layout.shape:
        raise ValueError("Inputs and weight must have the same size.")
    if reduction == "mean":
        return (loss * weight).sum() / weight.sum()
    return reduced(loss * weight, reduction)


def mse_loss(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """(input - target)^2."""
    if size_average is not None or reduce is not None:
        reduction = legacy(size_average, reduce, reduction)
    input, target = _matched(input, target, "mse_loss")
    checked(reduction)
    if weight is None:
        return engine.squared_error(input, target, reduction)
    return _weighted(engine.squared_error(input, target, "none"), weight, reduction)


def l1_loss(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """|input - target|."""
    if size_average is not None or reduce is not None:
        reduction = legacy(size_average, reduce, reduction)
    input, target = _matched(input, target, "l1_loss")
    checked(reduction)
    if weight is None:
        return engine.absolute_error(input, target, reduction)
    return _weighted(engine.absolute_error(input, target, "none"), weight, reduction)


def smooth_l1_loss(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Any:
    """Squared error up to a distance of beta, absolute beyond."""
    reduction = legacy(size_average, reduce, reduction)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    input, target = _matched(input, target, "smooth_l1_loss")
    if beta == 0:
        return engine.absolute_error(input, target, checked(reduction))
    distance = (input - target).abs()
    loss = where(distance < beta, 0.5 * distance * distance / beta, distance - 0.5 * beta)
    return reduced(loss, reduction)


def huber_loss(
    input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None
) -> Any:
    """Half the squared error up to a distance of delta, delta times the absolute beyond."""
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    input, target = _matched(input, target, "huber_loss")
    distance = (input - target).abs()
    near, far = 0.5 * distance * distance, delta * (distance - 0.5 * delta)
    return _weighted(where(distance < delta, near, far), weight, reduction)


def kl_div(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Any:
    """The divergence of the target's distribution from exp(input)."""
    reduction = legacy(size_average, reduce, reduction)
    input, target = face(input, "kl_div"), face(target, "kl_div", "target", 2)
    if reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math "
            "definition.'mean' will be changed to behave the same as 'batchmean' in the next major "
            "release.",
            stacklevel=2,
        )
    if log_target:
        loss = target.exp() * (target - input)
    else:
        some = target > 0
        safe = where(some, target, 1.0)
        loss = where(some, target * safe.log(), target * 0.0) - target * input
    if reduction == "batchmean":
        total = loss.sum()
        return total / input.layout.shape[0] if input.layout.ndim else total
    return reduced(loss, reduction)


def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    size_average: Any = None,
    eps: float = 1e-8,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """The negative log likelihood of counts under a Poisson distribution."""
    reduction = legacy(size_average, reduce, reduction)
    input, target = face(input, "poisson_nll_loss"), face(target, "poisson_nll_loss", "target", 2)
    if log_input:
        loss = input.exp() - target * input
    else:
        loss = input - target * (input + eps).log()
    if full:  # Stirling's approximation of log(target!)
        many = target > 1
        safe = where(many, target, 2.0)
        stirling = safe * safe.log() - safe + 0.5 * (2 * math.pi * safe).log()
        loss = loss + where(many, stirling, 0.0)
    return reduced(loss, reduction)


def gaussian_nll_loss(
    input: Any,
    target: Any,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:
    """The negative log likelihood under normal distributions of the given variances."""
    input, target = face(input, "gaussian_nll_loss"), face(target, "gaussian_nll_loss", "target", 2)
    if isinstance(var, float):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = var * target.new_ones(target.shape)
    elif bool((var < 0).any()):
        raise ValueError("var has negative entry/entries")
    shape, given = tuple(input.shape), tuple(var.shape)
    if given != shape:
        if shape[:-1] == given:
            var = var.unsqueeze(-1)
        elif not (shape[:-1] == given[:-1] and given[-1:] == (1,)) and any(
            a != b and b != 1 for a, b in zip(reversed(shape), reversed(given), strict=False)
        ):
            raise ValueError("var is of incorrect size")
    checked(reduction)
    # The floor acts on the value alone: the gradient passes as if it were not there.
    floor = var.detach().clamp_min(eps)
    var = where(var.detach() < eps, floor - var.detach() + var, var)
    loss = 0.5 * (var.log() + (input - target) ** 2 / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(loss, reduction)


def hinge_embedding_loss(
    input: Any,
    target: Any,
    margin: float = 1.0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """The input where the target is 1; how far it is below the margin where it is -1."""
    reduction = legacy(size_average, reduce, reduction)
    input = face(input, "hinge_embedding_loss")
    target = face(target, "hinge_embedding_loss", "target", 2)
    below = where(target != 1, (margin - input).clamp_min(0), 0.0)
    return reduced(below + where(target != -1, input, 0.0), reduction)


def margin_ranking_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """How far the first fails to lead (target 1) or follow (target -1) the second by the margin."""
    reduction = legacy(size_average, reduce, reduction)
    input1 = face(input1, "margin_ranking_loss", "input1", 1)
    input2 = face(input2, "margin_ranking_loss", "input2", 2)
    target = face(target, "margin_ranking_loss", "target", 3)
    if not input1.layout.ndim == input2.layout.ndim == target.layout.ndim:
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.shape}, input2: {input2.shape}, target: {target.shape} "
        )
    return reduced((-target * (input1 - input2) + margin).clamp_min(0), reduction)


def cosine_embedding_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """1 - cos where the target is 1; how far cos exceeds the margin where it is -1."""
    reduction = legacy(size_average, reduce, reduction)
    x1 = face(input1, "cosine_embedding_loss", "input1", 1)
    x2 = face(input2, "cosine_embedding_loss", "input2", 2)
    target = face(target, "cosine_embedding_loss", "target", 3)
    if target.layout.ndim not in (0, 1):
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if x1.layout.ndim != target.layout.ndim + 1:
        raise RuntimeError(
            f"{target.layout.ndim}D target tensor expects {target.layout.ndim + 1}D input tensors, "
            f"but found inputs with sizes {list(x1.shape)} and {list(x2.shape)}."
        )
    small = 1e-12
    lengths = ((x1 * x1).sum(-1) + small) * ((x2 * x2).sum(-1) + small)
    cosine = (x1 * x2).sum(-1) / lengths.sqrt()
    near = where(target == 1, 1 - cosine, 0.0)
    far = where(target == -1, (cosine - margin).clamp_min(0), 0.0)
    return reduced(near + far, reduction)


def _triplet(near: Any, far: Any, margin: float, reduction: str) -> Any:
    return reduced((margin + near - far).clamp_min(0), reduction)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """How far the positive fails to be nearer to the anchor than the negative by the margin."""
    reduction = legacy(size_average, reduce, reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    anchor = face(anchor, "triplet_margin_loss", "anchor", 1)
    positive = face(positive, "triplet_margin_loss", "positive", 2)
    negative = face(negative, "triplet_margin_loss", "negative", 3)
    if not anchor.layout.ndim == positive.layout.ndim == negative.layout.ndim:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {anchor.ndim}D, positive {positive.ndim}D, and negative "
            f"{negative.ndim}D inputs"
        )

    def distance(a: Any, b: Any) -> Any:
        return (a - b + eps).norm(p, -1)

    far = distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    return _triplet(distance(anchor, positive), far, margin, reduction)


def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """triplet_margin_loss with a distance of one's own."""
    checked(reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")

    def euclidean(a: Any, b: Any) -> Any:
        return (a - b + 1e-6).norm(2, -1)

    distance = distance_function or euclidean
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    return _triplet(near, far, margin, reduction)


def soft_margin_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Any:
    """log(1 + exp(-target * input)) for targets of 1 and -1."""
    reduction = legacy(size_average, reduce, reduction)
    return reduced((-target * face(input, "soft_margin_loss")).exp().log1p(), reduction)
