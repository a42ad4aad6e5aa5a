"""Padding that continues a tensor past its edges: mirrored, repeated, or around a circle."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from diptych.core import call
from diptych.core.operation import BadCall, Composite, NoBatching, Sample, Tolerance
from diptych.core.tensor import Tensor
from diptych.errors import ArgumentError, ShapeError
from diptych.ops.movement import broadcast_to, concatenate, narrow, slice_

Widths = tuple[tuple[int, int], ...]
MODES = ("reflect", "replicate", "circular")


def _run(x: Tensor, axis: int, start: int, count: int, step: int) -> Tensor:
    """``count`` elements along an axis from ``start``, by ``step``."""
    limits = [(0, extent, 1) for extent in x.layout.shape]
    limits[axis] = (start, start + count * step, step)
    return slice_(x, tuple(limits))


def _repeated(x: Tensor, axis: int, at: int, count: int) -> Tensor:
    shape = list(x.layout.shape)
    shape[axis] = count
    return broadcast_to(narrow(x, axis, at, 1), tuple(shape))


def _check(x: Tensor, axis: int, mode: str, before: int, after: int) -> None:
    extent = x.layout.shape[axis]
    left = extent + min(before, 0) + min(after, 0)
    grown = max(before, after, 0)
    limit = {"reflect": extent - 1, "circular": left, "replicate": grown}[mode]
    least = left if mode == "circular" else extent  # what there must be to continue
    cut_short = left < 0 and mode == "circular"
    if cut_short or extent + before + after < 0 or (grown and least < 1):
        raise ShapeError(
            op="pad_edges", argument="widths", got=(before, after),
            expected=f"to leave something of the {extent} elements along axis {axis}",
        )  # fmt: skip
    if grown > limit:
        raise ShapeError(
            op="pad_edges", argument="widths", got=(before, after),
            expected=f"at most {limit} along axis {axis} of shape {list(x.layout.shape)}",
        )  # fmt: skip


def _pad_edges(x: Tensor, mode: str, widths: Widths) -> Tensor:
    if mode not in MODES:
        raise ArgumentError(op="pad_edges", argument="mode", got=mode, expected=f"one of {MODES}")
    if len(widths) != x.layout.ndim:
        raise ShapeError(
            op="pad_edges", argument="widths", got=widths, expected=f"{x.layout.ndim} pairs"
        )
    for axis, (before, after) in enumerate(widths):
        if not before and not after:
            continue
        _check(x, axis, mode, before, after)
        extent = x.layout.shape[axis]
        start, end = max(-before, 0), extent + min(after, 0)
        whole, mirrored = extent + before + after, before
        before, after, end = min(before, whole), min(after, whole), max(start, end)
        parts = []
        if before > 0:
            if mode == "reflect":
                parts.append(_run(x, axis, mirrored, before, -1))
            elif mode == "replicate":
                parts.append(_repeated(x, axis, 0, before))
            else:
                parts.append(_run(x, axis, end - before, before, 1))
        parts.append(_run(x, axis, start, end - start, 1))
        if after > 0:
            if mode == "reflect":
                parts.append(_run(x, axis, 2 * extent - 2 - max(extent, start), after, -1))
            elif mode == "replicate":
                parts.append(_repeated(x, axis, extent - 1, after))
            else:
                parts.append(_run(x, axis, start, after, 1))
        x = concatenate(parts, axis) if len(parts) > 1 else parts[0]
    return x


def _samples() -> Iterable[Sample]:
    for mode in MODES:
        for dtype in (np.float32, np.int64):
            array = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5).astype(dtype)
            yield Sample((array,), (mode, ((0, 0), (0, 0), (2, 1), (3, 2))))
            yield Sample((array,), (mode, ((0, 0), (0, 0), (0, 0), (-1, 2))))
        yield Sample((np.zeros((0, 3), np.float32),), (mode, ((0, 0), (1, 1))))


PAD_EDGES = Composite(
    "pad_edges", forward=_pad_edges, params=("mode", "widths"), samples=_samples,
    tolerance=Tolerance(),
    errors=lambda: [
        BadCall((np.ones((2, 3), np.float32),), ShapeError, "at most 2",
                ("reflect", ((0, 0), (3, 0)))),
        BadCall((np.ones((2, 3), np.float32),), ArgumentError, "one of",
                ("mirror", ((0, 0), (1, 0)))),
    ],
    batch=NoBatching("it is batched through the operations it is made of"),
)  # fmt: skip


def pad_edges(x: Tensor, mode: str, widths: Widths) -> Tensor:
    """Widen (or with negative widths cut) every axis; new elements continue ``x`` as ``mode`` says.

    "reflect" mirrors at the edge element, "replicate" repeats it, "circular" starts again.
    """
    made: Tensor = call.current.apply1(PAD_EDGES, x, (mode, widths))
    return made
