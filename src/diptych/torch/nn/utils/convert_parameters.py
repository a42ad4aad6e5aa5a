"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from diptych.ops.movement import concatenate, reshape
from diptych.torch.tensor import face, is_tensor


def parameters_to_vector(parameters: Iterable[Any]) -> Any:
    """All parameters' elements in one row."""
    given = [face(p, "parameters_to_vector", "parameters") for p in parameters]
    rows = [reshape(p, (p.layout.size,)) for p in given]
    if not rows:
        raise RuntimeError("torch.cat(): expected a non-empty list of Tensors")
    return concatenate(rows, 0)


def vector_to_parameters(vec: Any, parameters: Iterable[Any]) -> None:
    """Make each parameter's memory a part of the vector, in turn."""
    if not is_tensor(vec):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec)}")
    start = 0
    for param in parameters:
        count = param.numel()
        param.data = vec[start : start + count].view_as(param).data
        start += count
