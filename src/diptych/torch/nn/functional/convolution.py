"""Convolutions and transposed convolutions over one to three axes."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from diptych.ops import convolution as ops
from diptych.ops.movement import reshape, transpose
from diptych.torch.tensor import Tensor, face, scalar_name

# (kind of call, its arguments) -> the engine's parameters; programs have few of them
_windows: dict[Any, Any] = {}
_WINDOWS_LIMIT = 4096
_WORDS = {"Float": "float", "Double": "double", "Half": "c10::Half", "BFloat16": "c10::BFloat16"}


def _extents(name: str, given: Any, spatial: int) -> tuple[int, ...]:
    """An int for all axes, or one each, as a tuple; RuntimeError in PyTorch's words otherwise."""
    if isinstance(given, (tuple, list)):
        values = tuple(operator.index(value) for value in given)
        if len(values) == 1:
            values *= spatial
    else:
        values = (operator.index(given),) * spatial
    if len(values) != spatial:
        raise RuntimeError(
            f"expected {name} to be a single integer value or a list of {spatial} values to match "
            f"the convolution dimensions, but got {name}={list(values)}"
        )
    return values


def _pairs(padding: Any, spatial: int, kernel: tuple[int, ...], stride: Any, dilation: Any) -> Any:
    if isinstance(padding, str):
        if padding == "valid":
            return ((0, 0),) * spatial
        if padding != "same":
            raise RuntimeError(f"Invalid padding string: '{padding}'")
        if max(stride) > 1:
            raise RuntimeError("padding='same' is not supported for strided convolutions")
        reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return tuple((total // 2, total - total // 2) for total in reach)
    widths = _extents("padding", padding, spatial)
    if min(widths) < 0:
        raise RuntimeError("negative padding is not supported")
    return tuple((width, width) for width in widths)


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _window(
    spatial: int, kernel: tuple[int, ...], stride: Any, padding: Any, dilation: Any, groups: Any
) -> Any:
    """(stride, pairs of padding, dilation, groups) of a call."""
    stride, padding, dilation = _hashable(stride), _hashable(padding), _hashable(dilation)
    shape = kernel if isinstance(padding, str) else None
    key = (spatial, shape, stride, padding, dilation, groups)
    found = _windows.get(key)
    if found is None:
        steps = _extents("stride", stride, spatial)
        dilated = _extents("dilation", dilation, spatial)
        if min(steps) < 1:
            raise RuntimeError("non-positive stride is not supported")
        if min(dilated) < 1:
            raise RuntimeError(f"dilation should be greater than zero, but got {list(dilated)}")
        widths = _pairs(padding, spatial, kernel, steps, dilated)
        groups = operator.index(groups)
        if groups < 1:
            raise RuntimeError("non-positive groups is not supported")
        if len(_windows) >= _WINDOWS_LIMIT:
            _windows.clear()
        found = _windows[key] = (steps, widths, dilated, groups)
    return found


def _checked(name: str, spatial: int, input: Any, weight: Any, bias: Any) -> tuple[Any, Any, Any]:
    """The operands as tensors of this face, of one dtype, the input with a batch axis."""
    input, weight = face(input, name), face(weight, name, "weight", 2)
    place = input.layout
    if weight.layout.ndim != spatial + 2 and place.ndim in (spatial + 1, spatial + 2):
        raise RuntimeError(
            f"Expected {spatial + 2}-dimensional weight for {name}, but got weight of size "
            f"{list(weight.layout.shape)}"
        )
    if place.ndim not in (spatial + 1, spatial + 2):
        raise RuntimeError(
            f"Expected {spatial + 1}D (unbatched) or {spatial + 2}D (batched) input to {name}, "
            f"but got input of size: {list(place.shape)}"
        )
    if bias is not None:
        bias = face(bias, name, "bias", 3)
        if bias.layout.dtype is not place.dtype:
            kinds = [_WORDS.get(scalar_name(x), scalar_name(x)) for x in (input, bias)]
            raise RuntimeError(
                f"Input type ({kinds[0]}) and bias type ({kinds[1]}) should be the same"
            )
    if weight.layout.dtype is not place.dtype:
        raise RuntimeError(
            f"expected scalar type {scalar_name(input)} but found {scalar_name(weight)}"
        )
    if place.dtype.name == "bool":
        raise NotImplementedError(f"\"slow_{name}_cpu\" not implemented for 'Bool'")
    return input, weight, bias


def _convolve(
    name: str, spatial: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any,
    dilation: Any, groups: Any,
) -> Any:  # fmt: skip
    # The common call goes straight on; everything else is made so first, or refused.
    batched = (
        isinstance(input, Tensor)
        and isinstance(weight, Tensor)
        and input.layout.dtype is weight.layout.dtype
        and input.layout.ndim == spatial + 2 == weight.layout.ndim
        and input.layout.dtype.is_inexact
        and (bias is None or (isinstance(bias, Tensor) and bias.layout.dtype is input.layout.dtype))
    )
    if not batched:
        input, weight, bias = _checked(name, spatial, input, weight, bias)
    try:
        window = _window(spatial, weight.layout.shape[2:], stride, padding, dilation, groups)
    except TypeError:
        raise TypeError(
            f"{name}(): stride, padding, dilation and groups must be ints or tuples of ints, got "
            f"stride={stride!r}, padding={padding!r}, dilation={dilation!r}, groups={groups!r}"
        ) from None
    shape = input.layout.shape
    if input.layout.ndim == spatial + 1:
        single = reshape(input, (1, *shape))
        made = ops.convolution(single, weight, bias, *window)
        return reshape(made, made.layout.shape[1:])
    made = ops.convolution(input, weight, bias, *window)
    if 0 in shape[2:] and 0 not in shape[:2]:
        raise RuntimeError(
            "Only zero batch or zero channel inputs are supported, but got input shape: "
            f"{list(shape)}"
        )
    return made


def conv1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Any:  # fmt: skip
    """What each kernel of ``weight`` (out, in / groups, width) sees along the last axis."""
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Any:  # fmt: skip
    """What each kernel of ``weight`` (out, in / groups, height, width) sees of every place."""
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Any:  # fmt: skip
    """What each kernel of ``weight`` (out, in / groups, depth, height, width) sees."""
    return _convolve("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


# ---- transposed


def _check_output_padding(extra: Any, stride: Any, dilation: Any) -> None:
    if min(extra) < 0:
        raise RuntimeError("negative output_padding is not supported")
    if any(e >= s and e >= d for e, s, d in zip(extra, stride, dilation, strict=True)):
        names = ("depth", "height", "width")[3 - len(extra) :]
        shown = " ".join(
            f"{what}_{axis}: {value}"
            for what, values in (
                ("output_padding", extra), ("stride", stride), ("dilation", dilation),
            )
            for axis, value in zip(names, values, strict=True)
        )  # fmt: skip
        raise RuntimeError(
            f"output padding must be smaller than either stride or dilation, but got {shown}"
        )


def _check_transposed(input: Any, weight: Any, bias: Any, groups: int) -> None:
    """The channels fit, in PyTorch's words; the engine's would name the other direction."""
    shape, have = weight.layout.shape, input.layout.shape
    if shape[0] < groups or shape[0] % groups:
        wanted = (
            f"at least {groups} at dimension 0, but got weight of size {list(shape)}"
            if shape[0] < groups
            else f"divisible by {groups} at dimension 0, but got weight of size [{list(shape)}]"
        )
        raise RuntimeError(f"Given groups={groups}, expected weight to be {wanted} instead")
    if have[1] != shape[0]:
        raise RuntimeError(
            f"Given transposed=1, weight of size {list(shape)}, expected input{list(have)} to "
            f"have {shape[0]} channels, but got {have[1]} channels instead"
        )
    features = shape[1] * groups
    if bias is not None and bias.layout.shape != (features,):
        raise RuntimeError(
            f"Given transposed=1, weight of size {list(shape)}, expected bias to be 1-dimensional "
            f"with {features} elements, but got bias of size {list(bias.layout.shape)} instead"
        )


def _transposed(
    name: str, spatial: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any,
    output_padding: Any, groups: Any, dilation: Any,
) -> Any:  # fmt: skip
    input, weight, bias = _checked(name, spatial, input, weight, bias)
    kernel = weight.layout.shape[2:]
    steps, widths, dilated, groups = _window(spatial, kernel, stride, padding, dilation, groups)
    extra = _extents("output_padding", output_padding, spatial)
    _check_output_padding(extra, steps, dilated)
    alone = input.layout.ndim == spatial + 1
    if alone:
        input = reshape(input, (1, *input.layout.shape))
    _check_transposed(input, weight, bias, groups)
    shape = input.layout.shape
    sizes = tuple(
        [
            (n - 1) * s - 2 * p + d * (k - 1) + e + 1
            for n, s, (p, _), d, k, e in zip(
                shape[2:], steps, widths, dilated, kernel, extra, strict=True
            )
        ]
    )
    if min(sizes) < 1:
        raise RuntimeError(
            f"Given input size per channel: ({' x '.join(map(str, shape[2:]))}). Calculated output "
            f"size per channel: ({' x '.join(map(str, sizes))}). Output size is too small"
        )
    # Where the convolution that this one is the adjoint of would fit once more, it is cut.
    pairs = tuple(
        [(p, p - e if e >= s else p) for (p, _), e, s in zip(widths, extra, steps, strict=True)]
    )
    made = ops.convolution_input(input, weight, bias, steps, pairs, dilated, groups, sizes)
    return reshape(made, made.layout.shape[1:]) if alone else made


def conv_transpose1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    """The adjoint of ``conv1d`` in its input; ``weight`` is (in, out / groups, width)."""
    return _transposed(
        "conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups,
        dilation,
    )  # fmt: skip


def conv_transpose2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    """The adjoint of ``conv2d`` in its input; ``weight`` is (in, out / groups, height, width)."""
    return _transposed(
        "conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups,
        dilation,
    )  # fmt: skip


def conv_transpose3d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    """The adjoint of ``conv3d`` in its input."""
    return _transposed(
        "conv_transpose3d", 3, input, weight, bias, stride, padding, output_padding, groups,
        dilation,
    )  # fmt: skip


_FORWARD: tuple[Callable[..., Any], ...] = (conv1d, conv2d, conv3d)
_TRANSPOSED: tuple[Callable[..., Any], ...] = (
    conv_transpose1d, conv_transpose2d, conv_transpose3d,
)  # fmt: skip


def convolution(
    input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any,
    transposed: bool, output_padding: Any, groups: int,
) -> Any:  # fmt: skip
    """``torch.convolution``: any of the six, by the weight's axes and ``transposed``."""
    spatial = face(weight, "convolution", "weight", 2).layout.ndim - 2
    if not 1 <= spatial <= 3:
        raise RuntimeError(f"convolution: weight of {spatial + 2} dimensions is not supported")
    if transposed:
        return _TRANSPOSED[spatial - 1](
            input, weight, bias, stride, padding, output_padding, groups, dilation
        )
    return _FORWARD[spatial - 1](input, weight, bias, stride, padding, dilation, groups)


def conv_tbc(input: Any, weight: Any, bias: Any, pad: int = 0) -> Any:
    """A convolution along the first axis of (time, batch, channels); weight (width, in, out)."""
    input, weight = face(input, "conv_tbc"), face(weight, "conv_tbc", "weight", 2)
    if input.layout.ndim != 3 or weight.layout.ndim != 3:
        raise RuntimeError("Input must have 3 dims: time, batch, in_channel")
    moved = conv1d(transpose(input, (1, 2, 0)), transpose(weight, (2, 1, 0)), bias, 1, pad)
    return transpose(moved, (2, 0, 1))
