"""Elementwise arithmetic: sums, products, quotients, powers, extrema, roundings."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.core import inplace, tape
from diptych.core.dtypes import COMPLEX, FLOATS, INEXACT, INTEGERS, NUMERIC, REAL, bool_
from diptych.core.operation import NotDifferentiable
from diptych.loops.expression import Constant, Expression, Select, apply
from diptych.ops.comparison import eq, gt, lt
from diptych.ops.families import Call, binary_call, elementwise, ulp, unary_call
from diptych.ops.select import constant, where

STEP = NotDifferentiable("it is constant almost everywhere, and its face has no gradient for it")
SPECIAL = (0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan)


def quiet(function: Any) -> Any:
    """A NumPy function without its warnings: IEEE results are what we want."""

    def silent(*arrays: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*arrays)

    return silent


def _is_bool(x: Expression) -> bool:
    return x.dtype is bool_


# ---- sums and products


ADD = elementwise(
    "add", 2, accepts=(bool_, *NUMERIC), reference=quiet(np.add), special=SPECIAL,
    lower=lambda a, b: apply("logical_or" if _is_bool(a) else "add", a, b),
    vjp=lambda ctx, ct: (ct, ct),
)  # fmt: skip
SUB = elementwise(
    "sub", 2, accepts=NUMERIC, reference=quiet(np.subtract), lower="sub", special=SPECIAL,
    vjp=lambda ctx, ct: (ct, neg(ct) if ctx.needs[1] else None),
)  # fmt: skip
MUL = elementwise(
    "mul", 2, accepts=(bool_, *NUMERIC), reference=quiet(np.multiply), saves=("1", "0"),
    special=SPECIAL,
    lower=lambda a, b: apply("logical_and" if _is_bool(a) else "mul", a, b),
    vjp=lambda ctx, ct: (
        mul(ct, conj(ctx.x[1])) if ctx.needs[0] else None,
        mul(ct, conj(ctx.x[0])) if ctx.needs[1] else None,
    ),
)  # fmt: skip


def _div_vjp(ctx: Any, ct: Any) -> Any:
    a, b = ctx.x
    b = conj(b)
    over = div(ct, b)
    return over, neg(mul(over, div(conj(a), b, ct.layout.dtype))) if ctx.needs[1] else None


DIV = elementwise(
    "div", 2, accepts=INEXACT, reference=quiet(np.divide), lower="div", vjp=_div_vjp,
    saves=("1", "01"), special=SPECIAL,
)  # fmt: skip


def _trunc_divide(a: Any, b: Any) -> Any:
    if np.issubdtype(np.result_type(a), np.integer):
        with np.errstate(all="ignore"):
            quotient = np.floor_divide(a, b)
            inexact = (quotient * b != a) & ((a < 0) != (b < 0)) & (b != 0)
            return quotient + inexact.astype(quotient.dtype)
    return np.trunc(np.divide(a, b))


def _floor_divide(a: Any, b: Any) -> Any:
    if np.issubdtype(np.result_type(a), np.integer):
        return np.floor_divide(a, b)
    # Python's float floor division; a zero divisor gives the quotient (inf or nan), as PyTorch.
    quotient = np.floor_divide(a, b)
    return np.where(b == 0, np.divide(a, b), quotient)


FLOORDIV = elementwise(
    "floordiv", 2, accepts=REAL, reference=quiet(_floor_divide), lower="floordiv", vjp=STEP,
    tolerance=ulp(1),
)  # fmt: skip
TRUNCDIV = elementwise(
    "truncdiv", 2, accepts=REAL, reference=quiet(_trunc_divide), lower="truncdiv", vjp=STEP,
    tolerance=ulp(1),
)  # fmt: skip
REMAINDER = elementwise(
    "remainder", 2, accepts=REAL, reference=quiet(np.remainder), lower="rem", saves=("", "01"),
    vjp=lambda ctx, ct: (
        ct, neg(mul(ct, floordiv(ctx.x[0], ctx.x[1], ct.layout.dtype))) if ctx.needs[1] else None
    ),
)  # fmt: skip
FMOD = elementwise(
    "fmod", 2, accepts=REAL, reference=quiet(np.fmod), lower="fmod", saves=("", "01"),
    vjp=lambda ctx, ct: (
        ct, neg(mul(ct, truncdiv(ctx.x[0], ctx.x[1], ct.layout.dtype))) if ctx.needs[1] else None
    ),
)  # fmt: skip


# ---- signs


NEG = elementwise(
    "neg", 1, accepts=NUMERIC, reference=np.negative, lower="neg", vjp=lambda ctx, ct: neg(ct),
    special=SPECIAL,
)  # fmt: skip


def _abs_vjp(ctx: Any, ct: Any) -> Any:
    x = ctx.x[0]
    if x.layout.dtype.is_complex:
        return mul(sgn(x), ct, x.layout.dtype)
    return mul(ct, sign(x))


ABS = elementwise(
    "abs", 1, accepts=NUMERIC, reference=np.abs, lower="abs", vjp=_abs_vjp, saves="0",
    result="real", special=SPECIAL,
)  # fmt: skip


def zeros_like(x: Any) -> Any:
    """Zeros of a tensor's shape, whatever it holds (a product with zero would keep its NaN)."""
    zero = constant(0, x.layout.dtype)
    return where(constant(False, bool_), x, zero)


def _zero_gradient(ctx: Any, ct: Any) -> Any:
    return zeros_like(ct)


SIGN = elementwise(
    "sign", 1, accepts=(bool_, *REAL), reference=lambda x: x if x.dtype == bool else np.sign(x),
    lower=lambda x: x if _is_bool(x) else apply("sign", x), vjp=_zero_gradient, special=SPECIAL,
)  # fmt: skip


def _sgn(x: Any) -> Any:
    size = np.abs(x)
    return np.where(size == 0, 0, x / np.where(size == 0, 1, size)).astype(x.dtype)


def _sgn_vjp(ctx: Any, ct: Any) -> Any:
    """d(z/|z|) = (ct - y Re(conj(y) ct)) / |z|, and zero at zero."""
    z, y = ctx.x[0], ctx.y[0]
    size = abs_(z)
    along = mul(conj(y), ct)
    along = div(add(along, conj(along)), 2.0)  # its real part

    return where(eq(size, 0.0), zeros_like(ct), div(sub(ct, mul(y, along)), size, ct.layout.dtype))


SGN = elementwise(
    "sgn", 1, accepts=COMPLEX, reference=quiet(_sgn), lower="sgn", vjp=_sgn_vjp, saves="0o"
)
CONJ = elementwise(
    "conj", 1, accepts=COMPLEX, reference=np.conj, lower="conj", vjp=lambda ctx, ct: conj(ct)
)


# ---- powers


SQUARE = elementwise(
    "square", 1, accepts=NUMERIC, reference=quiet(np.square), lower="square", saves="0",
    vjp=lambda ctx, ct: mul(ct, mul(conj(ctx.x[0]), 2.0)), special=SPECIAL,
)  # fmt: skip
SQRT = elementwise(
    "sqrt", 1, accepts=INEXACT, reference=quiet(np.sqrt), lower="sqrt", saves="o",
    vjp=lambda ctx, ct: div(ct, mul(conj(ctx.y[0]), 2.0)), domain=(0.0, 4.0), special=SPECIAL,
)  # fmt: skip
RSQRT = elementwise(
    "rsqrt", 1, accepts=INEXACT, reference=quiet(lambda x: 1 / np.sqrt(x)), lower="rsqrt",
    saves="o",
    vjp=lambda ctx, ct: mul(
        mul(ct, -0.5), mul(conj(ctx.y[0]), mul(conj(ctx.y[0]), conj(ctx.y[0])))
    ),
    domain=(0.1, 4.0),
)  # fmt: skip
RECIPROCAL = elementwise(
    "reciprocal", 1, accepts=INEXACT, reference=quiet(np.reciprocal), lower="reciprocal", saves="o",
    vjp=lambda ctx, ct: neg(mul(ct, mul(conj(ctx.y[0]), conj(ctx.y[0])))), special=SPECIAL,
)  # fmt: skip


# ---- extrema: NaN wins in minimum and maximum, and loses in fmin and fmax


def _extremum_vjp(chosen: Any) -> Any:
    """The cotangent goes to the chosen operand, and is halved between equal ones, as in PyTorch."""

    def vjp(ctx: Any, ct: Any) -> Any:

        a, b = ctx.x
        dtype = ct.layout.dtype
        half = mul(ct, 0.5)
        tie = eq(a, b, dtype)
        first, second = chosen(a, b, dtype), chosen(b, a, dtype)
        return where(tie, half, where(first, ct, 0.0)), where(tie, half, where(second, ct, 0.0))

    return vjp


MAXIMUM = elementwise(
    "maximum", 2, accepts=(bool_, *REAL), reference=quiet(np.maximum), saves="01", special=SPECIAL,
    lower=lambda a, b: apply("logical_or" if _is_bool(a) else "maximum", a, b),
    vjp=_extremum_vjp(gt), tolerance=ulp(0),
)  # fmt: skip
MINIMUM = elementwise(
    "minimum", 2, accepts=(bool_, *REAL), reference=quiet(np.minimum), saves="01", special=SPECIAL,
    lower=lambda a, b: apply("logical_and" if _is_bool(a) else "minimum", a, b),
    vjp=_extremum_vjp(lt), tolerance=ulp(0),
)  # fmt: skip
FMAX = elementwise(
    "fmax", 2, accepts=REAL, reference=quiet(np.fmax), lower="fmax", saves="01",
    vjp=_extremum_vjp(gt), tolerance=ulp(0),
)  # fmt: skip
FMIN = elementwise(
    "fmin", 2, accepts=REAL, reference=quiet(np.fmin), lower="fmin", saves="01",
    vjp=_extremum_vjp(lt), tolerance=ulp(0),
)  # fmt: skip


def _relu_lower(x: Expression) -> Expression:
    zero = Constant(0, x.dtype)
    return Select(apply("gt", zero, x), zero, x)  # keeps NaN


def _relu_vjp(ctx: Any, ct: Any) -> Any:

    return where(gt(ctx.y[0], 0.0), ct, 0.0)


RELU = elementwise(
    "relu", 1, accepts=REAL, reference=lambda x: np.where(x < 0, np.zeros_like(x), x),
    lower=_relu_lower, vjp=_relu_vjp, saves="o", special=SPECIAL, tolerance=ulp(0),
)  # fmt: skip


# ---- roundings


FLOOR = elementwise(
    "floor",
    1,
    accepts=FLOATS,
    reference=np.floor,
    lower="floor",
    vjp=_zero_gradient,
    special=SPECIAL,
)
CEIL = elementwise(
    "ceil", 1, accepts=FLOATS, reference=np.ceil, lower="ceil", vjp=_zero_gradient, special=SPECIAL
)
ROUND = elementwise(
    "round",
    1,
    accepts=FLOATS,
    reference=np.round,
    lower="round",
    vjp=_zero_gradient,
    special=SPECIAL,
)
TRUNC = elementwise(
    "trunc",
    1,
    accepts=FLOATS,
    reference=np.trunc,
    lower="trunc",
    vjp=_zero_gradient,
    special=SPECIAL,
)


# ---- other two-operand functions


COPYSIGN = elementwise(
    "copysign", 2, accepts=FLOATS, reference=np.copysign, lower="copysign", saves="0o",
    vjp=lambda ctx, ct: (
        mul(ct, mul(sign(ctx.x[0]), sign(ctx.y[0]))) if ctx.needs[0] else None,
        zeros_like(ct) if ctx.needs[1] else None,
    ),
    special=(0.0, -0.0, 1.0, -1.0, np.inf, -np.inf),
)  # fmt: skip
HYPOT = elementwise(
    "hypot", 2, accepts=FLOATS, reference=quiet(np.hypot), lower="hypot", saves="01o",
    vjp=lambda ctx, ct: (
        mul(ct, div(ctx.x[0], ctx.y[0], ct.layout.dtype)) if ctx.needs[0] else None,
        mul(ct, div(ctx.x[1], ctx.y[0], ct.layout.dtype)) if ctx.needs[1] else None,
    ),
)  # fmt: skip
NEXTAFTER = elementwise(
    "nextafter", 2, accepts=FLOATS[2:], reference=np.nextafter, lower="nextafter", saves="01",
    vjp=lambda ctx, ct: (
        where(eq(ctx.x[0], ctx.x[1], ct.layout.dtype), 0.0, ct), zeros_like(ct)
    ),
    tolerance=ulp(0),
)  # fmt: skip
_NO_GRADIENT_OF_INTEGERS = NotDifferentiable("it is defined on integers")
GCD = elementwise(
    "gcd", 2, accepts=INTEGERS, reference=np.gcd, lower="gcd", vjp=_NO_GRADIENT_OF_INTEGERS
)
LCM = elementwise(
    "lcm", 2, accepts=INTEGERS, reference=np.lcm, lower="lcm", vjp=_NO_GRADIENT_OF_INTEGERS
)

add: Call = binary_call(ADD)
sub: Call = binary_call(SUB)
mul: Call = binary_call(MUL)
div: Call = binary_call(DIV)
floordiv: Call = binary_call(FLOORDIV)
truncdiv: Call = binary_call(TRUNCDIV)
remainder: Call = binary_call(REMAINDER)
fmod: Call = binary_call(FMOD)
neg: Call = unary_call(NEG)
abs_: Call = unary_call(ABS)
sign: Call = unary_call(SIGN)
sgn: Call = unary_call(SGN)
square: Call = unary_call(SQUARE)
sqrt: Call = unary_call(SQRT)
rsqrt: Call = unary_call(RSQRT)
reciprocal: Call = unary_call(RECIPROCAL)
maximum: Call = binary_call(MAXIMUM)
minimum: Call = binary_call(MINIMUM)
fmax: Call = binary_call(FMAX)
fmin: Call = binary_call(FMIN)
relu: Call = unary_call(RELU)
floor: Call = unary_call(FLOOR)
ceil: Call = unary_call(CEIL)
round_: Call = unary_call(ROUND)
trunc: Call = unary_call(TRUNC)
copysign: Call = binary_call(COPYSIGN)
hypot: Call = binary_call(HYPOT)
nextafter: Call = binary_call(NEXTAFTER)
gcd: Call = binary_call(GCD)
lcm: Call = binary_call(LCM)
_conjugate: Call = unary_call(CONJ)


def conj(x: Any) -> Any:
    """The complex conjugate; a real tensor is its own."""
    return _conjugate(x) if x.layout.dtype.is_complex else x


def _add_into(target: Any, other: Any) -> None:
    inplace.update(target, ADD, (target, other), (target.layout.dtype,))


tape.arithmetic.add = add
tape.arithmetic.add_into = _add_into
