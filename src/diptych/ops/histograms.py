"""Histograms: counts of values between edges. Computed at once, and off the tape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from diptych.core.tensor import Tensor, copy_array
from diptych.errors import ArgumentError, ShapeError
from diptych.ops.indexing import concrete

Array = np.ndarray[Any, Any]
LARGEST = 1 << 28  # bins in all: beyond it is a mistake, not a histogram


def histogram(
    x: Tensor, bins: Sequence[int | Tensor], limits: Sequence[float] | None = None,
    weights: Tensor | None = None, density: bool = False,
) -> tuple[Tensor, list[Tensor]]:  # fmt: skip
    """Counts of points (rows of ``x``) between edges along each axis, and the edges.

    ``bins`` gives per axis a number of equal bins or the edges; ``limits`` the outermost edges of
    equal bins, two per axis, else those of the points.
    """
    points = concrete(x, "histogram")
    count, axes = points.shape
    if len(bins) != axes:
        raise ShapeError(op="histogram", argument="bins", got=len(bins), expected=f"{axes} of them")
    if limits is not None and len(limits) != 2 * axes:
        raise ShapeError(op="histogram", argument="range", got=len(limits), expected=f"{2 * axes}")
    edges = [
        _edges(points[:, k], part, None if limits is None else limits[2 * k : 2 * k + 2])
        for k, part in enumerate(bins)
    ]
    total = 1
    for row in edges:
        total *= len(row) - 1
    if total > LARGEST:
        raise ArgumentError(
            op="histogram", argument="bins", got=total, expected=f"at most {LARGEST} in all"
        )
    weighed = None if weights is None else concrete(weights, "histogram").reshape(-1)
    if weighed is not None and len(weighed) != count:
        raise ShapeError(op="histogram", argument="weight", got=len(weighed), expected=f"{count}")
    found = _counted(points, edges, weighed)
    if density:
        with np.errstate(all="ignore"):
            found = found / found.sum()
            for k, row in enumerate(edges):
                shape = [-1 if j == k else 1 for j in range(axes)]
                found = found / np.diff(row).reshape(shape)
    cls, dtype = x.result_type, x.layout.dtype
    made = [copy_array(row.astype(dtype.numpy), cls, dtype) for row in edges]
    return copy_array(found.astype(dtype.numpy), cls, dtype), made


def _edges(values: Array, part: Any, limits: Any) -> Array:
    if isinstance(part, Tensor):
        row = concrete(part, "histogram").reshape(-1)
        if len(row) < 1:
            raise ShapeError(op="histogram", argument="bins", got=0, expected="at least one edge")
        return row
    if part < 1 or part > LARGEST:
        raise ArgumentError(op="histogram", argument="bins", got=part, expected="a positive number")
    if limits is not None:
        low, high = float(limits[0]), float(limits[1])
    elif values.size:
        low, high = float(values.min()), float(values.max())
    else:
        low, high = 0.0, 1.0
    if not np.isfinite(low) or not np.isfinite(high) or low > high:
        raise ArgumentError(
            op="histogram", argument="range", got=(low, high), expected="finite and in order"
        )
    if low == high:
        low, high = low - 0.5, high + 0.5
    row = np.linspace(low, high, part + 1)
    return row.astype(values.dtype if values.dtype.kind == "f" else np.float64)


def _counted(points: Array, edges: list[Array], weights: Array | None) -> Array:
    """The last bin holds its right edge too; what lies outside is left out."""
    shape = tuple(len(row) - 1 for row in edges)
    inside = np.ones(len(points), bool)
    places = []
    for k, row in enumerate(edges):
        values = points[:, k]
        place = np.searchsorted(row, values, "right") - 1
        place = np.where(values == row[-1], len(row) - 2, place)
        inside &= (values >= row[0]) & (values <= row[-1])
        places.append(place)
    flat = np.zeros(int(np.prod(shape)))
    if flat.size and len(points):
        chosen = tuple(place[inside] for place in places)
        position = np.ravel_multi_index(chosen, shape)
        np.add.at(flat, position, 1.0 if weights is None else weights[inside])
    return flat.reshape(shape)
