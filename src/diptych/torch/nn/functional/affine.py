"""Affine maps: linear and bilinear."""

from __future__ import annotations

from typing import Any

from diptych.ops import contraction
from diptych.ops.arithmetic import add
from diptych.ops.movement import reshape, transpose
from diptych.torch.tensor import Tensor, face


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """``input @ weight.T + bias``."""
    if not isinstance(input, Tensor):
        input = face(input, "linear")
    if not isinstance(weight, Tensor):
        weight = face(weight, "linear", "weight", 2)
    if bias is not None and not isinstance(bias, Tensor):
        bias = face(bias, "linear", "bias", 3)
    return contraction.linear(input, weight, bias)


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """``x1 @ W[k] @ x2 + b[k]`` for every output k, over the last axes; weight (out, in1, in2)."""
    x1, x2 = face(input1, "bilinear"), face(input2, "bilinear", "input2", 2)
    first, second = x1.layout.shape, x2.layout.shape
    if first[:-1] != second[:-1]:
        raise RuntimeError(
            f"bilinear(): input batch dimensions do not match: got {list(first)} and {list(second)}"
        )
    weight = face(weight, "bilinear", "weight", 3)
    if weight.layout.ndim != 3 or not first:
        raise RuntimeError(
            f"bilinear(): expected inputs of 1 or more dimensions and a weight of 3, got inputs of "
            f"{len(first)} and a weight of {weight.layout.ndim}"
        )
    out, in1, in2 = weight.layout.shape
    if first[-1] != in1 or second[-1] != in2:
        raise RuntimeError(
            f"bilinear(): input sizes do not match weight: got {first[-1]} and {second[-1]}, "
            f"but the weight is {list(weight.layout.shape)}"
        )
    rows = x1.layout.size // in1 if in1 else 0
    flat = reshape(transpose(weight, (1, 0, 2)), (in1, out * in2))
    left = reshape(contraction.matmul(reshape(x1, (rows, in1)), flat), (rows, out, in2))
    result = contraction.matmul(left, reshape(x2, (rows, in2, 1)))  # (rows, out, 1)
    result = reshape(result, (*first[:-1], out))
    return result if bias is None else add(result, bias)
