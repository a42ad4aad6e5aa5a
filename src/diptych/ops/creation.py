"""Values made from nothing: positions along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.core import call
from diptych.core.dtypes import DType, int64
from diptych.core.layout import Layout, Shape, layout
from diptych.core.operation import NotDifferentiable, Params, Sample
from diptych.core.tensor import Tensor
from diptych.ops.families import primitive


def _iota(shape: Shape, axis: int, dtype: DType) -> Any:
    index = np.arange(shape[axis]).reshape([-1 if k == axis else 1 for k in range(len(shape))])
    return np.broadcast_to(index, shape)


def _infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    shape, _, dtype = params
    return layout(dtype, shape)


IOTA = primitive(
    "iota", "iota", params=("shape", "axis", "dtype"), infer=_infer, reference=_iota, lower="iota",
    vjp=NotDifferentiable("it has no operand"),
    samples=lambda: [Sample((), ((3, 4), 1, int64)), Sample((), ((3, 0), 0, int64))],
    errors=lambda: [],
)  # fmt: skip


def iota(shape: Shape, axis: int, dtype: DType = int64) -> Tensor:
    """A tensor whose elements are their positions along ``axis``."""
    return call.current.apply(IOTA, (), (shape, axis, dtype))
