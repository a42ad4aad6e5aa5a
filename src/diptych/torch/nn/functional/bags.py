"""Bags of embeddings: rows of a table summed, averaged, or their largest elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.core.tensor import from_array
from diptych.ops.indexing import index_add, index_select, take_along
from diptych.ops.movement import expand_axis, reshape
from diptych.ops.select import where
from diptych.torch.creation import zeros
from diptych.torch.nn.functional.embeddings import renormalize, scaling
from diptych.torch.nn.modules.hooks import pass_through
from diptych.torch.tensor import Tensor, face

Array = np.ndarray[Any, Any]


def _check_index(x: Any, name: str) -> None:
    if x.layout.dtype.name not in ("int64", "int32"):
        raise RuntimeError(
            f"Expected tensor for argument #1 '{name}' to have one of the following scalar types: "
            f"Long, Int; but got {x.type()} instead (while checking arguments for embedding_bag)"
        )


def _starts(input: Any, offsets: Any, include_last: bool) -> Array:
    """Where every bag begins, and where the last one ends."""
    if input.layout.ndim == 2:
        if offsets is not None:
            kind = f"<class '{type(offsets).__module__}.{type(offsets).__name__}'>"
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch "
                f"of fixed length sequences. However, found offsets of type {kind}"
            )
        bags, width = input.layout.shape
        return np.arange(bags + 1) * width
    if input.layout.ndim != 1:
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.layout.ndim}"
        )
    if not isinstance(offsets, Tensor):
        raise ValueError(f"offsets has to be a 1D Tensor but got {offsets}")
    if offsets.layout.ndim != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    _check_index(offsets, "offsets")
    starts = np.asarray(offsets.detach().array()).astype(np.int64)
    count = input.layout.size
    if include_last and not starts.size:
        raise RuntimeError("include_last_offset: number of offsets should be at least 1")
    if starts.size and starts[0] != 0:
        raise RuntimeError(
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from "
            f"position 0. However, got {int(starts[0])}"
        )
    if starts.size and starts[-1] > count:
        raise RuntimeError(
            f"offsets[-1] can not be greater than input's length {count} but got offsets[-1] of "
            f"{int(starts[-1])}"
        )
    if (np.diff(starts) < 0).any():
        raise RuntimeError("offsets should be monotonically increasing")
    if include_last:
        return starts
    return np.append(starts, count)


def embedding_bag(
    input: Any,
    weight: Any,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """The sum, mean or maximum of the rows that every bag of indices names."""
    if isinstance(weight, Tensor) and weight.layout.dtype.name in ("int64", "int32"):
        input, weight = weight, input  # the order of arguments before PyTorch 0.4
    input = face(input, "embedding_bag", "input")
    weight = face(weight, "embedding_bag", "weight", 2)
    if sparse:
        raise NotImplementedError(
            "torch.nn.functional.embedding_bag: sparse gradients are not supported yet; "
            "use sparse=False"
        )
    scales = per_sample_weights
    if scales is not None:
        scales = face(scales, "embedding_bag", "per_sample_weights", 9)
    if scales is not None and scales.layout.shape != input.layout.shape:
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({scales.shape}) is not None, then it must have "
            f"the same shape as the input ({input.shape})"
        )
    starts = _starts(input, offsets, include_last_offset)
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if scales is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported "
            f"for mode='sum' (got mode='{mode}'). Please open a feature request on GitHub."
        )
    _check_index(input, "indices")
    if weight.layout.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    index = np.asarray(input.detach().array()).reshape(-1).astype(np.int64)
    padding = _checked_rows(index, weight.layout.shape[0], padding_idx)
    if max_norm is not None:
        renormalize(weight, index, max_norm, norm_type)
    bag = np.repeat(np.arange(starts.size - 1), np.diff(starts))
    index = index[: bag.size]  # what lies behind the last offset belongs to no bag
    kept = np.flatnonzero(index != padding) if padding is not None else None
    if scales is not None:
        scales = reshape(scales, (scales.layout.size,))
        if scales.layout.size != bag.size or kept is not None:
            chosen = np.arange(bag.size) if kept is None else kept
            scales = index_select(scales, _tensor(chosen), 0)
    if kept is not None:
        index, bag = index[kept], bag[kept]
    rows: Any = index_select(weight, _tensor(index), 0)
    if scale_grad_by_freq and weight.node is not None:
        rows = pass_through([rows], scaling(_tensor(index), None, True))[0]
    if scales is not None:
        rows = rows * expand_axis(scales, 1)
    if mode == "max":
        return _largest(rows, bag, starts.size - 1)
    return _summed(rows, bag, starts.size - 1, mode, kept is None and _even(starts))


def _tensor(values: Any) -> Any:
    return from_array(np.ascontiguousarray(values), Tensor)


def _checked_rows(index: Array, rows: int, padding_idx: int | None) -> int | None:
    bad = np.flatnonzero((index < 0) | (index >= rows))
    if bad.size:
        raise RuntimeError(
            f"Index {int(bad[0])} of input takes value {int(index[bad[0]])} which is not in the "
            f"valid range [0, {rows})"
        )
    if padding_idx is None:
        return None
    if not -rows <= padding_idx < rows:
        raise RuntimeError("padding_idx must be within the number of embeddings")
    return padding_idx % rows


def _even(starts: Array) -> bool:
    """Whether all bags are of one size, not zero."""
    sizes = np.diff(starts)
    return bool(sizes.size and sizes[0] and (sizes == sizes[0]).all())


def _summed(rows: Any, bag: Array, bags: int, mode: str, even: bool) -> Any:
    width = rows.layout.shape[1]
    if even:
        cube: Any = reshape(rows, (bags, bag.size // bags, width))
        return cube.sum(1) if mode == "sum" else cube.mean(1)
    total: Any = index_add(zeros(bags, width, dtype=rows.dtype), _tensor(bag), rows, 0)
    if mode == "sum":
        return total
    count = np.maximum(np.bincount(bag, minlength=bags), 1).astype(np.float32)
    return total / _tensor(count[:, None]).to(rows.dtype)


def _largest(rows: Any, bag: Array, bags: int) -> Any:
    """The largest element of every column of every bag, 0 of an empty one."""
    width = rows.layout.shape[1]
    values = np.asarray(rows.detach().float().array())
    place = np.zeros((bags, width), np.int64)
    begin = np.searchsorted(bag, np.arange(bags + 1))
    for number in range(bags):
        first, last = begin[number], begin[number + 1]
        if first < last:
            place[number] = first + values[first:last].argmax(0)
    filled = np.diff(begin) > 0
    if not values.shape[0]:
        return zeros(bags, width, dtype=rows.dtype)
    chosen: Any = take_along(rows, _tensor(place), 0)
    return chosen if filled.all() else where(_tensor(filled[:, None]), chosen, 0.0)
