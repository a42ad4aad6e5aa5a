"""What the generated tests share: calls of operations on arrays, and what they should give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from diptych.core import call, dtypes
from diptych.core.dtypes import DType
from diptych.core.layout import layout
from diptych.core.operation import Composite, Operation, Primitive, Sample
from diptych.core.tensor import Tensor, copy_array, wrap
from diptych.engine import ReferenceExecutable, traced_call
from diptych.graph.interpreter import evaluate

Array = np.ndarray[Any, Any]
WIDE = {"f": dtypes.float64, "c": dtypes.complex128}


def dtype_of(array: Array, sample: Sample) -> DType:
    """The dtype of an operand; bits in uint16 are bfloat16 where the call computes in that."""
    if array.dtype == np.uint16 and dtypes.bfloat16 in sample.params:
        return dtypes.bfloat16
    return dtypes.from_numpy(array.dtype)


def tensors(sample: Sample) -> list[Tensor]:
    """Contiguous tensors of a sample's operands."""
    made = []
    for operand in sample.operands:
        array = np.asarray(operand)
        made.append(copy_array(array, Tensor, dtype_of(array, sample)))
    return made


def as_tuple(result: Any) -> tuple[Tensor, ...]:
    """The results of a call as a tuple, however many there are."""
    return result if isinstance(result, tuple) else (result,)


def apply(op: Operation, operands: Sequence[Tensor], params: Any) -> tuple[Tensor, ...]:
    """The results of a call on the evaluator in force."""
    return as_tuple(call.current.apply(op, operands, params))


def widened(sample: Sample) -> Sample:
    """The same call in float64 or complex128, on the same values."""
    operands = []
    for operand in sample.operands:
        array = np.asarray(operand)
        kind = dtype_of(array, sample)
        if kind is dtypes.bfloat16:
            array = dtypes.bfloat16_to_float32(array)
        operands.append(array.astype(WIDE[kind.kind].numpy) if kind.is_inexact else array)
    params = tuple(
        WIDE[p.kind] if isinstance(p, DType) and p.is_inexact else p for p in sample.params
    )
    return Sample(tuple(operands), params)


def expected(op: Operation, sample: Sample) -> list[Array]:
    """What NumPy gives for a call (a composite: for the graph it is traced to)."""
    given = tensors(sample)
    if isinstance(op, Composite):
        graph = traced_call(op, [x.layout for x in given], sample.params)
        return [x.values().copy() for x in ReferenceExecutable(graph).run(given)][: op.outputs]
    assert isinstance(op, Primitive), "an operation is a primitive or a composite"
    inferred = op.infer(tuple(x.layout for x in given), sample.params)
    places = inferred if isinstance(inferred, tuple) else (inferred,)
    # Copies: an array is valid only while the tensor lives whose memory it shows.
    return evaluate(op, [x.values().copy() for x in given], sample.params, places)


def close(got: Tensor, want: Array, relative: float, *, scaled: bool) -> bool:
    """Whether a result equals the expected values to a tolerance; NaN and infinity must agree.

    ``scaled`` measures the error against the largest expected value, as sums must.
    """
    dtype = got.layout.dtype
    values = got.values()
    if values.shape != want.shape:
        return False
    if not dtype.is_inexact:
        return bool(np.array_equal(values, want))
    with np.errstate(all="ignore"):
        finite = np.abs(want[np.isfinite(want)])
        largest = float(finite.max(initial=0.0))
        if dtype is dtypes.bfloat16:
            smallest = 2.0**-126
            want = dtypes.bfloat16_to_float32(dtypes.float32_to_bfloat16(want.astype(np.float32)))
        else:
            smallest = float(np.finfo(dtype.numpy).smallest_normal)
            want = want.astype(dtype.numpy)
        absolute = relative * max(largest, 1.0) if scaled else smallest
        return bool(np.allclose(values, want, rtol=relative, atol=absolute, equal_nan=True))


def strided_views(array: Array, dtype: DType) -> list[Tensor]:
    """The same values under other layouts: transposed, reversed, with gaps and an offset."""
    views = []
    if array.ndim:
        backwards = copy_array(np.ascontiguousarray(array[::-1]), Tensor, dtype)
        views.append(_view(backwards, lambda a: a[::-1]))
        gapped = np.zeros((*array.shape[:-1], 2 * array.shape[-1] + 3), array.dtype)
        gapped[..., 3::2] = array
        views.append(_view(copy_array(gapped, Tensor, dtype), lambda a: a[..., 3::2]))
    if array.ndim > 1:
        turned = copy_array(np.ascontiguousarray(array.T), Tensor, dtype)
        views.append(_view(turned, lambda a: a.T))
    return views


def _view(x: Tensor, look: Any) -> Tensor:
    """A tensor on the memory of ``x`` seen through a NumPy view."""

    seen = look(x.array())
    itemsize = x.layout.dtype.itemsize
    skip = seen.__array_interface__["data"][0] - x.array().__array_interface__["data"][0]
    strides = tuple(stride // itemsize for stride in seen.strides)
    if seen.size == 0:
        skip = 0
    return wrap(Tensor, layout(x.layout.dtype, seen.shape, strides), x.buffer, x.address + skip)
