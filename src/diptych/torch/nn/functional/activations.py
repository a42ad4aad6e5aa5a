"""Activation functions: PyTorch's signatures over the engine's elementwise operations."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from diptych.core import call, inplace, tape
from diptych.core.dtypes import float64
from diptych.core.random import torch_stream
from diptych.core.tensor import copy_array
from diptych.ops import activation as engine
from diptych.ops import normalization
from diptych.ops.arithmetic import RELU, add, div, maximum, mul, neg, sub
from diptych.ops.comparison import gt, le
from diptych.ops.select import ASSIGN, cast, copy
from diptych.ops.transcendental import exp
from diptych.torch.dtypes import core_of
from diptych.torch.dynamic import face, narrow, reshape, where
from diptych.torch.promotion import PARAMS
from diptych.torch.random import default_generator
from diptych.torch.tensor import Tensor, axis_of, scalar_name


def in_place(target: Any, function: Callable[[Any], Any]) -> Any:
    """``target`` becomes ``function`` of itself; where a gradient is wanted, of a copy."""
    recorded = face(target, "in_place").node is not None and tape.mode.enabled
    new = function(copy(target) if recorded else target)
    inplace.update(target, ASSIGN, (target, new), PARAMS[target.layout.dtype])
    return target


def relu(input: Any, inplace: bool = False) -> Any:
    """max(x, 0)."""
    if not isinstance(input, Tensor):
        input = face(input, "relu")
    if inplace:
        return relu_(input)
    return call.current.apply1(RELU, input, PARAMS[input.layout.dtype])


def relu_(input: Any) -> Any:
    """relu in place."""
    if not isinstance(input, Tensor):
        input = face(input, "relu_")
    inplace.update(input, RELU, (input,), PARAMS[input.layout.dtype])
    return input


def unary(name: str, compute: Callable[[Any], Any], doc: str) -> Callable[..., Any]:
    """An activation without parameters that may work in place."""

    def function(input: Any, inplace: bool = False) -> Any:
        if not isinstance(input, Tensor):
            input = face(input, name)
        return in_place(input, compute) if inplace else compute(input)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def scalar(value: Any, name: str, argument: str) -> float:
    """A parameter as a number; TypeError for anything else."""
    if isinstance(value, Tensor):
        return value.item()
    if not isinstance(value, (int, float)):
        raise TypeError(
            f"{name}(): argument '{argument}' must be Number, not {type(value).__name__}"
        )
    return float(value)


SELU_ALPHA = 1.6732632423543772848170429916717  # Klambauer et al., arXiv 1706.02515
SELU_SCALE = 1.0507009873554804934193349852946

relu6 = unary("relu6", lambda x: engine.hardtanh(x, 0.0, 6.0), "x held between 0 and 6.")


def _silu(x: Any) -> Any:
    """x times sigmoid(x); of complex numbers without a gradient, as PyTorch's."""
    if not x.layout.dtype.is_complex:
        return engine.silu(x)
    if x.node is not None and tape.mode.enabled:
        raise RuntimeError(
            "silu does not support automatic differentiation for outputs with complex dtype."
        )
    return div(x, add(exp(neg(x)), 1.0))


silu = unary("silu", _silu, "x times sigmoid(x).")
mish = unary("mish", engine.mish, "x times tanh(softplus(x)).")
hardswish = unary("hardswish", engine.hardswish, "x times hardsigmoid(x).")
hardsigmoid = unary("hardsigmoid", engine.hardsigmoid, "(x + 3) / 6 held between 0 and 1.")
selu = unary(
    "selu", lambda x: engine.elu(x, SELU_ALPHA, SELU_SCALE), "Self-normalizing exponential unit."
)


def selu_(input: Any) -> Any:
    """selu in place."""
    return selu(input, True)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x above zero, alpha * (exp(x) - 1) below."""
    input = face(input, "elu")
    alpha = scalar(alpha, "elu", "alpha")
    if inplace:
        return in_place(input, lambda x: engine.elu(x, alpha))
    return engine.elu(input, alpha)


def elu_(input: Any, alpha: float = 1.0) -> Any:
    """elu in place."""
    return elu(input, alpha, True)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x above zero, alpha * (exp(x / alpha) - 1) below."""
    input = face(input, "celu")
    alpha = scalar(alpha, "celu", "alpha")
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    if inplace:
        return in_place(input, lambda x: engine.elu(x, alpha, 1.0, 1.0 / alpha))
    return engine.elu(input, alpha, 1.0, 1.0 / alpha)


def celu_(input: Any, alpha: float = 1.0) -> Any:
    """celu in place."""
    return celu(input, alpha, True)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x above zero, negative_slope * x below."""
    input = face(input, "leaky_relu")
    slope = scalar(negative_slope, "leaky_relu", "negative_slope")
    if inplace:
        return in_place(input, lambda x: engine.leaky_relu(x, slope))
    return engine.leaky_relu(input, slope)


def leaky_relu_(input: Any, negative_slope: float = 0.01) -> Any:
    """leaky_relu in place."""
    return leaky_relu(input, negative_slope, True)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """x held between two bounds."""
    input = face(input, "hardtanh")
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    if inplace:
        return in_place(input, lambda x: engine.hardtanh(x, min_val, max_val))
    return engine.hardtanh(input, min_val, max_val)


def hardtanh_(input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """hardtanh in place."""
    return hardtanh(input, min_val, max_val, True)


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """x where it is above the threshold, else the value."""
    input = face(input, "threshold")
    if inplace:
        return in_place(input, lambda x: where(gt(x, threshold), x, value))
    return where(gt(input, threshold), input, value)


def threshold_(input: Any, threshold: float, value: float) -> Any:
    """threshold in place."""
    return in_place(input, lambda x: where(gt(x, threshold), x, value))


def gelu(input: Any, approximate: str = "none") -> Any:
    """x times the normal distribution function at x."""
    if not isinstance(input, Tensor):
        input = face(input, "gelu")
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")
    return engine.gelu(input, approximate)


def softplus(input: Any, beta: float = 1, threshold: float = 20) -> Any:
    """log(1 + exp(beta x)) / beta, x itself where that is the same."""
    return engine.softplus(face(input, "softplus"), beta, threshold)


def logsigmoid(input: Any) -> Any:
    """The logarithm of sigmoid(x)."""
    return engine.log_sigmoid(face(input, "log_sigmoid"))


def softsign(input: Any) -> Any:
    """x / (1 + |x|)."""
    return engine.softsign(face(input, "softsign"))


def tanhshrink(input: Any) -> Any:
    """x - tanh(x)."""
    input = face(input, "tanhshrink")
    return input - input.tanh()


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """x moved towards zero by lambd, zero between."""
    input = face(input, "softshrink")
    if not lambd >= 0:
        raise RuntimeError(
            f"lambda must be greater or equal to 0, but found to be {float(lambd):g}."
        )
    below = where(gt(neg(input), lambd), add(input, lambd), mul(input, 0.0))
    return where(gt(input, lambd), sub(input, lambd), below)


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """x, but zero where |x| is at most lambd."""
    input = face(input, "hardshrink")
    return where(le(maximum(input, neg(input)), lambd), mul(input, 0.0), input)


def tanh(input: Any) -> Any:
    """The hyperbolic tangent."""
    return face(input, "tanh").tanh()


def sigmoid(input: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return face(input, "sigmoid").sigmoid()


def glu(input: Any, dim: int = -1) -> Any:
    """The first half along an axis times the sigmoid of the second."""
    input = face(input, "glu")
    place = input.layout
    if place.ndim == 0:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    axis = axis_of(dim, place.ndim)
    extent = place.shape[axis]
    if extent % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {axis} is size {extent}")
    half = extent // 2
    return mul(narrow(input, axis, 0, half), narrow(input, axis, half, half).sigmoid())


def prelu(input: Any, weight: Any) -> Any:
    """x above zero, weight * x below; one weight, or one for each channel (axis 1)."""
    input, weight = face(input, "prelu"), face(weight, "prelu", "weight", 2)
    place = input.layout
    if weight.layout.ndim > 1:
        raise RuntimeError(
            "prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = "
            f"{weight.layout.ndim}"
        )
    count = weight.layout.size
    if count != 1:
        channels = place.shape[1] if place.ndim > 1 else 1
        if place.ndim == 0 or count != channels:
            raise RuntimeError(
                "Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                f"{count} and channel size = {channels}."
            )
        weight = reshape(weight, (1, count) + (1,) * (place.ndim - 2))
    elif weight.layout.ndim and not place.ndim:
        weight = reshape(weight, ())
    return where(gt(input, 0), input, mul(input, weight))


def rrelu(
    input: Any,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Any:
    """leaky_relu whose slope is drawn for each element in training, and their mean otherwise."""
    input = face(input, "rrelu")
    if not training:
        return leaky_relu(input, (lower + upper) / 2.0, inplace)
    values = input.detach().array()
    negative = values <= 0
    dtype = input.layout.dtype
    slopes = torch_stream.uniform(
        default_generator, (int(negative.sum()),), lower, upper, dtype=float64
    )
    noise = negative.astype("float64")
    noise[negative] = slopes
    noise[~negative] = 1.0
    factor = copy_array(noise, Tensor, dtype)
    if inplace:
        return in_place(input, lambda x: mul(x, factor))
    return mul(input, factor)


def rrelu_(
    input: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Any:
    """rrelu in place."""
    return rrelu(input, lower, upper, training, True)


# ---- softmax


def _axis(input: Any, dim: Any, name: str, stacklevel: int) -> int:
    """The axis of a softmax; where none is given, the one PyTorch guesses, with its warning."""
    ndim = input.layout.ndim
    if dim is None:
        warnings.warn(
            f"Implicit dimension choice for {name} has been deprecated. "
            "Change the call to include dim=X as an argument.",
            stacklevel=stacklevel + 1,
        )
        dim = 0 if ndim in (0, 1, 3) else 1
    return axis_of(dim, ndim)


def _require_float(input: Any, axis: int, name: str) -> None:
    if not input.layout.dtype.is_float:
        last = "lastdim_" if axis == max(input.layout.ndim - 1, 0) else ""
        raise NotImplementedError(
            f"\"{name}_{last}kernel_impl\" not implemented for '{scalar_name(input)}'"
        )


def _rows(input: Any, axis: int, compute: Callable[[Any, int], Any]) -> Any:
    if input.layout.ndim == 0:  # a scalar is a row of one
        return reshape(compute(reshape(input, (1,)), 0), ())
    return compute(input, axis)


def softmax(input: Any, dim: Any = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """exp(x) over its sum along an axis."""
    input = face(input, "softmax")
    axis = _axis(input, dim, "softmax", _stacklevel)
    if dtype is not None:
        input = cast(input, core_of(dtype))
    _require_float(input, axis, "softmax")
    return _rows(input, axis, normalization.softmax)


def log_softmax(input: Any, dim: Any = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """The logarithm of softmax."""
    input = face(input, "log_softmax")
    axis = _axis(input, dim, "log_softmax", _stacklevel)
    if dtype is not None:
        input = cast(input, core_of(dtype))
    _require_float(input, axis, "log_softmax")
    return _rows(input, axis, normalization.log_softmax)


def softmin(input: Any, dim: Any = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """softmax of -x."""
    input = face(input, "softmin")
    axis = _axis(input, dim, "softmin", _stacklevel)
    if dtype is not None:
        input = cast(input, core_of(dtype))
    return _rows(neg(input), axis, normalization.softmax)


def gumbel_softmax(
    logits: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Any:
    """A sample of the Gumbel-softmax distribution; one-hot, with the soft gradient, if ``hard``."""
    logits = face(logits, "gumbel_softmax")
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    place = logits.layout
    drawn = torch_stream.exponential(default_generator, place.shape, 1.0, place.dtype)
    waiting: Any = copy_array(drawn, Tensor, place.dtype)
    gumbels = neg(waiting.log())
    soft = softmax(div(add(logits, gumbels), tau), dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    one_hot = logits.detach().mul(0).scatter_(dim, index, 1.0)
    return one_hot - soft.detach() + soft
