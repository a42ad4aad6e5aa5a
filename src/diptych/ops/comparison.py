"""Elementwise comparison, logic, bits, and tests of a float's class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from diptych.core import call, dtypes
from diptych.core.dtypes import ALL, FLOATS, INTEGERS, INTEGERS_AND_BOOL, REAL, bool_
from diptych.core.operation import NotDifferentiable, Primitive
from diptych.core.tensor import Tensor
from diptych.loops.expression import apply
from diptych.ops.families import Call, binary_call, elementwise, ulp, unary_call
from diptych.ops.select import where

TRUTH = NotDifferentiable("its result is a truth value")
BITS = NotDifferentiable("it is defined on integers")
SPECIAL = (0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan)


def _comparison(
    name: str, reference: Callable[..., Any], accepts: tuple[dtypes.DType, ...]
) -> Primitive:
    return elementwise(
        name, 2, accepts=accepts, reference=reference, lower=name, vjp=TRUTH, result="bool",
        special=SPECIAL, tolerance=ulp(0),
    )  # fmt: skip


EQ = _comparison("eq", np.equal, ALL)
NE = _comparison("ne", np.not_equal, ALL)
LT = _comparison("lt", np.less, (bool_, *REAL))
LE = _comparison("le", np.less_equal, (bool_, *REAL))
GT = _comparison("gt", np.greater, (bool_, *REAL))
GE = _comparison("ge", np.greater_equal, (bool_, *REAL))

LOGICAL_AND = elementwise(
    "logical_and", 2, accepts=(bool_,), reference=np.logical_and, lower="logical_and", vjp=TRUTH
)
LOGICAL_OR = elementwise(
    "logical_or", 2, accepts=(bool_,), reference=np.logical_or, lower="logical_or", vjp=TRUTH
)
LOGICAL_XOR = elementwise(
    "logical_xor", 2, accepts=(bool_,), reference=np.logical_xor, lower="logical_xor", vjp=TRUTH
)
LOGICAL_NOT = elementwise(
    "logical_not", 1, accepts=(bool_,), reference=np.logical_not, lower="logical_not", vjp=TRUTH
)

BITWISE_AND = elementwise(
    "bitwise_and", 2, accepts=INTEGERS_AND_BOOL, reference=np.bitwise_and, lower="bitwise_and",
    vjp=BITS,
)  # fmt: skip
BITWISE_OR = elementwise(
    "bitwise_or",
    2,
    accepts=INTEGERS_AND_BOOL,
    reference=np.bitwise_or,
    lower="bitwise_or",
    vjp=BITS,
)
BITWISE_XOR = elementwise(
    "bitwise_xor", 2, accepts=INTEGERS_AND_BOOL, reference=np.bitwise_xor, lower="bitwise_xor",
    vjp=BITS,
)  # fmt: skip
BITWISE_NOT = elementwise(
    "bitwise_not", 1, accepts=INTEGERS_AND_BOOL, reference=np.invert, lower="bitwise_not", vjp=BITS
)


def _shift(function: Any) -> Callable[..., Any]:
    """Shifts by the width or more, or by less than nothing, give what our kernels define."""

    def shift(a: Any, b: Any) -> Any:
        width = 8 * a.dtype.itemsize
        over = (b < 0) | (b >= width)
        result = function(a, np.where(over, 0, b).astype(b.dtype))
        if function is np.left_shift:
            return np.where(over, 0, result).astype(a.dtype)
        return np.where(over, np.where(a < 0, -1, 0), result).astype(a.dtype)

    return shift


SHIFT_LEFT = elementwise(
    "shift_left", 2, accepts=INTEGERS, reference=_shift(np.left_shift), lower="shift_left", vjp=BITS
)
SHIFT_RIGHT = elementwise(
    "shift_right", 2, accepts=INTEGERS, reference=_shift(np.right_shift), lower="shift_right",
    vjp=BITS,
)  # fmt: skip


def _float_test(name: str, function: Callable[..., Any], accepts: Any = FLOATS) -> Primitive:
    return elementwise(
        name, 1, accepts=accepts, reference=function, lower=name, vjp=TRUTH, result="bool",
        special=SPECIAL,
    )  # fmt: skip


ISNAN = _float_test("isnan", np.isnan)
ISINF = _float_test("isinf", np.isinf)
ISFINITE = _float_test("isfinite", np.isfinite)
SIGNBIT = _float_test("signbit", np.signbit)

eq: Call = binary_call(EQ)
ne: Call = binary_call(NE)
lt: Call = binary_call(LT)
le: Call = binary_call(LE)
gt: Call = binary_call(GT)
ge: Call = binary_call(GE)
bitwise_and: Call = binary_call(BITWISE_AND)
bitwise_or: Call = binary_call(BITWISE_OR)
bitwise_xor: Call = binary_call(BITWISE_XOR)
bitwise_not: Call = unary_call(BITWISE_NOT)
shift_left: Call = binary_call(SHIFT_LEFT)
shift_right: Call = binary_call(SHIFT_RIGHT)
isnan: Call = unary_call(ISNAN)
isinf: Call = unary_call(ISINF)
isfinite: Call = unary_call(ISFINITE)
signbit: Call = unary_call(SIGNBIT)

_TRUTH_PARAMS = (bool_,)


def logical_and(a: Tensor, b: Tensor) -> Any:
    """Whether both are nonzero."""
    return call.current.apply2(LOGICAL_AND, a, b, _TRUTH_PARAMS)


def logical_or(a: Tensor, b: Tensor) -> Any:
    """Whether either is nonzero."""
    return call.current.apply2(LOGICAL_OR, a, b, _TRUTH_PARAMS)


def logical_xor(a: Tensor, b: Tensor) -> Any:
    """Whether exactly one is nonzero."""
    return call.current.apply2(LOGICAL_XOR, a, b, _TRUTH_PARAMS)


def logical_not(x: Tensor) -> Any:
    """Whether it is zero."""
    return call.current.apply1(LOGICAL_NOT, x, _TRUTH_PARAMS)


# ---- clamp: the gradient at a bound goes to the operand alone


def _clamp_vjp(ctx: Any, ct: Any) -> Any:
    x, low, high = ctx.x
    dtype = ctx.params[0]
    below = lt(x, low, dtype)
    above = gt(where(below, low, x, dtype), high, dtype)
    inside = logical_and(ge(x, low, dtype), le(x, high, dtype))  # where NaN is not
    return (
        where(inside, ct, 0.0),
        where(above, 0.0, where(below, ct, 0.0)) if ctx.needs[1] else None,
        where(above, ct, 0.0) if ctx.needs[2] else None,
    )


CLAMP = elementwise(
    "clamp", 3, accepts=REAL,
    reference=lambda x, low, high: np.minimum(np.maximum(x, low), high),
    lower=lambda x, low, high: apply("minimum", apply("maximum", x, low), high),
    vjp=_clamp_vjp, saves="012", tolerance=ulp(0),
)  # fmt: skip
