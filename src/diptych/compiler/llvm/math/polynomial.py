"""What the elementary functions share: polynomials, powers of two, widening, simple selects."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from diptych.compiler.llvm.writer import (
    Function,
    Value,
    constant,
    element_of,
    int_type,
    is_float,
    lanes_of,
    with_element,
)
from diptych.compiler.target import Target

INF, NAN = float("inf"), float("nan")
Emitter = Callable[..., Value]


def horner(w: Function, x: Value, coefficients: Sequence[float]) -> Value:
    """The polynomial with these coefficients, lowest first, at ``x``."""
    total = constant(x.type, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = w.muladd(total, x, constant(x.type, c))
    return total


def is_double(x: Value) -> bool:
    return element_of(x.type) == "double"


def absolute(w: Function, x: Value) -> Value:
    return w.intrinsic("fabs", x.type, [x])


def with_sign(w: Function, magnitude: Value, sign: Value) -> Value:
    return w.intrinsic("copysign", magnitude.type, [magnitude, sign])


def square_root(w: Function, x: Value) -> Value:
    return w.intrinsic("sqrt", x.type, [x])


def divide(w: Function, a: Value | float, b: Value) -> Value:
    return w.binary("fdiv", a if isinstance(a, Value) else constant(b.type, a), b)


def at_most(w: Function, x: Value, limit: float) -> Value:
    """The smaller of ``x`` and ``limit``; NaN stays (one vminps)."""
    top = constant(x.type, limit)
    return w.select(w.compare("olt", top, x), top, x)


def at_least(w: Function, x: Value, limit: float) -> Value:
    bottom = constant(x.type, limit)
    return w.select(w.compare("ogt", bottom, x), bottom, x)


def nearest(w: Function, x: Value, scale: float) -> tuple[Value, Value]:
    """``x * scale`` rounded to a whole number, as a float and in the low bits of an integer.

    Adding 1.5 * 2**(mantissa bits) leaves the whole number in the sum's low bits.
    """
    magic = 1.5 * 2.0 ** (52 if is_double(x) else 23)
    shifted = w.muladd(x, scale, magic)
    return w.sub(shifted, magic), w.cast("bitcast", shifted, int_type(x.type))


def times_power_of_two(w: Function, target: Target, x: Value, n: Value, bits: Value) -> Value:
    """``x * 2**n`` with one rounding, down to denormals; from what ``nearest`` gave.

    n must lie within twice the exponent's range.
    """
    lanes = lanes_of(x.type)
    element = element_of(x.type)
    if target.has("avx512f") and lanes * (8 if is_double(x) else 4) == 64:
        suffix = "pd" if is_double(x) else "ps"
        count = 8 if is_double(x) else 16
        name = f"llvm.x86.avx512.mask.scalef.{suffix}.512"
        mask = Value("-1", f"i{count}")
        rounding = Value("4", "i32")  # as the mode register says
        return w.call(name, x.type, [x, n, constant(x.type, 0), mask, rounding])
    mantissa, bias = (52, 1023) if element == "double" else (23, 127)
    # The magic number's own low bits are 0, so the difference to its bits is n.
    magic = 0x4338000000000000 if element == "double" else 0x4B400000
    whole = w.sub(bits, magic)
    half = w.binary("ashr", whole, 1)
    for part in (half, w.sub(whole, half)):
        factor = w.binary("shl", w.add(part, bias), mantissa)
        x = w.mul(x, w.cast("bitcast", factor, x.type))
    return x


def in_double(function: Emitter) -> Emitter:
    """A float function that computes in double; its rounding is the only error that matters."""

    def emit(w: Function, target: Target, *args: Value) -> Value:
        type_ = args[0].type
        wide = [w.cast("fpext", x, with_element(type_, "double")) for x in args]
        return w.cast("fptrunc", function(w, target, *wide), type_)

    return emit


def any_lane(w: Function, condition: Value) -> Value:
    """Whether any lane of an i1 vector is set."""
    lanes = lanes_of(condition.type)
    if lanes == 1:
        return condition
    return w.compare("ne", w.cast("bitcast", condition, f"i{lanes}"), 0)


def first_nan(w: Function, x: Value, otherwise: Value) -> Value:
    """``x`` where it is NaN, else ``otherwise``."""
    assert is_float(x.type), "NaN of an integer"
    return w.select(w.compare("uno", x, x), x, otherwise)
