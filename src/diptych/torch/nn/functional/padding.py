"""Padding of the last axes."""

from __future__ import annotations

import operator
from typing import Any

from diptych.ops import movement
from diptych.ops.padding import pad_edges
from diptych.torch.tensor import face


def pad(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """Widen the last axes by pairs (before, after), the last axis first; negative widths cut."""
    input = face(input, "pad")
    widths = [operator.index(width) for width in pad]
    place = input.layout
    if len(widths) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(widths) > 2 * place.ndim:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got "
            f"padding length {len(widths)} and input of dimension {place.ndim}"
        )
    if mode != "constant":
        return _continued(input, widths, mode, value)
    pairs = [(0, 0)] * place.ndim
    for index in range(len(widths) // 2):
        pairs[place.ndim - 1 - index] = (widths[2 * index], widths[2 * index + 1])
    for axis, (before, after) in enumerate(pairs):
        cut = max(-before, 0), max(-after, 0)
        if any(cut):
            left = input.layout.shape[axis] - sum(cut)
            if left + max(before, 0) + max(after, 0) < 0 or left < 0:
                raise RuntimeError(
                    f"The input size {input.layout.shape[axis]}, plus negative padding {before} "
                    f"and {after} resulted in a negative output size, which is invalid."
                )
            input = movement.narrow(input, axis, cut[0], left)
    grown = tuple((max(before, 0), max(after, 0)) for before, after in pairs)
    if not any(any(pair) for pair in grown):
        return movement.contiguous(input) if input.base is not None else input.clone()
    return movement.pad(input, grown, 0 if value is None else value)


def _continued(input: Any, widths: list[int], mode: str, value: float | None) -> Any:
    """The modes that continue the input past its edges."""
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    shape, axes = input.layout.shape, len(widths) // 2
    if not 1 <= axes <= 3 or len(shape) not in (axes + 1, axes + 2):
        raise NotImplementedError(
            f"Padding size {len(widths)} is not supported for {len(shape)}D input tensor.\n"
            "Supported combinations for non-constant padding:\n"
            "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
            "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
            "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
        )
    pairs = [(0, 0)] * len(shape)
    for index in range(axes):
        before, after = pair = widths[2 * index], widths[2 * index + 1]
        axis = len(shape) - 1 - index
        extent = shape[axis]
        pairs[axis] = pair
        if mode != "circular" and 0 in shape[len(shape) - axes - 1 :]:
            raise RuntimeError(
                f"Expected {axes + 1}D or {axes + 2}D (batch mode) tensor with possibly 0 batch "
                f"size and other non-zero dimensions for input, but got: {list(shape)}"
            )
        if mode == "reflect" and max(pair) >= extent:
            raise RuntimeError(
                f"Argument #{4 + 2 * index}: Padding size should be less than the corresponding "
                f"input dimension, but got: padding ({before}, {after}) at dimension {axis} of "
                f"input {list(shape)}"
            )
        if mode == "circular" and max(pair) > extent:
            raise RuntimeError("Padding value causes wrapping around more than once.")
        if mode == "circular" and extent + before + after < 0:
            raise RuntimeError("Negative padding value is resulting in an empty dimension")
        if mode != "circular" and extent + before + after < 1:
            raise RuntimeError(
                f"input ({'WHD'[index]}: {extent}) is too small. Calculated output "
                f"{'WHD'[index]}: {extent + before + after}"
            )
    return pad_edges(input, mode, tuple(pairs))
