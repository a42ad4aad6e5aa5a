"""Choosing and converting: where, cast, constants, real and imaginary parts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diptych.core import call, dtypes, tape
from diptych.core.dtypes import ALL, COMPLEX, DType, bool_
from diptych.core.operation import Primitive
from diptych.core.tensor import Tensor, copy_array
from diptych.loops.expression import Select
from diptych.ops.families import elementwise, hooks, ulp

CAST = elementwise(
    "cast", 1, accepts=ALL, reference=lambda x: x.copy(), lower=lambda x: x,
    vjp=lambda ctx, ct: ct, tolerance=ulp(0),
)  # fmt: skip


def _where_vjp(ctx: Any, ct: Any) -> Any:
    condition = ctx.x[0]
    return (
        None,
        where(condition, ct, 0.0) if ctx.needs[1] else None,
        where(condition, 0.0, ct) if ctx.needs[2] else None,
    )


WHERE = elementwise(
    "where", 3, accepts=ALL, reference=np.where, lower=Select, vjp=_where_vjp, saves="0",
    reads=(bool_, None, None), tolerance=ulp(0),
)  # fmt: skip
ASSIGN = elementwise(
    "assign", 2, accepts=ALL, reference=lambda old, new: np.broadcast_arrays(old, new)[1],
    lower=lambda old, new: new, vjp=lambda ctx, ct: (None, ct), tolerance=ulp(0),
)  # fmt: skip
REAL = elementwise(
    "real", 1, accepts=COMPLEX, reference=np.real, lower="real", result="real",
    vjp=lambda ctx, ct: cast(ct, ctx.params[0]),
)  # fmt: skip
IMAG = elementwise(
    "imag", 1, accepts=COMPLEX, reference=np.imag, lower="imag", result="real",
    vjp=lambda ctx, ct: call.current.apply2(
        TO_COMPLEX, cast_zero(ct), ct, (ctx.params[0],)
    ),
)  # fmt: skip
TO_COMPLEX: Primitive = elementwise(
    "complex", 2, accepts=COMPLEX, reference=lambda a, b: a + 1j * b.real, lower="complex",
    vjp=lambda ctx, ct: (real(ct), imag(ct)),
)  # fmt: skip


def cast(x: Tensor, dtype: DType) -> Tensor:
    """``x`` in another dtype; ``x`` itself when it has it."""
    if x.layout.dtype is dtype:
        return x
    return call.current.apply1(CAST, x, (dtype,))


def copy(x: Tensor) -> Tensor:
    """A contiguous copy in memory of its own, on the tape."""
    return call.current.apply1(CAST, x, (x.layout.dtype,))


def where(condition: Tensor, a: Any, b: Any, dtype: DType | None = None) -> Tensor:
    """``a`` where the condition holds, else ``b``; one of them may be a number."""
    if not isinstance(a, Tensor):
        a = constant(a, dtype or b.layout.dtype)
    elif not isinstance(b, Tensor):
        b = constant(b, dtype or a.layout.dtype)
    params = (dtype or a.layout.dtype,)
    return call.current.apply(WHERE, (condition, a, b), params)


def real(x: Tensor) -> Tensor:
    """The real part; a real tensor is its own."""
    if not x.layout.dtype.is_complex:
        return x
    return call.current.apply1(REAL, x, (x.layout.dtype,))


def imag(x: Tensor) -> Tensor:
    """The imaginary part of a complex tensor."""
    return call.current.apply1(IMAG, x, (x.layout.dtype,))


def complex_(a: Tensor, b: Tensor) -> Tensor:
    """The complex tensor with these parts."""
    dtype = dtypes.complex_of(a.layout.dtype)
    return call.current.apply2(TO_COMPLEX, a, b, (dtype,))


def cast_zero(like: Tensor) -> Tensor:
    """A zero of a tensor's dtype."""
    return constant(0, like.layout.dtype)


_constants: dict[Any, Tensor] = {}
_CONSTANTS_LIMIT = 4096


def constant(value: Any, dtype: DType) -> Tensor:
    """A 0-d tensor of a number; the same object for the same number, so it is read-only."""
    kind = type(value)
    if value == 0 and kind is float and math.copysign(1.0, value) < 0:
        kind = (
            complex  # tells -0.0 from 0.0 in the key; no real complex zero shares its dtype's use
        )
    key = (value, kind, dtype)
    found = _constants.get(key)
    if found is None:
        if len(_constants) >= _CONSTANTS_LIMIT:
            _constants.clear()
        found = _constants[key] = copy_array(_number(value, dtype), Tensor, dtype)
        found.buffer.writable = False
    return found


def _number(value: Any, dtype: DType) -> np.ndarray[Any, Any]:
    if dtype is dtypes.bfloat16:
        return np.array(value, np.float32)
    if dtype.is_integer and not isinstance(value, float):
        wrapped = int(value) & ((1 << 8 * dtype.itemsize) - 1)
        return np.array(wrapped, f"u{dtype.itemsize}").view(dtype.numpy)
    with np.errstate(all="ignore"):
        return np.array(value).astype(dtype.numpy)


def _ones_like(x: Tensor) -> Tensor:
    return copy_array(np.ones(x.layout.shape, np.float32), x.result_type, x.layout.dtype)


def _zeros(place: Any) -> Tensor:
    return copy_array(np.zeros(place.shape, np.float32), Tensor, place.dtype)


hooks.cast = cast
hooks.constant = constant
hooks.real = real
tape.arithmetic.copy = copy
tape.arithmetic.ones_like = _ones_like
tape.arithmetic.zeros = _zeros
