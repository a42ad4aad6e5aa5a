"""Clipping by norm, of one tensor or of several taken together."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.ops import select
from diptych.tensorflow import elementwise as table
from diptych.tensorflow import reductions
from diptych.tensorflow.conversion import tensor_as, tensor_of
from diptych.tensorflow.linalg import global_norm


def clip_by_norm(t: Any, clip_norm: Any, axes: Any = None, name: Any = None) -> Any:
    """The tensor scaled down to a norm, if its own is larger."""
    x = tensor_of(t)
    limit = tensor_as(clip_norm, x.layout.dtype)
    total = reductions.reduce_sum(table.square(x), axes, keepdims=True)
    positive = table.greater(total, 0)
    # The root of zero has no slope, so it is taken of a one there.
    size = select.where(positive, table.sqrt(select.where(positive, total, 1)), total)
    return table.real_div(table.multiply(x, limit), table.maximum(size, limit))


def clip_by_global_norm(
    t_list: Any, clip_norm: Any, use_norm: Any = None, name: Any = None
) -> tuple[list[Any], Any]:
    """Tensors scaled down together to a norm, if theirs is larger; and their norm."""
    if not isinstance(t_list, (list, tuple)):
        raise TypeError(f"t_list should be a sequence. Received {type(t_list)}.")
    size = global_norm(t_list) if use_norm is None else tensor_of(use_norm)
    limit = tensor_as(clip_norm, size.layout.dtype)
    # An infinite norm gives NaN, so that nobody trains on by mistake.
    scale = table.multiply(limit, table.minimum(table.reciprocal(size), table.reciprocal(limit)))
    if not np.isfinite(size.values()):
        scale = table.multiply(scale, float("nan"))
    clipped = [None if t is None else table.multiply(tensor_of(t), scale) for t in t_list]
    return clipped, size
