"""The error function and its complement, in float."""

from __future__ import annotations

from collections.abc import Sequence

from diptych.compiler.llvm.math import coefficients
from diptych.compiler.llvm.math.exponential import exp, exp_inside
from diptych.compiler.llvm.math.polynomial import (
    absolute,
    at_most,
    divide,
    first_nan,
    horner,
    in_double,
    with_sign,
)
from diptych.compiler.llvm.writer import Function, Value, constant, constants
from diptych.compiler.target import Target


def erf(w: Function, target: Target, x: Value) -> Value:
    if target.has("avx512f") and x.type == "<16 x float>":
        return _erf_from_tables(w, x)
    return _erf_from_exp(w, target, x)


def _erf_from_tables(w: Function, x: Value) -> Value:
    """A polynomial for each quarter of [0, 4), its coefficients looked up in registers."""
    size = at_most(w, absolute(w, x), 3.9999998)
    piece = w.cast("fptosi", w.mul(size, 4.0), "<16 x i32>")

    def look_up(row: Sequence[float]) -> Value:
        table = constants("float", row)
        return w.call("llvm.x86.avx512.permvar.sf.512", x.type, [table, piece])

    t = w.sub(size, look_up(coefficients.ERF_CENTRES))
    start, *middle, highest = coefficients.ERF_PIECES
    value = look_up(highest)
    for row in reversed(middle):
        value = w.muladd(value, t, look_up(row))
    value = w.muladd(value, t, w.add(look_up(start), t))
    return first_nan(w, x, with_sign(w, value, x))


def _erf_from_exp(w: Function, target: Target, x: Value) -> Value:
    """x + x P(x*x) near 0; from 0.92 on 1 - exp(Q(|x|)), Q being log(erfc)."""
    size = absolute(w, x)
    z = w.mul(size, size)
    near = w.muladd(x, horner(w, z, coefficients.ERF_F32), x)
    capped = at_most(w, size, 4.0)  # erf(4) rounds to 1
    complement = exp_inside(w, target, horner(w, capped, coefficients.LOG_ERFC_F32))
    far = with_sign(w, w.sub(constant(x.type, 1.0), complement), x)
    return w.select(w.compare("olt", size, 0.92), near, far)


@in_double
def erfc(w: Function, target: Target, x: Value) -> Value:
    """exp(-x*x) times a polynomial in (|x| - 4) / (|x| + 4), over 1 + 2 |x|."""
    size = at_most(w, absolute(w, x), 10.5)  # erfc(10.5) is 0 in float
    t = divide(w, w.sub(size, 4.0), w.add(size, 4.0))
    scaled = divide(w, horner(w, t, coefficients.ERFCX_WIDE), w.muladd(size, 2.0, 1.0))
    value = w.mul(exp(w, target, w.neg(w.mul(size, size))), scaled)
    reflected = w.sub(constant(x.type, 2.0), value)
    return first_nan(w, x, w.select(w.compare("olt", x, 0), reflected, value))
