"""Functions whose result never shares memory (``*_copy``, ``unsafe_*``); changed copies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from diptych.core import call, recording
from diptych.ops import movement, select
from diptych.ops.movement import PUT_STRIDED
from diptych.torch import creation, outputs
from diptych.torch import movement as views
from diptych.torch.elementwise import public
from diptych.torch.joining import real_view
from diptych.torch.tensor import axis_of, face


def _copied(name: str, view: Callable[..., Any]) -> Callable[..., Any]:
    """``name``: the copy of what a view function gives."""

    def function(input: Any, *args: Any, out: Any = None, **given: Any) -> Any:
        x = face(input, name)
        return outputs.finish(select.copy(view(x, *args, **given)), out, name)

    return public(function, name)


def _pieces_copied(name: str, view: Callable[..., Any]) -> Callable[..., Any]:
    """``name``: copies of the pieces that a view function gives."""

    def function(input: Any, *args: Any, out: Any = None, **given: Any) -> Any:
        x = face(input, name)
        pieces = [select.copy(piece) for piece in view(x, *args, **given)]
        if out is None:
            return tuple(pieces)
        for target, piece in zip(out, pieces, strict=True):
            outputs.write(target, piece, name)
        return out

    return public(function, name)


def _view(x: Any, size: Any = None, *, dtype: Any = None) -> Any:
    return views.view(x, dtype=dtype) if size is None else views.view(x, size)


def _slice(x: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    index = (*[slice(None)] * axis_of(dim, x.layout.ndim), slice(start, end, step))
    return x[index]


_VIEWS: dict[str, Callable[..., Any]] = {
    "alias_copy": lambda x: x, "as_strided_copy": views.as_strided,
    "detach_copy": views.detach, "diagonal_copy": views.diagonal,
    "expand_copy": lambda x, size, *, implicit=False: views.expand(x, size),
    "narrow_copy": views.narrow, "permute_copy": lambda x, dims: views.permute(x, dims),
    "select_copy": views.select_, "slice_copy": _slice, "squeeze_copy": views.squeeze,
    "t_copy": views.t, "transpose_copy": views.transpose, "unfold_copy": views.unfold,
    "unsqueeze_copy": views.unsqueeze, "view_copy": _view, "view_as_real_copy": real_view,
}  # fmt: skip
_PIECES: dict[str, Callable[..., Any]] = {
    "split_copy": views.split, "split_with_sizes_copy": views.split, "unbind_copy": views.unbind,
    "unsafe_chunk": views.chunk, "unsafe_split": views.split,
    "unsafe_split_with_sizes": views.split,
}  # fmt: skip


def as_strided_scatter(
    input: Any, src: Any, size: Any, stride: Any, storage_offset: int | None = None
) -> Any:
    """A copy with the elements replaced that ``as_strided`` would show."""
    made: Any = select.copy(face(input, "as_strided_scatter"))
    part = face(src, "as_strided_scatter", "src", 2)
    if part.layout.shape != tuple(size):
        raise RuntimeError(
            f"expected src to have a size equal to the slice of self. src size = "
            f"{list(part.layout.shape)}, slice size = {list(size)}"
        )
    offset = storage_offset or 0
    views.as_strided(made.detach(), size, stride, offset)  # raises where it does not fit
    params = (tuple(size), tuple(stride), offset)
    return call.apply(PUT_STRIDED, made, select.cast(part, made.layout.dtype), params=params)


def constant_pad_nd(input: Any, pad: Any, value: Any = 0) -> Any:
    """The last axes widened by pairs (before, after), the last axis first; negative widths cut."""
    x: Any = face(input, "constant_pad_nd")
    widths = [int(width) for width in pad]
    ndim = x.layout.ndim
    if len(widths) % 2 or len(widths) > 2 * ndim:
        raise RuntimeError(
            f"Length of pad must be even and at most twice the number of dimensions of the input "
            f"({ndim}). Pad has {len(widths)} elements."
        )
    pairs = [(0, 0)] * ndim
    for index in range(len(widths) // 2):
        pairs[ndim - 1 - index] = (widths[2 * index], widths[2 * index + 1])
    for axis, (before, after) in enumerate(pairs):
        cut = max(-before, 0), max(-after, 0)
        if any(cut):
            left = x.layout.shape[axis] - sum(cut)
            if left < 0:
                raise RuntimeError(
                    f"The input size {x.layout.shape[axis]}, plus negative padding {before} and "
                    f"{after}, resulted in a negative output size, which is invalid. Check "
                    f"dimension {axis} of your input."
                )
            x = movement.narrow(x, axis, cut[0], left)
    grown = tuple((max(before, 0), max(after, 0)) for before, after in pairs)
    return movement.pad(x, grown, value) if any(map(any, grown)) else select.copy(x)


def empty_permuted(size: Any, physical_layout: Any, **rest: Any) -> Any:
    """A tensor of unknown content whose axes lie in memory in a given order."""
    shape, order = tuple(size), tuple(physical_layout)
    if sorted(order) != list(range(len(shape))):
        raise RuntimeError(
            f"Number of dimensions in size does not match the length of the physical_layout, or "
            f"it is no permutation: {list(shape)} and {list(order)}"
        )
    strides = [0] * len(shape)
    step = 1
    for axis in reversed(order):
        strides[axis] = step
        step *= max(shape[axis], 1)
    return creation.empty_strided(shape, strides, **rest)


def resolve_neg(input: Any) -> Any:
    """The tensor itself: negation is carried out at once."""
    return face(input, "resolve_neg")


def is_neg(input: Any) -> bool:
    """False: negation is carried out at once."""
    face(input, "is_neg")
    return False


def resize_as_(self: Any, the_template: Any, *, memory_format: Any = None) -> Any:
    """The shape of another tensor, in place."""
    return self.resize_(face(the_template, "resize_as_", "the_template", 2).layout.shape)


def as_strided_(self: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Any:
    """The tensor itself takes another view of its memory."""
    recording.refuse("a tensor takes another view of its memory in place")
    if self.node is not None:
        raise NotImplementedError(
            "Tensor.as_strided_ of a tensor that records gradients is not implemented in diptych"
        )
    seen = views.as_strided(self, size, stride, storage_offset)
    self.layout, self.address = seen.layout, seen.address
    return self


FUNCTIONS: dict[str, Any] = {
    **{name: _copied(name, view) for name, view in _VIEWS.items()},
    **{name: _pieces_copied(name, view) for name, view in _PIECES.items()},
    "as_strided_scatter": as_strided_scatter, "constant_pad_nd": constant_pad_nd,
    "empty_permuted": empty_permuted, "resolve_neg": resolve_neg, "is_neg": is_neg,
    "resize_as_": resize_as_, "as_strided_": as_strided_,
}  # fmt: skip
METHODS: dict[str, Any] = {
    name: FUNCTIONS[name]
    for name in (
        "as_strided_scatter", "unsafe_chunk", "unsafe_split", "unsafe_split_with_sizes",
        "narrow_copy", "resolve_neg", "is_neg", "resize_as_", "as_strided_",
    )
}  # fmt: skip
