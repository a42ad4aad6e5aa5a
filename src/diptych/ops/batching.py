"""Batching rules that need operations of several files: what vmap does with each operation.

A rule ``batch(op, operands, axes, params)`` gets operands whose mapped axis is ``axes[i]`` (None:
the operand is the same for every sample) and gives the results and the axes they are mapped at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from diptych.core import call
from diptych.core.layout import Shape
from diptych.core.operation import Operation, Params
from diptych.core.tensor import Tensor
from diptych.ops import contraction, convolution, indexing, loss, movement
from diptych.ops.arithmetic import add
from diptych.ops.creation import iota
from diptych.ops.movement import broadcast_to, concatenate, contiguous, move_axis, reshape

Axes = tuple[int | None, ...]
Rule = Callable[[Operation, tuple[Any, ...], Axes, Params], tuple[Any, Any]]


def batch_size(operands: Sequence[Tensor], axes: Axes) -> int:
    """The extent of the mapped axis."""
    for x, axis in zip(operands, axes, strict=True):
        if axis is not None:
            return x.layout.shape[axis]
    raise AssertionError("a batching rule was called without a mapped operand")


def to_front(x: Tensor, axis: int | None, size: int) -> Tensor:
    """``x`` with its mapped axis first; one that is not mapped is repeated."""
    if axis is None:
        return broadcast_to(reshape(x, (1, *x.layout.shape)), (size, *x.layout.shape))
    return move_axis(x, axis, 0) if axis else x


def in_front(shift: Callable[[Params, int, Any], Params]) -> Rule:
    """The rule of an operation that takes one more leading axis if its parameters say so.

    ``shift(params, size, place)`` gives the parameters for operands with a leading axis of
    ``size``; ``place`` is the first operand's layout without it.
    """

    def rule(
        op: Operation, operands: tuple[Any, ...], axes: Axes, params: Params
    ) -> tuple[Any, Any]:
        size = batch_size(operands, axes)
        moved = [to_front(x, axis, size) for x, axis in zip(operands, axes, strict=True)]
        result = call.current.apply(op, moved, shift(params, size, moved[0].layout))
        return result, (0,) * len(result) if isinstance(result, tuple) else 0

    return rule


def _broadcast(
    op: Operation, operands: tuple[Any, ...], axes: Axes, params: Params
) -> tuple[Any, int]:
    x = to_front(operands[0], axes[0], 0)
    size, *own = x.layout.shape
    shape = params[0]
    x = reshape(x, (size, *[1] * (len(shape) - len(own)), *own))
    return broadcast_to(x, (size, *shape)), 0


def _strided(params: Params, size: int, place: Any) -> Params:
    """Views of memory: samples follow each other in it, each row-major."""
    shape, strides, offset = params[-3:]
    return (*params[:-3], (size, *shape), (_elements(place.shape[1:]), *strides), offset)


def _elements(shape: Sequence[int]) -> int:
    count = 1
    for extent in shape:
        count *= extent
    return count


def _as_strided(
    op: Operation, operands: tuple[Any, ...], axes: Axes, params: Params
) -> tuple[Any, int]:
    size = batch_size(operands, axes)
    moved = [contiguous(to_front(x, axis, size)) for x, axis in zip(operands, axes, strict=True)]
    return call.current.apply(op, moved, _strided(params, size, moved[0].layout)), 0


def _unstrided(params: Params, size: int, place: Any) -> Params:
    base, shape, strides, offset = params
    return ((size, *base), (size, *shape), (_elements(base), *strides), offset)


def _pad(op: Operation, operands: tuple[Any, ...], axes: Axes, params: Params) -> tuple[Any, int]:
    x, value = operands
    if axes[1] is None:
        x = to_front(x, axes[0], 0)
        return call.current.apply2(op, x, value, (((0, 0), *params[0]),)), 0
    size = batch_size(operands, axes)
    x, value = to_front(x, axes[0], size), to_front(value, axes[1], size)
    shape = movement._pad_infer((x.layout,), (((0, 0), *params[0]),)).shape
    filled = broadcast_to(reshape(value, (size, *[1] * (len(shape) - 1))), shape)
    pairs = zip(params[0], x.layout.shape[1:], strict=True)
    limits = ((0, size, 1), *[(before, before + n, 1) for (before, _), n in pairs])
    return call.current.apply2(movement.PUT_SLICE, filled, x, (limits,)), 0


def _dot(op: Operation, operands: tuple[Any, ...], axes: Axes, params: Params) -> tuple[Any, int]:
    a, b = operands
    if axes[1] is None and b.layout.ndim == 2:  # one matrix for all: their rows below each other
        a = to_front(a, axes[0], 0)
        *lead, inner = a.layout.shape
        made = contraction.dot(reshape(a, (_elements(lead), inner)), b)
        return reshape(made, (*lead, b.layout.shape[1])), 0
    rank = max(x.layout.ndim - (axis is not None) for x, axis in zip(operands, axes, strict=True))
    moved = []
    for x, axis in zip(operands, axes, strict=True):
        if axis is not None:
            x = to_front(x, axis, 0)
            size, *own = x.layout.shape
            x = reshape(x, (size, *[1] * (rank - len(own)), *own))
        moved.append(x)
    return contraction.dot(*moved), 0


# ---- convolution: mapped images join the images, mapped weights become groups


def _merged(x: Tensor, axis: int | None, into: int, size: int) -> Tensor:
    """The mapped axis joined to axis ``into`` (sample by sample); not mapped: repeated."""
    if axis is None:
        x, axis = to_front(x, None, size), 0
    x = move_axis(x, axis, into)
    shape = x.layout.shape
    return reshape(x, (*shape[:into], size * shape[into + 1], *shape[into + 2 :]))


def _parted(x: Tensor, axis: int, size: int) -> Tensor:
    """The inverse of :func:`_merged`."""
    shape = x.layout.shape
    return reshape(x, (*shape[:axis], size, shape[axis] // size, *shape[axis + 1 :]))


def _with_groups(params: Params, size: int) -> Params:
    return (*params[:3], params[3] * size, *params[4:])


def _convolution(
    op: Operation, operands: tuple[Any, ...], axes: Axes, params: Params
) -> tuple[Any, int]:
    """``convolution`` and ``convolution_input``: images (or their results), weight, bias."""
    size = batch_size(operands, axes)
    if len(operands) == 3:  # a bias may be mapped alone
        bias, axis = operands[2], axes[2]
        if axis is None and axes[1] is None:
            x = _merged(operands[0], axes[0], 0, size)
            return _parted(call.current.apply(op, (x, *operands[1:]), params), 0, size), 0
        if axes[:2] == (None, None):
            made, place = call.current.apply(op, operands[:2], params), None
        else:
            made, place = _convolution(op, operands[:2], axes[:2], params)
        made = to_front(made, place, size)
        bias = (
            to_front(bias, axis, 0) if axis is not None else reshape(bias, (1, *bias.layout.shape))
        )
        count = bias.layout.shape
        return add(made, reshape(bias, (count[0], 1, count[1], *[1] * (made.layout.ndim - 3)))), 0
    x, weight = operands
    if axes[1] is None:
        made = call.current.apply2(op, _merged(x, axes[0], 0, size), weight, params)
        return _parted(made, 0, size), 0
    weight = _merged(weight, axes[1], 0, size)
    made = call.current.apply2(op, _merged(x, axes[0], 1, size), weight, _with_groups(params, size))
    return _parted(made, 1, size), 1


def _convolution_weight(
    op: Operation, operands: tuple[Any, ...], axes: Axes, params: Params
) -> tuple[Any, int]:
    """Each sample's weight gradient: one group, or block of groups, of a grouped convolution."""
    size = batch_size(operands, axes)
    x, y = (_merged(v, axis, 1, size) for v, axis in zip(operands, axes, strict=True))
    made = call.current.apply2(op, x, y, _with_groups(params, size))
    return _parted(made, 0, size), 0


# ---- indexing


def _index_add(
    op: Operation, operands: tuple[Any, ...], axes: Axes, params: Params
) -> tuple[Any, int]:
    """With one index for all, an axis further; else as sums at (sample, index)."""
    x, index, src = operands
    axis = params[0]
    size = batch_size(operands, axes)
    x, src = to_front(x, axes[0], size), to_front(src, axes[2], size)
    if axes[1] is None:
        return call.current.apply(op, (x, index, src), (axis + 1,)), 0
    index = to_front(index, axes[1], size)
    rank = index.layout.ndim - 1
    x = move_axis(x, axis + 1, 1)
    for k in range(rank):
        src = move_axis(src, axis + 1 + k, 1 + k)
    rows = reshape(iota((size,), 0), (size, *[1] * rank))
    made = call.current.apply(indexing.INDEX_PUT, (x, src, rows, index), ((0, 1), True))
    return move_axis(made, 1, axis + 1), 0


def _all_rows(indices: Sequence[Tensor], axes: Axes, size: int) -> list[Tensor]:
    """Index tensors with a leading axis for the samples, and in front of them the sample's own."""
    rank = max(x.layout.ndim - (axis is not None) for x, axis in zip(indices, axes, strict=True))
    moved = []
    for x, axis in zip(indices, axes, strict=True):
        x = reshape(x, (1, *x.layout.shape)) if axis is None else to_front(x, axis, size)
        count, *own = x.layout.shape
        moved.append(reshape(x, (count, *[1] * (rank - len(own)), *own)))
    return [reshape(iota((size,), 0), (size, *[1] * rank)), *moved]


def _adjacent(axes: Shape) -> bool:
    return axes[-1] - axes[0] == len(axes) - 1


def _common_rank(indices: Sequence[Tensor], axes: Axes) -> int:
    return max(x.layout.ndim - (axis is not None) for x, axis in zip(indices, axes, strict=True))


def _index(op: Operation, operands: tuple[Any, ...], axes: Axes, params: Params) -> tuple[Any, int]:
    x, *indices = operands
    chosen: Shape = params[0]
    size = batch_size(operands, axes)
    shifted = tuple([axis + 1 for axis in chosen])
    if axes[1:] == (None,) * len(indices):
        made = call.current.apply(op, (to_front(x, axes[0], size), *indices), (shifted,))
        return made, 0 if _adjacent(chosen) else _common_rank(indices, axes[1:])
    x = to_front(x, axes[0], size)
    rows = _all_rows(indices, axes[1:], size)
    made = call.current.apply(op, (x, *rows), ((0, *shifted),))
    # The samples come first; the indexed axes stand behind them, wherever they stood.
    rank = _common_rank(indices, axes[1:])
    if chosen[0] and _adjacent(chosen) and not _adjacent((0, *shifted)):
        for k in range(chosen[0]):  # the kept axes in front of the indexed ones go back there
            made = move_axis(made, 1 + rank + k, 1 + k)
    return made, 0


def _index_put(
    op: Operation, operands: tuple[Any, ...], axes: Axes, params: Params
) -> tuple[Any, int]:
    x, values, *indices = operands
    chosen, accumulate = params
    size = batch_size(operands, axes)
    shifted = tuple([axis + 1 for axis in chosen])
    x = to_front(x, axes[0], size)
    rows = _all_rows(indices, axes[2:], size)
    rank = _common_rank(indices, axes[2:])
    kept = x.layout.ndim - 1 - len(chosen)
    values = (
        reshape(values, (1, *values.layout.shape))
        if axes[1] is None
        else to_front(values, axes[1], size)
    )
    count, *own = values.layout.shape
    values = reshape(values, (count, *[1] * (rank + kept - len(own)), *own))
    if chosen[0] and _adjacent(chosen) and not _adjacent((0, *shifted)):
        for _ in range(chosen[0]):  # the kept axes in front of the indexed ones go behind them
            values = move_axis(values, 1, chosen[0] + rank)
    return call.current.apply(op, (x, values, *rows), ((0, *shifted), accumulate)), 0


# ---- joining what a loop over samples gave


def stacked(parts: Sequence[Tensor]) -> Tensor:
    """Tensors of one layout along a new first axis."""
    return concatenate([reshape(x, (1, *x.layout.shape)) for x in parts], 0)


def sample_of(x: Tensor, axis: int, place: int) -> Tensor:
    """One sample of a mapped tensor."""
    part = movement.narrow(x, axis, place, 1)
    shape = part.layout.shape
    return reshape(part, (*shape[:axis], *shape[axis + 1 :]))


def _all(limits: Any, size: int) -> Any:
    return ((0, size, 1), *limits)


RULES: dict[Operation, Rule] = {
    movement.BROADCAST: _broadcast,
    movement.RESHAPE: in_front(lambda p, n, _: ((n, *p[0]),)),
    movement.TRANSPOSE: in_front(lambda p, n, _: ((0, *[axis + 1 for axis in p[0]]),)),
    movement.SLICE: in_front(lambda p, n, _: (_all(p[0], n),)),
    movement.UNSLICE: in_front(lambda p, n, _: ((n, *p[0]), _all(p[1], n))),
    movement.PUT_SLICE: in_front(lambda p, n, _: (_all(p[0], n),)),
    movement.AS_STRIDED: _as_strided,
    movement.PUT_STRIDED: _as_strided,
    movement.UNSTRIDED: in_front(_unstrided),
    movement.DIAGONAL: in_front(lambda p, n, _: (p[0], p[1] + 1, p[2] + 1)),
    movement.UNDIAGONAL: in_front(lambda p, n, _: ((n, *p[0]), p[1], p[2] + 1, p[3] + 1)),
    movement.PAD: _pad,
    movement.CONCATENATE: in_front(lambda p, n, _: (p[0] + 1,)),
    contraction.DOT: _dot,
    convolution.CONVOLUTION: _convolution,
    convolution.CONVOLUTION_INPUT: _convolution,
    convolution.CONVOLUTION_WEIGHT: _convolution_weight,
    indexing.INDEX_ADD: _index_add,
    indexing.INDEX: _index,
    indexing.INDEX_PUT: _index_put,
    loss.PICK: in_front(lambda p, n, _: (p[0] + 1,)),
}

for _op, _rule in RULES.items():
    _op.batch = _rule

__all__ = ["RULES", "Axes", "batch_size", "sample_of", "stacked", "to_front"]
