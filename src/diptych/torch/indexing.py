"""x[...] and x[...] = y: views where the index is made of ints, slices, None; else gathers."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from diptych.core import call, inplace
from diptych.core import dtypes as engine
from diptych.core.layout import Layout, layout
from diptych.core.tape import CallNode
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import wrap
from diptych.ops import indexing, movement, select
from diptych.ops.select import ASSIGN, WHERE, constant
from diptych.torch.creation import fitting
from diptych.torch.creation import tensor as make_tensor
from diptych.torch.dtypes import scalar_name
from diptych.torch.gradient_nodes import label
from diptych.torch.movement import tensor_words
from diptych.torch.promotion import PARAMS
from diptych.torch.tensor import Tensor

_FIRST_AXIS = ((0,),)
_INDEX_DTYPES = (engine.int64, engine.int32, engine.bool_, engine.uint8)


class Plan:
    """An index taken apart: the view it starts with, and the tensors that gather from it.

    ``limits`` gives (start, stop, step) for every axis of the source, ``shape`` the view's shape
    (dropped and new axes included), ``tensors`` one entry per axis of the view, or None.
    """

    __slots__ = (
        "last",
        "limits",
        "offset",
        "place",
        "plain",
        "shape",
        "strides",
        "tensors",
        "whole",
    )

    def __init__(self) -> None:
        self.limits: list[tuple[int, int, int]] = []
        self.shape: list[int] = []
        self.strides: list[int] = []
        self.offset = 0
        self.tensors: list[CoreTensor | None] = []
        self.plain = False  # no tensors: a view is all
        self.whole = False  # the view is of everything, as it is
        self.last = "AliasBackward0"
        self.place: Layout | None = None  # of the view, once one was made


def _as_int(entry: Any) -> int | None:
    """The whole number that an index entry is, if it is one (0-d tensors of whole numbers are)."""
    if entry.__class__ is int:
        return entry
    if isinstance(entry, (bool, np.bool_)):
        return None
    if isinstance(entry, CoreTensor):
        place = entry.layout
        if place.ndim == 0 and place.dtype.is_integer and place.dtype is not engine.uint8:
            return int(entry.item())
        return None
    if isinstance(entry, (int, np.integer)):
        return int(entry)
    return None


def _as_tensor(entry: Any) -> CoreTensor:
    """An index entry that gathers, as a tensor of indices or a mask."""
    if isinstance(entry, CoreTensor):
        if entry.layout.dtype not in _INDEX_DTYPES:
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        if entry.layout.dtype is engine.uint8:
            warnings.warn(
                "indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool "
                "instead.",
                UserWarning,
                stacklevel=5,
            )
        return entry
    if isinstance(entry, (list, tuple, range, np.ndarray)):
        if isinstance(entry, np.ndarray) and entry.dtype.kind in "iu" and entry.dtype != np.uint8:
            entry = entry.astype(np.int64)
        made = make_tensor(list(entry) if isinstance(entry, range) else entry)
        if not made.layout.size and made.layout.dtype.is_float:
            made = select.cast(made, engine.int64)  # type: ignore[assignment]
        return _as_tensor(made)
    if isinstance(entry, str):
        raise TypeError("new(): invalid data type 'str'")
    raise IndexError(
        "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid "
        f"indices (got {type(entry).__name__})"
    )


def _axes_used(entry: Any) -> int:
    """How many axes of the source an index entry stands for."""
    if entry is None or entry is Ellipsis or isinstance(entry, (bool, np.bool_)):
        return 0
    dtype = getattr(entry, "dtype", None)
    if isinstance(entry, CoreTensor):
        if entry.layout.dtype is engine.bool_ or entry.layout.dtype is engine.uint8:
            return entry.layout.ndim
    elif isinstance(entry, np.ndarray) and dtype == np.bool_:
        return entry.ndim
    elif isinstance(entry, list) and entry and _mask_depth(entry):
        return _mask_depth(entry)
    return 1


def _mask_depth(entry: Any) -> int:
    """The number of axes of a nested list of bools; 0 for any other list."""
    depth = 0
    while isinstance(entry, (list, tuple)) and entry:
        entry = entry[0]
        depth += 1
    return depth if isinstance(entry, (bool, np.bool_)) else 0


def plan(x: CoreTensor, index: tuple[Any, ...]) -> Plan:
    """Take an index tuple apart; IndexError, TypeError or ValueError as PyTorch's."""
    place = x.layout
    made = Plan()
    used = sum(map(_axes_used, index))
    if used > place.ndim:
        if not place.ndim:
            raise IndexError(
                "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or "
                "`tensor.item<T>()` in C++ to convert a 0-dim tensor to a number"
            )
        raise IndexError(f"too many indices for tensor of dimension {place.ndim}")
    axis = 0
    stretched = False
    for entry in index:
        if entry is None:
            made.shape.append(1)
            made.strides.append(0)
            made.tensors.append(None)
            made.last = "UnsqueezeBackward0"
        elif entry is Ellipsis:
            if not stretched:
                stretched = True
                for _ in range(place.ndim - used):
                    _whole(made, place, axis)
                    axis += 1
        elif isinstance(entry, slice):
            _sliced(made, place, axis, entry)
            axis += 1
        else:
            axis += _other(made, place, axis, entry)
    while axis < place.ndim:
        _whole(made, place, axis)
        axis += 1
    made.plain = all(t is None for t in made.tensors)
    made.whole = tuple(made.shape) == place.shape and all(
        limit == (0, n, 1) for limit, n in zip(made.limits, place.shape, strict=True)
    )
    return made


def _whole(made: Plan, place: Any, axis: int) -> None:
    extent = place.shape[axis]
    made.limits.append((0, extent, 1))
    made.shape.append(extent)
    made.strides.append(place.strides[axis])
    made.tensors.append(None)


def _bound(value: Any) -> Any:
    if value is None or value.__class__ is int:
        return value
    if isinstance(value, CoreTensor):
        return value.__index__()  # type: ignore[attr-defined]
    return value


def _sliced(made: Plan, place: Any, axis: int, entry: slice) -> None:
    extent, stride = place.shape[axis], place.strides[axis]
    step = 1 if entry.step is None else int(entry.step)
    if step <= 0:
        raise ValueError("step must be greater than zero")
    start, stop, _ = slice(_bound(entry.start), _bound(entry.stop), step).indices(extent)
    count = len(range(start, stop, step))
    made.limits.append((start, stop, step) if count else (0, 0, step))
    made.shape.append(count)
    made.strides.append(stride * step)
    made.tensors.append(None)
    if count:
        made.offset += start * stride
    if (start, stop, step) != (0, extent, 1):
        made.last = "SliceBackward0"


def _other(made: Plan, place: Any, axis: int, entry: Any) -> int:
    """An int, a bool or something that gathers; returns how many axes it used."""
    position = _as_int(entry)
    if position is not None:
        extent = place.shape[axis]
        if not -extent <= position < extent:
            raise IndexError(
                f"index {position} is out of bounds for dimension {axis} with size {extent}"
            )
        position += extent if position < 0 else 0
        made.limits.append((position, position + 1, 1))
        made.offset += position * place.strides[axis]
        made.last = "SelectBackward0"
        return 1
    if isinstance(entry, (bool, np.bool_)) or (
        isinstance(entry, CoreTensor) and not entry.layout.ndim and not _axes_used(entry)
        and entry.layout.dtype in (engine.bool_, engine.uint8)
    ):  # fmt: skip
        flag = make_tensor([bool(entry)])
        made.shape.append(1)
        made.strides.append(0)
        made.tensors.append(flag)
        return 0
    gathered = _as_tensor(entry)
    masks = gathered.layout.dtype in (engine.bool_, engine.uint8)
    count = gathered.layout.ndim if masks else 1
    if masks and gathered.layout.shape != place.shape[axis : axis + count]:
        _refuse_mask(gathered, place, axis)
    for k in range(count):
        _whole(made, place, axis + k)
    del made.tensors[len(made.tensors) - count :]
    made.tensors.append(gathered)
    made.tensors.extend([_SPANNED] * (count - 1))
    return count


_SPANNED: Any = object()  # stands for the further axes of a mask


def _refuse_mask(mask: CoreTensor, place: Any, axis: int) -> None:
    shape = mask.layout.shape
    where = next(k for k, n in enumerate(shape) if n != place.shape[axis + k])
    raise IndexError(
        f"The shape of the mask {list(shape)} at index {where} does not match the shape of the "
        f"indexed tensor {list(place.shape)} at index {axis + where}"
    )


# Plans of indices without tensors, found again by layout and index: taking one apart costs more
# than the view itself.
_PLANS: dict[Any, Plan] = {}
_PLANS_LIMIT = 4096


def plan_of(x: CoreTensor, index: Any) -> Plan:
    """:func:`plan`, remembered for indices made of ints, slices of ints, None and Ellipsis."""
    key: list[Any] = [x.layout]
    for entry in index if index.__class__ is tuple else (index,):
        kind = entry.__class__
        if kind is slice:
            start, stop, step = entry.start, entry.stop, entry.step
            if not (
                (start is None or start.__class__ is int)
                and (stop is None or stop.__class__ is int)
                and (step is None or step.__class__ is int)
            ):
                return plan(x, entries(index))
            key.append((start, stop, step))  # slices have no hash before Python 3.12
        elif kind is int or entry is None or entry is Ellipsis:
            key.append(entry)
        else:
            return plan(x, entries(index))
    found = _PLANS.get(lookup := tuple(key))
    if found is None:
        found = plan(x, entries(index))
        if len(_PLANS) >= _PLANS_LIMIT:
            _PLANS.clear()
        _PLANS[lookup] = found
    return found


def viewed(x: Any, made: Plan) -> Any:
    """The view that a plan starts with."""
    place = x.layout
    if x.node is None and x.address:  # a traced value has no address: it goes the recorded way
        view = made.place
        if view is None:
            strides = _one_strides(tuple(made.shape), made.strides)
            view = made.place = layout(place.dtype, tuple(made.shape), strides)
        out = wrap(
            x.result_type, view, x.buffer, x.address + made.offset * place.dtype.itemsize
        )  # fmt: skip
        out.base = x if x.base is None else x.base
        return out
    shape = tuple(made.shape)
    result = x
    limits = tuple(made.limits)
    if any(limit != (0, n, 1) for limit, n in zip(limits, place.shape, strict=True)):
        result = call.current.apply1(movement.SLICE, x, (limits,))
    if result is x or result.layout.shape != shape:
        result = call.current.apply1(movement.RESHAPE, result, (shape,))
    return label(result, made.last)


def _one_strides(shape: tuple[int, ...], strides: list[int]) -> tuple[int, ...]:
    """Strides with those of new axes set as PyTorch sets them."""
    filled = list(strides)
    for k in range(len(shape) - 1, -1, -1):
        if shape[k] == 1 and filled[k] == 0:
            filled[k] = shape[k + 1] * filled[k + 1] if k + 1 < len(shape) else 1
    return tuple(filled)


def entries(index: Any) -> tuple[Any, ...]:
    """An index as a tuple; a list that holds slices, tensors or lists is one too (deprecated)."""
    if index.__class__ is tuple:
        return index
    if isinstance(index, tuple):
        return tuple(index)
    if isinstance(index, list) and len(index) < 32:
        for entry in index:
            if entry is None or entry is Ellipsis or isinstance(
                entry, (slice, list, tuple, CoreTensor, np.ndarray)
            ):  # fmt: skip
                if isinstance(entry, CoreTensor) and not entry.layout.ndim:
                    continue
                warnings.warn(
                    "Using a non-tuple sequence for multidimensional indexing is deprecated and "
                    "will be changed in pytorch 2.9; use x[tuple(seq)] instead of x[seq].",
                    UserWarning,
                    stacklevel=4,
                )
                return tuple(index)
    return (index,)


def getitem(self: Any, index: Any) -> Any:
    """``x[index]``."""
    if index.__class__ is int:
        place = self.layout
        if place.ndim and self.node is None and self.address:
            return _entry(self, place, index)
    if index.__class__ is Tensor:
        place, given = self.layout, index.layout
        if given.dtype is engine.int64 and given.ndim and place.ndim:
            return call.current.apply2(indexing.INDEX, self, index, _FIRST_AXIS)
        if given.dtype is engine.bool_ and given.shape == place.shape and given.ndim:
            return indexing.masked_select(self, index)
    made = plan_of(self, index)
    if made.plain:
        return viewed(self, made)
    gather = [t for t in made.tensors if t is not _SPANNED]
    base = self if made.whole else viewed(self, made)
    return indexing.index(base, gather)


def _entry(x: Any, place: Any, index: int) -> Any:
    """``x[3]``, the commonest index, straight to the view."""
    extent = place.shape[0]
    if index < 0:
        index += extent
    if not 0 <= index < extent:
        raise IndexError(
            f"index {index if index >= 0 else index - extent} is out of bounds for dimension 0 "
            f"with size {extent}"
        )
    out = wrap(
        x.result_type, layout(place.dtype, place.shape[1:], place.strides[1:]), x.buffer,
        x.address + index * place.strides[0] * place.dtype.itemsize,
    )  # fmt: skip
    out.base = x if x.base is None else x.base
    return out


# ---- assignment


def setitem(self: Any, index: Any, value: Any) -> None:
    """``x[index] = value``."""
    made = plan_of(self, index)
    gather = [t for t in made.tensors if t is not _SPANNED]
    dtype = self.layout.dtype
    if not isinstance(value, CoreTensor):
        value = _number_tensor(value, self)
    target = self if made.whole else viewed(self, made)
    if made.plain:
        _assign(target, value)
    else:
        put(target, gather, value, PARAMS[dtype])
    if target.node is not None and self.node is None:
        inherit_history(self)


def inherit_history(x: Any) -> None:
    """Put a view on the tape whose base gained a history by a change through another view."""
    if x.base is not None and x.base.node is not None:
        params = inplace.geometry(x, x.base)
        x.node = CallNode(inplace.rearrangement.as_strided, params, (x.base,), (x,))
        x.output = 0


def _number_tensor(value: Any, x: Any) -> CoreTensor:
    dtype = x.layout.dtype
    if isinstance(value, (bool, int, float, complex, np.generic)):
        if isinstance(value, np.generic):
            value = value.item()
        return constant(fitting(value, dtype), dtype)
    raise TypeError(f"can't assign a {type(value).__name__} to a torch.{scalar_name(dtype)}Tensor")


def _assign(target: Any, value: CoreTensor) -> None:
    shape = target.layout.shape
    have = value.layout.shape
    if have != shape:
        while len(have) > len(shape) and have[0] == 1:
            have = have[1:]
        if have != value.layout.shape:
            value = movement.reshape(value, have)
        if len(have) > len(shape):
            raise RuntimeError(
                f"expand({tensor_words(value)}, size={list(shape)}): the number of sizes provided "
                f"({len(shape)}) must be greater or equal to the number of dimensions in the "
                f"tensor ({len(have)})"
            )
        pad = len(shape) - len(have)
        for axis in range(len(shape) - 1, pad - 1, -1):
            if have[axis - pad] not in (1, shape[axis]):
                raise RuntimeError(
                    f"The expanded size of the tensor ({shape[axis]}) must match the existing size "
                    f"({have[axis - pad]}) at non-singleton dimension {axis}.  Target sizes: "
                    f"{list(shape)}.  Tensor sizes: {list(have)}"
                )
    inplace.update(target, ASSIGN, (target, value), PARAMS[target.layout.dtype])


def put(target: Any, gather: Any, value: CoreTensor, params: Any, accumulate: bool = False) -> None:
    """Write ``value`` where index tensors point, in place."""
    dtype = target.layout.dtype
    axis = next((k for k, t in enumerate(gather) if t is not None), None)
    if axis is None:
        raise RuntimeError("index_put_(): expected at least one index tensor, got none")
    mask = gather[axis]
    if (
        not accumulate
        and mask.layout.dtype is engine.bool_
        and value.layout.size == 1
        and mask.layout.shape == target.layout.shape[axis : axis + mask.layout.ndim]
        and all(t is None for t in gather[axis + 1 :])
    ):  # one mask and one value: an elementwise choice
        value = movement.reshape(value, ())
        after = target.layout.ndim - mask.layout.ndim - axis
        grown = (1,) * axis + mask.layout.shape + (1,) * after
        inplace.update(target, WHERE, (movement.reshape(mask, grown), value, target), params)
        return
    if value.layout.dtype is not dtype:
        raise RuntimeError(
            "Index put requires the source and destination dtypes match, got "
            f"{scalar_name(dtype)} for the destination and {scalar_name(value.layout.dtype)} for "
            "the source."
        )
    tensors, axes = indexing.integer_indices(target.layout, gather)
    inplace.update(target, indexing.INDEX_PUT, (target, value, *tensors), (axes, accumulate))


def index_put_(self: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """Write (or add) values where index tensors point, in place."""
    if not isinstance(values, CoreTensor):
        given = type(values).__name__
        raise TypeError(f"index_put_(): argument 'values' (position 2) must be Tensor, not {given}")
    if not isinstance(indices, (tuple, list)):
        given = type(indices).__name__
        raise TypeError(
            f"index_put_(): argument 'indices' (position 1) must be tuple of Tensors, not {given}"
        )
    gather = [None if t is None else _as_tensor(t) for t in indices]
    put(self, gather, values, PARAMS[self.layout.dtype], accumulate)
    return self


def index_put(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """A copy with values written (or added) where index tensors point."""
    return index_put_(input.clone(), indices, values, accumulate)


METHODS: dict[str, Any] = {
    "__getitem__": getitem, "__setitem__": setitem, "index_put_": index_put_,
    "index_put": index_put,
}  # fmt: skip
FUNCTIONS: dict[str, Any] = {"index_put": index_put, "index_put_": index_put_}
