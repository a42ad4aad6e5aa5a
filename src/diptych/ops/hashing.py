"""A hash of a tensor's bits: the exclusive or of its elements as 64-bit patterns."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.core import call
from diptych.core.dtypes import REAL, bool_, uint64
from diptych.core.layout import Layout, Shape, layout
from diptych.core.operation import BadCall, NotDifferentiable, Params, Sample
from diptych.core.tensor import Tensor
from diptych.errors import DTypeError
from diptych.ops.families import primitive
from diptych.ops.reduction import kept_shape


def _infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    place = layouts[0]
    if place.dtype not in (bool_, *REAL):
        raise DTypeError(f"\"xor_sum\" not implemented for '{place.dtype}'", op="bit_hash")
    return layout(uint64, kept_shape(place.shape, params[0]))


def _bit_hash(x: Any, axes: Shape) -> Any:
    """Floats by the bits of their float64 value, whole numbers by their sign-extended bits."""
    wide = x.astype(np.float64 if x.dtype.kind == "f" else np.int64)
    return np.bitwise_xor.reduce(np.ascontiguousarray(wide).view(np.uint64), axis=axes)


BIT_HASH = primitive(
    "bit_hash", "host", params=("axes",), infer=_infer, reference=_bit_hash,
    vjp=NotDifferentiable("it is about bits"),
    samples=lambda: [
        Sample((np.arange(6, dtype=np.float32).reshape(2, 3) * 0.7,), ((1,),)),
        Sample((np.arange(6).reshape(2, 3) - 3,), ((0, 1),)),
        Sample((np.float32(1.5),), ((),)),
    ],
    errors=lambda: [BadCall((np.ones(2, np.complex64),), DTypeError, "not implemented", ((0,),))],
)  # fmt: skip


def bit_hash(x: Tensor, axes: Shape) -> Tensor:
    """The exclusive or over ``axes`` of the elements' 64-bit patterns (uint64)."""
    return call.current.apply1(BIT_HASH, x, (axes,))
