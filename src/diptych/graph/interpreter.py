"""The reference: a graph run node by node with NumPy, the oracle of compiled programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from diptych.core import dtypes
from diptych.core.dtypes import DType
from diptych.core.layout import Layout
from diptych.core.operation import Params, Primitive
from diptych.graph.graph import Graph

Array = np.ndarray[Any, Any]

# Arrays here hold values: bfloat16 is a float32 array whose values are bfloat16's.


def rounded(array: Any, dtype: DType) -> Array:
    """An array's values converted to a dtype, as this module holds them."""
    array = np.asarray(array)
    if dtype.kind == "b":
        return array if array.dtype.kind == "b" else array != 0
    if array.dtype.kind == "c" and dtype.kind != "c":
        array = array.real
    if dtype is dtypes.bfloat16:
        return dtypes.bfloat16_to_float32(dtypes.float32_to_bfloat16(array.astype(np.float32)))
    if array.dtype == dtype.numpy:
        return array
    with np.errstate(all="ignore"):
        if array.dtype.kind == "f" and dtype.kind == "u":
            # Through int64, so that negative values wrap as they do in native code.
            return array.astype(np.int64).astype(dtype.numpy)
        return array.astype(dtype.numpy)


def computing(array: Array, dtype: DType) -> Array:
    """An operand cast to the dtype an elementwise operation computes in; halves are widened."""
    array = rounded(array, dtype)
    return array.astype(np.float32) if dtype is dtypes.float16 else array


def evaluate(
    op: Primitive, arrays: Sequence[Array], params: Params, places: Sequence[Layout]
) -> list[Array]:
    """One primitive by its NumPy reference: arrays of values in and out."""
    if op.family == "elementwise":
        dtype = params[0]
        cast = [
            computing(array, read or dtype) for array, read in zip(arrays, op.reads, strict=True)
        ]
        result: Any = op.reference(*cast)
    else:
        result = op.reference(*arrays, *params)
    results = result if isinstance(result, tuple) else (result,)
    return [
        rounded(r, place.dtype).reshape(place.shape)
        for r, place in zip(results, places, strict=True)
    ]


def interpret(graph: Graph, arrays: Sequence[Array]) -> list[Array]:
    """The graph's outputs for input arrays of values."""
    values: dict[int, Array] = dict(zip(graph.inputs, arrays, strict=True))
    for value, tensor in graph.constants.items():
        values[value] = tensor.values()
    for node in graph.nodes:
        places = [graph.layouts[v] for v in node.results]
        operands = [values[v] for v in node.operands]
        for value, array in zip(
            node.results, evaluate(node.op, operands, node.params, places), strict=True
        ):
            values[value] = array
    return [values[v] for v in graph.outputs]
