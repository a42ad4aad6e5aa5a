"""Activations: what ``tf.nn`` and ``tf.math`` both have."""

from __future__ import annotations

from typing import Any

from diptych.core import dtypes
from diptych.core.layout import normalize_axis
from diptych.errors import AxisError
from diptych.ops import activation, normalization
from diptych.ops.reduction import sum_
from diptych.ops.select import cast
from diptych.tensorflow import elementwise as table
from diptych.tensorflow import errors
from diptych.tensorflow.conversion import python_scalar, tensor_of

SOFTMAX_DTYPES = (dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64)
_SELU_SCALE = 1.0507009873554804934193349852946  # the fixed point of Klambauer et al., 2017
_SELU_ALPHA = 1.6732632423543772848170429916717


def float_tensor(x: Any, op: str, name: Any = None, allowed: Any = table.FLOATS) -> Any:
    """``x`` as a tensor that must be of a float dtype."""
    x = tensor_of(x)
    if not x.layout.dtype.is_float:
        raise table.not_allowed(op, x.layout.dtype, allowed, name)
    return x


def relu(features: Any, name: Any = None) -> Any:
    """The positive part."""
    return table.relu(features, name)


def relu6(features: Any, name: Any = None) -> Any:
    """The part between 0 and 6."""
    x = tensor_of(features)
    return activation.hardtanh(x, 0.0, 6.0) if x.layout.dtype.is_float else _clipped(x)


def _clipped(x: Any) -> Any:
    return table.minimum(table.maximum(x, 0), 6)


def sigmoid(x: Any, name: Any = None) -> Any:
    """1 / (1 + exp(-x))."""
    return table.sigmoid(x, name)


def softplus(features: Any, name: Any = None) -> Any:
    """log(1 + exp(x))."""
    x = float_tensor(features, "Softplus", name)
    return activation.softplus(x, 1.0, 20.0)


def softsign(features: Any, name: Any = None) -> Any:
    """x / (1 + |x|)."""
    return activation.softsign(float_tensor(features, "Softsign", name))


def log_sigmoid(x: Any, name: Any = None) -> Any:
    """log(sigmoid(x))."""
    return activation.log_sigmoid(float_tensor(x, "Softplus", name))


def elu(features: Any, name: Any = None) -> Any:
    """x where positive, exp(x) - 1 elsewhere."""
    return activation.elu(float_tensor(features, "Elu", name))


def selu(features: Any, name: Any = None) -> Any:
    """The scaled exponential linear unit."""
    x = float_tensor(features, "Selu", name)
    return activation.elu(x, _SELU_ALPHA, _SELU_SCALE)


def silu(features: Any, beta: Any = 1.0) -> Any:
    """x sigmoid(beta x)."""
    x = float_tensor(features, "Sigmoid")
    if not isinstance(beta, float) or beta != 1.0:
        return table.multiply(x, table.sigmoid(table.multiply(x, beta)))
    return activation.silu(x)


def leaky_relu(features: Any, alpha: Any = 0.2, name: Any = None) -> Any:
    """x where positive, alpha x elsewhere."""
    x = tensor_of(features)
    if x.layout.dtype.is_integer:
        x = cast(x, dtypes.float32)
    return activation.leaky_relu(float_tensor(x, "LeakyRelu", name), float(python_scalar(alpha)))


def gelu(features: Any, approximate: bool = False, name: Any = None) -> Any:
    """x times the normal distribution's share below x, exactly or by tanh."""
    x = tensor_of(features)
    if not x.layout.dtype.is_float:
        raise ValueError(
            f"`features.dtype` must be a floating point tensor.Received:features.dtype={x.dtype}"
        )
    return activation.gelu(x, "tanh" if approximate else "none")


def softmax(logits: Any, axis: Any = None, name: Any = None) -> Any:
    """exp(x) over its sum along an axis, the last unless given."""
    x = float_tensor(logits, "Softmax", name, SOFTMAX_DTYPES)
    return normalization.softmax(x, row_axis(x, axis))


def log_softmax(logits: Any, axis: Any = None, name: Any = None) -> Any:
    """The logarithm of softmax."""
    x = float_tensor(logits, "LogSoftmax", name, SOFTMAX_DTYPES)
    return normalization.log_softmax(x, row_axis(x, axis))


def row_axis(x: Any, axis: Any) -> int:
    """The axis of a softmax counted from the front."""
    ndim = x.layout.ndim
    if not ndim:
        raise errors.AbortedError(None, None, "Input dims must be <= 5 and >=1 [Op:Softmax] name: ")
    axis = -1 if axis is None else int(python_scalar(axis))
    try:
        return normalize_axis(axis, ndim, "softmax")
    except AxisError:
        raise errors.InvalidArgumentError(
            None,
            None,
            f"`dim` must be in the range [-{ndim}, {ndim}) where {ndim} is the number of "
            f"dimensions in the input. Received: dim={axis}",
        ) from None


def l2_loss(t: Any, name: Any = None) -> Any:
    """Half the sum of squares."""
    x = float_tensor(t, "L2Loss", name)
    return table.multiply(sum_(table.square(x)), 0.5)
