"""``tf.math``: elementwise functions, and those made of them."""

from __future__ import annotations

from typing import Any

from diptych.core import call, dtypes
from diptych.core.tensor import alias
from diptych.errors import DiptychError
from diptych.ops import select, sorting
from diptych.ops.arithmetic import CONJ
from diptych.ops.transcendental import ATAN2
from diptych.tensorflow import elementwise as table
from diptych.tensorflow import errors
from diptych.tensorflow.activations import (
    log_sigmoid,
    log_softmax,
    sigmoid,
    softmax,
    softplus,
    softsign,
)
from diptych.tensorflow.conversion import convert_to_tensor, tensor_of
from diptych.tensorflow.dtype import BY_INDEX, engine_dtype
from diptych.tensorflow.elementwise import Binary, function
from diptych.tensorflow.missing import attributes
from diptych.tensorflow.reductions import (
    argmax,
    argmin,
    bincount,
    count_nonzero,
    cumprod,
    cumsum,
    cumulative_logsumexp,
    reduce_all,
    reduce_any,
    reduce_euclidean_norm,
    reduce_logsumexp,
    reduce_max,
    reduce_mean,
    reduce_min,
    reduce_prod,
    reduce_std,
    reduce_sum,
    reduce_variance,
    segment_sum,
    top_k,
    unsorted_segment_sum,
)
from diptych.tensorflow.tensor import EagerTensor

__all__ = [
    "abs", "accumulate_n", "acos", "acosh", "add", "add_n", "angle", "argmax", "argmin", "asin",
    "asinh", "atan", "atan2", "atanh", "bincount", "ceil", "conj", "cos", "cosh", "count_nonzero",
    "cumprod", "cumsum", "cumulative_logsumexp", "digamma", "divide", "divide_no_nan", "equal",
    "erf", "erfc", "erfinv", "exp", "expm1", "floor", "floordiv", "floormod", "greater",
    "greater_equal", "imag", "invert_permutation", "is_finite", "is_inf", "is_nan", "l2_normalize",
    "less", "less_equal", "lgamma", "log", "log1p", "log_sigmoid", "log_softmax", "logical_and",
    "logical_not", "logical_or", "logical_xor", "maximum", "minimum", "mod", "multiply",
    "multiply_no_nan", "negative", "nextafter", "not_equal", "polyval", "pow", "real",
    "reciprocal", "reciprocal_no_nan", "reduce_all", "reduce_any", "reduce_euclidean_norm",
    "reduce_logsumexp", "reduce_max", "reduce_mean", "reduce_min", "reduce_prod", "reduce_std",
    "reduce_sum", "reduce_variance", "rint", "round", "rsqrt", "scalar_mul", "segment_sum",
    "sigmoid", "sign", "sin", "sinh", "softmax", "softplus", "softsign", "sqrt", "square",
    "squared_difference", "subtract", "tan", "tanh", "top_k", "truediv", "unsorted_segment_sum",
    "xdivy", "xlog1py", "xlogy", "zero_fraction",
]  # fmt: skip

# ---- one kernel each

add = function(table.add, "add", "The sum of two tensors of one dtype.")
subtract = function(table.subtract, "subtract", "The first less the second.")
multiply = function(table.multiply, "multiply", "The product of two tensors of one dtype.")
floordiv = function(table.floordiv, "floordiv", "The quotient rounded down.")
floormod = function(table.floormod, "floormod", "What floor division leaves; it has y's sign.")
mod = floormod
truncatediv = function(table.truncatediv, "truncatediv", "The quotient rounded towards zero.")
truncatemod = function(table.truncatemod, "truncatemod", "What truncated division leaves.")
pow = function(table.power, "pow", "x to the power y.")
maximum = function(table.maximum, "maximum", "The larger of two; NaN wins.")
minimum = function(table.minimum, "minimum", "The smaller of two; NaN wins.")
nextafter = function(table.nextafter, "nextafter", "The next number after x1 towards x2.")
less = function(table.less, "less", "x < y.")
less_equal = function(table.less_equal, "less_equal", "x <= y.")
greater = function(table.greater, "greater", "x > y.")
greater_equal = function(table.greater_equal, "greater_equal", "x >= y.")
equal = function(table.equal, "equal", "x == y.")
not_equal = function(table.not_equal, "not_equal", "x != y.")
logical_and = function(table.logical_and, "logical_and", "x and y.")
logical_or = function(table.logical_or, "logical_or", "x or y.")
negative = function(table.negative, "negative", "-x.")
square = function(table.square, "square", "x times x.")
sqrt = function(table.sqrt, "sqrt", "The square root.")
rsqrt = function(table.rsqrt, "rsqrt", "The reciprocal of the square root.")
reciprocal = function(table.reciprocal, "reciprocal", "1 / x.")
floor = function(table.floor, "floor", "Rounded down.")
ceil = function(table.ceil, "ceil", "Rounded up.")
rint = function(table.rint, "rint", "Rounded to the nearest, ties to even.")
exp = function(table.exp, "exp", "e to the power x.")
expm1 = function(table.expm1, "expm1", "exp(x) - 1, exact for small x.")
log = function(table.log, "log", "The natural logarithm.")
log1p = function(table.log1p, "log1p", "log(1 + x), exact for small x.")
sin = function(table.sin, "sin", "The sine.")
cos = function(table.cos, "cos", "The cosine.")
tan = function(table.tan, "tan", "The tangent.")
asin = function(table.asin, "asin", "The inverse sine.")
acos = function(table.acos, "acos", "The inverse cosine.")
atan = function(table.atan, "atan", "The inverse tangent.")
sinh = function(table.sinh, "sinh", "The hyperbolic sine.")
cosh = function(table.cosh, "cosh", "The hyperbolic cosine.")
tanh = function(table.tanh, "tanh", "The hyperbolic tangent.")
asinh = function(table.asinh, "asinh", "The inverse hyperbolic sine.")
acosh = function(table.acosh, "acosh", "The inverse hyperbolic cosine.")
atanh = function(table.atanh, "atanh", "The inverse hyperbolic tangent.")
erf = function(table.erf, "erf", "The error function.")
erfc = function(table.erfc, "erfc", "1 - erf(x).")
erfinv = function(table.erfinv, "erfinv", "The inverse of erf.")
lgamma = function(table.lgamma, "lgamma", "The logarithm of |gamma(x)|.")
digamma = function(table.digamma, "digamma", "The derivative of lgamma.")
is_nan = function(table.is_nan, "is_nan", "Where x is NaN.")
is_inf = function(table.is_inf, "is_inf", "Where x is infinite.")
is_finite = function(table.is_finite, "is_finite", "Where x is neither infinite nor NaN.")
logical_not = function(table.logical_not, "logical_not", "not x.")
_atan2 = Binary("Atan2", ATAN2, table.FLOATS)


def abs(x: Any, name: Any = None) -> Any:
    """The size of every element; of complex ones a real number."""
    x = tensor_of(x)
    which = table.complex_abs if x.layout.dtype.is_complex else table.real_abs
    return which(x, name)


def sign(x: Any, name: Any = None) -> Any:
    """-1, 0 or 1; of a complex element its direction."""
    x = tensor_of(x)
    which = table.complex_sign if x.layout.dtype.is_complex else table.real_sign
    return which(x, name)


def round(x: Any, name: Any = None) -> Any:
    """Rounded to the nearest, ties to even; integers stay."""
    x = tensor_of(x)
    return x if x.layout.dtype.is_integer else rint(x)


def atan2(y: Any, x: Any, name: Any = None) -> Any:
    """The angle of the point (x, y)."""
    return _atan2(y, x, name)


def logical_xor(x: Any, y: Any, name: Any = "LogicalXor") -> Any:
    """x or y, but not both."""
    both = logical_and(x, y)
    return logical_and(logical_or(x, y), logical_not(both))


# ---- division


def truediv(x: Any, y: Any, name: Any = None) -> Any:
    """The quotient as Python's ``/``: integers give floats."""
    x = tensor_of(x)
    y = convert_to_tensor(y, dtype_hint=BY_INDEX[x.layout.dtype.index])
    return quotient(x, y, name)


def quotient(x: Any, y: Any, name: Any = None) -> Any:
    """The quotient of two tensors; small integers divide in float32, larger ones in float64."""
    dtype = x.layout.dtype
    if y.layout.dtype is not dtype:
        raise TypeError(
            f"`x` and `y` must have the same dtype, got {BY_INDEX[dtype.index]!r} != "
            f"{BY_INDEX[y.layout.dtype.index]!r}."
        )
    if not dtype.is_inexact:
        if dtype is dtypes.bool_:
            known = "uint8 int8 uint16 int16 uint32 int32 uint64 int64 bfloat16 float16 float32 "
            listed = ", ".join(f"tf.{n}" for n in (known + "float64 complex64 complex128").split())
            raise TypeError(f"Invalid dtype tf.bool in __truediv__. Expected one of {{{listed}}}.")
        wide = dtypes.float32 if dtype.itemsize <= 2 else dtypes.float64
        try:
            return call.current.apply2(table.real_div.operation, x, y, (wide,))
        except DiptychError as error:
            raise table.real_div.translated(error, x, y, name) from error
    return table.real_div(x, y, name)


def divide(x: Any, y: Any, name: Any = None) -> Any:
    """``x / y`` as Python's operator."""
    return truediv(x, y, name)


def divide_no_nan(x: Any, y: Any, name: Any = None) -> Any:
    """x / y, and 0 where y is 0."""
    x, y = table.operands(x, y)
    zero = equal(y, 0)
    safe = select.where(zero, 1, y)
    return select.where(zero, 0, quotient(x, safe, name))


def multiply_no_nan(x: Any, y: Any, name: Any = None) -> Any:
    """x * y, and 0 where y is 0 whatever x is."""
    x, y = table.operands(x, y)
    return select.where(equal(y, 0), 0, multiply(x, y))


def reciprocal_no_nan(x: Any, name: Any = None) -> Any:
    """1 / x, and 0 where x is 0."""
    x = tensor_of(x)
    zero = equal(x, 0)
    return select.where(zero, 0, reciprocal(select.where(zero, 1, x), name))


def _where_x_is_not_zero(x: Any, y: Any, rule: Any) -> Any:
    """``rule(x, y)``, and 0 where x is 0, even if y is illegal there."""
    x, y = table.operands(x, y)
    zero = equal(x, 0)
    return select.where(zero, 0, rule(x, select.where(zero, 1, y)))


def xlogy(x: Any, y: Any, name: Any = None) -> Any:
    """x log(y), and 0 where x is 0."""
    return _where_x_is_not_zero(x, y, lambda x, y: multiply(x, log(y)))


def xlog1py(x: Any, y: Any, name: Any = None) -> Any:
    """x log(1 + y), and 0 where x is 0."""
    return _where_x_is_not_zero(x, y, lambda x, y: multiply(x, log1p(y)))


def xdivy(x: Any, y: Any, name: Any = None) -> Any:
    """x / y, and 0 where x is 0."""
    return _where_x_is_not_zero(x, y, quotient)


def squared_difference(x: Any, y: Any, name: Any = None) -> Any:
    """(x - y) squared."""
    return square(subtract(x, y, name))


def scalar_mul(scalar: Any, x: Any, name: Any = None) -> Any:
    """A tensor times a number."""
    x = tensor_of(x)
    scalar = convert_to_tensor(scalar, dtype=BY_INDEX[x.layout.dtype.index])
    if scalar.layout.ndim:
        raise ValueError(f"The input scalar must be a 0-D value. Received shape {scalar.shape}.")
    return multiply(scalar, x, name)


# ---- complex numbers


def real(input: Any, name: Any = None) -> Any:
    """The real part."""
    return select.real(tensor_of(input))


def imag(input: Any, name: Any = None) -> Any:
    """The imaginary part; zeros of a real tensor."""
    x = tensor_of(input)
    if not x.layout.dtype.is_complex:
        return multiply(x, 0)
    return select.imag(x)


def conj(x: Any, name: Any = None) -> Any:
    """The conjugate; a real tensor is its own."""
    x = tensor_of(x)
    if not x.layout.dtype.is_complex:
        return x
    return call.current.apply1(CONJ, x, (x.layout.dtype,))


def angle(input: Any, name: Any = None) -> Any:
    """The argument of a complex number; 0 or pi of a real one."""
    x = tensor_of(input)
    if x.layout.dtype.is_complex:
        return atan2(select.imag(x), select.real(x))
    return atan2(multiply(x, 0), x)


def complex(real: Any, imag: Any, name: Any = None) -> Any:
    """The complex tensor with these parts."""
    x, y = table.operands(real, imag)
    if x.layout.dtype not in (dtypes.float32, dtypes.float64) or (
        y.layout.dtype is not x.layout.dtype
    ):
        raise TypeError(
            "The `real` and `imag` components have incorrect types: "
            f"{x.dtype!r} {y.dtype!r}. They must be consistent, and one of "
            "[tf.float32, tf.float64]"
        )
    return select.complex_(x, y)


# ---- several operands


def add_n(inputs: Any, name: Any = None) -> Any:
    """The sum of tensors of one shape."""
    if not isinstance(inputs, (list, tuple)) or not inputs:
        raise ValueError(
            "Inputs must be an iterable of at least one Tensor/IndexedSlices with the same dtype "
            "and shape."
        )
    tensors = [tensor_of(x) for x in inputs]
    shape = tensors[0].layout.shape
    total = tensors[0]
    for x in tensors[1:]:
        if x.layout.shape != shape:
            raise errors.invalid(
                "AddN",
                "Inputs to operation AddN must have the same size and shape.  Input 0: "
                f"{errors.dims(shape)} != input: {errors.dims(x.layout.shape)}",
            )
        total = add(total, x)
    return alias_of(total) if len(tensors) == 1 else total


def accumulate_n(inputs: Any, shape: Any = None, tensor_dtype: Any = None, name: Any = None) -> Any:
    """The sum of tensors of one shape."""
    return add_n(inputs, name)


def polyval(coeffs: Any, x: Any, name: Any = None) -> Any:
    """A polynomial's value, its highest coefficient first."""
    if not isinstance(coeffs, list):
        raise ValueError(f"Argument coeffs must be list type. Received type {type(coeffs)}.")
    x = tensor_of(x)
    if not coeffs:
        return multiply(x, 0)
    value = convert_to_tensor(coeffs[0], dtype_hint=x.dtype)
    for coefficient in coeffs[1:]:
        value = add(multiply(value, x), coefficient)
    return value


def l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12, name: Any = None) -> Any:
    """x divided by its Euclidean norm along the axes."""
    x = tensor_of(x)
    total = reduce_sum(square(x), axis, keepdims=True)
    return multiply(x, rsqrt(maximum(total, epsilon)))


def zero_fraction(value: Any, name: Any = None) -> Any:
    """Which part of the elements is zero."""
    return reduce_mean(cast(equal(value, 0), "float32"))


def invert_permutation(x: Any, name: Any = None) -> Any:
    """Where each position of a permutation went."""
    x = tensor_of(x)
    return cast(sorting.argsort(x, 0), x.dtype)


def clip_by_value(t: Any, clip_value_min: Any, clip_value_max: Any, name: Any = None) -> Any:
    """Every element brought into the range; one outside has no gradient."""
    t = tensor_of(t)
    hint = BY_INDEX[t.layout.dtype.index]
    upper = minimum(t, convert_to_tensor(clip_value_max, dtype=hint))
    return maximum(upper, convert_to_tensor(clip_value_min, dtype=hint), name)


def cast(x: Any, dtype: Any, name: Any = None) -> Any:
    """Another dtype: fractions are cut off, imaginary parts dropped."""
    wanted = engine_dtype(dtype)
    x = tensor_of(x)
    if x.layout.dtype is wanted:
        return x
    return select.cast(x, wanted)


def saturate_cast(value: Any, dtype: Any, name: Any = None) -> Any:
    """Another dtype, values outside its range brought to its ends."""
    x = tensor_of(value)
    source, wanted = x.dtype, BY_INDEX[engine_dtype(dtype).index]
    if not (source.is_complex or source.is_bool or wanted.is_complex or wanted.is_bool):
        kind = float if source.is_floating else int
        low, high = kind(max(source.min, wanted.min)), kind(min(source.max, wanted.max))
        x = clip_by_value(x, low, high)
    return cast(x, wanted)


def alias_of(x: Any) -> Any:
    """The same value as another object, at the same place of the tape."""
    other = alias(x, EagerTensor)
    other.history, other.output = x.history, x.output
    return other


__getattr__ = attributes("math")
