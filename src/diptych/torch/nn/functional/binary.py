"""Binary cross entropy, of probabilities and of logits."""

from __future__ import annotations

from typing import Any

from diptych.core.layout import broadcast_shapes
from diptych.ops.activation import log_sigmoid
from diptych.torch.autograd.function import Function
from diptych.torch.nn.functional.reduction import legacy, reduced
from diptych.torch.tensor import face


class BinaryCrossEntropy(Function):
    """Its logarithms are held at -100; its slope divides by x (1 - x), held at 1e-12."""

    @staticmethod
    def forward(ctx: Any, x: Any, y: Any) -> Any:
        ctx.save_for_backward(x, y)
        return -(y * x.log().clamp_min(-100) + (1 - y) * (1 - x).log().clamp_min(-100))

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        x, y = ctx.saved_tensors
        to_x = to_y = None
        if ctx.needs_input_grad[0]:
            to_x = grads[0] * (x - y) / ((1 - x) * x).clamp_min(1e-12)
        if ctx.needs_input_grad[1]:
            to_y = grads[0] * ((1 - x).log().clamp_min(-100) - x.log().clamp_min(-100))
        return to_x, to_y


def binary_cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """-(y log x + (1 - y) log(1 - x)) of probabilities x."""
    reduction = legacy(size_average, reduce, reduction)
    input = face(input, "binary_cross_entropy")
    target = face(target, "binary_cross_entropy", "target", 2)
    if input.layout.shape != target.layout.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}) is deprecated. Please ensure they have the same size."
        )
    if input.layout.dtype is not target.layout.dtype:
        raise RuntimeError(
            f"Found dtype {target.type().split('.')[-1][:-6]} but expected "
            f"{input.type().split('.')[-1][:-6]}"
        )
    values = input.detach().values()
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise RuntimeError("all elements of input should be between 0 and 1")
    loss = BinaryCrossEntropy.apply(input, target)
    if weight is not None:
        broadcast_shapes((tuple(weight.shape), tuple(target.shape)), "binary_cross_entropy")
        loss = loss * weight
    return reduced(loss, reduction)


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:
    """Binary cross entropy of sigmoid(input), without leaving the logarithm."""
    reduction = legacy(size_average, reduce, reduction)
    input = face(input, "binary_cross_entropy_with_logits")
    target = face(target, "binary_cross_entropy_with_logits", "target", 2)
    if input.layout.shape != target.layout.shape:
        raise ValueError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    level = log_sigmoid(input)
    if pos_weight is not None:
        level = ((pos_weight - 1) * target + 1) * level
    loss = (1 - target) * input - level
    if weight is not None:
        loss = loss * weight
    return reduced(loss, reduction)
