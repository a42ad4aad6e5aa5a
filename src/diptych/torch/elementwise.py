"""One-operand elementwise functions: a row each gives function, method and in-place method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from diptych.core import call, inplace
from diptych.core import dtypes as engine
from diptych.core.dtypes import DType
from diptych.core.operation import Operation
from diptych.ops import arithmetic, comparison, select, transcendental
from diptych.ops.select import CAST
from diptych.torch import outputs
from diptych.torch.dtypes import scalar_name
from diptych.torch.gradient_nodes import label
from diptych.torch.operators import FRACTIONS, check_result_dtype, named
from diptych.torch.promotion import PARAMS
from diptych.torch.tensor import Tensor, face


class Row(NamedTuple):
    """``kind``: "fraction" (whole numbers become the default float), "same", "whole" (floats only;
    whole numbers are returned as they are), "bool" (the operation's own dtype is bool)."""

    name: str
    op: Operation
    kind: str = "fraction"
    aliases: tuple[str, ...] = ()
    refuses: tuple[DType, ...] = ()


_A, _T = arithmetic, transcendental
UNARY: tuple[Row, ...] = (
    Row("exp", _T.EXP), Row("exp2", _T.EXP2, aliases=("special_exp2",)), Row("expm1", _T.EXPM1),
    Row("log", _T.LOG), Row("log2", _T.LOG2), Row("log10", _T.LOG10), Row("log1p", _T.LOG1P),
    Row("sin", _T.SIN), Row("cos", _T.COS), Row("tan", _T.TAN),
    Row("asin", _T.ASIN, aliases=("arcsin",)), Row("acos", _T.ACOS, aliases=("arccos",)),
    Row("atan", _T.ATAN, aliases=("arctan",)), Row("sinh", _T.SINH), Row("cosh", _T.COSH),
    Row("tanh", _T.TANH), Row("asinh", _T.ASINH, aliases=("arcsinh",)),
    Row("acosh", _T.ACOSH, aliases=("arccosh",)), Row("atanh", _T.ATANH, aliases=("arctanh",)),
    Row("erf", _T.ERF), Row("erfc", _T.ERFC), Row("erfinv", _T.ERFINV),
    Row("sinc", _T.SINC, aliases=("special_sinc",)),
    Row("sigmoid", _T.SIGMOID), Row("lgamma", _T.LGAMMA), Row("digamma", _T.DIGAMMA),
    Row("sqrt", _A.SQRT), Row("rsqrt", _A.RSQRT), Row("reciprocal", _A.RECIPROCAL),
    Row("abs", _A.ABS, "same", ("absolute",)),
    Row("relu", _A.RELU, "same", (), (engine.bool_,)),
    Row("floor", _A.FLOOR, "whole"), Row("ceil", _A.CEIL, "whole"),
    Row("trunc", _A.TRUNC, "whole", ("fix",)),
)  # fmt: skip


def function_of(row: Row) -> Callable[..., Any]:
    """``exp(input, *, out=None)``, which is the method too."""
    op, name, refuses = row.op, row.name, row.refuses
    table = FRACTIONS if row.kind == "fraction" else PARAMS
    whole = row.kind == "whole"

    def function(input: Any, *, out: Any = None) -> Any:
        if input.__class__ is not Tensor:
            input = face(input, name)
        dtype = input.layout.dtype
        if refuses and dtype in refuses:
            raise RuntimeError(f"Boolean inputs not supported for {name}")
        if whole and not dtype.is_float:
            refuse_rounding(dtype, name)
            result = call.current.apply1(CAST, input, PARAMS[dtype])
        else:
            result = call.current.apply1(op, input, table[dtype])
        return result if out is None else outputs.write(out, result, name)

    return public(function, name)


def refuse_rounding(dtype: DType, name: str) -> None:
    """Whole numbers are rounded already; bool and complex cannot be."""
    if dtype.is_complex:
        raise NotImplementedError(f"{name} is not supported for complex inputs")
    if dtype.kind == "b":
        raise NotImplementedError(f"\"{name}_vml_cpu\" not implemented for 'Bool'")


def refuse_complex(x: Any, message: str, error: type[Exception] = RuntimeError) -> None:
    """Raise PyTorch's error for complex operands."""
    if x.layout.dtype.is_complex:
        raise error(message)


def in_place_of(row: Row) -> Callable[..., Any]:
    """``x.exp_()``."""
    op, name = row.op, f"{row.name}_"
    fraction, whole = row.kind == "fraction", row.kind == "whole"

    def method(self: Any) -> Any:
        dtype = self.layout.dtype
        if whole and not dtype.is_float:
            return self
        params = (FRACTIONS if fraction else PARAMS)[dtype]
        check_result_dtype(params[0], self)
        inplace.update(self, op, (self,), params)
        return self

    return named(method, name)


def public(function: Any, name: str) -> Any:
    """Give a made function its public name."""
    function.__name__ = function.__qualname__ = name
    function.__module__ = "torch"
    return function


# ---- those with a rule of their own


def neg(input: Any, *, out: Any = None) -> Any:
    """-input."""
    x = face(input, "neg")
    if x.layout.dtype is engine.bool_:
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to "
            "invert a mask, use the `~` or `logical_not()` operator instead."
        )
    return outputs.finish(arithmetic.neg(x), out, "neg")


def positive(input: Any) -> Any:
    """+input: the tensor itself."""
    x = face(input, "positive")
    if x.layout.dtype is engine.bool_:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return x


def sgn(input: Any, *, out: Any = None) -> Any:
    """The sign, or a complex number of size one."""
    x = face(input, "sgn")
    if not x.layout.dtype.is_complex:
        return sign(x, out=out)
    return outputs.finish(arithmetic.sgn(x), out, "sgn")


def sign(input: Any, *, out: Any = None) -> Any:
    """-1, 0 or 1; NaN has sign 0 in PyTorch."""
    x = face(input, "sign")
    refuse_complex(
        x, "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use "
        "torch.sgn instead.", NotImplementedError,
    )  # fmt: skip
    result = arithmetic.sign(x)
    if x.layout.dtype.is_float:
        result = face(select.where(comparison.ne(x, x), 0.0, result), "sign")
    return outputs.finish(label(result, "SignBackward0"), out, "sign")


def square(input: Any, *, out: Any = None) -> Any:
    """input * input."""
    x = face(input, "square")
    dtype = engine.int64 if x.layout.dtype is engine.bool_ else x.layout.dtype
    return outputs.finish(arithmetic.square(x, dtype), out, "square")


def round(input: Any, *, decimals: int = 0, out: Any = None) -> Any:
    """To the nearest whole number (even at a tie), or to a number of decimals."""
    x = face(input, "round")
    if not x.layout.dtype.is_float:
        refuse_rounding(x.layout.dtype, "round")
        result = select.copy(x)
    elif decimals == 0:
        result = arithmetic.round_(x)
    elif decimals > 0:
        scale = 10.0**decimals
        result = arithmetic.div(arithmetic.round_(arithmetic.mul(x, scale)), scale)
    else:
        scale = 10.0**-decimals
        result = arithmetic.mul(arithmetic.round_(arithmetic.div(x, scale)), scale)
    return outputs.finish(result, out, "round")


def frac(input: Any, *, out: Any = None) -> Any:
    """The part after the point, with the sign of the input."""
    x = face(input, "frac")
    if not x.layout.dtype.is_float:
        word = scalar_name(x.layout.dtype)
        raise NotImplementedError(f"\"frac_cpu\" not implemented for '{word}'")
    return outputs.finish(arithmetic.sub(x, arithmetic.trunc(x)), out, "frac")


def bitwise_not(input: Any, *, out: Any = None) -> Any:
    """Every bit inverted (of bool: not)."""
    x = face(input, "bitwise_not")
    if x.layout.dtype.is_inexact:
        word = scalar_name(x.layout.dtype)
        raise NotImplementedError(f"\"bitwise_not_cpu\" not implemented for '{word}'")
    return outputs.finish(comparison.bitwise_not(x), out, "bitwise_not")


def invert(self: Any) -> Any:
    """~x."""
    if self.layout.dtype.is_inexact:
        raise TypeError(
            "~ (operator.invert) is only implemented on integer and Boolean-type tensors"
        )
    return comparison.bitwise_not(self)


def logical_not(input: Any, *, out: Any = None) -> Any:
    """Whether an element is zero."""
    return outputs.finish(comparison.logical_not(face(input, "logical_not")), out, "logical_not")


def _float_test(name: str, test: Any, otherwise: bool) -> Callable[..., Any]:
    def function(input: Any) -> Any:
        x = face(input, name)
        dtype = x.layout.dtype
        if dtype.is_complex:
            real, imag = test(select.real(x)), test(select.imag(x))
            both = comparison.logical_and if otherwise else comparison.logical_or
            return both(real, imag)
        if not dtype.is_float:
            return comparison.eq(x, x) if otherwise else comparison.ne(x, x)
        return test(x)

    return public(function, name)


isnan = _float_test("isnan", comparison.isnan, False)
isinf = _float_test("isinf", comparison.isinf, False)
isfinite = _float_test("isfinite", comparison.isfinite, True)


def isposinf(input: Any, *, out: Any = None) -> Any:
    """Whether an element is +inf."""
    x = face(input, "isposinf")
    refuse_complex(x, "isposinf does not support complex inputs.")
    value = float("inf")
    result = comparison.eq(x, value) if x.layout.dtype.is_float else comparison.ne(x, x)
    return outputs.finish(result, out, "isposinf")


def isneginf(input: Any, *, out: Any = None) -> Any:
    """Whether an element is -inf."""
    x = face(input, "isneginf")
    refuse_complex(x, "isneginf does not support complex inputs.")
    value = float("-inf")
    result = comparison.eq(x, value) if x.layout.dtype.is_float else comparison.ne(x, x)
    return outputs.finish(result, out, "isneginf")


def isreal(input: Any) -> Any:
    """Whether an element has no imaginary part."""
    x = face(input, "isreal")
    if x.layout.dtype.is_complex:
        return comparison.eq(select.imag(x), 0.0)
    return comparison.logical_not(comparison.lt(x, x))  # NaN is real too


def signbit(input: Any, *, out: Any = None) -> Any:
    """Whether the sign bit is set."""
    x = face(input, "signbit")
    refuse_complex(x, "signbit is not implemented for complex tensors.", NotImplementedError)
    dtype = x.layout.dtype
    result = comparison.signbit(x) if dtype.is_float else comparison.lt(x, 0)
    return outputs.finish(result, out, "signbit")


def conj(input: Any) -> Any:
    """The complex conjugate; a real tensor itself."""
    x = face(input, "conj")
    return arithmetic.conj(x)


def real(input: Any) -> Any:
    """The real part."""
    return select.real(face(input, "real"))


def imag(input: Any) -> Any:
    """The imaginary part of a complex tensor."""
    x = face(input, "imag")
    if not x.layout.dtype.is_complex:
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return select.imag(x)


def angle(input: Any, *, out: Any = None) -> Any:
    """The argument of a complex number; 0 or pi (NaN of NaN) of a real one."""
    x = face(input, "angle")
    if x.layout.dtype.is_complex:
        result = transcendental.atan2(select.imag(x), select.real(x))
    else:
        dtype = FRACTIONS[x.layout.dtype][0]
        value = select.cast(x, dtype)
        turned = select.where(
            comparison.lt(value, 0.0), 3.141592653589793, arithmetic.zeros_like(value)
        )
        result = select.where(comparison.ne(value, value), value, turned)
    return outputs.finish(result, out, "angle")


def deg2rad(input: Any, *, out: Any = None) -> Any:
    """Degrees to radians."""
    x = face(input, "deg2rad")
    refuse_complex(x, "deg2rad is not supported for complex tensors.")
    result = arithmetic.mul(x, 0.017453292519943295, FRACTIONS[x.layout.dtype][0])
    return outputs.finish(result, out, "deg2rad")


def rad2deg(input: Any, *, out: Any = None) -> Any:
    """Radians to degrees."""
    x = face(input, "rad2deg")
    refuse_complex(x, "rad2deg is not supported for complex tensors.")
    result = arithmetic.mul(x, 57.29577951308232, FRACTIONS[x.layout.dtype][0])
    return outputs.finish(result, out, "rad2deg")


def logit(input: Any, eps: float | None = None, *, out: Any = None) -> Any:
    """log(x / (1 - x)), x first clamped to [eps, 1 - eps] when eps is given."""
    x = face(input, "logit")
    refuse_complex(x, f"\"logit_cpu\" not implemented for '{scalar_name(x.layout.dtype)}'",
                   NotImplementedError)  # fmt: skip
    x = select.cast(x, FRACTIONS[x.layout.dtype][0])  # type: ignore[assignment]
    if eps is not None:
        x = arithmetic.minimum(arithmetic.maximum(x, eps), 1.0 - eps)
    result = transcendental.log(arithmetic.div(x, arithmetic.sub(1.0, x)))
    return outputs.finish(result, out, "logit")


def sinc(input: Any, *, out: Any = None) -> Any:
    """sin(pi x) / (pi x), 1 at zero."""
    x = face(input, "sinc")
    dtype = FRACTIONS[x.layout.dtype][0]
    wide = engine.float32 if dtype.itemsize == 2 else dtype
    x = arithmetic.mul(select.cast(x, wide), 3.141592653589793)
    zero = comparison.eq(x, 0.0)
    safe = select.where(zero, 1.0, x)
    result = select.where(zero, 1.0, arithmetic.div(transcendental.sin(safe), safe))
    result = face(select.cast(result, dtype), "sinc")
    return outputs.finish(label(result, "SincBackward0"), out, "sinc")


def nan_to_num(
    input: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None, *,
    out: Any = None,
) -> Any:  # fmt: skip
    """NaN and infinities replaced by finite numbers (by default zero and the dtype's extremes)."""
    x = face(input, "nan_to_num")
    dtype = x.layout.dtype
    if not dtype.is_float:
        return outputs.finish(select.copy(x), out, "nan_to_num")
    top = {"float16": 65504.0, "bfloat16": 3.3895313892515355e38, "float32": 3.4028234663852886e38}
    highest = top.get(dtype.name, 1.7976931348623157e308)
    result = select.where(comparison.ne(x, x), 0.0 if nan is None else nan, x)
    result = select.where(
        comparison.eq(x, float("inf")), highest if posinf is None else posinf, result
    )
    result = select.where(
        comparison.eq(x, float("-inf")), -highest if neginf is None else neginf, result
    )
    return outputs.finish(result, out, "nan_to_num")


FUNCTIONS: dict[str, Callable[..., Any]] = {row.name: function_of(row) for row in UNARY}
IN_PLACE: dict[str, Callable[..., Any]] = {f"{row.name}_": in_place_of(row) for row in UNARY}
for _row in UNARY:
    for _alias in _row.aliases:
        FUNCTIONS[_alias] = FUNCTIONS[_row.name]
        IN_PLACE[f"{_alias}_"] = IN_PLACE[f"{_row.name}_"]
_OWN = (
    neg, positive, sgn, sign, square, round, frac, bitwise_not, logical_not, isposinf,
    isneginf, isreal, signbit, conj, real, imag, angle, deg2rad, rad2deg, logit, sinc, nan_to_num,
)  # fmt: skip
FUNCTIONS.update({function.__name__: public(function, function.__name__) for function in _OWN})
FUNCTIONS.update(
    isnan=isnan, isinf=isinf, isfinite=isfinite, negative=neg, conj_physical=conj, resolve_conj=conj
)
# Those whose in-place form is "compute, then write back".
REPLACED_IN_PLACE = (
    "neg", "negative", "sgn", "sign", "square", "round", "frac", "bitwise_not",
    "logical_not", "deg2rad", "rad2deg",
    "logit", "sinc", "nan_to_num", "conj_physical",
)  # fmt: skip
