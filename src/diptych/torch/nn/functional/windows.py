"""The arguments of pooling and folding: sizes as PyTorch takes and checks them."""

from __future__ import annotations

import functools
from typing import Any

from diptych.core.layout import Shape
from diptych.ops import movement
from diptych.ops.window import Window
from diptych.torch.dtypes import scalar_name

_NUMBERS = {1: "one int", 2: "two ints", 3: "three ints"}
_OMITTABLE = {"stride": "must either be omitted, a single int, or a tuple of "}


def frozen(value: Any) -> Any:
    """A size that a cache can look up: sequences as tuples."""
    return value if value.__class__ is int or value is None else _frozen(value)


def _frozen(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(value)
    return value


def whole(value: Any, name: str, argument: str, position: int) -> int:
    """A value as an int; TypeError in PyTorch's words when it is none."""
    if hasattr(value, "__index__") and not isinstance(value, bool):
        return int(value.__index__())
    raise TypeError(
        f"{name}(): argument '{argument}' (position {position}) must be tuple of ints, not "
        f"{type(value).__name__}"
    )


def sizes(value: Any, count: int, name: str, argument: str, position: int) -> Shape:
    """One number per spatial axis, from one for all or a sequence."""
    if not isinstance(value, (tuple, list)):
        return (whole(value, name, argument, position),) * count
    given = tuple(whole(entry, name, argument, position) for entry in value)
    if len(given) == 1:
        return given * count
    if len(given) != count:
        if count == 1:
            raise RuntimeError(
                f"{name}() argument '{argument}' should contain one int (got {len(given)})"
            )
        rule = _OMITTABLE.get(argument, "must either be a single int, or a tuple of ")
        raise RuntimeError(f"{name}: {argument} {rule}{_NUMBERS[count]}")
    return given


def pooled_extent(
    extent: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool
) -> int:
    """How many windows there are; with ``ceil_mode`` the last may reach past the padding."""
    if not stride:
        raise RuntimeError("stride should not be zero")
    if padding < 0:
        raise RuntimeError(f"pad must be non-negative, but got pad: {padding}")
    if padding > max((kernel - 1) * dilation + 1, 0) // 2:
        raise RuntimeError(
            "pad should be at most half of effective kernel size, but got "
            f"pad={padding}, kernel_size={kernel} and dilation={dilation}"
        )
    reach = extent + 2 * padding - dilation * (kernel - 1) - 1
    out = (reach + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and (out - 1) * stride >= extent + padding:
        out -= 1
    return out


def _one_axis(name: str, shape: Shape, windows: tuple[int, ...]) -> None:
    """The checks of ``max_pool1d``, which has words of its own."""
    kernel, stride, padding, dilation = windows
    if len(shape) not in (2, 3):
        raise RuntimeError(
            f"{name}: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for "
            f"input, but got:{list(shape)}"
        )
    for argument, value in (("kernel_size", kernel), ("stride", stride), ("dilation", dilation)):
        if value <= 0:
            what = f"{argument} must be greater than zero, but got {value}"
            raise RuntimeError(f"{name}() {what}")
    if padding < 0:
        raise RuntimeError(f"{name}() padding must be non-negative, but got {padding}")
    if padding > ((kernel - 1) * dilation + 1) // 2:
        raise RuntimeError(
            f"{name}() padding should be at most half of kernel size, but got padding={padding} "
            f"and kernel_size={kernel}"
        )


_AXES = {1: "W", 2: "HW", 3: "THW"}


def _positive(values: Shape, what: str, letter: str) -> None:
    if min(values) <= 0:
        listed = " ".join(
            f"{letter}{axis}: {value}" if letter != "dilation" else f"dilation{axis}: {value}"
            for axis, value in zip(_AXES[len(values)], values, strict=True)
        )
        raise RuntimeError(f"{what} should be greater than zero, but got {listed}")


@functools.lru_cache(maxsize=1024)
def pool_windows(
    name: str, shape: Shape, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
    ceil_mode: bool, count: int,
) -> tuple[Window, ...]:  # fmt: skip
    """The windows of a pooling call; its arguments checked as PyTorch does."""
    kernel = sizes(kernel_size, count, name, "kernel_size", 2)
    steps = kernel
    if stride is not None and stride != ():
        steps = sizes(stride, count, name, "stride", 3)
    pads = sizes(padding, count, name, "padding", 4)
    gaps = sizes(dilation, count, name, "dilation", 5)
    if name == "max_pool1d":
        _one_axis(name, shape, (*kernel, *steps, *pads, *gaps))
    _check_rank(name, shape, count)
    extents = shape[len(shape) - count :]
    outs = tuple(
        pooled_extent(extent, k, s, p, d, ceil_mode)
        for extent, k, s, p, d in zip(extents, kernel, steps, pads, gaps, strict=True)
    )
    _positive(kernel, "kernel size", "k")
    _positive(steps, "stride", "d")
    _positive(gaps, "dilation", "dilation")
    _check_extents(name, shape, count)
    if min(outs) < 1:
        if name == "max_pool1d":
            raise RuntimeError(f"max_pool1d() Invalid computed output size: {outs[0]}")
        planes, shown = shape[len(shape) - count - 1], (extents, outs)
        if count == 1:  # which PyTorch computes with an axis of 1 before
            shown = ((1, *extents), (1, *outs))
        given, made = ("x".join(map(str, (planes, *values))) for values in shown)
        raise RuntimeError(
            f"Given input size: ({given}). Calculated output size: ({made}). "
            "Output size is too small"
        )
    return tuple(map(Window, extents, outs, kernel, steps, pads, gaps))


def _check_rank(name: str, shape: Shape, count: int) -> None:
    if len(shape) in (count + 1, count + 2):
        return
    if name == "avg_pool1d":
        raise RuntimeError(
            f"Expected 2 to 3 dimensions, but got {len(shape)}-dimensional tensor for argument #1 "
            f"'self' (while checking arguments for {name})"
        )
    if name == "avg_pool2d" and len(shape) < 3:
        low, high = -max(len(shape), 1), max(len(shape), 1) - 1
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{low}, {high}], but got -3)"
        )
    if name == "avg_pool2d":
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with optional 0 dim batch size for input, but "
            f"got:{list(shape)}"
        )
    raise RuntimeError(
        f"non-empty {count + 1}D or {count + 2}D (batch mode) tensor expected for input"
    )


def _check_extents(name: str, shape: Shape, count: int) -> None:
    inner = shape[len(shape) - count - 1 :]
    if 0 not in inner or name == "max_pool1d" and inner[-1]:
        return
    if count == 3:
        axis = len(shape) - count - 1 + inner.index(0)
        raise RuntimeError(
            f"{name}: Expected input's non-batch dimensions to have positive length, but input has "
            f"a shape of {list(shape)} and non-batch dimension {axis} has length zero!"
        )
    raise RuntimeError(
        f"Expected {count + 1}D or {count + 2}D (batch mode) tensor with optional 0 dim batch size "
        f"for input, but got:{list(shape)}"
    )


def unsupported(name: str, input: Any) -> NotImplementedError:
    """The error for an element type that a function does not take."""
    return NotImplementedError(
        f"\"{name}\" not implemented for '{scalar_name(input.layout.dtype)}'"
    )


# ---- channels after the image


def spatial_first(input: Any, count: int) -> tuple[Any, int, tuple[int, ...] | None]:
    """The input, where its spatial axes start, and the order that undoes a transposition.

    An image whose channels lie together in memory is seen with its channels last, so that the
    kernels run along them and the result keeps that order.
    """
    place = input.layout
    ndim = place.ndim
    first = ndim - count
    if (
        place.contiguous
        or ndim != count + 2
        or place.strides[1] != 1
        or place.shape[1] == 1
        or place.strides[-1] != place.shape[1]
    ):
        return input, first, None
    order = (0, *range(2, ndim), 1)
    back = (0, ndim - 1, *range(1, ndim - 1))
    return movement.transpose(input, order), 1, back


def restored(result: Any, back: tuple[int, ...] | None) -> Any:
    """The result of :func:`spatial_first`'s input with its axes in their own order."""
    return result if back is None else movement.transpose(result, back)
