"""sin, cos and tan by reduction in double, and the inverse functions, in float."""

from __future__ import annotations

import math
from collections.abc import Callable

from diptych.compiler.llvm.math import coefficients
from diptych.compiler.llvm.math.libm import per_lane
from diptych.compiler.llvm.math.polynomial import (
    absolute,
    any_lane,
    divide,
    first_nan,
    horner,
    in_double,
    nearest,
    square_root,
    with_sign,
)
from diptych.compiler.llvm.writer import Function, Value, constant, int_type, with_element
from diptych.compiler.target import Target

NEAR = 0.6562  # atan takes its argument as it is up to here
HUGE = 2.0**19  # arguments from here on go to libm
HALF_PI = (1.5707963705062866, math.pi / 2 - 1.5707963705062866)  # a float, and what it loses
# pi / 2 in three parts; the first two have 33 bits, so that n times them is exact.
_PARTS = (
    float.fromhex("0x1.921fb54400000p+0"),
    float.fromhex("0x1.0b4611a600000p-34"),
    float.fromhex("0x1.3198a2e037073p-69"),
)


def _quarter_turns(w: Function, x: Value) -> tuple[Value, Value]:
    """A double x -> quadrant (integer, low bits) and the rest, in [-pi/4, pi/4]."""
    n, bits = nearest(w, x, 2 / math.pi)
    for part in _PARTS:
        x = w.muladd(n, -part, x)
    return bits, x


def _with_libm(w: Function, op: str, x: Value, write: Callable[[], Value]) -> Value:
    """``write``'s value, or libm's for the whole vector if a lane is finite and huge."""
    size = absolute(w, x)
    huge = w.binary("and", w.compare("oge", size, HUGE), w.compare("olt", size, float("inf")))
    return w.choose(any_lane(w, huge), lambda: [per_lane(w, op, [x])], lambda: [write()])[0]


def _sine(w: Function, x: Value, turn: int) -> Value:
    """sin(x + turn * pi / 2), in float."""
    wide = w.cast("fpext", x, with_element(x.type, "double"))
    bits, rest = _quarter_turns(w, wide)
    quadrant = w.cast("trunc", bits, int_type(x.type))
    if turn:
        quadrant = w.add(quadrant, turn)
    r = w.cast("fptrunc", rest, x.type)
    z = w.mul(r, r)
    sin_r = w.muladd(w.mul(r, z), horner(w, z, coefficients.SIN_F32), r)
    cos_r = horner(w, z, (1.0, -0.5, *coefficients.COS_F32))
    odd = w.compare("ne", w.binary("and", quadrant, 1), 0)
    value = w.select(odd, cos_r, sin_r)
    sign = w.binary("shl", w.binary("and", quadrant, 2), 30)
    flipped = w.binary("xor", w.cast("bitcast", value, int_type(x.type)), sign)
    result = w.cast("bitcast", flipped, x.type)
    if turn:
        return result
    return w.select(w.compare("oeq", x, 0), x, result)  # -0


def sin(w: Function, target: Target, x: Value) -> Value:
    return _with_libm(w, "sin", x, lambda: _sine(w, x, 0))


def cos(w: Function, target: Target, x: Value) -> Value:
    return _with_libm(w, "cos", x, lambda: _sine(w, x, 1))


def tan(w: Function, target: Target, x: Value) -> Value:
    return _with_libm(w, "tan", x, lambda: in_double(_tangent)(w, target, x))


def _tangent(w: Function, target: Target, x: Value) -> Value:
    bits, rest = _quarter_turns(w, x)
    z = w.mul(rest, rest)
    sin_r = w.muladd(w.mul(rest, z), horner(w, z, coefficients.SIN_WIDE), rest)
    cos_r = horner(w, z, (1.0, -0.5, *coefficients.COS_WIDE))
    odd = w.compare("ne", w.binary("and", bits, 1), 0)
    top = w.select(odd, w.neg(cos_r), sin_r)
    result = divide(w, top, w.select(odd, sin_r, cos_r))
    return w.select(w.compare("oeq", x, 0), x, result)


def atan(w: Function, target: Target, x: Value) -> Value:
    """Around 0, 45 and 90 degrees, by atan(x) = base + atan of a smaller argument."""
    size = absolute(w, x)
    one = constant(x.type, 1.0)
    middle = w.compare("ogt", size, NEAR)
    far = w.compare("ogt", size, 1 / NEAR)
    top = w.select(far, constant(x.type, -1.0), w.select(middle, w.sub(size, 1.0), size))
    bottom = w.select(far, size, w.select(middle, w.add(size, 1.0), one))
    t = divide(w, top, bottom)
    z = w.mul(t, t)
    small = w.muladd(w.mul(t, z), horner(w, z, coefficients.ATAN_F32), t)
    base = w.select(far, constant(x.type, math.pi / 2), w.select(middle, one, 0))
    base = w.select(w.compare("oeq", base, 1.0), constant(x.type, math.pi / 4), base)
    return with_sign(w, w.add(base, small), x)


def _arcsine_tail(w: Function, t: Value, z: Value) -> Value:
    return w.mul(w.mul(t, z), horner(w, z, coefficients.ASIN_F32))


def asin(w: Function, target: Target, x: Value) -> Value:
    """Around 1 through asin(x) = pi/2 - 2 asin(sqrt((1 - x) / 2))."""
    size = absolute(w, x)
    far = w.compare("ogt", size, 0.5)
    z_far = w.muladd(size, -0.5, 0.5)
    z = w.select(far, z_far, w.mul(size, size))
    t = w.select(far, square_root(w, z_far), size)
    tail = _arcsine_tail(w, t, z)
    start = w.muladd(t, -2.0, HALF_PI[0])
    edge = w.sub(start, w.muladd(tail, 2.0, -HALF_PI[1]))
    return with_sign(w, w.select(far, edge, w.add(t, tail)), x)


def acos(w: Function, target: Target, x: Value) -> Value:
    size = absolute(w, x)
    far = w.compare("ogt", size, 0.5)
    z_far = w.muladd(size, -0.5, 0.5)
    z = w.select(far, z_far, w.mul(size, size))
    t = w.select(far, square_root(w, z_far), x)
    tail = _arcsine_tail(w, t, z)
    value = w.add(t, tail)
    twice = w.add(value, value)
    near = w.sub(constant(x.type, HALF_PI[0]), w.sub(value, HALF_PI[1]))
    negative = w.sub(constant(x.type, math.pi), twice)
    edge = w.select(w.compare("olt", x, 0), negative, twice)
    return w.select(far, edge, near)


@in_double
def atan2(w: Function, target: Target, y: Value, x: Value) -> Value:
    """From the smaller over the greater of |x| and |y|."""
    across, up = absolute(w, x), absolute(w, y)
    steep = w.compare("ogt", up, across)
    top, bottom = w.select(steep, across, up), w.select(steep, up, across)
    same = w.binary("or", w.compare("oeq", top, float("inf")), w.compare("oeq", bottom, 0))
    limit = w.select(w.compare("oeq", bottom, 0), constant(x.type, 0.0), 1.0)
    t = w.select(same, limit, divide(w, top, bottom))
    z = w.mul(t, t)
    angle = w.muladd(w.mul(t, z), horner(w, z, coefficients.ATAN_WIDE), t)
    angle = w.select(steep, w.sub(constant(x.type, math.pi / 2), angle), angle)
    bits = w.cast("bitcast", x, int_type(x.type))
    left = w.compare("slt", bits, 0)
    angle = w.select(left, w.sub(constant(x.type, math.pi), angle), angle)
    return first_nan(w, x, first_nan(w, y, with_sign(w, angle, y)))
