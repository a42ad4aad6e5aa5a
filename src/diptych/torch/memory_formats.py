"""The order of axes in memory: which tensors have a format, and copies that do."""

from __future__ import annotations

from typing import Any

from diptych.core.layout import Layout
from diptych.ops import movement, select

_RANKS = {"channels_last": 4, "channels_last_3d": 5}


def is_arranged(place: Layout, name: str) -> bool:
    """Whether elements lie without gaps in the order of a format (by name)."""
    rank = _RANKS.get(name)
    if rank is None:
        return place.contiguous
    if place.ndim != rank:
        return False
    step = 1
    for axis in (1, *range(rank - 1, 1, -1), 0):
        if place.shape[axis] != 1:
            if place.strides[axis] != step:
                return False
            step *= place.shape[axis]
    return True


def arranged(x: Any, memory_format: Any) -> Any:
    """``x`` itself where it has the format, else a copy that does."""
    name = memory_format._name
    rank = _RANKS.get(name)
    if rank is None:
        return x if name == "preserve_format" or x.layout.contiguous else select.copy(x)
    if x.layout.ndim != rank:
        raise RuntimeError(f"required rank {rank} tensor to use {name} format")
    if is_arranged(x.layout, name):
        return x
    last = movement.transpose(x, (0, *range(2, rank), 1))
    copied = last if last.layout.contiguous and last.base is None else select.copy(last)
    return movement.transpose(copied, (0, rank - 1, *range(1, rank - 1)))


def in_format(x: Any, memory_format: Any) -> Any:
    """As ``arranged``, for tensors of the format's rank alone: what ``Module.to`` converts."""
    rank = _RANKS.get(memory_format._name)
    return x if rank is not None and x.layout.ndim != rank else arranged(x, memory_format)
