"""Normalization per channel: batch, instance, group and local response norm."""

from __future__ import annotations

from typing import Any

from diptych.core import tape
from diptych.core.dtypes import float32
from diptych.core.tensor import Tensor as CoreTensor
from diptych.ops import channels as engine
from diptych.ops.arithmetic import add, mul, sub
from diptych.ops.movement import expand_axis, reshape, squeeze_axes, transpose
from diptych.ops.reduction import mean as engine_mean
from diptych.ops.select import cast
from diptych.optim.update import Rule, step
from diptych.torch.dtypes import scalar_name
from diptych.torch.tensor import Tensor, face

# running += share * (seen - running), for mean and variance alike; seen is scaled where it must be
_RUNNING = Rule(
    "running statistics",
    (),
    ("share",),
    lambda running, seen, slots, numbers, flags: (
        add(running, mul(sub(cast(seen, running.layout.dtype), running), numbers[0])),
    ),
)

_checked: set[tuple[Any, ...]] = set()  # layouts that batch norm has found to fit together
_CHECKED_LIMIT = 1024


def _plain(x: Any) -> Any:
    """A tensor of the face, off the tape."""
    return x.detach() if isinstance(x, Tensor) else x


def _channels_last(x: Any) -> bool:
    """Whether the channels of (N, C, ...) are the nearest axis in memory."""
    place = x.layout
    if place.ndim < 4 or place.strides[1] != 1 or place.shape[1] == 1:
        return False
    return not place.contiguous


def _front(x: Any) -> tuple[int, ...]:
    ndim = x.layout.ndim
    return (0, *range(2, ndim), 1)


def _back(x: Any) -> tuple[int, ...]:
    ndim = x.layout.ndim
    return (0, ndim - 1, *range(1, ndim - 1))


def _check_statistics(x: Any, values: dict[str, Any], op: str) -> None:
    channels = x.layout.shape[1]
    for name, value in values.items():
        if value is None:
            continue
        if not isinstance(value, CoreTensor):
            raise TypeError(f"{op}(): argument '{name}' must be Tensor, not {type(value).__name__}")
        if value.layout.size != channels:
            raise RuntimeError(f"{name} should contain {channels} elements not {value.layout.size}")
        _check_mixed(x.layout.dtype, value.layout.dtype)


def _check_mixed(dtype: Any, other: Any) -> None:
    """Parameters have the input's dtype, or are float32 beside an input of two bytes."""
    if other is not dtype and not (dtype.itemsize == 2 and other is float32):
        wanted = scalar_name(float32 if dtype.itemsize == 2 else dtype)
        raise RuntimeError(f"mixed dtype (CPU): expect parameter to have scalar type of {wanted}")


def _nothing(x: Any) -> Any:
    """The result for an input of no elements."""
    return mul(x, 1.0)


def _scaled_nothing(x: Any, weight: Any, bias: Any) -> Any:
    """Batch norm of no elements: its parameters' gradients are sums over none of them."""
    y = _nothing(x)
    along = (1, -1, *[1] * (x.layout.ndim - 2))
    if weight is not None:
        y = y * weight.reshape(along)
    return y if bias is None else y + bias.reshape(along)


def _update_running(running: tuple[Any, Any], seen: tuple[Any, Any], momentum: float) -> None:
    """Move running statistics, in place, towards those just seen, as one native call."""
    pairs = [(r, s) for r, s in zip(running, seen, strict=True) if r is not None]
    if pairs:
        targets, values = zip(*pairs, strict=True)
        step(_RUNNING, (), targets, values, (), (momentum,))


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Every channel of (N, C, ...) to mean 0 and variance 1, then scaled and shifted.

    In training with the batch's own statistics, towards which the running ones are moved; else
    with the running ones.
    """
    if not isinstance(input, Tensor):
        input = face(input, "batch_norm")
    place = input.layout
    try:
        key = (
            bool(training), place,
            None if running_mean is None else running_mean.layout,
            None if running_var is None else running_var.layout,
            None if weight is None else weight.layout,
            None if bias is None else bias.layout,
        )  # fmt: skip
    except AttributeError:  # one of them is no tensor: this says which
        _check_batch(input, running_mean, running_var, weight, bias, training)
        raise
    if key not in _checked:
        if place.shape == (0,):  # no channels, nothing to say of them
            return _nothing(input)
        _check_batch(input, running_mean, running_var, weight, bias, training)
        if len(_checked) >= _CHECKED_LIMIT:
            _checked.clear()
        _checked.add(key)
    if training and not place.size:
        return _scaled_nothing(input, weight, bias)
    last = _channels_last(input)
    x = transpose(input, _front(input)) if last else input
    axis = place.ndim - 1 if last else 1
    if not training:
        y = engine.fixed_norm(x, running_mean, running_var, weight, bias, axis, eps)
        return transpose(y, _back(y)) if last else y
    y, mean, variance = engine.batch_norm(x, weight, bias, axis, eps)
    if running_mean is not None or running_var is not None:
        _update_running((running_mean, running_var), (mean, variance), momentum)
    return transpose(y, _back(y)) if last else y


def _check_batch(
    input: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any, training: bool
) -> None:
    """What batch norm asks of the shapes and dtypes of its operands."""
    place = input.layout
    if place.ndim < 2:
        raise ValueError(f"expected at least 2D input (got {place.ndim}D input)")
    shape = place.shape
    statistics = {
        "running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias,
    }  # fmt: skip
    _check_statistics(input, statistics, "batch_norm")
    if training:
        if place.size == shape[1] > 0:
            raise ValueError(
                "Expected more than 1 value per channel when training, got input size "
                f"torch.Size({list(shape)})"
            )
    elif running_mean is None or running_var is None:
        missing = "running_mean" if running_mean is None else "running_var"
        raise RuntimeError(f"{missing} must be defined in evaluation mode")


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Every channel of every example to mean 0 and variance 1, then scaled and shifted."""
    input = face(input, "instance_norm")
    place = input.layout
    if place.ndim < 2:
        raise ValueError(f"expected at least 2D input (got {place.ndim}D input)")
    shape = place.shape
    statistics = {
        "running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias,
    }  # fmt: skip
    _check_statistics(input, statistics, "instance_norm")
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise RuntimeError(
                "Expected running_mean and running_var to be defined when use_input_stats is false"
            )
        return engine.fixed_norm(input, running_mean, running_var, weight, bias, 1, eps)
    count = 1
    for extent in shape[2:]:
        count *= extent
    if count == 1:
        raise ValueError(
            "Expected more than 1 spatial element when training, got input size "
            f"torch.Size({list(shape)})"
        )
    if running_mean is not None or running_var is not None:
        with tape.recording(False):
            _update_instances(input, running_mean, running_var, momentum, count)
    if not place.size:
        return _nothing(input)
    return engine.group_norm(input, shape[1], weight, bias, eps)


def _update_instances(input: Any, running_mean: Any, running_var: Any, share: Any, n: int) -> None:
    """Running statistics towards the mean of the examples' own."""
    shape = input.layout.shape
    flat = reshape(_plain(input), (1, shape[0] * shape[1], n))
    _, mean, variance = engine.batch_norm(flat, None, None, 1, 0.0)
    seen = [engine_mean(reshape(value, shape[:2]), (0,)) for value in (mean, variance)]
    _update_running((running_mean, running_var), (seen[0], seen[1]), share)


def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Every group of channels of every example to mean 0 and variance 1, scaled and shifted."""
    if not isinstance(input, Tensor):
        input = face(input, "group_norm")
    shape = input.layout.shape
    if len(shape) < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {len(shape)}"
        )
    if num_groups <= 0 or shape[1] % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of "
            f"shape {list(shape)} and num_groups={num_groups}"
        )
    count = shape[0] * shape[1] // num_groups
    for extent in shape[2:]:
        count *= extent
    if count == 1:
        raise ValueError(
            "Expected more than 1 value per channel when training, got input size "
            f"{[shape[0] * shape[1] // num_groups, num_groups, *shape[2:]]}"
        )
    if not input.layout.size:
        return _nothing(input)
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None:
            value = face(value, "group_norm", name, 3)
            _check_mixed(input.layout.dtype, value.layout.dtype)
    return engine.group_norm(input, num_groups, weight, bias, eps)


def local_response_norm(
    input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    """Divide by a power of the mean square over neighbouring channels."""
    input = face(input, "local_response_norm")
    ndim = input.layout.ndim
    if ndim < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {ndim} dimensions)")
    if not input.layout.size:
        return input
    return engine.local_response_norm(input, size, alpha, beta, k)


def with_batch(input: Any, batched: int) -> tuple[Any, bool]:
    """The input with a leading axis of one where it has none; whether it was added."""
    if input.layout.ndim == batched:
        return input, False
    return expand_axis(input, 0), True


def without_batch(result: Any, added: bool) -> Any:
    """The inverse."""
    return squeeze_axes(result, (0,)) if added else result
