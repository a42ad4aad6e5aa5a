"""Normalizations over the last axes, and to unit length."""

from __future__ import annotations

from typing import Any

from diptych.ops import normalization
from diptych.torch.dtypes import finfo
from diptych.torch.tensor import Tensor, face


def _count(input: Any, normalized_shape: Any, name: str) -> int:
    """How many axes are normalized; RuntimeError when the input does not end in them."""
    shape = input.layout.shape
    wanted = tuple(normalized_shape)
    count = len(wanted)
    if shape[len(shape) - count :] != wanted or count > len(shape):
        if not count:
            raise RuntimeError(
                f"{name}: expected normalized_shape to be at least 1-dimensional, i.e., containing "
                "at least one element, but got normalized_shape = []"
            )
        inner = ", ".join(["*", *map(str, wanted)])
        raise RuntimeError(
            f"Given normalized_shape={list(wanted)}, expected input with shape [{inner}], but got "
            f"input of size{list(shape)}"
        )
    return count


def layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Normalize over the last axes to mean 0 and variance 1, then scale and shift."""
    if not isinstance(input, Tensor):
        input = face(input, "layer_norm")
    return normalization.layer_norm(
        input, weight, bias, _count(input, normalized_shape, "layer_norm"), eps
    )


def rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: Any = None) -> Any:
    """Scale over the last axes to root mean square 1."""
    if not isinstance(input, Tensor):
        input = face(input, "rms_norm")
    if eps is None:
        eps = finfo(input.dtype).eps
    return normalization.rms_norm(input, weight, _count(input, normalized_shape, "rms_norm"), eps)


def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Any = None) -> Any:
    """Divide by the norm along an axis, held at or above eps."""
    input = face(input, "normalize")
    length = input.norm(p, dim, keepdim=True).clamp_min(eps)
    result = input / length.expand_as(input)
    if out is None:
        return result
    return out.copy_(result)
