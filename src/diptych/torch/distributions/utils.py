"""torch.distributions.utils: numbers and tensors side by side, and probabilities as logits."""

from __future__ import annotations

import functools
from typing import Any

import diptych.torch as torch

euler_constant = 0.57721566490153286060


def broadcast_all(*values: Any) -> Any:
    """Numbers and tensors as tensors of one shape; numbers take the tensors' dtype."""
    for value in values:
        if not isinstance(value, torch.Tensor) and not isinstance(value, (int, float, bool)):
            raise ValueError(
                "Input arguments must all be instances of Number, torch.Tensor or objects "
                "implementing __torch_function__."
            )
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    dtype = tensors[0].dtype if tensors else torch.get_default_dtype()
    return torch.broadcast_tensors(
        *[v if isinstance(v, torch.Tensor) else torch.as_tensor(v, dtype=dtype) for v in values]
    )


def clamp_probs(probs: Any) -> Any:
    """Probabilities moved off 0 and 1 by the dtype's epsilon."""
    eps = torch.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def logits_to_probs(logits: Any, is_binary: bool = False) -> Any:
    """Probabilities of log odds, or of log probabilities that need not add up."""
    return torch.sigmoid(logits) if is_binary else torch.softmax(logits, dim=-1)


def probs_to_logits(probs: Any, is_binary: bool = False) -> Any:
    """Log odds, or log probabilities."""
    probs = clamp_probs(probs)
    return torch.log(probs) - torch.log1p(-probs) if is_binary else torch.log(probs)


class lazy_property:  # noqa: N801 (PyTorch's name)
    """An attribute that is worked out when it is first asked for, and then kept."""

    def __init__(self, wrapped: Any) -> None:
        self.wrapped = wrapped
        held: Any = self
        functools.update_wrapper(held, wrapped)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return _OnClass(self.wrapped)
        with torch.enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, value)
        return value


class _OnClass(property):
    """What a lazy property is on the class: a property, for who reads documentation."""


def tril_matrix_to_vec(mat: Any, diag: int = 0) -> Any:
    """The lower triangle of matrices as vectors, row by row."""
    size = mat.shape[-1]
    if diag < -size or diag >= size:
        raise ValueError(f"diag ({diag}) provided is outside [{-size}, {size - 1}].")
    rows, columns = torch.tril_indices(size, size, diag)
    return mat[..., rows, columns]


def vec_to_tril_matrix(vec: Any, diag: int = 0) -> Any:
    """Vectors as the lower triangles of matrices, row by row."""
    count = vec.shape[-1]
    size = (
        -(1 + 2 * diag) + ((1 + 2 * diag) ** 2 + 8 * count + 4 * abs(diag) * (diag + 1)) ** 0.5
    ) / 2
    if not round(size) == round(size, 5):
        raise ValueError(
            f"The size of last dimension is {count} which cannot be expressed as the lower "
            "triangular part of a square D x D matrix."
        )
    extent = round(size)
    mat = vec.new_zeros((*vec.shape[:-1], extent, extent))
    rows, columns = torch.tril_indices(extent, extent, diag)
    mat[..., rows, columns] = vec
    return mat
