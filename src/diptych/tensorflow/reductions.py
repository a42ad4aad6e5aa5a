"""Reductions over axes, positions of extrema, running sums, and sums by segment."""

from __future__ import annotations

import collections
from typing import Any

import numpy as np

from diptych.core import call, dtypes
from diptych.core.dtypes import DType
from diptych.core.layout import Shape, normalize_axis
from diptych.core.operation import Operation
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import cast_class
from diptych.errors import AxisError, DiptychError
from diptych.ops import indexing, reduction, scan, sorting
from diptych.ops.movement import flip, narrow, pad, reshape, slice_
from diptych.ops.reduction import ones_shape, spread
from diptych.ops.select import cast, constant, where
from diptych.tensorflow import elementwise as table
from diptych.tensorflow import errors
from diptych.tensorflow.conversion import filled, integer, integers, tensor_as, tensor_of
from diptych.tensorflow.dtype import engine_dtype, kernel_name
from diptych.tensorflow.tensor import EagerTensor

SUMMED = (
    dtypes.float32, dtypes.float64, dtypes.int32, dtypes.uint8, dtypes.int16, dtypes.int8,
    dtypes.complex64, dtypes.int64, dtypes.bfloat16, dtypes.uint16, dtypes.complex128,
    dtypes.float16, dtypes.uint32, dtypes.uint64,
)  # fmt: skip


def axes_of(x: Any, axis: Any, op: str) -> Shape:
    """The axes a reduction is asked for, counted from the front and in order."""
    ndim = x.layout.ndim
    if axis is None:
        return tuple(range(ndim))
    if isinstance(axis, float):
        raise table.not_allowed(op, dtypes.float32, (dtypes.int32, dtypes.int64), attribute="Tidx")
    wanted = []
    for one in integers(axis):
        if not -ndim <= one < ndim:
            raise errors.invalid(
                op, f"Invalid reduction dimension ({one} for input with {ndim} dimension(s)"
            )
        one = one + ndim if one < 0 else one
        if one in wanted:
            raise errors.invalid(
                op, f"Invalid reduction arguments: Axes contains duplicate dimension: {one}"
            )
        wanted.append(one)
    return tuple(sorted(wanted))


def kept(result: Any, x: Any, axes: Shape, keepdims: Any) -> Any:
    """A reduction's result with the reduced axes put back, if they are to be kept."""
    return reshape(result, ones_shape(x.layout.shape, axes)) if keepdims else result


class Reduction:
    """A reduction that keeps its operand's dtype."""

    def __init__(self, op: str, operation: Operation, allowed: tuple[DType, ...]) -> None:
        self.op = op
        self.operation = operation
        self.allowed = allowed

    def __call__(self, x: Any, axis: Any, keepdims: Any, name: Any) -> Any:
        if type(x) is not EagerTensor:
            x = tensor_of(x)
        dtype = x.layout.dtype
        if dtype not in self.allowed:
            raise table.not_allowed(self.op, dtype, self.allowed, name)
        axes = axes_of(x, axis, self.op)
        if not axes:
            return cast_class(x, EagerTensor)
        return kept(call.current.apply1(self.operation, x, (axes, dtype)), x, axes, keepdims)


class Extremum(Reduction):
    """The largest or smallest element; of nothing, the opposite end of the range."""

    def __init__(self, op: str, operation: Operation, largest: bool) -> None:
        super().__init__(op, operation, table.ORDERED)
        self.largest = largest

    def __call__(self, x: Any, axis: Any, keepdims: Any, name: Any) -> Any:
        x = tensor_of(x)
        axes = axes_of(x, axis, self.op)
        shape = x.layout.shape
        if x.layout.dtype in self.allowed and any(shape[k] == 0 for k in axes):
            result = filled(
                reduction.kept_shape(shape, axes), self.end(x.layout.dtype), x.layout.dtype
            )
            return kept(result, x, axes, keepdims)
        return super().__call__(x, axes, keepdims, name)

    def end(self, dtype: DType) -> Any:
        """What nothing reduces to."""
        if dtype.is_float:
            return -np.inf if self.largest else np.inf
        limits = np.iinfo(dtype.numpy)
        return limits.min if self.largest else limits.max


_SUM = Reduction("Sum", reduction.SUM, SUMMED)
_PROD = Reduction("Prod", reduction.PROD, SUMMED)
_MAX = Extremum("Max", reduction.MAX, largest=True)
_MIN = Extremum("Min", reduction.MIN, largest=False)


def reduce_sum(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: Any = None
) -> Any:
    """The sum over the axes (all unless given)."""
    return _SUM(input_tensor, axis, keepdims, name)


def reduce_prod(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: Any = None
) -> Any:
    """The product over the axes."""
    return _PROD(input_tensor, axis, keepdims, name)


def reduce_max(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: Any = None
) -> Any:
    """The largest element over the axes; NaN wins."""
    return _MAX(input_tensor, axis, keepdims, name)


def reduce_min(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: Any = None
) -> Any:
    """The smallest element over the axes; NaN wins."""
    return _MIN(input_tensor, axis, keepdims, name)


def reduce_mean(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: Any = None
) -> Any:
    """The mean over the axes, in the tensor's dtype: of integers it is rounded towards zero."""
    x = tensor_of(input_tensor)
    dtype = x.layout.dtype
    if dtype not in SUMMED:
        raise table.not_allowed("Mean", dtype, SUMMED, name)
    axes = axes_of(x, axis, "Mean")
    if not axes:
        return cast_class(x, EagerTensor)
    if dtype.is_inexact:
        return kept(reduction.mean(x, axes), x, axes, keepdims)
    count = reduction.count(x.layout.shape, axes)
    if not count:
        return kept(reduction.sum_(x, axes), x, axes, keepdims)
    total = reduction.sum_(x, axes)
    result = table.truncatediv(total, cast_class(constant(count, dtype), EagerTensor))
    return kept(result, x, axes, keepdims)


def reduce_any(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: Any = None
) -> Any:
    """Whether any element is true."""
    return _truth(reduction.any_, "Any", input_tensor, axis, keepdims)


def reduce_all(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: Any = None
) -> Any:
    """Whether all elements are true."""
    return _truth(reduction.all_, "All", input_tensor, axis, keepdims)


def _truth(function: Any, op: str, x: Any, axis: Any, keepdims: Any) -> Any:
    x = tensor_of(x) if isinstance(x, CoreTensor) else tensor_as(x, dtypes.bool_)
    if x.layout.dtype is not dtypes.bool_:
        raise errors.invalid(
            op,
            f"cannot compute {op} as input #0(zero-based) was expected to be a bool tensor but "
            f"is a {kernel_name(x.layout.dtype)} tensor",
        )
    axes = axes_of(x, axis, op)
    return kept(function(x, axes), x, axes, keepdims)


def reduce_variance(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: Any = None
) -> Any:
    """The mean squared distance from the mean."""
    x = tensor_of(input_tensor)
    if not x.layout.dtype.is_inexact:
        raise TypeError(f"Input must be either real or complex. Received integer type {x.dtype}.")
    axes = axes_of(x, axis, "Mean")
    return kept(reduction.variance(x, axes, 0.0), x, axes, keepdims)


def reduce_std(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: Any = None
) -> Any:
    """The square root of the variance."""
    return table.sqrt(reduce_variance(input_tensor, axis, keepdims))


def reduce_euclidean_norm(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: Any = None
) -> Any:
    """The square root of the sum of squares."""
    x = tensor_of(input_tensor)
    return table.sqrt(reduce_sum(table.square(x), axis, keepdims))


def reduce_logsumexp(
    input_tensor: Any, axis: Any = None, keepdims: bool = False, name: Any = None
) -> Any:
    """log(sum(exp(x))), without overflow."""
    x = tensor_of(input_tensor)
    axes = axes_of(x, axis, "Max")
    shape = x.layout.shape
    largest = reduce_max(x, axes) if axes else x
    bare = cast_class(largest, EagerTensor)
    bare.history = None
    zero = cast_class(constant(0, x.layout.dtype), EagerTensor)
    finite = where(table.is_finite(bare), bare, zero)
    centred = table.exp(table.subtract(x, spread(finite, shape, axes)))
    result = table.add(table.log(reduction.sum_(centred, axes)), finite)
    return kept(result, x, axes, keepdims)


def count_nonzero(
    input: Any, axis: Any = None, keepdims: Any = None, dtype: Any = "int64", name: Any = None
) -> Any:
    """How many elements over the axes are not zero."""
    x = tensor_of(input)
    nonzero = cast(x, dtypes.bool_)
    return reduce_sum(cast(nonzero, engine_dtype(dtype)), axis, keepdims)


# ---- positions


def _position(function: Any, op: str, x: Any, axis: Any, output_type: Any) -> Any:
    x = tensor_of(x)
    place = x.layout
    wanted = 0 if axis is None else integer(axis)
    if not -place.ndim <= wanted < place.ndim:
        raise errors.invalid(
            op, f"Expected dimension in the range [{-place.ndim}, {place.ndim}), but got {wanted}"
        )
    try:
        result = function(x, wanted % place.ndim)
    except DiptychError as error:
        raise errors.translated(error, op) from error
    return cast(result, engine_dtype(output_type))


def argmax(input: Any, axis: Any = None, output_type: Any = "int64", name: Any = None) -> Any:
    """Where along an axis (the first unless given) the largest element is."""
    return _position(reduction.argmax, "ArgMax", input, axis, output_type)


def argmin(input: Any, axis: Any = None, output_type: Any = "int64", name: Any = None) -> Any:
    """Where along an axis (the first unless given) the smallest element is."""
    return _position(reduction.argmin, "ArgMin", input, axis, output_type)


TopK = collections.namedtuple("TopK", ["values", "indices"])
TopK.__qualname__ = TopK.__name__ = "TopKV2"


def top_k(
    input: Any, k: Any = 1, sorted: bool = True, index_type: Any = "int32", name: Any = None
) -> Any:
    """The k largest elements along the last axis, and where they are."""
    x = tensor_of(input)
    count = integer(k)
    if not x.layout.ndim or x.layout.shape[-1] < count:
        raise errors.invalid(
            "TopKV2",
            f"input must have at least k columns. Had {x.layout.shape[-1:]}, needed {count}",
        )
    # Ties go to the lower position, which a stable sort keeps.
    last = x.layout.ndim - 1
    taken = narrow(sorting.argsort(x, last, True), last, 0, count)
    values = indexing.take_along(x, taken, last)
    return TopK(values, cast(taken, engine_dtype(index_type)))


# ---- running sums


def _running(
    function: Any, op: str, x: Any, axis: Any, exclusive: bool, reverse: bool, neutral: Any
) -> Any:
    x = tensor_of(x)
    ndim = x.layout.ndim
    try:
        along = normalize_axis(integer(axis), ndim, op)
    except AxisError:
        raise errors.invalid(
            op, f"ScanOp: Expected scan axis in the range [{-ndim}, {ndim}), but got {axis}"
        ) from None
    if reverse:
        x = flip(x, (along,))
    if exclusive:
        x = _shifted(x, along, neutral)
    result = function(x, along)
    return flip(result, (along,)) if reverse else result


def _shifted(x: Any, axis: int, neutral: Any) -> Any:
    """``x`` moved on by one along an axis, its last element dropped, ``neutral`` first."""
    widths = tuple((1, 0) if k == axis else (0, 0) for k in range(x.layout.ndim))
    grown = pad(x, widths, neutral)
    limits = tuple((0, extent, 1) for extent in x.layout.shape)
    return slice_(grown, limits)


def cumsum(
    x: Any, axis: Any = 0, exclusive: bool = False, reverse: bool = False, name: Any = None
) -> Any:
    """The running sum along an axis."""
    return _running(scan.cumsum, "Cumsum", x, axis, exclusive, reverse, 0)


def cumprod(
    x: Any, axis: Any = 0, exclusive: bool = False, reverse: bool = False, name: Any = None
) -> Any:
    """The running product along an axis."""
    return _running(scan.cumprod, "Cumprod", x, axis, exclusive, reverse, 1)


def cumulative_logsumexp(
    x: Any, axis: Any = 0, exclusive: bool = False, reverse: bool = False, name: Any = None
) -> Any:
    """The running log-sum-exp along an axis."""
    return _running(scan.logcumsumexp, "CumulativeLogsumexp", x, axis, exclusive, reverse, -np.inf)


# ---- sums by segment


def unsorted_segment_sum(data: Any, segment_ids: Any, num_segments: Any, name: Any = None) -> Any:
    """The sums of the rows of each segment; rows of negative segments are dropped."""
    x, ids, count = tensor_of(data), tensor_of(segment_ids), integer(num_segments)
    shape, leading = x.layout.shape, ids.layout.shape
    if shape[: len(leading)] != leading:
        raise errors.invalid(
            "UnsortedSegmentSum",
            f"data.shape = {errors.dims(shape)} does not start with segment_ids.shape = "
            f"{errors.dims(leading)}",
        )
    values = ids.values()
    if values.size and values.max() >= count:
        raise errors.invalid(
            "UnsortedSegmentSum",
            f"segment_ids[{int(values.argmax())}] = {values.max()} is out of range [0, {count})",
        )
    rows = reshape(x, (ids.layout.size, *shape[len(leading) :]))
    flat = cast(reshape(ids, (ids.layout.size,)), dtypes.int64)
    if values.size and values.min() < 0:  # they go to a row of their own, which is cut off
        flat = where(table.less(flat, 0), count, flat)
    base = filled((count + 1, *rows.layout.shape[1:]), 0, x.layout.dtype)
    summed = indexing.index_add(base, flat, rows, 0)
    limits = ((0, count, 1), *((0, extent, 1) for extent in rows.layout.shape[1:]))
    return slice_(summed, tuple(limits))


def segment_sum(data: Any, segment_ids: Any, name: Any = None) -> Any:
    """The sums of the rows of each segment; ids ascend."""
    ids = tensor_of(segment_ids).values()
    if (np.diff(ids) < 0).any():
        raise errors.invalid("SegmentSum", "segment ids are not increasing")
    return unsorted_segment_sum(data, segment_ids, int(ids[-1]) + 1 if ids.size else 0)


def bincount(
    arr: Any, weights: Any = None, minlength: Any = None, maxlength: Any = None,
    dtype: Any = "int32", name: Any = None, axis: Any = None, binary_output: bool = False,
) -> Any:  # fmt: skip
    """How often each whole number occurs."""
    if axis is not None or binary_output:
        raise NotImplementedError("tf.math.bincount with axis or binary_output is not there yet")
    x = tensor_of(arr)
    weight = None if weights is None else tensor_of(weights)
    flat = cast(reshape(x, (x.layout.size,)), dtypes.int64)
    if weight is not None:
        weight = reshape(weight, (x.layout.size,))
    counts = sorting.bincount(flat, weight, 0 if minlength is None else integer(minlength))
    if maxlength is not None and counts.layout.size > integer(maxlength):
        counts = slice_(counts, ((0, integer(maxlength), 1),))
    return cast(counts, engine_dtype(dtype) if weight is None else weight.layout.dtype)
