"""Making tensors, and rearranging their elements."""

from __future__ import annotations

import builtins
import collections
import math
from typing import Any

import numpy as np

from diptych.core import dtypes
from diptych.core.layout import broadcast_shapes
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import cast_class, copy_array
from diptych.errors import DiptychError, ShapeError
from diptych.ops import arithmetic, indexing, movement, sorting
from diptych.ops.select import cast, where
from diptych.tensorflow import elementwise as table
from diptych.tensorflow import errors
from diptych.tensorflow.conversion import (
    filled,
    from_numpy,
    from_python,
    integer,
    integers,
    python_scalar,
    shape_argument,
    stacked,
    tensor_as,
    tensor_like,
    tensor_of,
)
from diptych.tensorflow.dtype import engine_dtype
from diptych.tensorflow.errors import dims, invalid
from diptych.tensorflow.tensor import EagerTensor

_INDEX = (dtypes.int32, dtypes.int64)


def axis_of(axis: Any, ndim: int, refuse: Any) -> int:
    """An axis counted from the front; ``refuse(axis)`` is raised when it is outside."""
    wanted = integer(python_scalar(axis))
    if not -ndim <= wanted < ndim:
        raise refuse(wanted)
    return wanted + ndim if wanted < 0 else wanted


# ---- making


def zeros(shape: Any, dtype: Any = "float32", name: Any = None, layout: Any = None) -> Any:
    """Zeros."""
    return filled(shape_argument(shape), 0, engine_dtype(dtype))


def ones(shape: Any, dtype: Any = "float32", name: Any = None, layout: Any = None) -> Any:
    """Ones."""
    return filled(shape_argument(shape), 1, engine_dtype(dtype))


def fill(dims: Any, value: Any, name: Any = None, layout: Any = None) -> Any:
    """A tensor of one value."""
    scalar = tensor_of(value)
    if scalar.layout.ndim:
        raise invalid(
            "Fill", f"value must represent a scalar, got shape {errors.dims(scalar.layout.shape)}"
        )
    shape = shape_argument(dims)
    return movement.contiguous(movement.broadcast_to(scalar, shape))


def zeros_like(input: Any, dtype: Any = None, name: Any = None, layout: Any = None) -> Any:
    """Zeros of another's shape and dtype."""
    place = tensor_of(input).layout
    return filled(place.shape, 0, place.dtype if dtype is None else engine_dtype(dtype))


def ones_like(input: Any, dtype: Any = None, name: Any = None, layout: Any = None) -> Any:
    """Ones of another's shape and dtype."""
    place = tensor_of(input).layout
    return filled(place.shape, 1, place.dtype if dtype is None else engine_dtype(dtype))


def range(
    start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: Any = "range"
) -> Any:
    """Numbers from ``start`` to before ``limit``, ``delta`` apart."""
    if limit is None:
        start, limit = 0, start
    if dtype is None:
        bounds = [tensor_of(bound) for bound in (start, limit, delta)]
        order = (dtypes.int32, dtypes.int64, dtypes.float32, dtypes.float64)
        wanted = max(
            (bound.layout.dtype for bound in bounds),
            key=lambda d: order.index(d) if d in order else -1,
        )
    else:
        wanted = engine_dtype(dtype)
    first, last, step = [python_scalar(tensor_of(bound)) for bound in (start, limit, delta)]
    if step == 0:
        raise invalid("Range", f"Requires delta != 0: {step}")
    if (step > 0 and first > last) or (step < 0 and first < last):
        relation = "<= limit when delta > 0" if step > 0 else ">= limit when delta < 0"
        raise invalid("Range", f"Requires start {relation}: {first}/{last}")
    count = max(0, math.ceil((last - first) / step))
    shape_argument(count, "Range")
    if wanted.is_float:
        kind = wanted.numpy.type if wanted.exact else np.float32
        return from_numpy(_float_steps(first, step, count, kind), wanted)
    return from_numpy(first + step * np.arange(count, dtype=np.int64), wanted)


def _float_steps(first: float, step: float, count: int, kind: Any) -> Any:
    """A float range as TensorFlow's kernel counts it: start + i * delta in the dtype."""
    return kind(first) + np.arange(count, dtype=np.int64).astype(kind) * kind(step)


def linspace(start: Any, stop: Any, num: Any, name: Any = None, axis: Any = 0) -> Any:
    """``num`` numbers evenly from ``start`` to ``stop``, both included."""
    first, last = table.operands(start, stop)
    if first.layout.dtype.is_integer:
        first, last = cast(first, dtypes.float64), cast(last, dtypes.float64)
    count = integer(python_scalar(num))
    if count < 1:
        return filled((0,), 0, first.layout.dtype)
    if count == 1:
        return expand_dims(first, 0)
    rows = [1] * first.layout.ndim
    steps = from_numpy(np.arange(count), first.layout.dtype)
    delta = table.real_div(table.subtract(last, first), float(count - 1))
    along = movement.reshape(steps, (count, *rows))
    line = table.add(first, table.multiply(delta, along))
    ends = movement.narrow(line, 0, 0, count - 1)
    line = movement.concatenate([ends, expand_dims(last, 0)], 0)
    axis = axis_of(axis, first.layout.ndim + 1, lambda a: ValueError(f"axis {a} is out of range"))
    return movement.move_axis(line, 0, axis)


def eye(
    num_rows: Any, num_columns: Any = None, batch_shape: Any = None, dtype: Any = "float32",
    name: Any = None,
) -> Any:  # fmt: skip
    """The identity matrix, repeated for a batch."""
    rows = integer(python_scalar(num_rows))
    columns = rows if num_columns is None else integer(python_scalar(num_columns))
    shape_argument([rows, columns])
    one = from_numpy(np.eye(rows, columns), engine_dtype(dtype))
    if batch_shape is None:
        return one
    batch = shape_argument(batch_shape)
    return movement.contiguous(movement.broadcast_to(one, (*batch, rows, columns)))


def one_hot(
    indices: Any, depth: Any, on_value: Any = None, off_value: Any = None, axis: Any = None,
    dtype: Any = None, name: Any = None,
) -> Any:  # fmt: skip
    """A new axis of ``depth`` entries, ``on_value`` at each index and ``off_value`` elsewhere."""
    index = tensor_of(indices)
    allowed = (dtypes.uint8, dtypes.int8, dtypes.int32, dtypes.int64)
    if index.layout.dtype not in allowed:
        raise table.not_allowed("OneHot", index.layout.dtype, allowed, attribute="TI")
    wanted = None if dtype is None else engine_dtype(dtype)
    for value in (on_value, off_value):
        if wanted is None and value is not None:
            wanted = tensor_of(value).layout.dtype
    wanted = wanted or dtypes.float32
    on = tensor_as(1 if on_value is None else on_value, wanted)
    off = tensor_as(0 if off_value is None else off_value, wanted)
    count = integer(python_scalar(depth))
    grown = movement.reshape(cast(index, dtypes.int64), (*index.layout.shape, 1))
    hit = table.equal(grown, cast_class(indexing.iota(count), EagerTensor))
    result = where(hit, on, off)
    ndim = result.layout.ndim
    place = axis_of(
        -1 if axis is None else axis, ndim, lambda a: invalid("OneHot", f"Expected axis {a}")
    )
    return movement.move_axis(result, ndim - 1, place)


# ---- what they are


def shape(input: Any, out_type: Any = "int32", name: Any = None) -> Any:
    """The shape as a tensor."""
    return from_numpy(np.array(tensor_of(input).layout.shape, np.int64), engine_dtype(out_type))


def shape_n(input: Any, out_type: Any = "int32", name: Any = None) -> list[Any]:
    """The shapes of several tensors."""
    return [shape(x, out_type) for x in input]


def size(input: Any, out_type: Any = "int32", name: Any = None) -> Any:
    """The number of elements as a tensor."""
    return from_python(tensor_of(input).layout.size, engine_dtype(out_type))


def rank(input: Any, name: Any = None) -> Any:
    """The number of axes as a tensor."""
    return from_python(tensor_of(input).layout.ndim, None)


def identity(input: Any, name: Any = None) -> Any:
    """The same value as another tensor."""
    return cast_class(tensor_of(input), EagerTensor)


def broadcast_dynamic_shape(shape_x: Any, shape_y: Any) -> Any:
    """The shape, as a tensor, that two shapes broadcast to."""
    first, second = tuple(integers(shape_x)), tuple(integers(shape_y))
    try:
        common = broadcast_shapes((first, second), "BroadcastArgs")
    except ShapeError:
        raise invalid(
            "BroadcastArgs", f"Incompatible shapes: {dims(first)} vs. {dims(second)}"
        ) from None
    return from_numpy(np.array(common, np.int64), dtypes.int32)


# ---- shapes


def reshape(tensor: Any, shape: Any, name: Any = None) -> Any:
    """The same elements in row-major order in another shape; one extent may be -1."""
    x = tensor_of(tensor)
    if isinstance(shape, float):
        raise table.not_allowed("Reshape", dtypes.float32, _INDEX, attribute="Tshape")
    wanted = integers(shape)
    size = x.layout.size
    unknown = [axis for axis, extent in enumerate(wanted) if extent == -1]
    if len(unknown) > 1:
        raise invalid(
            "Reshape", f"Only one input size may be -1, not both {unknown[0]} and {unknown[1]}"
        )
    for axis, extent in enumerate(wanted):
        if extent < -1:
            raise invalid("Reshape", f"Size {axis} must be non-negative, not {extent}")
    if unknown:
        known = math.prod(extent for extent in wanted if extent != -1)
        if (known == 0 and size) or (known and size % known):
            raise invalid(
                "Reshape",
                f"Input to reshape is a tensor with {size} values, but the requested shape "
                f"requires a multiple of {known}",
            )
        wanted[unknown[0]] = size // known if known else 0
    elif math.prod(wanted) != size:
        raise invalid(
            "Reshape",
            f"Input to reshape is a tensor with {size} values, but the requested shape has "
            f"{math.prod(wanted)}",
        )
    return movement.reshape(x, tuple(wanted))


def transpose(a: Any, perm: Any = None, conjugate: bool = False, name: Any = "transpose") -> Any:
    """The axes in another order, reversed unless ``perm`` is given."""
    x = tensor_of(a)
    ndim = x.layout.ndim
    if perm is None:
        order = tuple(reversed(builtins.range(ndim)))
    else:
        order = tuple(integers(perm))
        if len(order) != ndim:
            raise invalid(
                "Transpose",
                f"transpose expects a vector of size {ndim}. But input(1) is a vector of size "
                f"{len(order)}",
            )
        for axis in order:
            if not -ndim <= axis < ndim:
                raise invalid("Transpose", f"{axis} is out of range [0 .. {ndim})")
        order = tuple(axis % ndim for axis in order)
        missing = [axis for axis in builtins.range(ndim) if axis not in order]
        if missing:
            raise invalid(
                "Transpose", f"{missing[0]} is missing from {{{','.join(map(str, order))}}}."
            )
    moved = movement.transpose(x, order)
    if conjugate and x.layout.dtype.is_complex:
        return arithmetic.conj(moved)
    return moved


def expand_dims(input: Any, axis: Any, name: Any = None) -> Any:
    """A new axis of extent 1."""
    x = tensor_of(input)
    ndim = x.layout.ndim
    place = axis_of(
        axis,
        ndim + 1,
        lambda a: invalid(
            "ExpandDims", f"Tried to expand dim index {a} for tensor with {ndim} dimensions."
        ),
    )
    extents = x.layout.shape
    return movement.reshape(x, (*extents[:place], 1, *extents[place:]))


def squeeze(input: Any, axis: Any = None, name: Any = None) -> Any:
    """Without the axes of extent 1, or without those named."""
    x = tensor_of(input)
    extents, ndim = x.layout.shape, x.layout.ndim
    if axis is None:
        gone = {k for k, extent in enumerate(extents) if extent == 1}
    else:
        gone = set()
        for one in integers(axis):
            if not -ndim <= one < ndim:
                raise invalid(
                    "Squeeze",
                    f"Tried to squeeze dim index {one} for tensor with {ndim} dimensions.",
                )
            gone.add(one % ndim)
        for one in sorted(gone):
            if extents[one] != 1:
                raise invalid(
                    "Squeeze",
                    f"Can not squeeze dim[{one}], expected a dimension of 1, got {extents[one]}",
                )
    return movement.reshape(x, tuple(e for k, e in enumerate(extents) if k not in gone))


def broadcast_to(input: Any, shape: Any, name: Any = None) -> Any:
    """Repeated along axes of extent 1, and new ones in front, to a shape."""
    x = tensor_of(input)
    wanted = shape_argument(shape, "BroadcastTo")
    have = x.layout.shape
    try:
        fits = broadcast_shapes((have, wanted), "BroadcastTo") == wanted
    except ShapeError:
        fits = False
    if not fits:
        raise invalid("BroadcastTo", f"Incompatible shapes: {dims(have)} vs. {dims(wanted)}")
    return movement.broadcast_to(x, wanted)


# ---- joining and splitting


def same_dtype(values: Any, op: str) -> list[Any]:
    """Operands that must share a dtype: numbers and lists take that of the tensors among them."""
    typed = next((v for v in values if isinstance(v, CoreTensor)), None)
    wanted = None if typed is None else typed.layout.dtype
    tensors: list[Any] = []
    for position, value in enumerate(values):
        if isinstance(value, CoreTensor):
            tensor = tensor_of(value)
        else:
            tensor = tensor_of(value) if wanted is None else tensor_as(value, wanted)
        wanted = wanted or tensor.layout.dtype
        if tensor.layout.dtype is not wanted:
            raise table.mismatch(op, position, wanted, tensor.layout.dtype)
        tensors.append(tensor)
    return tensors


def concat(values: Any, axis: Any, name: Any = "concat") -> Any:
    """Tensors joined along an axis."""
    if not isinstance(values, (list, tuple)):
        values = [values]
    tensors = same_dtype(values, "ConcatV2")
    if isinstance(axis, float):
        raise table.not_allowed("ConcatV2", dtypes.float32, _INDEX, attribute="Tidx")
    if not tensors:
        raise invalid("ConcatV2", "concat needs at least one tensor")
    if len(tensors) == 1:
        return identity(tensors[0])
    first = tensors[0].layout.shape
    ndim = len(first)
    if not ndim:
        raise invalid("ConcatV2", "ConcatOp : Can't concatenate scalars (use tf.stack instead)")
    along = axis_of(
        axis,
        ndim,
        lambda a: invalid(
            "ConcatV2",
            f"ConcatOp : Expected concatenating dimensions in the range [-{ndim}, {ndim}), but got "
            f"{a}",
        ),
    )
    for position, tensor in enumerate(tensors):
        other = tensor.layout.shape
        pair = f"shape[0] = {dims(first)} vs. shape[{position}] = {dims(other)}"
        if len(other) != ndim:
            raise invalid("ConcatV2", f"ConcatOp : Ranks of all input tensors should match: {pair}")
        for k in builtins.range(ndim):
            if k != along and first[k] != other[k]:
                raise invalid(
                    "ConcatV2", f"ConcatOp : Dimension {k} in both shapes must be equal: {pair}"
                )
    return movement.concatenate(tensors, along)


def stack(values: Any, axis: Any = 0, name: Any = "stack") -> Any:
    """Tensors of one shape joined along a new axis."""
    if isinstance(values, CoreTensor):
        values = list(unstack(values))
    tensors = same_dtype(values, "Pack")
    if not tensors:
        return filled((0,), 0, dtypes.float32)
    count = tensors[0].layout.ndim + 1
    along = axis_of(
        axis,
        count,
        lambda a: ValueError(f"Argument `axis` = {a} not in range [{-count}, {count})"),
    )
    return stacked(tensors, along)


def unstack(value: Any, num: Any = None, axis: Any = 0, name: Any = "unstack") -> list[Any]:
    """The slices along an axis, without it."""
    x = tensor_of(value)
    ndim = x.layout.ndim
    along = axis_of(
        axis, ndim, lambda a: ValueError(f"Argument `axis` = {a} not in range [{-ndim}, {ndim})")
    )
    extents = x.layout.shape
    if num is not None and num != extents[along]:
        raise invalid(
            "Unpack", f"Input shape axis {along} must equal {num}, got shape {dims(extents)}"
        )
    rest = (*extents[:along], *extents[along + 1 :])
    return [
        movement.reshape(movement.narrow(x, along, position, 1), rest)
        for position in builtins.range(extents[along])
    ]


def split(
    value: Any, num_or_size_splits: Any, axis: Any = 0, num: Any = None, name: Any = "split"
) -> list[Any]:
    """Pieces along an axis: so many equal ones, or of the sizes given (one may be -1)."""
    x = tensor_of(value)
    ndim = x.layout.ndim
    along = axis_of(
        axis,
        ndim,
        lambda a: invalid("Split", f"-input rank(-{ndim}) <= split_dim < {ndim}, got {a}"),
    )
    extent = x.layout.shape[along]
    if isinstance(num_or_size_splits, (int, np.integer)):
        count = int(num_or_size_splits)
        if count < 1 or extent % count:
            raise invalid(
                "Split",
                "Number of ways to split should evenly divide the split dimension, but got "
                f"split_dim {along} (size = {extent}) and num_split {count}",
            )
        sizes = [extent // count] * count
    else:
        sizes = integers(num_or_size_splits)
        if sizes.count(-1) == 1:
            sizes[sizes.index(-1)] = extent - (sum(sizes) + 1)
        if sum(sizes) != extent or min(sizes, default=0) < 0:
            raise invalid(
                "SplitV",
                "Determined shape must either match input shape along split_dim exactly if fully "
                f"specified, or be less than the size of the input along split_dim if not fully "
                f"specified.  Got: {sum(sizes)}",
            )
    pieces = []
    start = 0
    for length in sizes:
        pieces.append(movement.narrow(x, along, start, length))
        start += length
    return pieces


# ---- repeating, padding, turning


def tile(input: Any, multiples: Any, name: Any = None) -> Any:
    """The tensor repeated along every axis."""
    x = tensor_of(input)
    counts = integers(multiples)
    extents = x.layout.shape
    if len(counts) != len(extents):
        raise invalid(
            "Tile",
            f"Expected multiples argument to be a vector of length {len(extents)} but got length "
            f"{len(counts)}",
        )
    for position, count in enumerate(counts):
        if count < 0:
            raise invalid("Tile", f"Expected multiples[{position}] >= 0, but got {count}")
    between = tuple(e for extent in extents for e in (1, extent))
    wide = tuple(e for pair in zip(counts, extents, strict=True) for e in pair)
    spread = movement.broadcast_to(movement.reshape(x, between), wide)
    return movement.reshape(spread, tuple(c * e for c, e in zip(counts, extents, strict=True)))


def repeat(input: Any, repeats: Any, axis: Any = None, name: Any = None) -> Any:
    """Every element (or slice along an axis) repeated."""
    x = tensor_of(input)
    if axis is None:
        x = movement.reshape(x, (x.layout.size,))
        axis = 0
    along = axis_of(axis, x.layout.ndim, lambda a: ValueError(f"axis {a} is out of range"))
    counts = integers(repeats)
    if len(counts) == 1:
        return indexing.repeat_interleave(x, counts[0], along)
    if len(counts) != x.layout.shape[along]:
        raise ValueError(f"Dimensions {x.layout.shape[along]} and {len(counts)} are not compatible")
    return indexing.repeat_interleave(x, copy_array(np.array(counts), EagerTensor), along)


def pad(
    tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: Any = 0, name: Any = None
) -> Any:
    """The tensor inside a border: of a value, or of its own elements mirrored."""
    x = tensor_of(tensor)
    pairs = tensor_of(paddings).values()
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise invalid("Pad", f"paddings must be a matrix with 2 columns: {dims(pairs.shape)}")
    if pairs.shape[0] != x.layout.ndim:
        raise invalid(
            "Pad",
            "The first dimension of paddings must be the rank of inputs"
            f"{dims(pairs.shape)} {dims(x.layout.shape)}",
        )
    widths = tuple((int(before), int(after)) for before, after in pairs)
    for before, after in widths:
        if before < 0 or after < 0:
            raise invalid("Pad", f"Paddings must be non-negative: {before} {after}")
    kind = mode.upper()
    if kind == "CONSTANT":
        value = tensor_as(constant_values, x.layout.dtype)
        return movement.pad(x, widths, value)
    if kind not in ("REFLECT", "SYMMETRIC"):
        raise ValueError(
            "Value of argument `mode` expected to be one of 'CONSTANT', 'REFLECT', or 'SYMMETRIC'. "
            f"Received `mode` = {mode}"
        )
    skip = 1 if kind == "REFLECT" else 0
    for axis, (before, after) in enumerate(widths):
        extent = x.layout.shape[axis]
        if max(before, after) > extent - skip:
            raise invalid(
                "MirrorPad",
                "paddings must be "
                + ("less than" if skip else "no greater than")
                + f" the dimension size: {before}, {after} not less than {extent}",
            )
        positions = np.pad(np.arange(extent), (before, after), mode=kind.lower())  # type: ignore[call-overload]
        x = indexing.index_select(x, copy_array(positions, EagerTensor), axis)
    return x


def reverse(tensor: Any, axis: Any, name: Any = None) -> Any:
    """The elements in reverse order along the axes."""
    x = tensor_of(tensor)
    ndim = x.layout.ndim
    axes = []
    for position, one in enumerate(integers(axis)):
        if not -ndim <= one < ndim:
            raise invalid(
                "ReverseV2", f"'axis'[{position}] = {one} is out of valid range [0, {ndim - 1}"
            )
        axes.append(one % ndim)
    return movement.flip(x, tuple(sorted(axes)))


def roll(input: Any, shift: Any, axis: Any, name: Any = None) -> Any:
    """What leaves one end of an axis comes in at the other."""
    x = tensor_of(input)
    ndim = x.layout.ndim
    axes = [
        axis_of(a, ndim, lambda a: invalid("Roll", f"dim {a} is out of range"))
        for a in integers(axis)
    ]
    return indexing.roll(x, integers(shift), axes)


def meshgrid(*args: Any, indexing: str = "xy", name: Any = None, **kwargs: Any) -> list[Any]:
    """Coordinates of a grid, one tensor for each vector."""
    if kwargs:
        raise TypeError(f"meshgrid() got an unexpected keyword argument {next(iter(kwargs))!r}")
    if indexing not in ("xy", "ij"):
        raise ValueError(
            "Argument `indexing` parameter must be either 'xy' or 'ij', got " + indexing
        )
    vectors = [movement.reshape(v, (v.layout.size,)) for v in map(tensor_of, args)]
    order = list(builtins.range(len(vectors)))
    if indexing == "xy" and len(vectors) > 1:
        order[0], order[1] = 1, 0
    extents = [0] * len(vectors)
    for position, vector in enumerate(vectors):
        extents[order[position]] = vector.layout.size
    grids = []
    for position, vector in enumerate(vectors):
        along = [1] * len(vectors)
        along[order[position]] = vector.layout.size
        grids.append(movement.broadcast_to(movement.reshape(vector, tuple(along)), tuple(extents)))
    return grids


def sequence_mask(lengths: Any, maxlen: Any = None, dtype: Any = "bool", name: Any = None) -> Any:
    """Rows that are true up to a length."""
    counts = tensor_of(lengths)
    values = counts.values()
    longest = int(values.max(initial=0)) if maxlen is None else integer(python_scalar(maxlen))
    positions = from_numpy(np.arange(longest), counts.layout.dtype)
    mask = table.less(positions, expand_dims(counts, -1))
    wanted = engine_dtype(dtype)
    return mask if wanted is dtypes.bool_ else cast(mask, wanted)


# ---- order


def _direction(direction: str) -> bool:
    """Whether the order is descending."""
    if direction not in ("ASCENDING", "DESCENDING"):
        raise ValueError(
            "Argument `direction` should be one of ASCENDING, DESCENDING. Received: "
            f"direction={direction}"
        )
    return direction == "DESCENDING"


def _sorting_axis(x: Any, axis: Any) -> int:
    ndim = x.layout.ndim
    return axis_of(axis, ndim, lambda a: invalid("Sort", f"axis {a} is not in [-{ndim}, {ndim})"))


def sort(values: Any, axis: Any = -1, direction: str = "ASCENDING", name: Any = None) -> Any:
    """Sorted along an axis."""
    descending = _direction(direction)
    x = tensor_of(values)
    return sorting.sort(x, _sorting_axis(x, axis), descending)[0]


def argsort(
    values: Any, axis: Any = -1, direction: str = "ASCENDING", stable: bool = False,
    name: Any = None,
) -> Any:  # fmt: skip
    """The positions that sort along an axis."""
    descending = _direction(direction)
    x = tensor_of(values)
    return cast(sorting.argsort(x, _sorting_axis(x, axis), descending), dtypes.int32)


def searchsorted(
    sorted_sequence: Any, values: Any, side: str = "left", out_type: Any = "int32", name: Any = None
) -> Any:
    """Where each value would go in a sorted sequence."""
    edges = tensor_of(sorted_sequence)
    wanted = tensor_like(values, edges.layout.dtype)
    try:
        found = sorting.searchsorted(edges, wanted, side == "right")
    except DiptychError as error:
        raise errors.translated(error, "LowerBound") from error
    return cast(found, engine_dtype(out_type))


Unique = collections.namedtuple("Unique", ["y", "idx"])
UniqueWithCounts = collections.namedtuple("UniqueWithCounts", ["y", "idx", "count"])


def unique_with_counts(x: Any, out_idx: Any = "int32", name: Any = None) -> Any:
    """Distinct elements in order of appearance, the place of each element among them, counts."""
    x = tensor_of(x)
    if x.layout.ndim != 1:
        raise invalid("Unique", "unique expects a 1D vector.")
    wanted = engine_dtype(out_idx)
    _, first, inverse, counts = np.unique(
        x.array(), return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(first, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    values = indexing.index_select(x, copy_array(first[order], EagerTensor, dtypes.int64), 0)
    return UniqueWithCounts(
        values, from_numpy(place[inverse], wanted), from_numpy(counts[order], wanted)
    )


def unique(x: Any, out_idx: Any = "int32", name: Any = None) -> Any:
    """Distinct elements in order of appearance, and the place of each element among them."""
    return Unique(*unique_with_counts(x, out_idx)[:2])
