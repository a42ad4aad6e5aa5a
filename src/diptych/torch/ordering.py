"""Order along an axis: sorting, searching, counting, running sums, differences."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from diptych.core import dtypes as engine
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import copy_array
from diptych.ops import arithmetic, comparison, movement, scan, select, sorting
from diptych.ops.select import constant
from diptych.torch import outputs, promotion
from diptych.torch.dtypes import core_of
from diptych.torch.return_types import make
from diptych.torch.selection import gather
from diptych.torch.tensor import Tensor, axis_of, face

# ---- sorting


def sort(
    input: Any, dim: int = -1, descending: bool = False, stable: bool = False, *, out: Any = None
) -> Any:
    """Values in order along an axis, and where they stood."""
    x = face(input, "sort")
    values, places = sorting.sort(x, axis_of(dim, x.layout.ndim), bool(descending))
    if out is not None:
        values, places = (
            outputs.write(out[0], values, "sort"),
            outputs.write(out[1], places, "sort"),
        )
    return make("sort", (values, places))


def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """The positions that put an axis in order."""
    x = face(input, "argsort")
    return sorting.argsort(x, axis_of(dim, x.layout.ndim), bool(descending))


def msort(input: Any, *, out: Any = None) -> Any:
    """Values in order along the first axis."""
    return outputs.finish(sort(input, 0)[0], out, "msort")


def topk(
    input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True, *,
    out: Any = None,
) -> Any:  # fmt: skip
    """The k largest (or smallest) values along an axis, and where they stood."""
    x = face(input, "topk")
    axis = axis_of(dim, x.layout.ndim)
    if not 0 <= k <= (x.layout.shape[axis] if x.layout.ndim else 1):
        raise RuntimeError("selected index k out of range")
    return make("topk", sorting.topk(x, int(k), axis, bool(largest)))


def unique(
    input: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
    dim: int | None = None,
) -> Any:  # fmt: skip
    """The different values in order; where each element went; how often each came."""
    x = face(input, "unique")
    axis = None if dim is None else axis_of(dim, x.layout.ndim)
    return _chosen(sorting.unique(x, axis), return_inverse, return_counts)


def unique_consecutive(
    input: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The values without neighbours equal to them."""
    x = face(input, "unique_consecutive")
    axis = None if dim is None else axis_of(dim, x.layout.ndim)
    return _chosen(sorting.unique_consecutive(x, axis), return_inverse, return_counts)


def _chosen(found: Any, inverse: bool, counts: bool) -> Any:
    values, places, number_of = found
    chosen = [values, *([places] if inverse else []), *([number_of] if counts else [])]
    return chosen[0] if len(chosen) == 1 else tuple(chosen)


def searchsorted(
    sorted_sequence: Any, input: Any, *, out_int32: bool = False, right: bool = False,
    side: str | None = None, out: Any = None, sorter: Any = None,
) -> Any:  # fmt: skip
    """Where values would be inserted to keep an order."""
    edges = face(sorted_sequence, "searchsorted", "sorted_sequence")
    if sorter is not None:
        edges = gather(edges, -1, sorter)
    values = input if isinstance(input, CoreTensor) else constant(input, edges.layout.dtype)
    result = sorting.searchsorted(edges, values, right or side == "right")
    if out_int32:
        result = select.cast(result, engine.int32)
    return outputs.finish(face(result, "searchsorted"), out, "searchsorted")


def bucketize(
    input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False, out: Any = None
) -> Any:
    """The bucket of each value between boundaries."""
    return searchsorted(boundaries, input, out_int32=out_int32, right=right, out=out)


def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each whole number comes, or the weights it has."""
    return sorting.bincount(face(input, "bincount"), weights, minlength)


def histc(input: Any, bins: int = 100, min: Any = 0, max: Any = 0, *, out: Any = None) -> Any:
    """Counts of values in equal bins."""
    x = face(input, "histc")
    values = x.values().ravel()
    low, high = float(min), float(max)
    if low == high and values.size:
        low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low - 1, high + 1
    counts, _ = np.histogram(values, bins, (low, high))
    made = copy_array(counts.astype(np.float64), Tensor, x.layout.dtype)
    return outputs.finish(made, out, "histc")


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False,
         invert: bool = False) -> Any:  # fmt: skip
    """Whether each element is among the others."""
    first, second = (
        x.values() if isinstance(x, CoreTensor) else np.asarray(x)
        for x in (elements, test_elements)
    )
    return copy_array(np.asarray(np.isin(first, second, invert=invert)), Tensor)


# ---- scans


def _scan(name: str, function: Any) -> Any:
    def run(input: Any, dim: int, *, dtype: Any = None, out: Any = None) -> Any:
        x = face(input, name)
        axis = axis_of(dim, x.layout.ndim)
        own = x.layout.dtype
        core = core_of(dtype) if dtype is not None else own if own.is_inexact else engine.int64
        return outputs.finish(function(x, axis, core), out, name)

    run.__name__ = run.__qualname__ = name
    return run


cumsum, cumprod = _scan("cumsum", scan.cumsum), _scan("cumprod", scan.cumprod)


def logcumsumexp(input: Any, dim: int, *, out: Any = None) -> Any:
    """The logarithm of the running sum of exponentials."""
    x = face(input, "logcumsumexp")
    return outputs.finish(scan.logcumsumexp(x, axis_of(dim, x.layout.ndim)), out, "logcumsumexp")


def cummax(input: Any, dim: int, *, out: Any = None) -> Any:
    """The running maximum and where it stood."""
    x = face(input, "cummax")
    return make("cummax", scan.cummax(x, axis_of(dim, x.layout.ndim)))


def cummin(input: Any, dim: int, *, out: Any = None) -> Any:
    """The running minimum and where it stood."""
    x = face(input, "cummin")
    return make("cummin", scan.cummin(x, axis_of(dim, x.layout.ndim)))


def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None, *,
         out: Any = None) -> Any:  # fmt: skip
    """Differences of neighbours, n times."""
    x: Any = face(input, "diff")
    axis = axis_of(dim, x.layout.ndim)
    parts = [part for part in (prepend, x, append) if part is not None]
    if len(parts) > 1:
        parts = [face(part, "diff") for part in parts]
        dtype = functools.reduce(promotion.promote, [part.layout.dtype for part in parts])
        x = movement.concatenate([select.cast(part, dtype) for part in parts], axis)
    for _ in range(n):
        extent = x.layout.shape[axis]
        if not extent:
            break
        later, earlier = (
            movement.narrow(x, axis, 1, extent - 1),
            movement.narrow(x, axis, 0, extent - 1),
        )
        if x.layout.dtype is engine.bool_:
            x = comparison.logical_xor(later, earlier)
        else:
            x = arithmetic.sub(later, earlier)
    return outputs.finish(x, out, "diff")


_BOTH = (
    sort, argsort, msort, topk, unique, unique_consecutive, bincount, histc, cumsum, cumprod,
    logcumsumexp, cummax, cummin, diff,
)  # fmt: skip
METHODS: dict[str, Any] = {f.__name__: f for f in _BOTH}
FUNCTIONS: dict[str, Any] = {
    **METHODS,
    "searchsorted": searchsorted,
    "bucketize": bucketize,
    "isin": isin,
}
REPLACED_IN_PLACE = ("cumsum", "cumprod")
