"""Elementwise operations as tables: the kernel's name, its dtypes, the engine's operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from diptych.core import call, dtypes
from diptych.core.dtypes import DType
from diptych.core.layout import broadcast_shapes
from diptych.core.operation import Operation
from diptych.errors import DiptychError, ShapeError
from diptych.ops import arithmetic, comparison, transcendental
from diptych.ops.select import where
from diptych.tensorflow import errors
from diptych.tensorflow.conversion import from_python, tensor_as, tensor_like, tensor_of
from diptych.tensorflow.dtype import kernel_name
from diptych.tensorflow.tensor import EagerTensor

FLOATS = (dtypes.bfloat16, dtypes.float16, dtypes.float32, dtypes.float64)
COMPLEX = (dtypes.complex64, dtypes.complex128)
SIGNED = (dtypes.int8, dtypes.int16, dtypes.int32, dtypes.int64)
UNSIGNED = (dtypes.uint8, dtypes.uint16, dtypes.uint32, dtypes.uint64)
INTEGERS = SIGNED + UNSIGNED
BOOL = (dtypes.bool_,)
INEXACT = FLOATS + COMPLEX
REAL = FLOATS + INTEGERS
NUMERIC = FLOATS + UNSIGNED + SIGNED + COMPLEX
SIGNED_NUMERIC = FLOATS + SIGNED + COMPLEX

# The one parameter of an elementwise operation is the dtype it computes in.
PARAMS: dict[DType, tuple[DType]] = {dtype: (dtype,) for dtype in dtypes.ALL}


def not_allowed(
    op: str, dtype: DType, allowed: tuple[DType, ...], name: Any = "", attribute: str = "T"
) -> Exception:
    """The error for a dtype that an operation does not take."""
    listed = ", ".join(kernel_name(d) for d in allowed)
    return errors.invalid(
        op,
        f"Value for attr '{attribute}' of {kernel_name(dtype)} is not in the list of allowed "
        f"values: {listed}",
        name,
    )


def mismatch(op: str, position: int, wanted: DType, got: DType, name: Any = "") -> Exception:
    """The error for an operand whose dtype is not the first one's."""
    return errors.invalid(
        op,
        f"cannot compute {op} as input #{position}(zero-based) was expected to be a "
        f"{kernel_name(wanted)} tensor but is a {kernel_name(got)} tensor",
        name,
    )


class Unary:
    """A one-operand operation: calling it converts the operand and checks its dtype."""

    def __init__(self, op: str, operation: Operation, allowed: tuple[DType, ...]) -> None:
        self.op = op
        self.operation = operation
        self.allowed = allowed
        self.params = {dtype: PARAMS[dtype] for dtype in allowed}

    def __call__(self, x: Any, name: Any = None) -> Any:
        if type(x) is not EagerTensor:
            x = tensor_of(x)
        params = self.params.get(x.layout.dtype)
        if params is None:
            raise not_allowed(self.op, x.layout.dtype, self.allowed, name)
        return call.current.apply1(self.operation, x, params)


class Binary:
    """A two-operand operation: operands of one dtype, numbers converted to the other's.

    ``strict``: whether a number that the tensor's dtype cannot hold is refused when it is converted
    (TypeError), or when the operands are compared (InvalidArgumentError).
    """

    def __init__(
        self, op: str, operation: Operation, allowed: tuple[DType, ...], strict: bool = False
    ) -> None:
        self.op = op
        self.operation = operation
        self.allowed = allowed
        self.strict = strict
        self.params = {dtype: PARAMS[dtype] for dtype in allowed}

    def __call__(self, x: Any, y: Any, name: Any = None) -> Any:
        if type(x) is not EagerTensor or type(y) is not EagerTensor:
            x, y = operands(x, y, self.strict)
        dtype = x.layout.dtype
        params = self.params.get(dtype)
        if params is None or y.layout.dtype is not dtype:
            raise self.refusal(x, y, name)
        try:
            return call.current.apply2(self.operation, x, y, params)
        except DiptychError as error:
            raise self.translated(error, x, y, name) from error

    def reflected(self, y: Any, x: Any) -> Any:
        """``x op y`` for a tensor ``y`` and something else: that must become a tensor like it."""
        return self(tensor_as(x, y.layout.dtype), y)

    def refusal(self, x: Any, y: Any, name: Any) -> Exception:
        """Why operands of these dtypes are not taken."""
        dtype = x.layout.dtype
        if y.layout.dtype is not dtype:
            return mismatch(self.op, 1, dtype, y.layout.dtype, name)
        return not_allowed(self.op, dtype, self.allowed, name)

    def translated(self, error: DiptychError, x: Any, y: Any, name: Any) -> Exception:
        """The engine's error in TensorFlow's words."""
        if isinstance(error, ShapeError):
            first, second = errors.dims(x.layout.shape), errors.dims(y.layout.shape)
            return errors.invalid(self.op, f"Incompatible shapes: {first} vs. {second}", name)
        return errors.translated(error, self.op, name)


def operands(x: Any, y: Any, strict: bool = False) -> tuple[Any, Any]:
    """Two operands as tensors: a tensor's dtype is offered to the one that is none."""
    x_is, y_is = is_typed(x), is_typed(y)
    if x_is or not y_is:
        x = tensor_of(x)
        y = tensor_of(y) if y_is else _beside(y, x.layout.dtype, strict)
        return x, y
    y = tensor_of(y)
    return tensor_like(x, y.layout.dtype), y


def _beside(value: Any, dtype: DType, strict: bool) -> Any:
    return from_python(value, dtype) if strict else tensor_like(value, dtype)


def is_typed(value: Any) -> bool:
    """Whether a value brings a dtype with it: a tensor of any face, or a variable."""
    return type(value) is EagerTensor or hasattr(value, "layout")


class IntegerDivision(Binary):
    """Division of integers, which has no answer for a zero divisor."""

    def __call__(self, x: Any, y: Any, name: Any = None) -> Any:
        if type(x) is not EagerTensor or type(y) is not EagerTensor:
            x, y = operands(x, y, self.strict)
        dtype = y.layout.dtype
        if dtype.is_integer and dtype is x.layout.dtype and not y.array().all():
            raise errors.invalid(self.op, "Integer division by zero", name)
        return super().__call__(x, y, name)


class Power(Binary):
    """``pow``: whole numbers have no negative powers."""

    def __call__(self, x: Any, y: Any, name: Any = None) -> Any:
        if type(x) is not EagerTensor or type(y) is not EagerTensor:
            x = tensor_like(x, y.layout.dtype) if is_typed(y) and not is_typed(x) else tensor_of(x)
            y = tensor_of(y) if is_typed(y) else from_python(y, x.layout.dtype)
        dtype = y.layout.dtype
        if dtype.kind == "i" and dtype is x.layout.dtype and (y.array() < 0).any():
            raise errors.invalid(
                self.op, "Integers to negative integer powers are not allowed", name
            )
        return super().__call__(x, y, name)


class Logical(Binary):
    """An operation on truth values: nothing else becomes one."""

    def __call__(self, x: Any, y: Any, name: Any = None) -> Any:
        x, y = self.truth(x, 0, name), self.truth(y, 1, name)
        return super().__call__(x, y, name)

    def truth(self, x: Any, position: int, name: Any) -> Any:
        """An operand as a tensor of truth values."""
        x = tensor_of(x) if is_typed(x) else from_python(x, dtypes.bool_)
        if x.layout.dtype is not dtypes.bool_:
            raise mismatch(self.op, position, dtypes.bool_, x.layout.dtype, name)
        return x


class Comparison(Binary):
    """A comparison; for equality, shapes that do not fit are simply not equal."""

    def __init__(
        self, op: str, operation: Operation, allowed: tuple[DType, ...], unfit: bool | None = None
    ) -> None:
        super().__init__(op, operation, allowed, strict=True)
        self.unfit = unfit

    def operator(self, x: Any, y: Any) -> Any:
        """``==`` and ``!=``: with None and unfit shapes a plain answer."""
        if y is None and self.unfit is not None:
            return self.unfit
        x, y = operands(x, y, True)
        if self.unfit is not None and not fits(x.layout.shape, y.layout.shape):
            return from_python(self.unfit, None)
        return self(x, y)


def fits(first: tuple[int, ...], second: tuple[int, ...]) -> bool:
    """Whether two shapes broadcast against each other."""
    try:
        broadcast_shapes((first, second), "equal")
    except ShapeError:
        return False
    return True


class Extremum(Binary):
    """The larger or smaller operand; where they are equal, the gradient goes to the first."""

    def __init__(
        self, op: str, operation: Operation, allowed: tuple[DType, ...], wins: Operation
    ) -> None:
        super().__init__(op, operation, allowed)
        self.wins = wins

    def __call__(self, x: Any, y: Any, name: Any = None) -> Any:
        if type(x) is not EagerTensor or type(y) is not EagerTensor:
            x, y = operands(x, y)
        if x.node is None and y.node is None:
            return super().__call__(x, y, name)
        dtype = x.layout.dtype
        if dtype is not y.layout.dtype or dtype not in self.params:
            raise self.refusal(x, y, name)
        try:
            first = call.current.apply2(self.wins, x, y, PARAMS[dtype])
            if dtype.is_float:  # NaN wins
                nan = call.current.apply1(comparison.ISNAN, x, PARAMS[dtype])
                first = comparison.logical_or(first, nan)
            return where(first, x, y)
        except DiptychError as error:
            raise self.translated(error, x, y, name) from error


_A, _C, _T = arithmetic, comparison, transcendental
ORDERED = (
    dtypes.float32, dtypes.float64, dtypes.int32, dtypes.uint8, dtypes.int16, dtypes.int8,
    dtypes.int64, dtypes.bfloat16, dtypes.uint16, dtypes.float16, dtypes.uint32, dtypes.uint64,
)  # fmt: skip
BITS = SIGNED + UNSIGNED

add = Binary("AddV2", _A.ADD, NUMERIC)
subtract = Binary("Sub", _A.SUB, NUMERIC)
multiply = Binary("Mul", _A.MUL, (*NUMERIC, *BOOL))
real_div = Binary("RealDiv", _A.DIV, INEXACT)
floordiv = IntegerDivision("FloorDiv", _A.FLOORDIV, REAL, strict=True)
floormod = IntegerDivision("FloorMod", _A.REMAINDER, REAL, strict=True)
truncatediv = IntegerDivision("TruncateDiv", _A.TRUNCDIV, REAL)
truncatemod = IntegerDivision("TruncateMod", _A.FMOD, REAL)
power = Power("Pow", _T.POW, NUMERIC, strict=True)
maximum = Extremum("Maximum", _A.MAXIMUM, REAL, _C.GE)
minimum = Extremum("Minimum", _A.MINIMUM, REAL, _C.LE)
nextafter = Binary("NextAfter", _A.NEXTAFTER, (dtypes.float64, dtypes.float32))
equal = Comparison("Equal", _C.EQ, dtypes.ALL, unfit=False)
not_equal = Comparison("NotEqual", _C.NE, dtypes.ALL, unfit=True)
less = Comparison("Less", _C.LT, ORDERED)
less_equal = Comparison("LessEqual", _C.LE, ORDERED)
greater = Comparison("Greater", _C.GT, ORDERED)
greater_equal = Comparison("GreaterEqual", _C.GE, ORDERED)
logical_and = Logical("LogicalAnd", _C.LOGICAL_AND, BOOL)
logical_or = Logical("LogicalOr", _C.LOGICAL_OR, BOOL)
bitwise_and = Binary("BitwiseAnd", _C.BITWISE_AND, BITS, strict=True)
bitwise_or = Binary("BitwiseOr", _C.BITWISE_OR, BITS, strict=True)
bitwise_xor = Binary("BitwiseXor", _C.BITWISE_XOR, BITS, strict=True)
left_shift = Binary("LeftShift", _C.SHIFT_LEFT, BITS)
right_shift = Binary("RightShift", _C.SHIFT_RIGHT, BITS)

negative = Unary("Neg", _A.NEG, SIGNED_NUMERIC)
real_abs = Unary("Abs", _A.ABS, FLOATS + SIGNED)
complex_abs = Unary("ComplexAbs", _A.ABS, COMPLEX)
real_sign = Unary("Sign", _A.SIGN, SIGNED_NUMERIC)
complex_sign = Unary("Sign", _A.SGN, COMPLEX)
square = Unary("Square", _A.SQUARE, FLOATS + SIGNED + UNSIGNED + COMPLEX)
sqrt = Unary("Sqrt", _A.SQRT, INEXACT)
rsqrt = Unary("Rsqrt", _A.RSQRT, INEXACT)
reciprocal = Unary("Reciprocal", _A.RECIPROCAL, INEXACT)
floor = Unary("Floor", _A.FLOOR, FLOATS)
ceil = Unary("Ceil", _A.CEIL, FLOATS)
rint = Unary("Rint", _A.ROUND, FLOATS)
exp = Unary("Exp", _T.EXP, INEXACT)
expm1 = Unary("Expm1", _T.EXPM1, INEXACT)
log = Unary("Log", _T.LOG, INEXACT)
log1p = Unary("Log1p", _T.LOG1P, INEXACT)
sin = Unary("Sin", _T.SIN, INEXACT)
cos = Unary("Cos", _T.COS, INEXACT)
tan = Unary("Tan", _T.TAN, INEXACT)
asin = Unary("Asin", _T.ASIN, INEXACT)
acos = Unary("Acos", _T.ACOS, INEXACT)
atan = Unary("Atan", _T.ATAN, INEXACT)
sinh = Unary("Sinh", _T.SINH, INEXACT)
cosh = Unary("Cosh", _T.COSH, INEXACT)
tanh = Unary("Tanh", _T.TANH, INEXACT)
asinh = Unary("Asinh", _T.ASINH, INEXACT)
acosh = Unary("Acosh", _T.ACOSH, INEXACT)
atanh = Unary("Atanh", _T.ATANH, INEXACT)
sigmoid = Unary("Sigmoid", _T.SIGMOID, INEXACT)
erf = Unary("Erf", _T.ERF, FLOATS)
erfc = Unary("Erfc", _T.ERFC, FLOATS)
erfinv = Unary("Erfinv", _T.ERFINV, FLOATS)
lgamma = Unary("Lgamma", _T.LGAMMA, FLOATS)
digamma = Unary("Digamma", _T.DIGAMMA, FLOATS)
relu = Unary("Relu", _A.RELU, ORDERED)
is_nan = Unary("IsNan", _C.ISNAN, FLOATS)
is_inf = Unary("IsInf", _C.ISINF, FLOATS)
is_finite = Unary("IsFinite", _C.ISFINITE, FLOATS)
logical_not = Unary("LogicalNot", _C.LOGICAL_NOT, BOOL)
invert = Unary("Invert", _C.BITWISE_NOT, BITS)

Function = Callable[..., Any]


def function(table: Unary | Binary, name: str, doc: str) -> Function:
    """A plain function over a table entry, with the public argument names."""
    made: Function
    if isinstance(table, Unary):

        def unary(x: Any, name: Any = None) -> Any:
            return table(x, name)

        made = unary
    else:

        def binary(x: Any, y: Any, name: Any = None) -> Any:
            return table(x, y, name)

        made = binary
    made.__name__ = made.__qualname__ = name
    made.__doc__ = doc
    made.__module__ = "tensorflow.math"
    return made
