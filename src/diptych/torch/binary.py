"""Two-operand elementwise functions: a row each gives function, method, operators and in-place."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from diptych.core import call, inplace
from diptych.core import dtypes as engine
from diptych.core.dtypes import ALL, DType
from diptych.core.operation import Operation
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import cast_class
from diptych.ops import arithmetic, comparison, reduction, select, transcendental
from diptych.ops.select import constant
from diptych.torch import outputs, promotion
from diptych.torch.dtypes import scalar_name
from diptych.torch.elementwise import public
from diptych.torch.gradient_nodes import label
from diptych.torch.operators import (
    FRACTIONS,
    NOT_BOOL,
    PLAIN,
    TRUTH,
    Binary,
    check_in_place_shape,
    check_result_dtype,
    number,
)
from diptych.torch.promotion import FLOAT_NUMBERS, NUMBERS, NUMBERS_NOT_BOOL, PARAMS
from diptych.torch.tensor import Tensor, face

# ---- rules: what an operation computes in, or why it refuses


def plain(dtype: DType, operands: Any) -> DType:
    """The promoted dtype as it is."""
    return dtype


def fraction(dtype: DType, operands: Any) -> DType:
    """Whole numbers become the default float."""
    return promotion.fractional(dtype)


def _is_bool(operand: Any) -> bool:
    if isinstance(operand, CoreTensor):
        return operand.layout.dtype is engine.bool_
    return isinstance(operand, bool)


def subtraction(dtype: DType, operands: Any) -> DType:
    """No bool on either side."""
    if _is_bool(operands[0]) and _is_bool(operands[1]):
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
            "`logical_xor()` operator instead."
        )
    if _is_bool(operands[0]) or _is_bool(operands[1]):
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying "
            "to invert a mask, use the `~` or `logical_not()` operator instead."
        )
    return dtype


def bitwise(name: str) -> Callable[[DType, Any], DType]:
    """Whole numbers and bool alone."""

    def rule(dtype: DType, operands: Any) -> DType:
        if dtype.is_inexact:
            raise NotImplementedError(f"\"{name}_cpu\" not implemented for '{scalar_name(dtype)}'")
        return dtype

    return rule


def real_only(name: str) -> Callable[[DType, Any], DType]:
    """No complex numbers: they have no order."""

    def rule(dtype: DType, operands: Any) -> DType:
        if dtype.is_complex:
            raise NotImplementedError(f"\"{name}_cpu\" not implemented for '{scalar_name(dtype)}'")
        return dtype

    return rule


def _truth_rule(dtype: DType, operands: Any) -> DType:
    return engine.bool_


def division(name: str) -> Callable[[DType, Any], DType]:
    """Real numbers; whole ones by zero raise ZeroDivisionError's message, as in PyTorch."""

    def rule(dtype: DType, operands: Any) -> DType:
        if dtype.is_complex or dtype.kind == "b":
            raise NotImplementedError(f"\"{name}_cpu\" not implemented for '{scalar_name(dtype)}'")
        if not dtype.is_float:
            divisor = operands[1]
            if isinstance(divisor, CoreTensor):
                zero = bool((divisor.array() == 0).any())
            else:
                zero = divisor == 0
            if zero:
                raise RuntimeError("ZeroDivisionError")
        return dtype

    return rule


_FLOAT_ONLY: dict[DType, Any] = {d: PARAMS[d] for d in engine.FLOATS}
_NO_COMPLEX: dict[DType, Any] = {d: PARAMS[d] for d in ALL if not d.is_complex}
_REAL_NUMBERS = {cls: NUMBERS[cls] for cls in (bool, int, float)}
_OF_FLOATS = {cls: {d: PARAMS[d] for d in engine.FLOATS} for cls in (bool, int, float)}
_BITS: dict[DType, Any] = {d: PARAMS[d] for d in engine.INTEGERS_AND_BOOL}
_NONE: dict[Any, Any] = {}
_TRUTH_SAME = dict.fromkeys(ALL, (engine.bool_,))


class Row(NamedTuple):
    """Name, engine operation, promotion, and the stem of the operator methods (``__add__``)."""

    name: str
    op: Operation
    same: dict[DType, Any] = PLAIN
    numbers: Any = NUMBERS
    rule: Callable[[DType, Any], DType] = plain
    operator: str = ""
    aliases: tuple[str, ...] = ()
    in_place: bool = True


_A, _C, _T = arithmetic, comparison, transcendental
BINARY: tuple[Row, ...] = (
    Row("add", _A.ADD, operator="add"),
    Row("sub", _A.SUB, NOT_BOOL, NUMBERS_NOT_BOOL, subtraction, "sub", ("subtract",)),
    Row("mul", _A.MUL, operator="mul", aliases=("multiply",)),
    Row("div", _A.DIV, FRACTIONS, FLOAT_NUMBERS, fraction, "truediv", ("divide", "true_divide")),
    Row("floor_divide", _A.FLOORDIV, _FLOAT_ONLY, _OF_FLOATS, division("div_floor"), "floordiv"),
    Row("remainder", _A.REMAINDER, _FLOAT_ONLY, _OF_FLOATS, division("remainder"), "mod"),
    Row("fmod", _A.FMOD, _FLOAT_ONLY, _NONE, division("fmod")),
    Row("maximum", _A.MAXIMUM, _NO_COMPLEX, _NONE, real_only("maximum"), in_place=False),
    Row("minimum", _A.MINIMUM, _NO_COMPLEX, _NONE, real_only("minimum"), in_place=False),
    Row("fmax", _A.FMAX, _NO_COMPLEX, _NONE, real_only("fmax"), in_place=False),
    Row("fmin", _A.FMIN, _NO_COMPLEX, _NONE, real_only("fmin"), in_place=False),
    Row("atan2", _T.ATAN2, FRACTIONS, FLOAT_NUMBERS, fraction, aliases=("arctan2",)),
    Row("copysign", _A.COPYSIGN, FRACTIONS, FLOAT_NUMBERS, fraction),
    Row("hypot", _A.HYPOT), Row("nextafter", _A.NEXTAFTER),
    Row("gcd", _A.GCD), Row("lcm", _A.LCM),
    Row("eq", _C.EQ, operator="eq"), Row("ne", _C.NE, operator="ne", aliases=("not_equal",)),
    Row("lt", _C.LT, _NO_COMPLEX, _REAL_NUMBERS, real_only("lt"), "lt", ("less",)),
    Row("le", _C.LE, _NO_COMPLEX, _REAL_NUMBERS, real_only("le"), "le", ("less_equal",)),
    Row("gt", _C.GT, _NO_COMPLEX, _REAL_NUMBERS, real_only("gt"), "gt", ("greater",)),
    Row("ge", _C.GE, _NO_COMPLEX, _REAL_NUMBERS, real_only("ge"), "ge", ("greater_equal",)),
    Row("logical_and", _C.LOGICAL_AND, _TRUTH_SAME, _NONE, _truth_rule),
    Row("logical_or", _C.LOGICAL_OR, _TRUTH_SAME, _NONE, _truth_rule),
    Row("logical_xor", _C.LOGICAL_XOR, _TRUTH_SAME, _NONE, _truth_rule),
    Row("bitwise_and", _C.BITWISE_AND, _BITS, _NONE, bitwise("bitwise_and"), "and"),
    Row("bitwise_or", _C.BITWISE_OR, _BITS, _NONE, bitwise("bitwise_or"), "or"),
    Row("bitwise_xor", _C.BITWISE_XOR, _BITS, _NONE, bitwise("bitwise_xor"), "xor"),
    Row("bitwise_left_shift", _C.SHIFT_LEFT, _BITS, _NONE, bitwise("lshift"), "lshift"),
    Row("bitwise_right_shift", _C.SHIFT_RIGHT, _BITS, _NONE, bitwise("rshift"), "rshift"),
)  # fmt: skip
RULES: dict[str, Binary] = {
    row.name: Binary(row.name, row.op, row.same, row.numbers, row.rule) for row in BINARY
}
TRUTH.update(RULES[name].op for name in ("eq", "ne", "lt", "le", "gt", "ge"))


def function_of(binary: Binary) -> Callable[..., Any]:
    """``mul(input, other, *, out=None)``, which is the method too."""
    name = binary.name
    only_tensors = name in ONLY_TENSORS

    def function(input: Any, other: Any, *, out: Any = None) -> Any:
        if not isinstance(input, CoreTensor):
            if not isinstance(other, CoreTensor) or only_tensors:
                face(input, name)
        elif only_tensors and not isinstance(other, CoreTensor):
            face(other, name, "other", 2)
        result = binary(input, other)
        return result if out is None else outputs.write(out, result, name)

    return public(function, name)


# Functions that take no number for a tensor.
ONLY_TENSORS = frozenset(
    "maximum minimum fmax fmin atan2 logical_and logical_or logical_xor hypot nextafter gcd lcm"
    .split()
)  # fmt: skip


def in_place_of(binary: Binary) -> Callable[..., Any]:
    """``x.mul_(other)``."""

    def method(self: Any, other: Any) -> Any:
        return binary.into(self, other)

    return public(method, f"{binary.name}_")


# ---- those with arguments of their own

_add, _sub, _mul, _div = RULES["add"], RULES["sub"], RULES["mul"], RULES["div"]


def _scaled(other: Any, alpha: Any, like: Any, function: str) -> Any:
    """``alpha * other``, refused where it would give whole numbers a fraction."""
    if isinstance(alpha, bool) and not _is_bool(other):
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    dtype = promotion.of_operands(like, other)
    if not dtype.is_inexact and isinstance(alpha, float):
        raise RuntimeError(
            "For integral input tensors, argument alpha must not be a floating point number."
        )
    if isinstance(alpha, complex) and not dtype.is_complex:
        raise RuntimeError(
            "For non-complex input tensors, argument alpha must not be a complex number."
        )
    if not isinstance(other, CoreTensor):
        return number(other, function, "other", 2) * alpha
    return arithmetic.mul(face(other, function), alpha, dtype)


def add(input: Any, other: Any, *, alpha: Any = 1, out: Any = None) -> Any:
    """input + alpha * other."""
    if not isinstance(input, CoreTensor) and not isinstance(other, CoreTensor):
        face(input, "add")
    if alpha.__class__ is not int or alpha != 1:
        other = _scaled(other, alpha, input, "add")
    result = _add(input, other)
    return result if out is None else outputs.write(out, result, "add")


def sub(input: Any, other: Any, *, alpha: Any = 1, out: Any = None) -> Any:
    """input - alpha * other."""
    if not isinstance(input, CoreTensor) and not isinstance(other, CoreTensor):
        face(input, "sub")
    if alpha.__class__ is not int or alpha != 1:
        _sub.dtype(input, other)
        other = _scaled(other, alpha, input, "sub")
    result = _sub(input, other)
    return result if out is None else outputs.write(out, result, "sub")


def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """other - alpha * input."""
    x = face(input, "rsub")
    return _sub(other, x if alpha == 1 else _scaled(x, alpha, other, "rsub"))


def add_(self: Any, other: Any, *, alpha: Any = 1) -> Any:
    """self += alpha * other, in place."""
    if alpha.__class__ is not int or alpha != 1:
        other = _scaled(other, alpha, self, "add_")
    return _add.into(self, other)


def sub_(self: Any, other: Any, *, alpha: Any = 1) -> Any:
    """self -= alpha * other, in place."""
    if alpha.__class__ is not int or alpha != 1:
        other = _scaled(other, alpha, self, "sub_")
    return _sub.into(self, other)


_FLOORED = Binary("div", arithmetic.FLOORDIV, _FLOAT_ONLY, _NONE, division("div_floor"))
_TRUNCATED = Binary("div", arithmetic.TRUNCDIV, _FLOAT_ONLY, _NONE, division("div_trunc"))


def _division(rounding_mode: str | None) -> Binary:
    if rounding_mode is None:
        return _div
    if rounding_mode == "floor":
        return _FLOORED
    if rounding_mode == "trunc":
        return _TRUNCATED
    raise RuntimeError(
        "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
        f"'{rounding_mode}'"
    )


def div(input: Any, other: Any, *, rounding_mode: str | None = None, out: Any = None) -> Any:
    """input / other, rounded toward zero or down when asked."""
    if not isinstance(input, CoreTensor) and not isinstance(other, CoreTensor):
        face(input, "div")
    result = _division(rounding_mode)(input, other)
    if rounding_mode is not None and result.layout.dtype.is_float:
        operands = [x for x in (input, other) if isinstance(x, CoreTensor)]
        result = face(reduction.with_zero_gradient(result, *operands), "div")
    return result if out is None else outputs.write(out, result, "div")


def div_(self: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """self /= other, in place."""
    return _division(rounding_mode).into(self, other)


_pow = Binary("pow", transcendental.POW, NOT_BOOL, NUMBERS, plain)


def pow(input: Any, exponent: Any, *, out: Any = None) -> Any:
    """input ** exponent; small whole exponents are multiplied out, as PyTorch does."""
    if isinstance(exponent, CoreTensor):
        result = _pow(input, exponent)
        if not isinstance(input, CoreTensor):
            label(result, "PowBackward2")
        elif result.node is not None:
            label(result, "PowBackward1")
    elif not isinstance(input, CoreTensor):
        face(input, "pow")
        raise AssertionError("face refuses what is no tensor")
    else:
        x = face(input, "pow")
        exponent = number(exponent, "pow", "exponent", 2)
        dtype = promotion.of_number(x.layout.dtype, exponent)
        if not dtype.is_inexact and exponent < 0:
            raise RuntimeError("Integers to negative integer powers are not allowed.")
        result = _power_by_number(x, exponent, dtype)
    return outputs.finish(result, out, "pow")


def _power_by_number(x: Tensor, exponent: Any, dtype: DType) -> Any:
    apply1 = call.current.apply1
    if exponent == 2 and dtype is not engine.bool_:
        return label(apply1(arithmetic.SQUARE, x, PARAMS[dtype]), "PowBackward0")
    if exponent == 1:
        return label(select.cast(x, dtype) if dtype is not x.layout.dtype else select.copy(x),
                     "PowBackward0")  # fmt: skip
    if dtype.is_float:
        if exponent == 0.5:
            return label(apply1(arithmetic.SQRT, x, PARAMS[dtype]), "PowBackward0")
        if exponent == -1:
            return label(apply1(arithmetic.RECIPROCAL, x, PARAMS[dtype]), "PowBackward0")
        if exponent == -0.5:
            return label(apply1(arithmetic.RSQRT, x, PARAMS[dtype]), "PowBackward0")
    return call.current.apply2(transcendental.POW, x, constant(exponent, dtype), PARAMS[dtype])


def pow_(self: Any, exponent: Any) -> Any:
    """self **= exponent, in place."""
    if not isinstance(exponent, CoreTensor):
        value = number(exponent, "pow_", "exponent", 1)
        dtype = promotion.of_number(self.layout.dtype, value)
        if not dtype.is_inexact and value < 0:
            raise RuntimeError("Integers to negative integer powers are not allowed.")
    return _pow.into(self, exponent)


def float_power(input: Any, exponent: Any, *, out: Any = None) -> Any:
    """input ** exponent in double precision."""
    wide = any(
        x.layout.dtype.is_complex if isinstance(x, CoreTensor) else isinstance(x, complex)
        for x in (input, exponent)
    )
    dtype = engine.complex128 if wide else engine.float64
    if isinstance(input, CoreTensor):
        input = select.cast(face(input, "float_power"), dtype)
    else:
        input = cast_class(constant(input, dtype), Tensor)
    return outputs.finish(arithmetic_pow(input, exponent, dtype), out, "float_power")


def arithmetic_pow(a: Any, b: Any, dtype: DType) -> Any:
    """a ** b in the given dtype."""
    b = b if isinstance(b, CoreTensor) else constant(b, dtype)
    return call.current.apply2(transcendental.POW, a, b, PARAMS[dtype])


def xlogy(input: Any, other: Any, *, out: Any = None) -> Any:
    """input * log(other), zero where input is zero (NaN where other is NaN)."""
    dtype = promotion.fractional(promotion.of_operands(input, other))
    real_only("xlogy")(dtype, None)
    a, b = tensor_of(input, dtype), tensor_of(other, dtype)
    # Where zero meets an infinite logarithm, that of one stands in, for the gradient too.
    infinite = comparison.logical_or(
        comparison.le(b, 0.0, dtype), comparison.eq(b, math.inf, dtype)
    )
    zero = comparison.logical_and(comparison.eq(a, 0.0, dtype), infinite)
    safe = select.where(zero, 1.0, b, dtype)
    return outputs.finish(arithmetic.mul(a, transcendental.log(safe, dtype), dtype), out, "xlogy")


def tensor_of(x: Any, dtype: DType) -> Any:
    """A tensor as it is, a number as a 0-d tensor of this face."""
    return x if isinstance(x, CoreTensor) else cast_class(constant(x, dtype), Tensor)


def logaddexp(input: Any, other: Any, *, out: Any = None) -> Any:
    """log(exp(input) + exp(other)) without overflow."""
    a, b = face(input, "logaddexp"), face(other, "logaddexp", "other", 2)
    dtype = promotion.of_layouts(a.layout, b.layout)
    if not dtype.is_float:
        raise NotImplementedError(f"\"logaddexp_cpu\" not implemented for '{scalar_name(dtype)}'")
    top = arithmetic.maximum(a, b, dtype)
    gap = arithmetic.neg(arithmetic.abs_(arithmetic.sub(a, b, dtype)))
    same = comparison.eq(a, b, dtype)  # infinities of one sign have no difference
    gap = select.where(same, 0.0, gap)
    result = arithmetic.add(top, transcendental.log1p(transcendental.exp(gap)))
    return outputs.finish(label(result, "LogaddexpBackward0"), out, "logaddexp")


def lerp(input: Any, end: Any, weight: Any, *, out: Any = None) -> Any:
    """input + weight * (end - input), reckoned from the nearer end."""
    x, end = face(input, "lerp"), face(end, "lerp", "end", 2)
    if x.layout.dtype is not end.layout.dtype:
        raise RuntimeError(
            f"expected dtype {scalar_name(x.layout.dtype).lower()} for `end` but got dtype "
            f"{scalar_name(end.layout.dtype).lower()}"
        )
    gap = arithmetic.sub(end, x)
    if isinstance(weight, CoreTensor):
        near = arithmetic.add(x, arithmetic.mul(weight, gap))
        far = arithmetic.sub(end, arithmetic.mul(gap, arithmetic.sub(1.0, weight)))
        small = comparison.lt(arithmetic.abs_(weight), 0.5)
        result = select.where(small, near, far)
        result = result if isinstance(result, Tensor) else cast_class(result, Tensor)
    elif abs(weight) < 0.5:
        result = arithmetic.add(x, arithmetic.mul(gap, weight))
    else:
        result = arithmetic.sub(end, arithmetic.mul(gap, 1.0 - weight))
    return outputs.finish(label(result, "LerpBackward0"), out, "lerp")


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1, out: Any = None) -> Any:
    """input + value * tensor1 * tensor2."""
    x = face(input, "addcmul")
    dtype = promotion.of_operands(x, tensor1, tensor2)
    product = arithmetic.mul(face(tensor1, "addcmul"), tensor2, dtype)
    if value != 1:
        product = arithmetic.mul(product, value)
    return outputs.finish(arithmetic.add(x, product, dtype), out, "addcmul")


def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1, out: Any = None) -> Any:
    """input + value * tensor1 / tensor2."""
    x = face(input, "addcdiv")
    dtype = promotion.of_operands(x, tensor1, tensor2)
    if not dtype.is_inexact:
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported, and in a future  release "
            "addcdiv will perform a true division of tensor1 and tensor2. The historic addcdiv "
            "behavior can be implemented as (input + value * torch.trunc(tensor1 / tensor2)).to"
            "(input.dtype) for integer inputs and as (input + value * tensor1 / tensor2) for float "
            "inputs. The future addcdiv behavior is just the latter implementation: "
            "(input + value * tensor1 / tensor2), for all dtypes."
        )
    quotient = arithmetic.div(face(tensor1, "addcdiv"), tensor2, dtype)
    if value != 1:
        quotient = arithmetic.mul(quotient, value)
    return outputs.finish(arithmetic.add(x, quotient, dtype), out, "addcdiv")


def in_place_result(self: Any, result: Any) -> Any:
    """Write a computed result back into ``self``: the in-place form of composed functions."""
    check_in_place_shape(self, result)
    check_result_dtype(result.layout.dtype, self)
    inplace.update(self, select.ASSIGN, (self, result), PARAMS[self.layout.dtype])
    return self


def _of_bool(name: str, other: str) -> Callable[..., Any]:
    """fmax and fmin of bool are maximum and minimum: there is no NaN to pass over."""
    general, plain_rule = RULES[name], RULES[other]

    def function(input: Any, other: Any, *, out: Any = None) -> Any:
        face(other, name, "other", 2)
        both = _is_bool(face(input, name)) and _is_bool(face(other, name, "other", 2))  # tensors
        return outputs.finish((plain_rule if both else general)(input, other), out, name)

    return public(function, name)


FUNCTIONS: dict[str, Callable[..., Any]] = {n: function_of(rule) for n, rule in RULES.items()}
FUNCTIONS["fmax"], FUNCTIONS["fmin"] = _of_bool("fmax", "maximum"), _of_bool("fmin", "minimum")
IN_PLACE: dict[str, Callable[..., Any]] = {
    f"{row.name}_": in_place_of(RULES[row.name]) for row in BINARY if row.in_place
}
for _function in (add, sub, rsub, div, pow, float_power, xlogy, logaddexp, lerp, addcmul, addcdiv):
    FUNCTIONS[_function.__name__] = public(_function, _function.__name__)
for _method in (add_, sub_, div_, pow_):
    IN_PLACE[_method.__name__] = public(_method, _method.__name__)
for _row in BINARY:
    for _alias in _row.aliases:
        FUNCTIONS[_alias] = FUNCTIONS[_row.name]
        if _row.in_place:
            IN_PLACE[f"{_alias}_"] = IN_PLACE[f"{_row.name}_"]
REPLACED_IN_PLACE = ("lerp", "addcmul", "addcdiv", "xlogy", "float_power")
