"""Collating: a list of samples as one batch."""

from __future__ import annotations

import copy
import ctypes
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from diptych.core.layout import Layout, layout
from diptych.core.tensor import empty
from diptych.ops.movement import concatenate, expand_axis
from diptych.torch.creation import as_tensor, tensor
from diptych.torch.dtypes import NAMED
from diptych.torch.tensor import Tensor, face

_FORMAT = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)


class Placing:
    """Where a stack is made: in a worker, in memory that it can send."""

    empty: Callable[[Layout], Tensor] | None = None


def stacked(batch: Sequence[Any]) -> Any:
    """Tensors of one shape as the rows of one tensor."""
    first = batch[0].layout
    alike = True
    for index, x in enumerate(batch):
        place = x.layout
        if place is first and x.node is None:
            continue
        if place.shape != first.shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(first.shape)} at entry "
                f"0 and {list(place.shape)} at entry {index}"
            )
        if x.node is not None or place.dtype is not first.dtype:
            return concatenate([expand_axis(face(x, "stack"), 0) for x in batch], 0)
        alike = False
    whole = layout(first.dtype, (len(batch), *first.shape))
    made = empty(whole, Tensor) if Placing.empty is None else Placing.empty(whole)
    if alike and first.contiguous:
        move, address, nbytes = ctypes.memmove, made.address, first.nbytes
        for x in batch:
            move(address, x.address, nbytes)
            address += nbytes
    else:
        np.stack([x.array() for x in batch], out=made.array())
    return made


def default_convert(data: Any) -> Any:
    """A sample with its arrays as tensors, nothing batched."""
    if isinstance(data, Tensor):
        return data
    if isinstance(data, (np.ndarray, np.generic)):
        if data.dtype.kind in "SUO":
            return data
        return as_tensor(data)
    if isinstance(data, Mapping):
        return _rebuilt(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*[default_convert(value) for value in data])
    if isinstance(data, tuple):
        return [default_convert(value) for value in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _rebuilt(data, [default_convert(value) for value in data])
    return data


def _rebuilt(like: Any, values: Any) -> Any:
    """A container of the original's class with other values; a plain one where that fails."""
    try:
        if isinstance(like, MutableMapping):
            made: Any = copy.copy(like)
            made.update(values)
            return made
        if isinstance(like, MutableSequence):
            made = copy.copy(like)
            for index, value in enumerate(values):
                made[index] = value
            return made
        return type(like)(values)
    except TypeError:
        return values


def default_collate(batch: Any) -> Any:
    """Samples joined: tensors stacked, numbers in a tensor, containers collated inside."""
    first = batch[0]
    if isinstance(first, Tensor):
        return stacked(batch)
    if isinstance(first, np.ndarray):
        if first.dtype.kind in "SUO":
            raise TypeError(_FORMAT.format(first.dtype))
        return stacked([as_tensor(item) for item in batch])
    if isinstance(first, (np.generic, np.bool_)):
        return as_tensor(np.array(batch))
    if isinstance(first, float):
        return tensor(batch, dtype=NAMED["float64"])
    if isinstance(first, int):
        return tensor(batch)
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        columns = {key: default_collate([sample[key] for sample in batch]) for key in first}
        return _rebuilt(first, columns)
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*[default_collate(column) for column in zip(*batch, strict=True)])
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        joined = [default_collate(list(column)) for column in zip(*batch, strict=True)]
        return joined if isinstance(first, tuple) else _rebuilt(first, joined)
    raise TypeError(_FORMAT.format(type(first)))
