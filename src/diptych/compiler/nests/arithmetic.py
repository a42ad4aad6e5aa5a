"""The scalar vocabulary in IR, functions of ``compiler.llvm.math`` aside.

Each emitter takes (writer, dtype of the arguments, arguments) and works on scalars and vectors
alike. Integer operations wrap; nothing traps.
"""

from __future__ import annotations

from collections.abc import Callable

from diptych.compiler.llvm.writer import (
    Function,
    Value,
    bits_of,
    constant,
    int_type,
    is_float,
    with_element,
)
from diptych.core.dtypes import DType

Emitter = Callable[[Function, DType, list[Value]], Value]


def _instruction(floating: str, integer: str) -> Emitter:
    def emit(w: Function, dtype: DType, args: list[Value]) -> Value:
        return w.binary(floating if dtype.is_float else integer, args[0], args[1])

    return emit


def _float_intrinsic(name: str) -> Emitter:
    def emit(w: Function, dtype: DType, args: list[Value]) -> Value:
        return w.intrinsic(name, args[0].type, args)

    return emit


def _comparison(name: str) -> Emitter:
    ordered = {"eq": "oeq", "ne": "une", "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge"}[name]

    def emit(w: Function, dtype: DType, args: list[Value]) -> Value:
        if dtype.is_float:
            return w.compare(ordered, args[0], args[1])
        sign = "" if name in ("eq", "ne") else "s" if dtype.kind == "i" else "u"
        return w.compare(sign + name, args[0], args[1])

    return emit


def extremum(w: Function, dtype: DType, a: Value, b: Value, greatest: bool) -> Value:
    """The smaller or greater; NaN if either is."""
    if not dtype.is_float:
        name = (
            ("smax" if greatest else "smin")
            if dtype.kind == "i"
            else ("umax" if greatest else "umin")
        )
        if dtype.kind == "b":
            return w.binary("or" if greatest else "and", a, b)
        return w.intrinsic(name, a.type, [a, b])
    best = w.select(w.compare("ogt" if greatest else "olt", a, b), a, b)  # b where one is NaN
    return w.select(w.compare("uno", a, a), a, best)


def _extremum(greatest: bool) -> Emitter:
    return lambda w, dtype, args: extremum(w, dtype, args[0], args[1], greatest)


def _number_extremum(greatest: bool) -> Emitter:
    def emit(w: Function, dtype: DType, args: list[Value]) -> Value:
        a, b = args
        if not dtype.is_float:
            return extremum(w, dtype, a, b, greatest)
        best = w.select(w.compare("ogt" if greatest else "olt", b, a), b, a)  # a where one is NaN
        return w.select(w.compare("uno", a, a), b, best)

    return emit


def _neg(w: Function, dtype: DType, args: list[Value]) -> Value:
    return w.neg(args[0])


def _abs(w: Function, dtype: DType, args: list[Value]) -> Value:
    (a,) = args
    if dtype.is_float:
        return w.intrinsic("fabs", a.type, [a])
    return a if dtype.kind == "u" else w.maximum(a, w.neg(a))


def _sign(w: Function, dtype: DType, args: list[Value]) -> Value:
    (a,) = args
    one = constant(a.type, 1)
    if dtype.kind == "u":
        return w.select(w.compare("ne", a, 0), one, 0)
    if dtype.kind == "i":
        low = w.select(w.compare("slt", a, 0), constant(a.type, -1), 0)
        return w.select(w.compare("sgt", a, 0), one, low)
    rest = w.select(w.compare("oeq", a, 0), constant(a.type, 0), a)  # NaN stays
    low = w.select(w.compare("olt", a, 0), constant(a.type, -1), rest)
    return w.select(w.compare("ogt", a, 0), one, low)


def _square(w: Function, dtype: DType, args: list[Value]) -> Value:
    return w.mul(args[0], args[0])


def _div(w: Function, dtype: DType, args: list[Value]) -> Value:
    return w.binary("fdiv", args[0], args[1])


def _reciprocal(w: Function, dtype: DType, args: list[Value]) -> Value:
    return w.binary("fdiv", constant(args[0].type, 1), args[0])


def _rsqrt(w: Function, dtype: DType, args: list[Value]) -> Value:
    root = w.intrinsic("sqrt", args[0].type, args)
    return w.binary("fdiv", constant(root.type, 1), root)


# -- division of integers ------------------------------------------------------------------------


def _quotient(w: Function, dtype: DType, a: Value, b: Value) -> Value:
    """a / b towards zero; 0 where b is 0; the lowest value / -1 wraps."""
    zero = w.compare("eq", b, 0)
    if dtype.itemsize < 8:
        # Exact in the next wider float, and vectorised, which integer division is not.
        wide = with_element(a.type, "double" if dtype.itemsize == 4 else "float")
        to, back = ("sitofp", "fptosi") if dtype.kind == "i" else ("uitofp", "fptoui")
        safe = w.select(zero, constant(b.type, 1), b)
        ratio = w.binary("fdiv", w.cast(to, a, wide), w.cast(to, safe, wide))
        through = with_element(a.type, "i64" if dtype.itemsize == 4 else "i32")
        result = w.cast("trunc", w.cast(back, ratio, through), a.type)
    elif dtype.kind == "u":
        result = w.binary("udiv", a, w.select(zero, constant(b.type, 1), b))
    else:
        lowest = w.compare("eq", a, -(1 << 63))
        traps = w.binary("or", zero, w.binary("and", lowest, w.compare("eq", b, -1)))
        result = w.binary("sdiv", a, w.select(traps, constant(b.type, 1), b))
    return w.select(zero, constant(a.type, 0), result)


def _truncdiv(w: Function, dtype: DType, args: list[Value]) -> Value:
    a, b = args
    if dtype.is_float:
        return w.intrinsic("trunc", a.type, [w.binary("fdiv", a, b)])
    return _quotient(w, dtype, a, b)


def _integer_remainder(w: Function, dtype: DType, a: Value, b: Value) -> Value:
    """a - (a / b) * b; 0 where b is 0."""
    rest = w.sub(a, w.mul(_quotient(w, dtype, a, b), b))
    return w.select(w.compare("eq", b, 0), constant(a.type, 0), rest)


def _signs_differ(w: Function, dtype: DType, rest: Value, b: Value) -> Value:
    """Whether a remainder is not 0 and its sign is not the divisor's."""
    if dtype.is_float:
        nonzero, below = w.compare("une", rest, 0), w.compare("olt", rest, 0)
        differ = w.binary("xor", below, w.compare("olt", b, 0))
    else:
        nonzero = w.compare("ne", rest, 0)
        differ = w.compare("slt", w.binary("xor", rest, b), 0)
    return w.binary("and", nonzero, differ)


def _fmod(w: Function, dtype: DType, args: list[Value]) -> Value:
    a, b = args
    return w.binary("frem", a, b) if dtype.is_float else _integer_remainder(w, dtype, a, b)


def _rem(w: Function, dtype: DType, args: list[Value]) -> Value:
    a, b = args
    rest = _fmod(w, dtype, args)
    if dtype.kind == "u":
        return rest
    return w.select(_signs_differ(w, dtype, rest, b), w.add(rest, b), rest)


def _floordiv(w: Function, dtype: DType, args: list[Value]) -> Value:
    a, b = args
    if not dtype.is_float:
        down = _quotient(w, dtype, a, b)
        if dtype.kind == "u":
            return down
        rest = w.select(w.compare("eq", b, 0), constant(a.type, 0), w.sub(a, w.mul(down, b)))
        return w.select(_signs_differ(w, dtype, rest, b), w.sub(down, 1), down)
    # Python's rule: take the remainder off first, so that the quotient is nearly whole.
    rest, ratio = w.binary("frem", a, b), w.binary("fdiv", a, b)
    whole = w.binary("fdiv", w.sub(a, rest), b)
    whole = w.select(_signs_differ(w, dtype, rest, b), w.sub(whole, 1), whole)
    floor = w.intrinsic("floor", a.type, [whole])
    over = w.compare("ogt", w.sub(whole, floor), 0.5)
    floor = w.select(over, w.add(floor, 1), floor)
    signed_zero = w.intrinsic("copysign", a.type, [constant(a.type, 0), ratio])
    floor = w.select(w.compare("oeq", whole, 0), signed_zero, floor)
    return w.select(w.compare("oeq", b, 0), ratio, floor)


def integer_power(w: Function, dtype: DType, args: list[Value]) -> Value:
    """a ** b by squaring, wrapping; a negative exponent gives 0 except for bases 1 and -1."""
    a, b = args
    one = constant(a.type, 1)
    bits = bits_of(a.type)
    trips = constant("i64", bits if dtype.kind == "u" else bits - 1)
    with w.loop(0, trips, 1, [one, a, b], runs=True) as loop:
        result, power, rest = loop.carried
        odd = w.compare("ne", w.binary("and", rest, 1), 0)
        result = w.select(odd, w.mul(result, power), result)
        loop.next([result, w.mul(power, power), w.binary("lshr", rest, 1)])
    result = loop.results[0]
    if dtype.kind == "u":
        return result
    odd = w.compare("ne", w.binary("and", b, 1), 0)
    unit = w.select(odd, constant(a.type, -1), one)
    low = w.select(w.compare("eq", a, -1), unit, 0)
    low = w.select(w.compare("eq", a, 1), one, low)
    return w.select(w.compare("slt", b, 0), low, result)


# -- bits ----------------------------------------------------------------------------------------


def _not(w: Function, dtype: DType, args: list[Value]) -> Value:
    return w.binary("xor", args[0], 1 if dtype.kind == "b" else -1)


def _shift(left: bool) -> Emitter:
    def emit(w: Function, dtype: DType, args: list[Value]) -> Value:
        a, b = args
        bits = bits_of(a.type)
        inside = w.compare("ult", b, bits)
        safe = w.select(inside, b, 0 if left or dtype.kind == "u" else bits - 1)
        if not left and dtype.kind == "i":
            return w.binary("ashr", a, safe)
        return w.select(inside, w.binary("shl" if left else "lshr", a, safe), 0)

    return emit


def _isnan(w: Function, dtype: DType, args: list[Value]) -> Value:
    return w.compare("uno", args[0], args[0])


def _against_infinity(predicate: str) -> Emitter:
    def emit(w: Function, dtype: DType, args: list[Value]) -> Value:
        magnitude = w.intrinsic("fabs", args[0].type, args)
        return w.compare(predicate, magnitude, float("inf"))

    return emit


def _signbit(w: Function, dtype: DType, args: list[Value]) -> Value:
    (a,) = args
    bits = w.cast("bitcast", a, int_type(a.type)) if is_float(a.type) else a
    return w.compare("slt", bits, 0)


def _hypot(w: Function, dtype: DType, args: list[Value]) -> Value:
    # Of float32 only: in double the squares neither overflow nor lose digits.
    a, b = (w.cast("fpext", x, with_element(x.type, "double")) for x in args)
    total = w.muladd(a, a, w.mul(b, b))
    root = w.cast("fptrunc", w.intrinsic("sqrt", total.type, [total]), args[0].type)
    infinite = [_against_infinity("oeq")(w, dtype, [x]) for x in args]
    inf = constant(root.type, float("inf"))
    return w.select(w.binary("or", *infinite), inf, root)


OPS: dict[str, Emitter] = {
    "add": _instruction("fadd", "add"), "sub": _instruction("fsub", "sub"),
    "mul": _instruction("fmul", "mul"), "div": _div, "truncdiv": _truncdiv,
    "floordiv": _floordiv, "fmod": _fmod, "rem": _rem, "neg": _neg, "abs": _abs, "sign": _sign,
    "square": _square, "reciprocal": _reciprocal, "rsqrt": _rsqrt,
    "sqrt": _float_intrinsic("sqrt"), "floor": _float_intrinsic("floor"),
    "ceil": _float_intrinsic("ceil"), "round": _float_intrinsic("roundeven"),
    "trunc": _float_intrinsic("trunc"), "fma": _float_intrinsic("fma"),
    "copysign": _float_intrinsic("copysign"),
    "minimum": _extremum(False), "maximum": _extremum(True),
    "fmin": _number_extremum(False), "fmax": _number_extremum(True),
    **{name: _comparison(name) for name in ("eq", "ne", "lt", "le", "gt", "ge")},
    "logical_and": _instruction("", "and"), "logical_or": _instruction("", "or"),
    "logical_xor": _instruction("", "xor"), "logical_not": _not,
    "bitwise_and": _instruction("", "and"), "bitwise_or": _instruction("", "or"),
    "bitwise_xor": _instruction("", "xor"), "bitwise_not": _not,
    "shift_left": _shift(True), "shift_right": _shift(False),
    "isnan": _isnan, "isinf": _against_infinity("oeq"), "isfinite": _against_infinity("olt"),
    "signbit": _signbit,
}  # fmt: skip
HYPOT32: Emitter = _hypot
