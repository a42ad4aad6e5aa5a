"""log and its kin: x = 2**e * m with m near 1, then log(x) = e log 2 + log(m)."""

from __future__ import annotations

import math

from diptych.compiler.llvm.math import coefficients, exponential
from diptych.compiler.llvm.math.exponential import LN2_F32, LN2_F64
from diptych.compiler.llvm.math.polynomial import (
    INF,
    NAN,
    absolute,
    divide,
    first_nan,
    horner,
    in_double,
    is_double,
    square_root,
    with_sign,
)
from diptych.compiler.llvm.writer import Function, Value, constant, int_type
from diptych.compiler.target import Target


def _split(w: Function, x: Value) -> tuple[Value, Value]:
    """e (as a float) and m - 1, of a positive finite x, denormals included."""
    double = is_double(x)
    mantissa = 52 if double else 23
    # m lies in [2/3, 4/3) for float, [sqrt(1/2), sqrt(2)) for double.
    start = 0x3FE6A09E667F3BCD if double else 0x3F2AAAAB
    small = w.compare("olt", x, 2.0**-1022 if double else 2.0**-126)
    scaled = w.select(small, w.mul(x, 2.0 ** (mantissa + 1)), x)
    bits = w.sub(w.cast("bitcast", scaled, int_type(x.type)), start)
    exponent = w.binary("ashr", bits, mantissa)
    m_bits = w.add(w.binary("and", bits, (1 << mantissa) - 1), start)
    shift = w.select(small, constant(x.type, -(mantissa + 1.0)), 0)
    e = w.add(w.cast("sitofp", exponent, x.type), shift)
    return e, w.sub(w.cast("bitcast", m_bits, x.type), 1.0)


def _ends(w: Function, x: Value, result: Value) -> Value:
    """The logarithm's values outside of the positive finite numbers."""
    result = w.select(w.compare("oeq", x, INF), x, result)
    result = w.select(w.compare("oeq", x, 0), constant(x.type, -INF), result)
    result = w.select(w.compare("olt", x, 0), constant(x.type, NAN), result)
    return first_nan(w, x, result)


def _log_float(w: Function, x: Value) -> Value:
    e, f = _split(w, x)
    square = w.mul(f, f)
    tail = w.mul(w.mul(square, f), horner(w, f, coefficients.LOG_F32))
    tail = w.muladd(e, LN2_F32[1], tail)
    tail = w.muladd(square, -0.5, tail)
    return w.muladd(e, LN2_F32[0], w.add(f, tail))


def _log_double(w: Function, x: Value) -> Value:
    e, f = _split(w, x)
    half_square = w.mul(w.mul(f, f), 0.5)
    s = divide(w, f, w.add(f, 2.0))
    z = w.mul(s, s)
    rest = w.mul(z, horner(w, z, coefficients.LOG_F64))
    low = w.muladd(s, w.add(half_square, rest), w.mul(e, LN2_F64[1]))
    return w.sub(w.mul(e, LN2_F64[0]), w.sub(w.sub(half_square, low), f))


def log(w: Function, target: Target, x: Value) -> Value:
    return _ends(w, x, _log_double(w, x) if is_double(x) else _log_float(w, x))


def _log2(w: Function, target: Target, x: Value) -> Value:
    return w.mul(log(w, target, x), 1 / math.log(2))


def _log10(w: Function, target: Target, x: Value) -> Value:
    return w.mul(log(w, target, x), 1 / math.log(10))


log2 = in_double(_log2)
log10 = in_double(_log10)


@in_double
def log1p_float(w: Function, target: Target, x: Value) -> Value:
    """1 + x is exact in double down to the x of which log1p(x) is x."""
    return w.select(w.compare("olt", absolute(w, x), 2.0**-28), x, log(w, target, w.add(x, 1.0)))


def log1p_double(w: Function, target: Target, x: Value) -> Value:
    """log(u) for the rounded u = 1 + x, and what the rounding lost, over u."""
    u = w.add(x, 1.0)
    large = w.compare("ogt", x, 1.0)
    lost = w.select(large, w.sub(_one(x), w.sub(u, x)), w.sub(x, w.sub(u, 1.0)))
    result = w.add(log(w, target, u), divide(w, lost, u))
    result = w.select(w.compare("oeq", u, INF), u, result)
    result = w.select(w.compare("oeq", u, 0), constant(x.type, -INF), result)
    return w.select(w.compare("olt", absolute(w, x), 2.0**-54), x, result)


def _one(x: Value) -> Value:
    return constant(x.type, 1.0)


@in_double
def cbrt(w: Function, target: Target, x: Value) -> Value:
    root = exponential.exp(w, target, w.mul(log(w, target, absolute(w, x)), 1 / 3))
    return with_sign(w, root, x)


@in_double
def asinh(w: Function, target: Target, x: Value) -> Value:
    size = absolute(w, x)
    square = w.mul(size, size)
    far = log(w, target, w.add(size, square_root(w, w.add(square, 1.0))))
    near = w.muladd(w.mul(size, square), -1 / 6, size)
    return with_sign(w, w.select(w.compare("olt", size, 1e-4), near, far), x)


@in_double
def acosh(w: Function, target: Target, x: Value) -> Value:
    result = log(w, target, w.add(x, square_root(w, w.muladd(x, x, -1.0))))
    return w.select(w.compare("olt", x, 1.0), constant(x.type, NAN), result)


@in_double
def atanh(w: Function, target: Target, x: Value) -> Value:
    size = absolute(w, x)
    one = _one(x)
    far = w.mul(log(w, target, divide(w, w.add(size, 1.0), w.sub(one, size))), 0.5)
    near = w.muladd(w.mul(size, w.mul(size, size)), 1 / 3, size)
    return with_sign(w, w.select(w.compare("olt", size, 1e-4), near, far), x)


@in_double
def power(w: Function, target: Target, x: Value, y: Value) -> Value:
    """exp(y log|x|), and C's rules for signs, zeros and infinities."""
    size = absolute(w, x)
    result = exponential.exp(w, target, w.mul(y, log(w, target, size)))
    # The sign of a negative base: an odd whole exponent keeps it, a fraction has no answer.
    whole = w.compare("oeq", w.intrinsic("floor", y.type, [y]), y)
    half = w.mul(y, 0.5)
    odd = w.binary("and", whole, w.compare("une", w.intrinsic("floor", y.type, [half]), half))
    signed = w.select(odd, with_sign(w, result, x), result)
    fraction = w.binary("and", w.compare("olt", x, 0), w.binary("xor", whole, 1))
    finite = w.compare("olt", size, INF)
    bad = w.binary("and", fraction, finite)
    signed = w.select(bad, constant(x.type, NAN), signed)
    # 1 ** anything, anything ** 0, and (-1) ** infinity.
    endless = w.compare("oeq", absolute(w, y), INF)
    unit = w.binary("and", w.compare("oeq", size, 1), endless)
    unit = w.binary("or", unit, w.compare("oeq", y, 0))
    unit = w.binary("or", unit, w.compare("oeq", x, 1))
    return w.select(unit, _one(x), signed)
