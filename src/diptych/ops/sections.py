"""Views of all sections of an axis, with one gradient for all of them.

A section's own gradient would be a tensor of zeros as large as the whole, and these would be added
up one by one; together the sections' cotangents are simply joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diptych.core import recording, tape
from diptych.core.inplace import register_view
from diptych.core.layout import Layout
from diptych.core.tensor import Tensor
from diptych.ops.movement import broadcast_to, concatenate, expand_axis, slice_, squeeze_axes
from diptych.ops.select import constant


class SectionsNode(tape.Node):
    """The record of a tensor cut into sections; ``drop`` says that they lost the axis."""

    repeatable = True  # a recorded call tells of it

    def __init__(self, x: Tensor, places: Sequence[Layout], axis: int, drop: bool) -> None:
        super().__init__(((x.node, x.output),), len(places))
        self.places = places
        self.axis = axis
        self.drop = drop

    @property
    def name(self) -> str:
        return "UnbindBackward0" if self.drop else "SplitBackward0"

    def backward(self, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
        joined = []
        for cotangent, place in zip(cotangents, self.places, strict=True):
            if cotangent is None:
                cotangent = broadcast_to(constant(0, place.dtype), place.shape)
            joined.append(expand_axis(cotangent, self.axis) if self.drop else cotangent)
        return (concatenate(joined, self.axis),)


def sections(x: Tensor, axis: int, sizes: Sequence[int], drop: bool = False) -> list[Tensor]:
    """Views of consecutive pieces of an axis (which counts from the front), together all of it.

    With ``drop``, every piece is one long and loses the axis.
    """
    recorded = x.node is not None and tape.mode.enabled
    if recorded:
        with tape.recording(False):
            pieces = _pieces(x, axis, sizes, drop)
    else:
        pieces = _pieces(x, axis, sizes, drop)
    if recorded and pieces:
        _hang(x, pieces, axis, drop)
        for piece in pieces:
            if piece is not x and piece.base is not None:
                register_view(piece, piece.base)
        if recording.active is not None:
            recording.active.attach(lambda whole, parts: _hang(whole, parts, axis, drop), x, pieces)
    return pieces


def _hang(x: Tensor, pieces: Sequence[Tensor], axis: int, drop: bool) -> None:
    """Hang one node off all sections."""
    node = SectionsNode(x, [piece.layout for piece in pieces], axis, drop)
    for index, piece in enumerate(pieces):
        if piece is not x:  # else it is the one section, which is all
            piece.node, piece.output = node, index


def _pieces(x: Tensor, axis: int, sizes: Sequence[int], drop: bool) -> list[Tensor]:
    limits = [(0, extent, 1) for extent in x.layout.shape]
    pieces = []
    start = 0
    for size in sizes:
        limits[axis] = (start, start + size, 1)
        piece = slice_(x, tuple(limits))
        pieces.append(squeeze_axes(piece, (axis,)) if drop else piece)
        start += size
    return pieces
