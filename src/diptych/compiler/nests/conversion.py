"""How dtypes live in memory and in registers, and the conversions between them.

In memory bool is a byte and float16 and bfloat16 are 16 bits; in registers bool is i1 and both
small floats are float32.
"""

from __future__ import annotations

from diptych.compiler.llvm.writer import Function, Value, constant, lanes_of, vector, with_element
from diptych.compiler.target import Target
from diptych.core import dtypes
from diptych.core.dtypes import DType

_REGISTER = {"float16": "float", "bfloat16": "float", "float32": "float", "float64": "double"}


def memory_type(dtype: DType) -> str:
    """The LLVM type of one stored element."""
    if dtype in (dtypes.float32, dtypes.float64):
        return _REGISTER[dtype.name]
    return f"i{8 * dtype.itemsize}"


def register_type(dtype: DType, lanes: int = 1) -> str:
    """The LLVM type in which values of ``dtype`` are computed."""
    if dtype.kind == "b":
        return vector(lanes, "i1")
    return vector(lanes, _REGISTER.get(dtype.name) or f"i{8 * dtype.itemsize}")


def register_bytes(dtype: DType) -> int:
    """Bytes of one element in a register; 1 for bool."""
    return 4 if dtype in (dtypes.float16, dtypes.bfloat16) else dtype.itemsize


def widen(w: Function, target: Target, dtype: DType, stored: Value) -> Value:
    """Stored bits -> the value in a register."""
    if dtype.kind == "b":
        return w.compare("ne", stored, 0)
    if dtype is dtypes.bfloat16:
        wide = w.cast("zext", stored, with_element(stored.type, "i32"))
        return w.cast("bitcast", w.binary("shl", wide, 16), with_element(stored.type, "float"))
    if dtype is dtypes.float16:
        return _half_to_float(w, target, stored)
    return stored


def narrow(w: Function, target: Target, dtype: DType, value: Value) -> Value:
    """A value in a register -> the bits to store."""
    if dtype.kind == "b":
        return w.cast("zext", value, with_element(value.type, "i8"))
    if dtype is dtypes.bfloat16:
        return _float_to_bfloat(w, value)
    if dtype is dtypes.float16:
        return _float_to_half(w, target, value)
    return value


def _has_half(target: Target) -> bool:
    return target.has("f16c") or target.has("neon")


def _half_to_float(w: Function, target: Target, stored: Value) -> Value:
    floats, ints = with_element(stored.type, "float"), with_element(stored.type, "i32")
    if _has_half(target):
        halves = w.cast("bitcast", stored, with_element(stored.type, "half"))
        return w.cast("fpext", halves, floats)
    wide = w.cast("zext", stored, ints)
    sign = w.binary("shl", w.binary("and", wide, 0x8000), 16)
    shifted = w.binary("shl", w.binary("and", wide, 0x7FFF), 13)
    # The exponent's bias differs by 112; a multiplication also makes denormals right.
    scaled = w.mul(w.cast("bitcast", shifted, floats), 2.0**112)
    special = w.compare("uge", shifted, 0x7C00 << 13)
    bits = w.select(special, w.binary("or", shifted, 0x7F800000), w.cast("bitcast", scaled, ints))
    return w.cast("bitcast", w.binary("or", bits, sign), floats)


def _float_to_half(w: Function, target: Target, value: Value) -> Value:
    ints, shorts = with_element(value.type, "i32"), with_element(value.type, "i16")
    if _has_half(target):
        halves = w.cast("fptrunc", value, with_element(value.type, "half"))
        return w.cast("bitcast", halves, shorts)
    bits = w.cast("bitcast", value, ints)
    magnitude = w.binary("and", bits, 0x7FFFFFFF)
    odd = w.binary("and", w.binary("lshr", magnitude, 13), 1)
    rounded = w.add(w.add(magnitude, 0xFFF - (112 << 23)), odd)
    normal = w.binary("lshr", rounded, 13)
    # Adding 0.5 leaves the float's last bit at 2**-24, the step of half's denormals.
    tiny = w.add(w.cast("bitcast", magnitude, value.type), 0.5)
    denormal = w.sub(w.cast("bitcast", tiny, ints), 0x3F000000)
    result = w.select(w.compare("ult", magnitude, 0x38800000), denormal, normal)
    result = w.select(w.compare("uge", magnitude, 0x477FF000), constant(ints, 0x7C00), result)
    result = w.select(w.compare("ugt", magnitude, 0x7F800000), constant(ints, 0x7E00), result)
    sign = w.binary("and", w.binary("lshr", bits, 16), 0x8000)
    return w.cast("trunc", w.binary("or", result, sign), shorts)


def _float_to_bfloat(w: Function, value: Value) -> Value:
    # Not the chip's instruction: it flushes denormals.
    bits = w.cast("bitcast", value, with_element(value.type, "i32"))
    odd = w.binary("and", w.binary("lshr", bits, 16), 1)
    rounded = w.binary("lshr", w.add(w.add(bits, 0x7FFF), odd), 16)
    nan = w.compare("uno", value, value)
    result = w.select(nan, constant(bits.type, 0x7FC0), rounded)
    return w.cast("trunc", result, with_element(value.type, "i16"))


def cast(w: Function, target: Target, value: Value, source: DType, to: DType) -> Value:
    """Convert a register value from one dtype to another, as C does."""
    if source is to:
        return value
    type_ = register_type(to, lanes_of(value.type))
    if to.kind == "b":
        return w.compare("une" if source.is_float else "ne", value, 0)
    if source.kind == "b":
        ints = w.cast("zext", value, with_element(type_, f"i{8 * max(1, register_bytes(to))}"))
        return w.cast("uitofp", ints, type_) if to.is_float else ints
    if to.is_float:
        if not source.is_float:
            made = w.cast("uitofp" if source.kind == "u" else "sitofp", value, type_)
        elif type_ == value.type:
            made = value
        else:
            made = w.cast("fpext" if to is dtypes.float64 else "fptrunc", value, type_)
        if to in (dtypes.float16, dtypes.bfloat16):
            made = widen(w, target, to, narrow(w, target, to, made))
        return made
    if source.is_float:
        return _float_to_int(w, value, to, type_)
    if to.itemsize == source.itemsize:
        return value
    if to.itemsize < source.itemsize:
        return w.cast("trunc", value, type_)
    return w.cast("zext" if source.kind == "u" else "sext", value, type_)


def _float_to_int(w: Function, value: Value, to: DType, type_: str) -> Value:
    if to is dtypes.uint64:
        # Negative values wrap as they do through a signed conversion.
        signed = w.cast("fptosi", value, type_)
        unsigned = w.cast("fptoui", value, type_)
        return w.select(w.compare("olt", value, 0), signed, unsigned)
    through = with_element(type_, "i64" if to in (dtypes.uint32, dtypes.int64) else "i32")
    return w.cast("trunc", w.cast("fptosi", value, through), type_)
