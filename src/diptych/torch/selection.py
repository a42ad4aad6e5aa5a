"""Choosing elements: where, clamp, masks, gather and scatter, repeats, triangles."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.core import call, inplace, tape
from diptych.core import dtypes as engine
from diptych.core.layout import broadcast_shapes
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import cast_class, copy_array
from diptych.ops import arithmetic, comparison, indexing, movement, select
from diptych.ops.select import WHERE, constant
from diptych.torch import outputs, promotion
from diptych.torch.dtypes import scalar_name
from diptych.torch.gradient_nodes import label
from diptych.torch.operators import number
from diptych.torch.promotion import PARAMS
from diptych.torch.tensor import Tensor, axis_of, face

# ---- where and clamp


def where(condition: Any, input: Any = None, other: Any = None, *, out: Any = None) -> Any:
    """input where the condition holds, else other; the condition alone gives its positions."""
    mask = face(condition, "where", "condition")
    if input is None and other is None:
        return nonzero(mask, as_tuple=True)
    if mask.layout.dtype not in (engine.bool_, engine.uint8):
        raise RuntimeError(
            "where expected condition to be a boolean tensor, but got a tensor with dtype "
            f"{scalar_name(mask.layout.dtype)}"
        )
    dtype = promotion.of_operands(input, other)
    a = input if isinstance(input, CoreTensor) else constant(number(
        input, "where", "input", 2), dtype)  # fmt: skip
    b = other if isinstance(other, CoreTensor) else constant(number(
        other, "where", "other", 3), dtype)  # fmt: skip
    result = call.current.apply(WHERE, (mask, a, b), PARAMS[dtype])
    return outputs.finish(result, out, "where")


def where_method(self: Any, condition: Any, other: Any) -> Any:
    """``x.where(condition, other)``."""
    return where(condition, self, other)


def clamp(input: Any, min: Any = None, max: Any = None, *, out: Any = None) -> Any:
    """Elements moved to the nearer bound where they pass it."""
    x = face(input, "clamp")
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    operands = [bound for bound in (min, max) if bound is not None]
    dtype = promotion.of_operands(x, *operands)
    if dtype.is_complex:
        raise RuntimeError("clamp is not supported for complex types")
    if dtype is x.layout.dtype and out is None:
        kinds = (float, int)
        if min.__class__ in kinds and max.__class__ in kinds:  # the commonest: one kernel
            bounds = constant(min, dtype), constant(max, dtype)
            made = call.current.apply(comparison.CLAMP, (x, *bounds), PARAMS[dtype])
            return label(made, "ClampBackward1")
    result: Any = select.cast(x, dtype)
    # The gradient at a bound goes to x alone, so the bounds are compared and chosen, not maximised.
    for bound, passes in ((min, comparison.lt), (max, comparison.gt)):
        if bound is None:
            continue
        if not isinstance(bound, CoreTensor):
            bound = constant(number(bound, "clamp", "min", 2), dtype)
        if bound.node is not None or bound.layout.ndim:
            beyond = comparison.logical_or(
                passes(result, bound, dtype), comparison.ne(bound, bound)
            )
        else:
            beyond = passes(result, bound, dtype)
        result = call.current.apply(WHERE, (beyond, bound, result), PARAMS[dtype])
        result = result if isinstance(result, Tensor) else cast_class(result, Tensor)
    return outputs.finish(label(result, "ClampBackward1"), out, "clamp")


def clamp_min(input: Any, min: Any, *, out: Any = None) -> Any:
    """Elements moved up to a least value."""
    return clamp(input, min, out=out)


def clamp_max(input: Any, max: Any, *, out: Any = None) -> Any:
    """Elements moved down to a greatest value."""
    return clamp(input, None, max, out=out)


def heaviside(input: Any, values: Any, *, out: Any = None) -> Any:
    """0 below zero, 1 above, ``values`` at zero."""
    x = face(input, "heaviside")
    step = select.cast(comparison.gt(x, 0), x.layout.dtype)
    result = select.where(comparison.eq(x, 0), values, step)
    return outputs.finish(result, out, "heaviside")


# ---- masks


def _mask(mask: Any, function: str) -> Any:
    mask = face(mask, function, "mask", 2)
    if mask.layout.dtype is not engine.bool_:
        raise RuntimeError(
            f"{function} only supports boolean masks, but got mask with dtype "
            f"{scalar_name(mask.layout.dtype)}"
        )
    return mask


def _fill_value(value: Any, x: CoreTensor, function: str) -> CoreTensor:
    dtype = x.layout.dtype
    if isinstance(value, CoreTensor):
        if value.layout.ndim:
            raise RuntimeError(
                f"{function} only supports a 0-dimensional value tensor, but got tensor with "
                f"{value.layout.ndim} dimension(s)."
            )
        return value
    value = number(value, function, "value", 3)
    if isinstance(value, complex) and not dtype.is_complex:
        raise RuntimeError(f"value cannot be converted to type {dtype} without overflow")
    return constant(value, dtype)


def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """A copy with ``value`` where the mask holds."""
    x, mask = face(input, "masked_fill"), _mask(mask, "masked_fill")
    new = _fill_value(value, x, "masked_fill")
    result = call.current.apply(WHERE, (mask, new, x), PARAMS[x.layout.dtype])
    return label(face(result, "masked_fill"), "MaskedFillBackward0")


def masked_fill_(self: Any, mask: Any, value: Any) -> Any:
    """``value`` where the mask holds, in place."""
    mask = _mask(mask, "masked_fill_")
    new = _fill_value(value, self, "masked_fill_")
    inplace.update(self, WHERE, (mask, new, self), PARAMS[self.layout.dtype])
    return self


def masked_select(input: Any, mask: Any, *, out: Any = None) -> Any:
    """The elements where the mask holds, in one row."""
    x, mask = face(input, "masked_select"), _mask(mask, "masked_select")
    return outputs.finish(indexing.masked_select(x, mask), out, "masked_select")


def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """A copy with the mask's elements taken from ``source`` in order."""
    x, mask = face(input, "masked_scatter"), _mask(mask, "masked_scatter")
    source = face(source, "masked_scatter", "source", 3)
    shape = broadcast_shapes((x.layout.shape, mask.layout.shape), "masked_scatter")
    x, mask = movement.broadcast_to(x, shape), movement.broadcast_to(mask, shape)  # type: ignore[assignment]
    count = int(mask.detach().array().sum())
    if source.layout.size < count:
        raise RuntimeError(
            "masked_scatter: expected the number of elements in source to be greater than or equal "
            "to the number of ones in mask"
        )
    flat = movement.reshape(source, (source.layout.size,))
    if not shape:
        row = indexing.index_put(
            movement.reshape(x, (1,)), (movement.reshape(mask, (1,)),),
            movement.narrow(flat, 0, 0, count),
        )  # fmt: skip
        return movement.reshape(row, ())
    return indexing.index_put(x, (mask,), movement.narrow(flat, 0, 0, count))


def nonzero(input: Any, *, out: Any = None, as_tuple: bool = False) -> Any:
    """The positions of the nonzero elements: a row each, or a tensor per axis."""
    x = face(input, "nonzero")
    if as_tuple:
        source = movement.reshape(x, (1,)) if not x.layout.ndim else x
        rows = indexing.nonzero(source)
        return tuple(
            movement.squeeze_axes(movement.narrow(rows, 1, k, 1), (1,))
            for k in range(rows.layout.shape[1])
        )
    return outputs.finish(indexing.nonzero(x), out, "nonzero")


def argwhere(input: Any) -> Any:
    """The positions of the nonzero elements, a row each."""
    return nonzero(input)


# ---- gather and scatter


def gather(input: Any, dim: int, index: Any, *, sparse_grad: bool = False, out: Any = None) -> Any:
    """Elements at one index each along an axis."""
    x = face(input, "gather")
    axis = axis_of(dim, x.layout.ndim)
    _long(index, "gather")
    if not x.layout.ndim and index.layout.ndim == 1:  # a row of one
        x = face(movement.reshape(x, (1,)), "gather")
    elif not index.layout.size and index.layout.ndim != x.layout.ndim:  # PyTorch asks nothing of it
        nothing = movement.narrow(movement.reshape(x, (x.layout.size,)), 0, 0, 0)
        return outputs.finish(movement.reshape(nothing, index.layout.shape), out, "gather")
    if index.layout.dtype not in (engine.int64, engine.int32):  # empty: any dtype will do
        index = select.cast(index, engine.int64)
    result = label(indexing.take_along(x, index, axis), "GatherBackward0")
    return outputs.finish(result, out, "gather")


def _long(index: Any, function: str) -> None:
    face(index, function, "index", 3)
    if index.layout.dtype not in (engine.int64, engine.int32) and index.layout.size:
        raise RuntimeError(f"{function}(): Expected dtype int32/int64 for index")


_MODES = {"add": "add", "multiply": "multiply"}
_REDUCES = {"sum": "add", "prod": "multiply", "amin": "min", "amax": "max"}


def _scattered(
    x: Any, dim: int, index: Any, src: Any, mode: str, function: str
) -> tuple[Any, tuple[Any, ...]]:
    """The operands and parameters of a scatter."""
    axis = axis_of(dim, x.layout.ndim)
    _long(index, function)
    if not isinstance(src, CoreTensor):
        value = constant(number(src, function, "value", 4), x.layout.dtype)
        src = movement.broadcast_to(value, index.layout.shape)
    if src.layout.dtype is not x.layout.dtype:
        raise RuntimeError(f"{function}(): Expected self.dtype to be equal to src.dtype")
    return (x, index, src), (axis, mode)


def update_by(target: Any, op: Any, operands: tuple[Any, ...], params: Any) -> None:
    """``target`` becomes ``op(target, ...)``, in place.

    Where a gradient is wanted it is computed beside a copy first: the gradient reads the old value.
    """
    if tape.mode.enabled and any(x.node is not None for x in (target, *operands)):
        result = call.current.apply(op, (select.copy(target), *operands[1:]), params)
        inplace.update(target, select.ASSIGN, (target, result), PARAMS[target.layout.dtype])
    else:
        inplace.update(target, op, operands, params)


def _scatter(name: str, mode: str) -> tuple[Any, Any]:
    def operands(x: Any, dim: int, index: Any, src: Any, given: dict[str, Any]) -> Any:
        src = given.get("value", src)
        reduce = given.get("reduce")
        chosen = mode
        if reduce is not None:
            if reduce not in _MODES:
                raise RuntimeError(f"reduce argument must be either add or multiply, got {reduce}")
            chosen = _MODES[reduce]
        return _scattered(x, dim, index, src, chosen, name)

    def function(
        input: Any, dim: int, index: Any, src: Any = None, *, out: Any = None, **given: Any
    ) -> Any:
        x = face(input, name)
        given_operands, params = operands(x, dim, index, src, given)
        result = call.current.apply(indexing.SCATTER, given_operands, params)
        return outputs.finish(result, out, name)

    def method(self: Any, dim: int, index: Any, src: Any = None, **given: Any) -> Any:
        given_operands, params = operands(self, dim, index, src, given)
        update_by(self, indexing.SCATTER, given_operands, params)
        return self

    function.__name__, method.__name__ = name, f"{name}_"
    return function, method


scatter, scatter_ = _scatter("scatter", "set")
scatter_add, scatter_add_ = _scatter("scatter_add", "add")


def scatter_reduce(
    input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True,
    out: Any = None,
) -> Any:  # fmt: skip
    """A copy with ``src`` reduced into the indexed places: sum, prod, mean, amax or amin."""
    x = face(input, "scatter_reduce")
    index = face(index, "scatter_reduce", "index", 3)
    src = face(src, "scatter_reduce", "src", 4)
    axis = axis_of(dim, x.layout.ndim)
    if reduce not in (*_REDUCES, "mean"):
        raise RuntimeError(
            f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}."
        )
    dtype = x.layout.dtype
    ones = movement.broadcast_to(constant(1, dtype), src.layout.shape)
    if not include_self:
        if dtype.is_float:
            low, high = -np.inf, np.inf
        else:
            info = np.iinfo(dtype.numpy if dtype.kind != "b" else np.int8)
            low, high = info.min, info.max
        neutral = {"sum": 0, "mean": 0, "prod": 1, "amax": low, "amin": high}[reduce]
        fill = movement.broadcast_to(constant(neutral, dtype), index.layout.shape)
        start = indexing.scatter(x, index, fill, axis)
    else:
        start = x
    mode = _REDUCES.get(reduce, "add")
    result = indexing.scatter(start, index, src, axis, mode)
    if reduce == "mean":
        base = constant(1, dtype) if include_self else constant(0, dtype)
        count = movement.broadcast_to(base, x.layout.shape)
        count = indexing.scatter(count, index, ones, axis, "add")
        count = select.where(comparison.eq(count, 0), constant(1, dtype), count)
        divide = arithmetic.div if dtype.is_inexact else arithmetic.floordiv
        result = divide(result, count)
    return outputs.finish(label(result, "ScatterReduceBackward0"), out, "scatter_reduce")


def index_select(input: Any, dim: int, index: Any, *, out: Any = None) -> Any:
    """The slices along an axis that an index vector names."""
    x = face(input, "index_select")
    axis = axis_of(dim, x.layout.ndim)
    _long(index, "index_select")
    if index.layout.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    flat = movement.reshape(index, (index.layout.size,))
    if not x.layout.ndim:
        return outputs.finish(select.copy(x), out, "index_select")
    result = label(indexing.index_select(x, flat, axis), "IndexSelectBackward0")
    return outputs.finish(result, out, "index_select")


def _along(x: CoreTensor, axis: int, index: CoreTensor) -> list[Any]:
    return [None] * axis + [movement.reshape(index, (index.layout.size,))]


def _rowed(self: Any, index: Any, source: Any) -> tuple[Any, Any, Any]:
    """A 0-d tensor (a view of it), its index and its source as rows: it counts as a row of one."""
    row = movement.reshape(self, (1,))
    if isinstance(source, CoreTensor):
        source = movement.reshape(source, (source.layout.size,))
    return row, movement.reshape(index, (index.layout.size,)), source


def index_add_(self: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    """Add slices where an index vector points, in place."""
    axis = axis_of(dim, self.layout.ndim)
    if not self.layout.ndim:
        return self.copy_(index_add(self.clone(), dim, index, source, alpha=alpha))
    _long(index, "index_add_")
    source = face(source, "index_add_", "source", 4)
    if alpha != 1:
        source = arithmetic.mul(source, alpha)
    inplace.update(self, indexing.INDEX_ADD, (self, index, source), (axis,))
    return self


def index_add(
    input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1, out: Any = None
) -> Any:
    """A copy with slices added where an index vector points."""
    x = face(input, "index_add")
    axis = axis_of(dim, x.layout.ndim)
    _long(index, "index_add")
    source = face(source, "index_add", "source", 4)
    if alpha != 1:
        source = arithmetic.mul(source, alpha)
    if not x.layout.ndim:
        row, index, source = _rowed(x, index, source)
        added = movement.reshape(indexing.index_add(row, index, source, 0), ())
        return outputs.finish(added, out, "index_add")
    index = movement.reshape(index, (index.layout.size,))
    return outputs.finish(indexing.index_add(x, index, source, axis), out, "index_add")


def index_copy_(self: Any, dim: int, index: Any, source: Any) -> Any:
    """Take over slices where an index vector points, in place."""
    axis = axis_of(dim, self.layout.ndim)
    if not self.layout.ndim:
        return self.copy_(index_copy(self.clone(), dim, index, source))
    order = (axis, *[k for k in range(self.layout.ndim) if k != axis])
    index, source = face(index, "index_copy_", "index", 2), face(source, "index_copy_", "source", 3)
    least = int(index.array().min(initial=0))
    if least < 0:
        raise IndexError(
            f"index_copy_(): index {least} is out of bounds for dimension {axis} with size "
            f"{self.layout.shape[axis] if self.layout.ndim else 1}"
        )
    moved, values = movement.transpose(self, order), movement.transpose(source, order)
    tensors, axes = indexing.integer_indices(moved.layout, (index,))
    inplace.update(moved, indexing.INDEX_PUT, (moved, values, *tensors), (axes, False))
    return self


def index_copy(input: Any, dim: int, index: Any, source: Any, *, out: Any = None) -> Any:
    """A copy with slices taken over where an index vector points."""
    x = face(input, "index_copy")
    if not x.layout.ndim:
        row, index, source = _rowed(x, face(index, "index_copy", "index", 2), source)
        made = movement.reshape(index_copy(row, 0, index, source), ())
    else:
        made = index_copy_(select.copy(x), dim, index, source)
    return outputs.finish(made, out, "index_copy")


def index_fill_(self: Any, dim: int, index: Any, value: Any) -> Any:
    """One value in the slices that an index vector names, in place."""
    axis = axis_of(dim, self.layout.ndim)
    if not self.layout.ndim:
        return self.copy_(index_fill(self.clone(), dim, index, value))
    new = _fill_value(value, self, "index_fill_")
    tensors, axes = indexing.integer_indices(self.layout, _along(self, axis, index))
    new = select.cast(new, self.layout.dtype)
    inplace.update(self, indexing.INDEX_PUT, (self, new, *tensors), (axes, False))
    return self


def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """A copy with one value in the slices that an index vector names."""
    x = face(input, "index_fill")
    if not x.layout.ndim:
        row, index, _ = _rowed(x, index, None)
        return movement.reshape(index_fill(row, 0, index, value), ())
    if isinstance(value, CoreTensor) and value.node is not None:
        # By a mask: a place that is named twice is filled once, and gives its gradient once.
        axis = axis_of(dim, x.layout.ndim)
        hit = indexing.zeros((x.layout.shape[axis],), engine.bool_)
        hit = indexing.index_put(hit, (index,), constant(True, engine.bool_))
        shape = [-1 if k == axis else 1 for k in range(x.layout.ndim)]
        shape[axis] = x.layout.shape[axis]
        return masked_fill(x, face(movement.reshape(hit, tuple(shape)), "index_fill"), value)
    return index_fill_(select.copy(x), dim, index, value)


def take(input: Any, index: Any) -> Any:
    """Elements by their position in row-major order."""
    x, index = face(input, "take"), face(index, "take", "index", 2)
    if index.layout.dtype is not engine.int64:
        raise RuntimeError(
            f"take(): Expected a long tensor for index, but got {scalar_name(index.layout.dtype)}"
        )
    return indexing.take(x, index)


def take_along_dim(input: Any, indices: Any, dim: int | None = None, *, out: Any = None) -> Any:
    """Elements at one index each along an axis, shapes broadcast."""
    x = face(input, "take_along_dim")
    indices = face(indices, "take_along_dim", "indices", 2)
    if dim is None:
        return gather(
            movement.reshape(x, (x.layout.size,)), 0,
            movement.reshape(indices, (indices.layout.size,)), out=out,
        )  # fmt: skip
    axis = axis_of(dim, x.layout.ndim)
    shape = [max(a, b) for a, b in zip(x.layout.shape, indices.layout.shape, strict=True)]
    own, theirs = list(shape), list(shape)
    own[axis], theirs[axis] = x.layout.shape[axis], indices.layout.shape[axis]
    x = movement.broadcast_to(x, tuple(own))  # type: ignore[assignment]
    indices = select.where(comparison.lt(indices, 0), arithmetic.add(indices, own[axis]), indices)
    return gather(x, axis, movement.broadcast_to(indices, tuple(theirs)), out=out)


def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """A copy with elements written at positions in row-major order."""
    x, index = face(input, "put"), face(index, "put", "index", 2)
    source = face(source, "put", "source", 3)
    if index.layout.size != source.layout.size:
        raise IndexError(
            f"put_(): Expected source and index to have the same number of elements, but got "
            f"source.numel() = {source.layout.size}, index.numel() = {index.layout.size}"
        )
    if not index.layout.size:
        return select.copy(x)
    flat = movement.reshape(x, (x.layout.size,))
    places = movement.reshape(index, (index.layout.size,))
    values = movement.reshape(source, (source.layout.size,))
    made = indexing.index_put(flat, (places,), values, accumulate)
    return movement.reshape(made, x.layout.shape)


def index_reduce(
    input: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True,
    out: Any = None,
) -> Any:  # fmt: skip
    """A copy with slices reduced into the indexed places: prod, mean, amax or amin."""
    x = face(input, "index_reduce")
    source = face(source, "index_reduce", "source", 4)
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(
            f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got "
            f"{reduce}."
        )
    axis = axis_of(dim, x.layout.ndim)
    _long(index, "index_reduce")
    if not x.layout.ndim:
        row, index, source = _rowed(x, index, source)
        made = index_reduce(row, 0, index, source, reduce, include_self=include_self)
        return outputs.finish(movement.reshape(made, ()), out, "index_reduce")
    shape = [1] * x.layout.ndim
    shape[axis] = index.layout.size
    spread = movement.broadcast_to(movement.reshape(index, tuple(shape)), source.layout.shape)
    result = scatter_reduce(x, axis, spread, source, reduce, include_self=include_self)
    return outputs.finish(result, out, "index_reduce")


def nonzero_static(input: Any, *, size: int, fill_value: int = -1, out: Any = None) -> Any:
    """The first ``size`` positions of nonzero elements, then rows of ``fill_value``."""
    if size < 0:
        raise RuntimeError(f"nonzero_static: 'size' must be an non-negative integer, got {size}")
    rows = nonzero(input)
    have, width = rows.layout.shape
    if have >= size:
        rows = movement.narrow(rows, 0, 0, size)
    else:
        rows = movement.pad(rows, ((0, size - have), (0, 0)), fill_value)
    return outputs.finish(select.copy(rows), out, "nonzero_static")


def put_(self: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """Write at positions in row-major order, in place."""
    index, source = face(index, "put_", "index", 2), face(source, "put_", "source", 3)
    if not self.layout.contiguous:
        raise NotImplementedError("put_ of a tensor that is not contiguous is not implemented")
    flat = movement.reshape(self, (self.layout.size,))
    tensors, axes = indexing.integer_indices(flat.layout, (index,))
    inplace.update(flat, indexing.INDEX_PUT, (flat, source, *tensors), (axes, accumulate))
    return self


# ---- repeats and triangles


def repeat_interleave(
    input: Any, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Any:
    """Each entry repeated, once or each its own number of times."""
    x = face(input, "repeat_interleave")
    if repeats is None:  # the entries' positions, as often as the entries say
        return copy_array(np.repeat(np.arange(x.layout.size), x.array().reshape(-1)), Tensor)
    if dim is None:
        x, axis = movement.reshape(x, (x.layout.size,)), 0  # type: ignore[assignment]
    else:
        axis = axis_of(dim, x.layout.ndim)
    if isinstance(repeats, (list, tuple)):
        repeats = copy_array(np.array(repeats, np.int64), Tensor)
    return indexing.repeat_interleave(x, repeats, axis)


def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """Entries moved along axes, those that leave one end entering at the other."""
    x = face(input, "roll")
    shifts = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    if dims is None or dims == ():
        flat = movement.reshape(x, (x.layout.size,))
        rolled = movement.reshape(indexing.roll(flat, shifts[:1], (0,)), x.layout.shape)
        return label(rolled, "RollBackward0")
    axes = (dims,) if isinstance(dims, int) else tuple(dims)
    if len(axes) != len(shifts):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(axes)}"
        )
    rolled = indexing.roll(x, shifts, [axis_of(axis, x.layout.ndim) for axis in axes])
    return label(select.copy(x) if rolled is x else rolled, "RollBackward0")


def _triangle(name: str, lower: bool) -> Any:
    def function(input: Any, diagonal: int = 0, *, out: Any = None) -> Any:
        x = face(input, name)
        if x.layout.ndim < 2:
            raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
        rows, columns = x.layout.shape[-2:]
        mask = _triangle_mask(rows, columns, diagonal, lower)
        zero = constant(0, x.layout.dtype)
        result = call.current.apply(WHERE, (mask, x, zero), PARAMS[x.layout.dtype])
        return outputs.finish(label(result, f"{name.capitalize()}Backward0"), out, name)

    function.__name__ = function.__qualname__ = name
    return function


def _triangle_mask(rows: int, columns: int, diagonal: int, lower: bool) -> Any:
    down, across = np.ogrid[:rows, :columns]
    keep = across - down <= diagonal if lower else across - down >= diagonal
    return copy_array(keep, Tensor)


tril, triu = _triangle("tril", True), _triangle("triu", False)


def diag(input: Any, diagonal: int = 0, *, out: Any = None) -> Any:
    """A vector as a matrix's diagonal, or a matrix's diagonal as a vector."""
    x = face(input, "diag")
    if x.layout.ndim == 1:
        return outputs.finish(diag_embed(x, diagonal), out, "diag")
    if x.layout.ndim != 2:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {x.layout.ndim}D")
    result = select.copy(movement.diagonal(x, diagonal))
    return outputs.finish(label(result, "DiagonalBackward0"), out, "diag")


def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Vectors along the last axis as diagonals of new matrices."""
    x = face(input, "diag_embed")
    ndim = x.layout.ndim + 1
    first, second = axis_of(dim1, ndim), axis_of(dim2, ndim)
    if first == second:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    extent = x.layout.shape[-1] + abs(offset)
    shape = list(x.layout.shape[:-1])
    for axis in sorted((first, second)):
        shape.insert(axis, extent)
    params = (tuple(shape), offset, first, second)
    return call.current.apply1(movement.UNDIAGONAL, x, params)


def diagflat(input: Any, offset: int = 0) -> Any:
    """All elements as a diagonal."""
    x = face(input, "diagflat")
    return diag_embed(movement.reshape(x, (x.layout.size,)), offset)


def fill_diagonal_(self: Any, fill_value: Any, wrap: bool = False) -> Any:
    """One value on the diagonal, in place."""
    if wrap:
        raise NotImplementedError("fill_diagonal_(wrap=True) is not implemented in diptych")
    if self.layout.ndim < 2:
        raise RuntimeError("dimensions must larger than 1")
    if self.layout.ndim == 2:
        movement.diagonal(self).fill_(fill_value)  # type: ignore[attr-defined]
        return self
    extent = min(self.layout.shape)
    step = sum(self.layout.strides)
    self.as_strided((extent,), (step,), self.offset).fill_(fill_value)
    return self


_BOTH = (
    clamp, clamp_min, clamp_max, heaviside, masked_fill, masked_select, masked_scatter, nonzero,
    argwhere, gather, scatter, scatter_add, scatter_reduce, index_select, index_add, index_copy,
    index_fill, take, take_along_dim, repeat_interleave, roll, tril, triu, diag, diag_embed,
    diagflat, put, index_reduce, nonzero_static,
)  # fmt: skip
METHODS: dict[str, Any] = {f.__name__: f for f in _BOTH}
METHODS.update(
    where=where_method, clip=clamp, masked_fill_=masked_fill_, scatter_=scatter_,
    scatter_add_=scatter_add_, index_add_=index_add_, index_copy_=index_copy_,
    index_fill_=index_fill_, put_=put_, fill_diagonal_=fill_diagonal_,
)  # fmt: skip
FUNCTIONS: dict[str, Any] = {f.__name__: f for f in _BOTH}
FUNCTIONS.update(where=where, clip=clamp)
REPLACED_IN_PLACE = (
    "clamp", "clamp_min", "clamp_max", "tril", "triu", "masked_scatter",
    "scatter_reduce", "heaviside", "index_reduce",
)  # fmt: skip
