"""Padding of the last axes."""

from __future__ import annotations

from typing import Any

from diptych.ops import movement
from diptych.torch.tensor import face


def pad(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """Widen the last axes by pairs (before, after), the last axis first; negative widths cut."""
    input = face(input, "pad")
    if mode != "constant":
        raise NotImplementedError(
            f"torch.nn.functional.pad: mode {mode!r} is not supported yet; 'constant' is"
        )
    widths = list(pad)
    place = input.layout
    if len(widths) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(widths) > 2 * place.ndim:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got "
            f"padding length {len(widths)} and input of dimension {place.ndim}"
        )
    pairs = [(0, 0)] * place.ndim
    for index in range(len(widths) // 2):
        pairs[place.ndim - 1 - index] = (int(widths[2 * index]), int(widths[2 * index + 1]))
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
