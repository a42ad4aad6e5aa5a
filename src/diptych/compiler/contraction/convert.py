"""Conversions between how elements are stored and how a contraction computes them.

Only instructions, never the compiler library's helpers (``__truncsfhf2`` and kin), which the loader
does not supply.
"""

from __future__ import annotations

from diptych.compiler.llvm.writer import (
    Function,
    Value,
    constant,
    element_of,
    is_float,
    with_element,
)
from diptych.compiler.target import Target


def storage(type_: str) -> str:
    """The type to load and store: 16-bit floats travel as integers."""
    return with_element(type_, "i16") if element_of(type_) in ("half", "bfloat") else type_


def widen(f: Function, value: Value, kind: str, to: str, target: Target) -> Value:
    """A stored value of LLVM element type ``kind`` as the float type ``to`` (an element type)."""
    if kind == to:
        return value
    if kind == "bfloat":
        bits = f.binary("shl", f.cast("zext", value, with_element(value.type, "i32")), 16)
        single = f.cast("bitcast", bits, with_element(value.type, "float"))
    elif kind == "half":
        single = _widen_half(f, value, target)
    elif is_float(value.type):
        single = value
    else:
        return f.cast("sitofp", value, with_element(value.type, to))
    if element_of(single.type) == to:
        return single
    op = "fpext" if to == "double" else "fptrunc"
    return f.cast(op, single, with_element(single.type, to))


def narrow(f: Function, value: Value, kind: str, target: Target) -> Value:
    """A float or double value in the form in which ``kind`` is stored, to nearest even."""
    element = element_of(value.type)
    if kind == element:
        return value
    if kind == "double":
        return f.cast("fpext", value, with_element(value.type, "double"))
    if element == "double":  # by way of float, whose rounding errs only on ties of the two
        value = f.cast("fptrunc", value, with_element(value.type, "float"))
    if kind == "float":
        return value
    if kind == "bfloat":
        return _narrow_bfloat(f, value)
    return _narrow_half(f, value, target)


def _narrow_bfloat(f: Function, value: Value) -> Value:
    ints = with_element(value.type, "i32")
    bits = f.cast("bitcast", value, ints)
    odd = f.binary("and", f.binary("lshr", bits, 16), 1)
    rounded = f.add(f.add(bits, 0x7FFF), odd)
    quiet = f.binary("or", bits, 0x400000)
    chosen = f.select(f.compare("uno", value, value), quiet, rounded)
    return f.cast("trunc", f.binary("lshr", chosen, 16), with_element(value.type, "i16"))


def _widen_half(f: Function, value: Value, target: Target) -> Value:
    if target.has("f16c"):
        half = f.cast("bitcast", value, with_element(value.type, "half"))
        return f.cast("fpext", half, with_element(value.type, "float"))
    ints, floats = with_element(value.type, "i32"), with_element(value.type, "float")
    bits = f.cast("zext", value, ints)
    sign = f.binary("shl", f.binary("and", bits, 0x8000), 16)
    magnitude = f.binary("shl", f.binary("and", bits, 0x7FFF), 13)
    # A half's exponent read as a float's is 112 too small: a product repairs it, subnormals too.
    scaled = f.mul(f.cast("bitcast", magnitude, floats), 2.0**112)
    finite = f.cast("bitcast", scaled, ints)
    special = f.binary("or", magnitude, 0x7F800000)
    is_special = f.compare("uge", magnitude, 0x0F800000)
    whole = f.binary("or", f.select(is_special, special, finite), sign)
    return f.cast("bitcast", whole, floats)


def _narrow_half(f: Function, value: Value, target: Target) -> Value:
    if target.has("f16c"):
        half = f.cast("fptrunc", value, with_element(value.type, "half"))
        return f.cast("bitcast", half, with_element(value.type, "i16"))
    ints, floats = with_element(value.type, "i32"), value.type
    bits = f.cast("bitcast", value, ints)
    sign = f.binary("and", f.binary("lshr", bits, 16), 0x8000)
    magnitude = f.binary("and", bits, 0x7FFFFFFF)
    # Normal range: rebias, round to nearest even on the 13 bits that go.
    odd = f.binary("and", f.binary("lshr", magnitude, 13), 1)
    rebias = f.add(f.add(magnitude, odd), 0x0FFF - (112 << 23))
    normal = f.binary("lshr", rebias, 13)
    # Subnormal: adding 0.5 makes the adder round at 2^-24; its low mantissa bits are the result.
    pushed = f.add(f.cast("bitcast", magnitude, floats), constant(floats, 0.5))
    small = f.sub(f.cast("bitcast", pushed, ints), 0x3F000000)
    finite = f.select(f.compare("ult", magnitude, 113 << 23), small, normal)
    large = f.select(f.compare("ugt", magnitude, 0x7F800000), constant(ints, 0x7E00), 0x7C00)
    # 65520, halfway from the largest half to the next power, rounds to infinity.
    chosen = f.select(f.compare("uge", magnitude, 0x477FF000), large, finite)
    return f.cast("trunc", f.binary("or", chosen, sign), with_element(value.type, "i16"))
