"""exp and its kin: x = n log 2 + r with |r| <= log(2) / 2, then exp(x) = 2**n * exp(r)."""

from __future__ import annotations

import math

from diptych.compiler.llvm.math import coefficients
from diptych.compiler.llvm.math.polynomial import (
    absolute,
    at_least,
    at_most,
    divide,
    horner,
    is_double,
    nearest,
    times_power_of_two,
    with_sign,
)
from diptych.compiler.llvm.writer import Function, Value, constant
from diptych.compiler.target import Target

# log 2 in two parts; the first has few bits, so that n times it is exact without fma.
LN2_F32 = (0.693359375, math.log(2) - 0.693359375)
LN2_F64 = (0.6931471803691238, 1.9082149292705877e-10)
LIMITS_F32 = (-104.0, 89.0)  # outside, the result is 0 or infinity
LIMITS_F64 = (-746.0, 710.0)


def _reduce(w: Function, x: Value) -> tuple[Value, Value, Value]:
    """n as a float, n's bits, and the rest r."""
    n, bits = nearest(w, x, 1 / math.log(2))
    high, low = LN2_F64 if is_double(x) else LN2_F32
    rest = w.muladd(n, -low, w.muladd(n, -high, x))
    return n, bits, rest


def exp(w: Function, target: Target, x: Value) -> Value:
    limits = LIMITS_F64 if is_double(x) else LIMITS_F32
    x = at_most(w, at_least(w, x, limits[0]), limits[1])
    return exp_inside(w, target, x)


def exp_inside(w: Function, target: Target, x: Value) -> Value:
    """exp where the result neither overflows by far nor underflows by far."""
    n, bits, rest = _reduce(w, x)
    tail = coefficients.EXP_F64 if is_double(x) else coefficients.EXP_F32
    value = horner(w, rest, (1.0, 1.0, *tail))
    return times_power_of_two(w, target, value, n, bits)


def exp2(w: Function, target: Target, x: Value) -> Value:
    """2**x, in float."""
    x = at_most(w, at_least(w, x, -151.0), 129.0)
    n, bits = nearest(w, x, 1.0)
    value = horner(w, w.sub(x, n), (1.0, *coefficients.EXP2_F32))
    return times_power_of_two(w, target, value, n, bits)


def _expm1_parts(w: Function, target: Target, x: Value) -> tuple[Value, Value]:
    """2**(n-1), and exp(r) - 1."""
    n, bits, rest = _reduce(w, x)
    tail = coefficients.EXPM1_F64 if is_double(x) else coefficients.EXPM1_F32
    minus = w.muladd(w.mul(rest, rest), horner(w, rest, tail), rest)
    # Half of 2**n, so that the largest n does not overflow.
    return times_power_of_two(w, target, constant(x.type, 0.5), n, bits), minus


def expm1(w: Function, target: Target, x: Value) -> Value:
    top = LIMITS_F64[1] if is_double(x) else LIMITS_F32[1]
    inside = at_most(w, at_least(w, x, -40.0), top)
    power, minus = _expm1_parts(w, target, inside)
    half = w.muladd(power, minus, w.sub(power, 0.5))
    # Keeps -0 and denormals, which the sum would lose.
    tiny = w.compare("olt", absolute(w, x), 2.0**-60 if is_double(x) else 2.0**-30)
    return w.select(tiny, x, w.add(half, half))


def sigmoid(w: Function, target: Target, x: Value) -> Value:
    """1 / (1 + exp(-x)), from exp(-|x|), which never overflows."""
    small = exp(w, target, w.neg(absolute(w, x)))
    positive = w.compare("oge", x, 0)
    top = w.select(positive, constant(x.type, 1), small)
    return divide(w, top, w.add(small, 1))


def tanh(w: Function, target: Target, x: Value) -> Value:
    """e / (e + 2) where e = expm1(2 |x|); in float a polynomial near 0."""
    limit = 22.0 if is_double(x) else 10.0
    size = at_most(w, absolute(w, x), limit)
    power, minus = _expm1_parts(w, target, w.add(size, size))
    half = w.muladd(power, minus, w.sub(power, 0.5))  # e / 2
    result = divide(w, half, w.add(half, 1))
    if is_double(x):
        near, limit = size, 2.0**-30
    else:
        z = w.mul(size, size)
        near, limit = w.muladd(w.mul(size, z), horner(w, z, coefficients.TANH_F32), size), 0.55
    return with_sign(w, w.select(w.compare("olt", size, limit), near, result), x)


def sinh(w: Function, target: Target, x: Value) -> Value:
    """In double. (e + e / (e + 1)) / 2 where e = expm1(|x|)."""
    size = absolute(w, x)
    near = expm1(w, target, size)
    small = w.mul(w.add(near, divide(w, near, w.add(near, 1))), 0.5)
    half = exp(w, target, w.mul(size, 0.5))  # twice, so that it overflows where sinh does
    large = w.mul(w.mul(half, 0.5), half)
    return with_sign(w, w.select(w.compare("ogt", size, 20), large, small), x)


def cosh(w: Function, target: Target, x: Value) -> Value:
    """In double. (e + 1 / e) / 2 where e = exp(|x|)."""
    size = absolute(w, x)
    near = exp(w, target, size)
    small = w.mul(w.add(near, divide(w, 1.0, near)), 0.5)
    half = exp(w, target, w.mul(size, 0.5))
    large = w.mul(w.mul(half, 0.5), half)
    return w.select(w.compare("ogt", size, 20), large, small)
