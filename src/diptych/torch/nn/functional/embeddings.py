"""Rows of a table by number."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.core import tape
from diptych.core.tensor import from_array
from diptych.errors import OutOfRangeError
from diptych.ops import indexing
from diptych.ops.select import where
from diptych.torch.nn.modules.hooks import pass_through
from diptych.torch.tensor import Tensor, face


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """The rows of ``weight`` that the indices name; no gradient goes to row ``padding_idx``."""
    input, weight = face(input, "embedding", "indices", 2), face(weight, "embedding", "weight", 1)
    if sparse:
        raise NotImplementedError(
            "torch.nn.functional.embedding: sparse gradients are not supported yet; "
            "use sparse=False"
        )
    if input.layout.dtype.name not in ("int64", "int32"):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: "
            f"Long, Int; but got {input.type()} instead (while checking arguments for embedding)"
        )
    if weight.layout.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    rows = weight.layout.shape[0]
    if padding_idx is not None:
        if not -rows <= padding_idx < rows:
            raise AssertionError("Padding_idx must be within num_embeddings")
        padding_idx %= rows
    if max_norm is not None:
        index = input.detach().array()
        if index.size and (int(index.min()) < 0 or int(index.max()) >= rows):
            raise IndexError("index out of range in self")
        renormalize(weight, index, max_norm, norm_type)
    try:
        result = indexing.index_select(weight, input, 0)
    except OutOfRangeError:
        raise IndexError("index out of range in self") from None
    if weight.node is None or (padding_idx is None and not scale_grad_by_freq):
        return result
    return pass_through([result], scaling(input, padding_idx, scale_grad_by_freq))[0]


def scaling(input: Any, padding_idx: int | None, by_frequency: bool) -> Any:
    """What becomes of rows' cotangents: none for the padding, divided by how often they come."""

    def see(cotangents: list[Any]) -> list[Any]:
        (ct,) = cotangents
        if ct is None:
            return [None]
        if padding_idx is not None:
            ct = where((input == padding_idx).unsqueeze(-1), 0.0, ct)
        if by_frequency:
            _, place, count = np.unique(input.array(), return_inverse=True, return_counts=True)
            often = count[place].reshape((*input.layout.shape, 1))
            ct = ct / from_array(often.astype(np.float32), Tensor)
        return [ct]

    return see


def renormalize(weight: Any, index: Any, max_norm: float, norm_type: float) -> None:
    """Scale the named rows, in place, to a norm of at most ``max_norm``."""
    with tape.recording(False):
        rows = from_array(np.unique(index).astype(np.int64), Tensor)
        chosen: Any = indexing.index_select(weight.detach(), rows, 0)
        norms = chosen.norm(norm_type, 1, keepdim=True)
        scaled = where(norms > max_norm, chosen * (max_norm / (norms + 1e-7)), chosen)
        weight.detach().index_copy_(0, rows, scaled)
