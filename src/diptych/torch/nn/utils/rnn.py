"""Sequences of different lengths: padded into one tensor, or packed step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from diptych.core.tensor import copy_array, from_array
from diptych.ops.indexing import index_select
from diptych.ops.movement import concatenate, reshape, swap_axes
from diptych.torch.creation import tensor
from diptych.torch.tensor import Tensor, face


class PackedSequence_(NamedTuple):
    """The fields of a PackedSequence."""

    data: Any
    batch_sizes: Any
    sorted_indices: Any
    unsorted_indices: Any


def bind(optional: Any, fn: Callable[[Any], Any]) -> Any:
    """None for None, else ``fn`` of the value."""
    return None if optional is None else fn(optional)


def _numbers(values: Any) -> Any:
    """A tensor of int64."""
    return from_array(np.ascontiguousarray(values, np.int64), Tensor)


def _integers(x: Any) -> Any:
    return np.asarray(x.detach().array() if isinstance(x, Tensor) else x).astype(np.int64)


def invert_permutation(permutation: Any) -> Any:
    """Where each position went; None for None."""
    if permutation is None:
        return None
    order = _integers(permutation)
    back = np.empty_like(order)
    back[order] = np.arange(order.size)
    return _numbers(back)


class PackedSequence(PackedSequence_):
    """Steps of several sequences, one after another: all first steps, then all second ones, ...

    ``batch_sizes`` says how many sequences reach each step; ``sorted_indices`` how the batch was
    put in order of length, if it was.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Any,
        batch_sizes: Any = None,
        sorted_indices: Any = None,
        unsorted_indices: Any = None,
    ) -> Any:
        if batch_sizes is None:
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise AssertionError("Expected data to be a list or tuple of (data, batch_sizes)")
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def _with(self, data: Any) -> Any:
        if data is self.data:
            return self
        return type(self)(data, self.batch_sizes, self.sorted_indices, self.unsorted_indices)

    def pin_memory(self) -> Any:
        return self._with(self.data.pin_memory())

    def to(self, *args: Any, **kwargs: Any) -> Any:
        return self._with(self.data.to(*args, **kwargs))

    def cuda(self, *args: Any, **kwargs: Any) -> Any:
        return self._with(self.data.cuda(*args, **kwargs))

    def cpu(self, *args: Any, **kwargs: Any) -> Any:
        return self._with(self.data.cpu(*args, **kwargs))

    def double(self) -> Any:
        return self._with(self.data.double())

    def float(self) -> Any:
        return self._with(self.data.float())

    def half(self) -> Any:
        return self._with(self.data.half())

    def long(self) -> Any:
        return self._with(self.data.long())

    def int(self) -> Any:
        return self._with(self.data.int())

    def short(self) -> Any:
        return self._with(self.data.short())

    def char(self) -> Any:
        return self._with(self.data.char())

    def byte(self) -> Any:
        return self._with(self.data.byte())

    @property
    def is_cuda(self) -> bool:
        return bool(self.data.is_cuda)

    def is_pinned(self) -> bool:
        return bool(self.data.is_pinned())


def _batch_sizes(lengths: Any) -> Any:
    """How many sequences reach each step, of lengths in decreasing order."""
    steps = np.arange(int(lengths[0]))
    return np.searchsorted(-lengths, -steps, side="left").astype(np.int64)


def _steps(sizes: Any) -> tuple[Any, Any]:
    """(step, sequence) of every row of packed data."""
    step = np.repeat(np.arange(sizes.size), sizes)
    begin = np.repeat(np.cumsum(sizes) - sizes, sizes)
    return step, np.arange(step.size) - begin


def _rows(x: Any) -> Any:
    """The first two axes as one."""
    shape = x.layout.shape
    return reshape(x, (shape[0] * shape[1], *shape[2:]))


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack a padded batch (steps, batch, ...), or (batch, steps, ...) with ``batch_first``."""
    input = face(input, "pack_padded_sequence")
    if not isinstance(lengths, (Tensor, list, tuple)):
        lengths = list(lengths)
    sizes = _integers(lengths).reshape(-1)
    if input.layout.ndim < 2:
        raise RuntimeError("pack_padded_sequence: the input needs axes of steps and of the batch")
    if batch_first:
        input = swap_axes(input, 0, 1)
    longest, batch = input.layout.shape[:2]
    if not input.layout.size:
        raise RuntimeError("Cannot pack empty tensors.")
    if sizes.size != batch:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {sizes.size} "
            f"(batch_size={batch})"
        )
    if (sizes <= 0).any():
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' "
            "that is <= 0"
        )
    order = None
    if enforce_sorted:
        if (np.diff(sizes) > 0).any():
            raise RuntimeError(
                "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. "
                "You can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence "
                "to sidestep this requirement if you do not need ONNX exportability."
            )
    else:
        order = np.argsort(-sizes, kind="stable")
        sizes = sizes[order]
    if sizes[0] > longest:
        raise RuntimeError(
            f"pack_padded_sequence: a length is {sizes[0]}, but the input has {longest} steps"
        )
    per_step = _batch_sizes(sizes)
    if order is None and sizes[-1] == longest:
        data = _rows(input)
    else:
        step, place = _steps(per_step)
        at = step * batch + (place if order is None else order[place])
        data = index_select(_rows(input), _numbers(at), 0)
    return PackedSequence(data, _numbers(per_step), None if order is None else _numbers(order))


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Any, Any]:
    """The padded batch of a packed one, and the lengths of its sequences."""
    sizes = _integers(sequence.batch_sizes)
    longest, batch = int(sizes.size), int(sizes[0])
    if total_length is not None:
        if total_length < longest:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in "
                f"input, but got total_length={total_length} and max sequence length being "
                f"{longest}"
            )
        longest = total_length
    lengths = (sizes[:, None] > np.arange(batch)).sum(0)
    data = face(sequence.data, "pad_packed_sequence", "data")
    rows = data.layout.shape[0]
    order = sequence.unsorted_indices
    if order is not None:
        order = face(order, "pad_packed_sequence", "unsorted_indices")
    if order is None and rows == longest * batch:
        padded = reshape(data, (longest, batch, *data.layout.shape[1:]))
    else:
        at = np.full((longest, batch), rows, np.int64)
        step, place = _steps(sizes)
        at[step, place] = np.arange(rows)
        if order is not None:
            back = _integers(order)
            at, lengths = at[:, back], lengths[back]
        padded = _filled(data, at, padding_value)
    if batch_first:
        padded = swap_axes(padded, 0, 1)
    return padded, _numbers(lengths)


def _filled(data: Any, at: Any, padding_value: float) -> Any:
    """Rows of ``data`` at positions, the one past its end being the padding."""
    shape = data.layout.shape[1:]
    if at.size and int(at.max()) >= data.layout.shape[0]:
        row = np.full((1, *shape), padding_value, np.float32)
        data = concatenate([data, copy_array(row, Tensor, data.layout.dtype)], 0)
    taken = index_select(data, _numbers(at.reshape(-1)), 0)
    return reshape(taken, (*at.shape, *shape))


def pad_sequence(
    sequences: Any,
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Any:
    """One tensor (steps, batch, ...) of sequences (steps, ...), the shorter ones filled up."""
    if not hasattr(sequences, "__iter__"):
        raise RuntimeError(
            "pad_sequence: Expected iterable for input sequences, but got arg of type: "
            f"{type(sequences)}"
        )
    if padding_side not in ("left", "right"):
        raise RuntimeError(
            f"Expected padding_side to be one of left or right, but got {padding_side}."
        )
    rows = [face(s, "pad_sequence", "sequences") for s in sequences]
    if not rows:
        raise RuntimeError("received an empty list of sequences")
    shape = rows[0].layout.shape[1:]
    for row in rows:
        if not row.layout.ndim:
            raise RuntimeError("pad_sequence: a sequence needs an axis of steps")
        if row.layout.shape[1:] != shape:
            raise RuntimeError(
                "pad_sequence: the sequences may differ in their first axis only, got shapes "
                f"{list(rows[0].layout.shape)} and {list(row.layout.shape)}"
            )
    lengths = np.array([row.layout.shape[0] for row in rows])
    longest = int(lengths.max())
    steps = np.arange(longest)
    begin = np.cumsum(lengths) - lengths
    if padding_side == "left":
        begin, inside = begin - (longest - lengths), steps >= (longest - lengths)[:, None]
    else:
        inside = steps < lengths[:, None]
    at = np.where(inside, begin[:, None] + steps, lengths.sum())  # (batch, steps)
    return _filled(concatenate(rows, 0), at if batch_first else at.T, padding_value)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """The sequences of a padded batch, each at its own length."""
    x: Any = face(padded_sequences, "unpad_sequence")
    if not batch_first:
        x = swap_axes(x, 0, 1)
    rows = x.unbind(0)
    return [row[: int(n)] for row, n in zip(rows, _integers(lengths), strict=False)]


def pack_sequence(sequences: Sequence[Any], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences (steps, ...) of different lengths."""
    given = [face(s, "pack_sequence", "sequences") for s in sequences]
    lengths = tensor([s.layout.shape[0] for s in given])
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """The sequences of a packed batch."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)


__all__ = [
    "PackedSequence", "invert_permutation", "pack_padded_sequence", "pack_sequence",
    "pad_packed_sequence", "pad_sequence", "unpack_sequence", "unpad_sequence",
]  # fmt: skip
