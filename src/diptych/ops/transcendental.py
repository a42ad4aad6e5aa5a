"""Elementwise powers, exponentials, logarithms, trigonometry and error functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from diptych.core.dtypes import FLOATS, INEXACT, NUMERIC
from diptych.core.operation import Primitive, Tolerance
from diptych.loops.expression import Constant, Select, apply
from diptych.ops import special
from diptych.ops.arithmetic import (
    add,
    conj,
    div,
    mul,
    neg,
    quiet,
    reciprocal,
    rsqrt,
    square,
    sub,
    zeros_like,
)
from diptych.ops.comparison import eq, ge, logical_and
from diptych.ops.families import Call, binary_call, elementwise, ulp, unary_call
from diptych.ops.select import where

SPECIAL = (0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan)
Rule = Callable[..., Any]


def _function(
    name: str,
    reference: Callable[..., Any],
    slope: Rule,
    *,
    saves: str = "0",
    accepts: Any = INEXACT,
    domain: tuple[float, float] = (-3.0, 3.0),
    tolerance: Tolerance | None = None,
    special_values: Any = SPECIAL,
    lower: Any = None,
) -> Primitive:
    """Declare a one-operand function by its slope, a function of the saved operand or output.

    ``lower`` is needed where the scalar vocabulary has no operation of that name.
    """
    which = "y" if saves == "o" else "x"

    def vjp(ctx: Any, ct: Any) -> Any:
        return mul(ct, conj(slope(getattr(ctx, which)[0])))

    return elementwise(
        name, 1, accepts=accepts, reference=quiet(reference), lower=lower or name, vjp=vjp,
        saves=saves, domain=domain, tolerance=tolerance or ulp(8), special=special_values,
    )  # fmt: skip


LN2, LN10 = math.log(2.0), math.log(10.0)

EXP = _function("exp", np.exp, lambda y: y, saves="o")
EXP2 = _function("exp2", np.exp2, lambda y: mul(y, LN2), saves="o", accepts=FLOATS)
EXPM1 = _function("expm1", np.expm1, lambda y: add(y, 1.0), saves="o")
LOG = _function("log", np.log, reciprocal, domain=(0.01, 5.0))
LOG2 = _function("log2", np.log2, lambda x: reciprocal(mul(x, LN2)), domain=(0.01, 5.0))
LOG10 = _function("log10", np.log10, lambda x: reciprocal(mul(x, LN10)), domain=(0.01, 5.0))
LOG1P = _function("log1p", np.log1p, lambda x: reciprocal(add(x, 1.0)), domain=(-0.9, 5.0))
SIN = _function("sin", np.sin, lambda x: cos(x))
COS = _function("cos", np.cos, lambda x: neg(sin(x)))
TAN = _function("tan", np.tan, lambda y: add(square(y), 1.0), saves="o", domain=(-1.4, 1.4))
ASIN = _function("asin", np.arcsin, lambda x: rsqrt(sub(1.0, square(x))), domain=(-0.95, 0.95))
ACOS = _function("acos", np.arccos, lambda x: neg(rsqrt(sub(1.0, square(x)))), domain=(-0.95, 0.95))
ATAN = _function("atan", np.arctan, lambda x: reciprocal(add(square(x), 1.0)))
SINH = _function("sinh", np.sinh, lambda x: cosh(x))
COSH = _function("cosh", np.cosh, lambda x: sinh(x))
TANH = _function("tanh", np.tanh, lambda y: sub(1.0, square(y)), saves="o")
ASINH = _function("asinh", np.arcsinh, lambda x: rsqrt(add(square(x), 1.0)))
ACOSH = _function(
    "acosh", np.arccosh, lambda x: rsqrt(mul(sub(x, 1.0), add(x, 1.0))), domain=(1.1, 4.0)
)
ATANH = _function(
    "atanh", np.arctanh, lambda x: reciprocal(sub(1.0, square(x))), domain=(-0.9, 0.9)
)
_TWO_OVER_ROOT_PI = 2.0 / math.sqrt(math.pi)
ERF = _function(
    "erf", special.erf, lambda x: mul(exp(neg(square(x))), _TWO_OVER_ROOT_PI), accepts=FLOATS
)
ERFC = _function(
    "erfc", special.erfc, lambda x: mul(exp(neg(square(x))), -_TWO_OVER_ROOT_PI), accepts=FLOATS,
    tolerance=ulp(64),
)  # fmt: skip
ERFINV = _function(
    "erfinv", special.erfinv, lambda y: mul(exp(square(y)), 1.0 / _TWO_OVER_ROOT_PI), saves="o",
    accepts=FLOATS, domain=(-0.95, 0.95), tolerance=ulp(32), special_values=(0.0, 1.0, -1.0),
)  # fmt: skip
SIGMOID = _function(
    "sigmoid", special.sigmoid, lambda y: mul(y, sub(1.0, y)), saves="o", tolerance=ulp(16)
)
SINC = _function(
    "sinc", np.sinc,
    lambda x: where(eq(x, 0.0), 0.0, div(sub(mul(cos(mul(x, math.pi)), mul(x, math.pi)),
                                             sin(mul(x, math.pi))), mul(square(x), math.pi))),
    accepts=FLOATS, tolerance=ulp(64), domain=(-0.9, 0.9), special_values=(0.0, -0.0, np.nan),
    lower=lambda x: Select(
        apply("eq", x, Constant(0, x.dtype)), Constant(1, x.dtype),
        apply("div", apply("sin", apply("mul", x, Constant(math.pi, x.dtype))),
              apply("mul", x, Constant(math.pi, x.dtype)))),
)  # fmt: skip
LGAMMA = _function(
    "lgamma", special.lgamma, lambda x: digamma(x), accepts=FLOATS, domain=(0.1, 5.0),
    tolerance=ulp(256), special_values=(1.0, 2.0, np.inf, np.nan),
)  # fmt: skip
DIGAMMA = _function(
    "digamma", special.digamma, lambda x: trigamma(x), accepts=FLOATS, domain=(0.1, 5.0),
    tolerance=ulp(256), special_values=(1.0, 2.0, np.inf, np.nan),
)  # fmt: skip


TRIGAMMA = _function(
    "trigamma", special.trigamma, lambda x: mul(zeta(3.0, x), -2.0), accepts=FLOATS,
    domain=(0.3, 5.0),
    tolerance=ulp(256), special_values=(1.0, 2.0),
)  # fmt: skip


# ---- two operands


def _pow_vjp(ctx: Any, ct: Any) -> Any:
    a, b = ctx.x
    dtype = ct.layout.dtype
    by_base = by_exponent = None
    if ctx.needs[0]:
        slope = conj(mul(b, pow_(a, sub(b, 1.0, dtype), dtype), dtype))
        by_base = where(eq(b, 0.0, dtype), zeros_like(ct), mul(ct, slope))
    if ctx.needs[1]:
        slope = conj(mul(ctx.y[0], log(a, dtype), dtype))
        flat = eq(a, 0.0, dtype)
        if not dtype.is_complex:
            flat = logical_and(flat, ge(b, 0.0, dtype))
        by_exponent = where(flat, 0.0, mul(ct, slope))
    return by_base, by_exponent


def _power(a: Any, b: Any) -> Any:
    if np.issubdtype(np.result_type(a), np.integer):
        negative = b < 0
        result = np.power(a, np.where(negative, 0, b).astype(b.dtype))
        # The integer part of 1 / a**-b: nonzero for a = 1 and a = -1 alone.
        unit = np.where(a == 1, 1, np.where(a == -1, np.where(b % 2 == 0, 1, -1), 0))
        return np.where(negative, unit, result).astype(np.result_type(a))
    return np.power(a, b)


POW = elementwise(
    "pow", 2, accepts=NUMERIC, reference=quiet(_power), lower="pow", vjp=_pow_vjp,
    saves=("01", "01o"), domain=(0.1, 3.0), tolerance=ulp(16),
)  # fmt: skip
ATAN2 = elementwise(
    "atan2", 2, accepts=FLOATS, reference=np.arctan2, lower="atan2", saves="01",
    vjp=lambda ctx, ct: _atan2_vjp(ctx, ct),
)  # fmt: skip


def _atan2_vjp(ctx: Any, ct: Any) -> Any:
    y, x = ctx.x
    dtype = ct.layout.dtype
    over = div(ct, add(square(y, dtype), square(x, dtype)))
    return mul(over, x), neg(mul(over, y))


def _zeta_vjp(ctx: Any, ct: Any) -> Any:
    order, q = ctx.x
    dtype = ct.layout.dtype
    if ctx.needs[0]:
        raise NotImplementedError("zeta: its derivative by the order is not implemented")
    return None, neg(mul(ct, mul(order, zeta(add(order, 1.0, dtype), q, dtype), dtype)))


ZETA = elementwise(
    "zeta", 2, accepts=FLOATS, reference=quiet(special.zeta), lower="zeta", saves="01",
    vjp=_zeta_vjp, domain=(1.5, 6.0), tolerance=ulp(256),
)  # fmt: skip


def _incomplete_vjp(sign: float) -> Rule:
    """The slope in x of the regularised incomplete gamma functions; PyTorch has none in a."""

    def vjp(ctx: Any, ct: Any) -> Any:
        a, x = ctx.x
        dtype = ct.layout.dtype
        if ctx.needs[0]:
            raise NotImplementedError("igamma: its derivative by the first operand is not there")
        size = sub(mul(sub(a, 1.0, dtype), log(x, dtype), dtype), x, dtype)
        return None, mul(mul(ct, exp(sub(size, lgamma(a, dtype)))), sign)

    return vjp


IGAMMA = elementwise(
    "igamma", 2, accepts=FLOATS, reference=quiet(special.gammainc), lower="igamma", saves="01",
    vjp=_incomplete_vjp(1.0), domain=(0.3, 4.0), tolerance=ulp(256),
)  # fmt: skip
IGAMMAC = elementwise(
    "igammac", 2, accepts=FLOATS, reference=quiet(special.gammaincc), lower="igammac", saves="01",
    vjp=_incomplete_vjp(-1.0), domain=(0.3, 4.0), tolerance=ulp(256),
)  # fmt: skip


exp: Call = unary_call(EXP)
exp2: Call = unary_call(EXP2)
expm1: Call = unary_call(EXPM1)
log: Call = unary_call(LOG)
log2: Call = unary_call(LOG2)
log10: Call = unary_call(LOG10)
log1p: Call = unary_call(LOG1P)
sin: Call = unary_call(SIN)
cos: Call = unary_call(COS)
tan: Call = unary_call(TAN)
asin: Call = unary_call(ASIN)
acos: Call = unary_call(ACOS)
atan: Call = unary_call(ATAN)
sinh: Call = unary_call(SINH)
cosh: Call = unary_call(COSH)
tanh: Call = unary_call(TANH)
asinh: Call = unary_call(ASINH)
acosh: Call = unary_call(ACOSH)
atanh: Call = unary_call(ATANH)
erf: Call = unary_call(ERF)
erfc: Call = unary_call(ERFC)
erfinv: Call = unary_call(ERFINV)
sigmoid: Call = unary_call(SIGMOID)
lgamma: Call = unary_call(LGAMMA)
digamma: Call = unary_call(DIGAMMA)
trigamma: Call = unary_call(TRIGAMMA)
pow_: Call = binary_call(POW)
atan2: Call = binary_call(ATAN2)
zeta: Call = binary_call(ZETA)
igamma: Call = binary_call(IGAMMA)
igammac: Call = binary_call(IGAMMAC)
