"""Joining tensors: cat, stack and their kin, common shapes, grids, complex numbers from parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diptych.core import call, tape
from diptych.core import dtypes as engine
from diptych.core.layout import broadcast_shapes as engine_broadcast
from diptych.core.layout import layout
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import alias
from diptych.errors import ShapeError
from diptych.ops import movement, select
from diptych.torch import outputs
from diptych.torch.gradient_nodes import label
from diptych.torch.movement import expand, reshape, select_, transpose, view_dtype
from diptych.torch.promotion import of_operands
from diptych.torch.size import Size
from diptych.torch.tensor import Tensor, axis_of, face

Shape = tuple[int, ...]


def real_view(input: Any) -> Any:
    """A complex tensor's parts as a last axis of two (a copy while gradients are recorded)."""
    x = face(input, "view_as_real")
    if not x.layout.dtype.is_complex:
        raise RuntimeError("view_as_real is only supported for complex tensors")
    if x.node is not None and tape.mode.enabled:
        return stack([select.real(x), select.imag(x)], -1)
    grown = alias(x, Tensor)
    shape, strides = x.layout.shape, x.layout.strides
    from_dtype = engine.real_of(x.layout.dtype)
    grown.layout = layout(from_dtype, (*shape, 2), (*[2 * s for s in strides], 1))
    grown.base = x if x.base is None else x.base
    return grown


def complex_view(input: Any) -> Any:
    """A last axis of two as the parts of complex numbers."""
    x = face(input, "view_as_complex")
    if not x.layout.ndim or x.layout.shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    if x.node is not None and tape.mode.enabled:
        return select.complex_(select_(x, -1, 0), select_(x, -1, 1))
    return reshape(view_dtype(x, engine.complex_of(x.layout.dtype)), x.layout.shape[:-1])


def _same_class(tensors: Any, function: str) -> list[Any]:
    if isinstance(tensors, CoreTensor) or not isinstance(tensors, Sequence):
        raise TypeError(
            f"{function}(): argument 'tensors' (position 1) must be tuple of Tensors, not "
            f"{type(tensors).__name__}"
        )
    for position, tensor in enumerate(tensors):
        if not isinstance(tensor, CoreTensor):
            raise TypeError(
                f"expected Tensor as element {position} in argument 0, but got "
                f"{type(tensor).__name__}"
            )
    if not tensors:
        raise ValueError(f"torch.{function}(): expected a non-empty list of Tensors")
    return [face(tensors[0], function), *tensors[1:]]


def common_layout(tensors: Any) -> Any:
    """The layout that all tensors of a list or tuple share, the first one of this face; or None."""
    if tensors.__class__ is not list and tensors.__class__ is not tuple:
        return None
    if not tensors or not isinstance(tensors[0], Tensor):
        return None
    place = tensors[0].layout
    for x in tensors:
        if not isinstance(x, CoreTensor) or x.layout is not place:
            return None
    return place


def common_dtype(tensors: Sequence[CoreTensor]) -> Any:
    """The dtype that tensors joined together have, by promotion with ranks."""
    first = tensors[0].layout.dtype
    if all(x.layout.dtype is first for x in tensors):
        return first
    return of_operands(*tensors)


def cat(tensors: Any, dim: int = 0, *, out: Any = None) -> Any:
    """Tensors joined along an axis."""
    place = common_layout(tensors)
    if place is not None and place.ndim and out is None:  # alike: nothing to check or to convert
        axis = axis_of(dim, place.ndim)
        return call.current.apply(movement.CONCATENATE, tuple(tensors), (axis,))
    given = _same_class(tensors, "cat")
    # PyTorch lets a tensor of shape (0,) stand among any others.
    kept = [x for x in given if x.layout.shape != (0,)] or given[:1]
    for index, x in enumerate(given):
        if not x.layout.ndim:
            raise RuntimeError(
                f"zero-dimensional tensor (at position {index}) cannot be concatenated"
            )
    first = kept[0].layout
    axis = axis_of(dim, first.ndim)
    for index, x in enumerate(kept):
        place = x.layout
        if place.ndim != first.ndim:
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {first.ndim} and {place.ndim}"
            )
        for k, (have, want) in enumerate(zip(place.shape, first.shape, strict=True)):
            if have != want and k != axis:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {axis}. Expected size {want} "
                    f"but got size {have} for tensor number {index} in the list."
                )
    dtype = common_dtype(given)
    parts = [select.cast(x, dtype) for x in kept]
    if not isinstance(parts[0], Tensor):
        parts[0] = face(parts[0], "cat")
    return outputs.finish(movement.concatenate(parts, axis), out, "cat")


def stack(tensors: Any, dim: int = 0, *, out: Any = None) -> Any:
    """Tensors of one shape along a new axis."""
    place = common_layout(tensors)
    if place is not None and place.ndim and out is None:
        axis, shape = axis_of(dim, place.ndim + 1), place.shape
        if axis < place.ndim and place.size:
            # Joined along the axis after the new one, which a reshape then cuts into both.
            joined = call.current.apply(movement.CONCATENATE, tuple(tensors), (axis,))
            shape = (*shape[:axis], len(tensors), *shape[axis:])
            result = call.current.apply1(movement.RESHAPE, joined, (shape,))
            result.base = None  # of the reshape, which nobody else sees
            return label(result, "StackBackward0")
    given = _same_class(tensors, "stack")
    shape = given[0].layout.shape
    for index, x in enumerate(given):
        if x.layout.shape != shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(shape)} at entry 0 and "
                f"{list(x.layout.shape)} at entry {index}"
            )
    axis = axis_of(dim, len(shape) + 1)
    dtype = common_dtype(given)
    grown = [
        movement.reshape(select.cast(x, dtype), (*shape[:axis], 1, *shape[axis:])) for x in given
    ]
    result = label(movement.concatenate(grown, axis), "StackBackward0")
    return outputs.finish(result, out, "stack")


def _at_least(name: str, ndim: int) -> Any:
    def one(x: Any) -> Any:
        x = face(x, name)
        shape = x.layout.shape
        if len(shape) >= ndim:
            return x
        if not shape:
            wanted: Shape = (1,) * ndim
        elif ndim == 2:
            wanted = (1, *shape)
        else:
            wanted = (1, *shape, 1) if len(shape) == 1 else (*shape, 1)
        return movement.reshape(x, wanted)

    def function(*tensors: Any) -> Any:
        if len(tensors) == 1 and not isinstance(tensors[0], CoreTensor):
            tensors = tuple(tensors[0])
            return tuple(one(x) for x in tensors)
        return one(tensors[0]) if len(tensors) == 1 else tuple(one(x) for x in tensors)

    function.__name__ = function.__qualname__ = name
    return function


atleast_1d, atleast_2d, atleast_3d = (_at_least(f"atleast_{n}d", n) for n in (1, 2, 3))


def hstack(tensors: Any, *, out: Any = None) -> Any:
    """Joined side by side: along the second axis, or the only one."""
    grown = atleast_1d(list(tensors))
    return outputs.finish(cat(grown, 0 if grown[0].layout.ndim == 1 else 1), out, "hstack")


def vstack(tensors: Any, *, out: Any = None) -> Any:
    """Joined one below the other."""
    return cat(atleast_2d(list(tensors)), 0, out=out)


def dstack(tensors: Any, *, out: Any = None) -> Any:
    """Joined along the third axis."""
    return cat(atleast_3d(list(tensors)), 2, out=out)


def column_stack(tensors: Any, *, out: Any = None) -> Any:
    """Vectors as columns, matrices side by side."""
    grown = [reshape(x, (-1, 1)) if x.layout.ndim <= 1 else x for x in tensors]
    return cat(grown, 1, out=out)


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """Views of all tensors in their common shape."""
    given = list(tensors[0]) if len(tensors) == 1 and not isinstance(
        tensors[0], CoreTensor
    ) else list(tensors)  # fmt: skip
    shape = broadcast_shapes(*[x.layout.shape for x in given])
    return tuple([expand(face(x, "broadcast_tensors"), shape) for x in given])


def broadcast_shapes(*shapes: Any) -> Any:
    """The common shape of shapes under broadcasting."""
    from_sizes = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    try:
        return Size(engine_broadcast(tuple(from_sizes), "broadcast_shapes"))
    except ShapeError as error:
        raise RuntimeError(
            "Shape mismatch: objects cannot be broadcast to a single shape"
        ) from error


def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Any, ...]:
    """Coordinate grids of vectors."""
    given = list(tensors[0]) if len(tensors) == 1 and not isinstance(
        tensors[0], CoreTensor
    ) else list(tensors)  # fmt: skip
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(
            f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    swap = indexing == "xy" and len(given) >= 2
    given = [face(x, "meshgrid", "tensors") for x in given]
    shape = tuple(x.layout.size for x in given)
    grids = []
    for axis, x in enumerate(given):
        column = reshape(x, tuple(-1 if k == axis else 1 for k in range(len(given))))
        grids.append(expand(column, shape))
    if swap:
        grids = [transpose(grid, 0, 1) for grid in grids]
    return tuple(grids)


FUNCTIONS: dict[str, Any] = {
    f.__name__: f
    for f in (cat, stack, atleast_1d, atleast_2d, atleast_3d, hstack, vstack, dstack, column_stack,
              broadcast_tensors, broadcast_shapes, meshgrid)
}  # fmt: skip
FUNCTIONS.update(
    concat=cat, concatenate=cat, row_stack=vstack, view_as_real=real_view,
    view_as_complex=complex_view,
)  # fmt: skip
