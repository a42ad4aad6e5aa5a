"""Batches between a worker and the program: tensors by place in shared memory, the rest pickled."""

from __future__ import annotations

import functools
import io
import pickle
import struct
from collections.abc import Iterator
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np

from diptych.core import dtypes as engine
from diptych.core import tape
from diptych.core.layout import Layout, layout
from diptych.core.tape import Leaf
from diptych.core.tensor import empty, wrap
from diptych.data.shared import Arena, FilledBuffer, Place, Reader, ReceivedBuffer
from diptych.torch.tensor import Tensor

# What a message of a worker holds.
BATCH, FAILURE, EXHAUSTED, RESUMED = range(4)

_HEAD = struct.Struct("=qBII")  # batch, kind, blocks of tensors, blocks of other buffers
_PLACE = struct.Struct("=qqqqq")  # a Place, and how many of its bytes are used
_LEAST_APART = 4096  # arrays of fewer bytes are cheaper inside the pickle


def is_dense(place: Layout) -> bool:
    """Whether the elements lie without gaps, in whatever order of axes."""
    step = 1
    for stride, extent in sorted(zip(place.strides, place.shape, strict=True)):
        if extent != 1:
            if stride != step:
                return False
            step *= extent
    return True


class _Writer(pickle.Pickler):
    """Pickles a batch; tensors and large arrays go to shared memory."""

    def __init__(self, file: io.BytesIO, arena: Arena) -> None:
        others: list[FilledBuffer] = []
        # Not a method: the pickler would refer to itself, and its blocks wait for the collector.
        apart = functools.partial(_apart, arena, others)
        super().__init__(file, pickle.HIGHEST_PROTOCOL, buffer_callback=apart)
        self.dispatch_table = ForkingPickler(file).dispatch_table  # pipes, locks, descriptors
        self.arena = arena
        self.buffers: list[FilledBuffer] = []
        self.others = others
        self.indices: dict[int, int] = {}

    def persistent_id(self, obj: Any) -> Any:
        if type(obj) is not Tensor:
            return None
        node = obj.node
        if node is not None and not isinstance(node, Leaf):
            raise RuntimeError(
                "Cowardly refusing to serialize non-leaf tensor which requires_grad, since "
                "autograd does not support crossing process boundaries.  If you just want to "
                "transfer the data, call detach() on the tensor before serializing (e.g., putting "
                "it on the queue)."
            )
        place = obj.layout
        held = obj.buffer
        if type(held) is FilledBuffer and held.arena is self.arena and not held.sent:
            offset, strides = obj.address - held.address, place.strides
        else:
            held, strides = self.copied(obj), placed_like(place).strides
            offset = 0
        index = self.indices.setdefault(id(held), len(self.buffers))
        if index == len(self.buffers):
            self.buffers.append(held)
        return (index, offset, place.dtype.index, place.shape, strides, node is not None)

    def copied(self, tensor: Tensor) -> FilledBuffer:
        place = placed_like(tensor.layout)
        held = self.arena.allocate(place.nbytes)
        np.copyto(wrap(Tensor, place, held, held.address).array(), tensor.array())
        return held


def _apart(arena: Arena, others: list[FilledBuffer], view: pickle.PickleBuffer) -> bool:
    """Take an array's bytes out of the pickle, unless they are few."""
    raw = view.raw()
    if raw.nbytes < _LEAST_APART:
        return True  # stays inside
    held = arena.allocate(raw.nbytes)
    np.copyto(held.memory, np.frombuffer(raw, np.uint8))
    others.append(held)
    return False


def placed_like(place: Layout) -> Layout:
    """The layout of a copy: the same order of axes where there are no gaps, else row-major."""
    return place if is_dense(place) else layout(place.dtype, place.shape)


def encoded(arena: Arena, batch: int, kind: int, payload: Any) -> bytes:
    """A message; its blocks belong to the receiver from now on."""
    file = io.BytesIO()
    writer = _Writer(file, arena)
    writer.dump(payload)
    parts = [_HEAD.pack(batch, kind, len(writer.buffers), len(writer.others))]
    for held in (*writer.buffers, *writer.others):
        parts.append(_PLACE.pack(*arena.send(held), held.nbytes))
    parts.append(file.getvalue())
    return b"".join(parts)


class _Lent(np.ndarray):
    """An array on a received block, which it keeps."""

    held: ReceivedBuffer


def _lent(buffer: ReceivedBuffer) -> Any:
    array = buffer.memory.view(_Lent)
    array.held = buffer
    return array


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, buffers: list[ReceivedBuffer], others: Iterator[Any]) -> None:
        super().__init__(file, buffers=others)
        self.received = buffers

    def persistent_load(self, pid: Any) -> Tensor:
        index, offset, dtype, shape, strides, wanted = pid
        held = self.received[index]
        place = layout(engine.ALL[dtype], shape, strides)
        made = wrap(Tensor, place, held, held.address + offset)
        if wanted:
            tape.require_gradient(made)
        return made


def decoded(reader: Reader, message: bytes) -> tuple[int, int, Any]:
    """Batch, kind and payload of a message."""
    batch, kind, count, rest = _HEAD.unpack_from(message)
    start = _HEAD.size
    buffers, others = [], []
    for number in range(count + rest):
        *place, used = _PLACE.unpack_from(message, start)
        held = reader.buffer(Place(*place), used)
        start += _PLACE.size
        if number < count:
            buffers.append(held)
        else:
            others.append(_lent(held))
    file = io.BytesIO(memoryview(message)[start:])
    return batch, kind, _Unpickler(file, buffers, iter(others)).load()


def shared_empty(arena: Arena, place: Layout) -> Tensor:
    """A tensor of this (contiguous) layout in memory that can be sent as it stands."""
    if not place.nbytes:
        return empty(place, Tensor)
    held = arena.allocate(place.nbytes)
    return wrap(Tensor, place, held, held.address)
