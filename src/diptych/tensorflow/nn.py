"""``tf.nn``: activations, losses, and what networks are made of."""

from __future__ import annotations

from typing import Any

from diptych.core import dtypes
from diptych.core.tensor import alias
from diptych.ops import loss, movement, normalization, reduction
from diptych.ops.select import cast, where
from diptych.tensorflow import elementwise as table
from diptych.tensorflow import random
from diptych.tensorflow.activations import (
    SOFTMAX_DTYPES,
    elu,
    float_tensor,
    gelu,
    l2_loss,
    leaky_relu,
    log_softmax,
    relu,
    relu6,
    row_axis,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
)
from diptych.tensorflow.conversion import integers, python_scalar, tensor_as, tensor_of
from diptych.tensorflow.errors import dims, invalid
from diptych.tensorflow.gathering import gather
from diptych.tensorflow.math import l2_normalize, tanh, top_k, zero_fraction
from diptych.tensorflow.missing import attributes
from diptych.tensorflow.reductions import reduce_mean, reduce_sum
from diptych.tensorflow.tensor import EagerTensor

__all__ = [
    "batch_normalization", "bias_add", "dropout", "elu", "embedding_lookup", "gelu", "in_top_k",
    "l2_loss", "l2_normalize", "leaky_relu", "log_softmax", "moments", "relu", "relu6", "selu",
    "sigmoid", "sigmoid_cross_entropy_with_logits", "silu", "softmax",
    "softmax_cross_entropy_with_logits", "softplus", "softsign",
    "sparse_softmax_cross_entropy_with_logits", "swish", "tanh", "top_k", "weighted_moments",
    "zero_fraction",
]  # fmt: skip

swish = silu


# ---- losses


def softmax_cross_entropy_with_logits(
    labels: Any, logits: Any, axis: Any = -1, name: Any = None
) -> Any:
    """-sum(labels * log_softmax(logits)) along an axis; labels are probabilities."""
    x = tensor_of(logits)
    if x.layout.dtype in (dtypes.float16, dtypes.bfloat16):
        return cast(
            softmax_cross_entropy_with_logits(labels, cast(x, dtypes.float32), axis),
            x.layout.dtype,
        )
    x = float_tensor(x, "SoftmaxCrossEntropyWithLogits", name, SOFTMAX_DTYPES)
    wanted = tensor_of(labels)
    if wanted.layout.dtype is not x.layout.dtype:
        wanted = cast(wanted, x.layout.dtype)
    if wanted.layout.shape != x.layout.shape and not _fits(wanted, x):
        raise invalid(
            "SoftmaxCrossEntropyWithLogits",
            "logits and labels must be broadcastable: logits_size="
            f"{dims(x.layout.shape)} labels_size={dims(wanted.layout.shape)}",
            name,
        )
    along = row_axis(x, axis)
    losses = table.multiply(wanted, normalization.log_softmax(x, along))
    return table.negative(reduction.sum_(losses, (along,)))


def _fits(a: Any, b: Any) -> bool:
    return table.fits(a.layout.shape, b.layout.shape)


def sparse_softmax_cross_entropy_with_logits(labels: Any, logits: Any, name: Any = None) -> Any:
    """-log_softmax(logits) at each label, a class number."""
    x, index = tensor_of(logits), tensor_of(labels)
    kind = (dtypes.int32, dtypes.int64)
    if index.layout.dtype not in kind:
        raise table.not_allowed(_SPARSE, index.layout.dtype, kind, name, attribute="Tlabels")
    if index.layout.ndim != x.layout.ndim - 1:
        raise ValueError(
            "`labels.shape.rank` must equal `logits.shape.rank - 1`. Received: labels.shape="
            f"{index.shape} of rank {index.layout.ndim} and logits.shape={x.shape} of rank "
            f"{x.layout.ndim}"
        )
    if index.layout.shape != x.layout.shape[:-1]:
        raise ValueError(
            "`labels.shape` must equal `logits.shape` except for the last dimension. Received: "
            f"labels.shape={index.shape} and logits.shape={x.shape}"
        )
    x = float_tensor(x, _SPARSE, name, SOFTMAX_DTYPES)
    half = x.layout.dtype.itemsize == 2
    classes = x.layout.shape[-1]
    _check_labels(index, classes, name)
    rows = movement.reshape(cast(x, dtypes.float32) if half else x, (index.layout.size, classes))
    flat = movement.reshape(cast(index, dtypes.int64), (index.layout.size,))
    losses = loss.cross_entropy(rows, flat, -1, "none")
    losses = movement.reshape(losses, index.layout.shape)
    return cast(losses, x.layout.dtype) if half else losses


_SPARSE = "SparseSoftmaxCrossEntropyWithLogits"


def _check_labels(index: Any, classes: int, name: Any) -> None:
    values = index.array()
    bad = (values < 0) | (values >= classes)
    if bad.any():
        listed = " ".join(map(str, values.reshape(-1)[:32].tolist()))
        raise invalid(
            _SPARSE,
            f"Received a label value of {values[bad].reshape(-1)[0]} which is outside the valid "
            f"range of [0, {classes}).  Label values: {listed}",
            name,
        )


def sigmoid_cross_entropy_with_logits(
    labels: Any = None, logits: Any = None, name: Any = None
) -> Any:
    """The cross entropy of independent classes, without overflow."""
    if labels is None or logits is None:
        raise ValueError("Both labels and logits must be provided.")
    x = tensor_of(logits)
    z = tensor_as(labels, x.layout.dtype)
    if x.layout.shape != z.layout.shape:
        raise ValueError(
            f"`logits` and `labels` must have the same shape, received ({x.shape} vs {z.shape})."
        )
    # max(x, 0) - x z + log(1 + exp(-|x|)): exp never sees a large number.
    linear = table.subtract(relu(x), table.multiply(x, z))
    return table.add(linear, table.log1p(table.exp(table.negative(table.real_abs(x)))))


# ---- layers' arithmetic


def bias_add(value: Any, bias: Any, data_format: Any = None, name: Any = None) -> Any:
    """A vector added along the last axis, or along axis 1 for data_format="NCHW"."""
    x = tensor_of(value)
    b = tensor_as(bias, x.layout.dtype)
    if data_format not in (None, "NHWC", "NCHW", "N...C", "NC..."):
        raise ValueError(
            f"`data_format` must be of the form `N...C` or `NC...`. Received: {data_format}"
        )
    first = data_format is not None and data_format.startswith("NC")
    axis = 1 if first else x.layout.ndim - 1
    if b.layout.ndim != 1 or x.layout.ndim < 2 or b.layout.shape[0] != x.layout.shape[axis]:
        raise invalid(
            "BiasAdd",
            "Must provide as many biases as the last dimension of the input tensor: "
            f"{dims(b.layout.shape)} vs. {dims(x.layout.shape)}",
            name,
        )
    if first:
        b = movement.reshape(b, (b.layout.shape[0], *[1] * (x.layout.ndim - 2)))
    return table.add(x, b)


def dropout(x: Any, rate: Any, noise_shape: Any = None, seed: Any = None, name: Any = None) -> Any:
    """Elements set to zero with probability ``rate``, the others made up for it."""
    x = tensor_of(x)
    share = python_scalar(rate)
    if isinstance(share, (int, float)) and not 0 <= share < 1:
        raise ValueError(
            f"`rate` must be a scalar tensor or a float in the range [0, 1). Received: rate={rate}"
        )
    if not x.layout.dtype.is_float:
        raise ValueError(
            "`x.dtype` must be a floating point tensor as `x` will be scaled. Received: "
            f"x_dtype={x.dtype}"
        )
    if share == 0:
        return x
    shape = list(x.layout.shape)
    if noise_shape is not None:
        given = [None if k is None else k for k in noise_shape]
        shape = [e if k is None else integers(k)[0] for k, e in zip(given, shape, strict=True)]
    scaled = table.multiply(x, 1.0 / (1.0 - float(share)))
    noise = random.uniform(shape, seed=seed, dtype=x.dtype)
    keep = table.greater_equal(noise, float(share))
    return where(keep, scaled, 0)


def moments(
    x: Any, axes: Any, shift: Any = None, keepdims: bool = False, name: Any = None
) -> tuple[Any, Any]:
    """The mean and the variance over axes."""
    x = tensor_of(x)
    half = x.layout.dtype is dtypes.float16
    wide = cast(x, dtypes.float32) if half else x
    mean = reduce_mean(wide, axes, keepdims=True)
    distance = table.subtract(wide, movement.broadcast_to(_off_tape(mean), x.layout.shape))
    variance = reduce_mean(table.square(distance), axes, keepdims=True)
    if not keepdims:
        kept = reduce_mean(wide, axes).layout.shape
        mean, variance = movement.reshape(mean, kept), movement.reshape(variance, kept)
    if half:
        return cast(mean, dtypes.float16), cast(variance, dtypes.float16)
    return mean, variance


def _off_tape(x: Any) -> Any:
    """The mean inside a variance: its gradient is zero, so none is sought."""
    return alias(x, EagerTensor)


def weighted_moments(
    x: Any, axes: Any, frequency_weights: Any, keepdims: bool = False, name: Any = None
) -> tuple[Any, Any]:
    """The weighted mean and variance over axes."""
    x = tensor_of(x)
    weights = table.multiply(tensor_as(frequency_weights, x.layout.dtype), _ones(x))
    total = reduce_sum(weights, axes, keepdims=True)
    mean = table.real_div(reduce_sum(table.multiply(x, weights), axes, keepdims=True), total)
    squares = table.multiply(weights, table.square(table.subtract(x, mean)))
    variance = table.real_div(reduce_sum(squares, axes, keepdims=True), total)
    if not keepdims:
        kept = reduce_sum(x, axes).layout.shape
        mean, variance = movement.reshape(mean, kept), movement.reshape(variance, kept)
    return mean, variance


def _ones(x: Any) -> Any:
    return table.add(table.multiply(x, 0), 1)


def batch_normalization(
    x: Any, mean: Any, variance: Any, offset: Any, scale: Any, variance_epsilon: Any,
    name: Any = None,
) -> Any:  # fmt: skip
    """(x - mean) / sqrt(variance + epsilon), scaled and moved if asked."""
    x = tensor_of(x)
    inverse = table.rsqrt(table.add(tensor_as(variance, x.layout.dtype), variance_epsilon))
    if scale is not None:
        inverse = table.multiply(inverse, scale)
    moved = table.negative(table.multiply(tensor_as(mean, x.layout.dtype), inverse))
    if offset is not None:
        moved = table.add(moved, offset)
    return table.add(table.multiply(x, inverse), moved)


def embedding_lookup(params: Any, ids: Any, max_norm: Any = None, name: Any = None) -> Any:
    """The rows that ids name."""
    if isinstance(params, (list, tuple)):
        if len(params) != 1:
            raise NotImplementedError("tf.nn.embedding_lookup of several tables is not there yet")
        params = params[0]
    rows = gather(params, ids)
    if max_norm is None:
        return rows
    squares = reduce_sum(table.square(rows), -1, keepdims=True)
    scale = table.minimum(table.multiply(table.rsqrt(squares), float(max_norm)), 1.0)
    return table.multiply(rows, scale)


def in_top_k(targets: Any, predictions: Any, k: Any, name: Any = None) -> Any:
    """Whether each target is among the k largest predictions of its row."""
    x, index = tensor_of(predictions), tensor_of(targets)
    hit = gather(x, movement.reshape(index, (*index.layout.shape, 1)), axis=1, batch_dims=1)
    above = cast(table.greater(x, hit), dtypes.int32)
    return table.less(reduction.sum_(above, (1,)), python_scalar(k))


__getattr__ = attributes("nn")
