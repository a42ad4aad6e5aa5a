"""Movements that write: each stores its operands into parts of a fresh place."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from diptych.compiler.lazy import Lazy, Number, Stored
from diptych.compiler.spaces import remap
from diptych.compiler.steps import Place
from diptych.core import dtypes
from diptych.core.operation import Primitive, lookup
from diptych.graph.graph import Node

if TYPE_CHECKING:
    from diptych.compiler.lower import Lowering


def _concatenate(lowering: Lowering, node: Node) -> Lazy:
    axis = node.params[0]
    target = lowering.fresh(lowering.dtype(node), lowering.shape(node))
    position = 0
    for source in lowering.operands(node):
        extent = source.shape[axis]
        if source.dtype.is_complex or target.dtype.is_complex:
            source = lowering.host_cast(source, target.dtype)
        lowering.write(source, _narrowed(target, axis, position, extent))
        position += extent
    return Stored(target)


def _unslice(lowering: Lowering, node: Node) -> Lazy:
    shape, limits = node.params
    target = lowering.fresh(lowering.dtype(node), shape)
    lowering.write(Number(0, target.dtype, shape), target)
    lowering.write(lowering.operands(node)[0], _sliced(target, limits))
    return Stored(target)


def _put_slice(lowering: Lowering, node: Node) -> Lazy:
    whole, part = lowering.operands(node)
    target = lowering.fresh(lowering.dtype(node), lowering.shape(node))
    lowering.write_anew(whole, target)
    lowering.write(lowering.cast(part, target.dtype), _sliced(target, node.params[0]))
    return Stored(target)


def _pad(lowering: Lowering, node: Node) -> Lazy:
    source, value = lowering.operands(node)
    target = lowering.fresh(lowering.dtype(node), lowering.shape(node))
    filled = remap(value, (None,) * len(target.shape), target.shape, lowering.resolve, {})
    lowering.write(filled, target)
    widths = node.params[0]
    limits = tuple((b, b + n, 1) for (b, _), n in zip(widths, source.shape, strict=True))
    lowering.write(source, _sliced(target, limits))
    return Stored(target)


def _undiagonal(lowering: Lowering, node: Node) -> Lazy:
    shape, *params = node.params
    target = lowering.fresh(lowering.dtype(node), shape)
    lowering.write(Number(0, target.dtype, shape), target)
    lowering.write(lowering.operands(node)[0], _viewed(target, "diagonal", tuple(params)))
    return Stored(target)


def _put_strided(lowering: Lowering, node: Node) -> Lazy:
    whole, part = lowering.operands(node)
    target = lowering.fresh(lowering.dtype(node), lowering.shape(node))
    lowering.write_anew(whole, target)
    lowering.write(lowering.cast(part, target.dtype), _viewed(target, "as_strided", node.params))
    return Stored(target)


WRITERS: dict[str, Callable[[Lowering, Node], Lazy]] = {
    "concatenate": _concatenate,
    "unslice": _unslice,
    "put_slice": _put_slice,
    "pad": _pad,
    "undiagonal": _undiagonal,
    "put_strided": _put_strided,
}


# ---- parts of places


def _viewed(place: Place, name: str, params: Any) -> Place:
    op = lookup(name)
    assert isinstance(op, Primitive) and op.view is not None, f"{name} is a movement"
    viewed = op.view(place.layout, params)
    assert viewed is not None, "a fresh place can be viewed"
    strided, offset = viewed
    return Place(place.storage, place.offset + offset, place.dtype, strided.shape, strided.strides)


def parts(place: Place) -> Place:
    """A complex place as a real one with a last axis for the real and imaginary parts."""
    strides = (*[2 * stride for stride in place.strides], 1)
    real = dtypes.real_of(place.dtype)
    return Place(place.storage, 2 * place.offset, real, (*place.shape, 2), strides)


def _sliced(place: Place, limits: Any) -> Place:
    return _viewed(place, "slice", (limits,))


def _narrowed(place: Place, axis: int, start: int, length: int) -> Place:
    limits = [(0, extent, 1) for extent in place.shape]
    limits[axis] = (start, start + length, 1)
    return _sliced(place, tuple(limits))
