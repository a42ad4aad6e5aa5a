"""Max pooling over random windows, and the way back from maxima to where they were."""

from __future__ import annotations

from typing import Any

from diptych.core.dtypes import FLOATS, int64
from diptych.core.layout import Shape
from diptych.errors import OutOfRangeError
from diptych.ops import indexing, movement, reduction
from diptych.ops.window import scatter_spatial
from diptych.torch.dtypes import scalar_name
from diptych.torch.dynamic import face
from diptych.torch.nn.functional.windows import sizes, unsupported

# ---- the way back


def _unpooled(
    shape: Shape, kernel: Shape, stride: Shape, padding: Shape, output_size: Any
) -> Shape:
    """The extents of what was pooled: computed, or given and near what is computed."""
    count = len(kernel)
    default = [
        (extent - 1) * s + k - 2 * p
        for extent, k, s, p in zip(shape[-count:], kernel, stride, padding, strict=True)
    ]
    if output_size is None:
        return tuple(default)
    given = list(output_size)
    if len(given) == count + 2:
        given = given[2:]
    if len(given) != count:
        raise ValueError(
            f"output_size should be a sequence containing {count} or {count + 2} elements, but it "
            f"has a length of '{len(given)}'"
        )
    for d, (wanted, near, s) in enumerate(zip(given, default, stride, strict=True)):
        if not near - s < wanted < near + s:
            raise ValueError(
                f'invalid output_size "{tuple(given)}" (dim {d} must be between {near - s} and '
                f"{near + s})"
            )
    return tuple(int(extent) for extent in given)


def _unpool(
    count: int, input: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any,
    output_size: Any,
) -> Any:  # fmt: skip
    name = f"max_unpool{count}d"
    input, indices = face(input, name), face(indices, name, "indices", 2)
    kernel = sizes(kernel_size, count, name, "kernel_size", 3)
    steps = kernel if stride is None else sizes(stride, count, name, "stride", 4)
    pads = sizes(padding, count, name, "padding", 5)
    shape = input.layout.shape
    if len(shape) not in (count + 1, count + 2):
        raise RuntimeError(
            f"Input to max_unpooling{count}d should be a {count + 1}d or {count + 2}d Tensor, but "
            f"got a tensor with {len(shape)} dimensions."
        )
    extents = _unpooled(shape, kernel, steps, pads, output_size)
    if indices.layout.dtype is not int64:
        raise RuntimeError(
            "elements in indices should be type int64 but got: " + scalar_name(indices.layout.dtype)
        )
    if indices.layout.shape != shape:
        raise RuntimeError(
            "Expected shape of indices to be same as that of the input tensor "
            f"({list(shape)}) but got indices tensor with shape: {list(indices.layout.shape)}"
        )
    try:
        return scatter_spatial(input, indices, extents, len(shape) - count)
    except OutOfRangeError as error:
        volume = "x".join(map(str, extents if count > 1 else (*extents, 1)))
        raise RuntimeError(
            f"Found an invalid max index: {error.got} (output volumes are of size {volume})"
        ) from None


def max_unpool1d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
    output_size: Any = None,
) -> Any:  # fmt: skip
    """Maxima of ``max_pool1d`` back where they were, zeros elsewhere."""
    return _unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
    output_size: Any = None,
) -> Any:  # fmt: skip
    """Maxima of ``max_pool2d`` back where they were, zeros elsewhere."""
    return _unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
    output_size: Any = None,
) -> Any:  # fmt: skip
    """Maxima of ``max_pool3d`` back where they were, zeros elsewhere."""
    return _unpool(3, input, indices, kernel_size, stride, padding, output_size)


# ---- random windows

_EXTENTS = {2: ("height", "width"), 3: ("time", "height", "width")}


def _starts(sample: Any, extent: int, out: int, kernel: int) -> Any:
    """Where a plane's random windows start along an axis: the last one always at the end."""
    last = extent - kernel
    if out == 1:
        return (sample * 0 + last).long().unsqueeze(-1)
    alpha = sample * 0 + last
    alpha = alpha / (out - 1)
    steps = face(indexing.iota(out - 1), "iota").to(sample.dtype)
    start = ((sample.unsqueeze(-1) + steps) * alpha.unsqueeze(-1)).long()
    start = start - (sample * alpha).long().unsqueeze(-1)
    end = (sample * 0 + last).long().unsqueeze(-1)
    return movement.concatenate((start, end), start.layout.ndim - 1)


def _fractional(
    count: int, input: Any, kernel_size: Any, output_size: Any, output_ratio: Any,
    return_indices: bool, samples: Any,
) -> Any:  # fmt: skip
    name = f"fractional_max_pool{count}d"
    input = face(input, name)
    if output_size is None and output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    kernel = sizes(kernel_size, count, name, "kernel_size", 2)
    shape = input.layout.shape
    if len(shape) not in (count + 1, count + 2):
        raise RuntimeError(
            f"{name}(): Expected {count + 1}D or {count + 2}D tensor, but got: {list(shape)}"
        )
    extents = shape[-count:]
    if output_size is None:
        if len(output_ratio) > count:
            raise ValueError(
                f"{name} requires output_ratio to either be a single Int or tuple of Ints."
            )
        outs = tuple(int(n * r) for n, r in zip(extents, output_ratio, strict=True))
    else:
        outs = sizes(output_size, count, name, "output_size", 3)
    if input.layout.dtype not in FLOATS:
        raise unsupported(name, input)
    whole: Any = input if len(shape) == count + 2 else input.unsqueeze(0)
    batch, planes = whole.layout.shape[:2]
    if samples is None:
        # The methods attached from tables are dynamic; rand is the face's own.
        samples = whole.new_empty((batch, planes, count)).uniform_()
    elif samples.layout.ndim != 3:
        raise RuntimeError(
            f"Expect _random_samples to have 3 dimensions, got {samples.layout.ndim}"
        )
    elif samples.layout.shape != (batch, planes, count):
        raise RuntimeError(
            f"Expect _random_samples of shape {[batch, planes, count]}, got "
            f"{list(samples.layout.shape)}"
        )
    for what, k, out, extent in zip(_EXTENTS[count], kernel, outs, extents, strict=True):
        if out < 1 or out + k - 1 > extent or k < 1:
            raise RuntimeError(
                f"{name}(): pool {what} {k} too large relative to input {what} {extent}"
            )
    order = (1, 0) if count == 2 else (0, 1, 2)  # in two dimensions the width's come first
    starts = [
        _starts(samples.select(-1, order[axis]), extents[axis], outs[axis], kernel[axis])
        for axis in range(count)
    ]
    index = _argmax(whole, starts, kernel, outs)
    flat = whole.flatten(2)
    values = flat.gather(2, index.flatten(2)).reshape(batch, planes, *outs)
    if len(shape) != count + 2:
        values, index = values.squeeze(0), index.squeeze(0)
    return (values, index) if return_indices else values


def _argmax(input: Any, starts: list[Any], kernel: Shape, outs: Shape) -> Any:
    """The flat position of each random window's maximum."""
    batch, planes, *extents = input.layout.shape
    count = len(kernel)
    positions: Any = None
    for axis, start in enumerate(starts):
        taps = face(indexing.iota(kernel[axis]), "iota")
        along = start.unsqueeze(-1) + taps  # [batch, planes, out, kernel]
        shape = [batch, planes, *([1] * (2 * count))]
        shape[2 + axis], shape[2 + count + axis] = outs[axis], kernel[axis]
        along = along.reshape(shape)
        positions = along if positions is None else positions * extents[axis] + along
    windows, size = 1, 1
    for out, k in zip(outs, kernel, strict=True):
        windows, size = windows * out, size * k
    whole = (batch, planes, *outs, *kernel)
    positions = positions.expand(whole).reshape(batch, planes, windows, size)
    flat = input.detach().flatten(2)
    seen = flat.gather(2, positions.reshape(batch, planes, windows * size))
    best = reduction.argmax(seen.reshape(batch, planes, windows, size), 3)
    index = face(best, name := "fractional_max_pool").unsqueeze(-1)
    return face(positions, name).gather(3, index).reshape(batch, planes, *outs)


def fractional_max_pool2d(
    input: Any, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
    return_indices: bool = False, _random_samples: Any = None,
) -> Any:  # fmt: skip
    """Maxima of windows whose places are drawn at random, ``output_size`` of them."""
    return _fractional(
        2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )


def fractional_max_pool3d(
    input: Any, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
    return_indices: bool = False, _random_samples: Any = None,
) -> Any:  # fmt: skip
    """Maxima of windows whose places are drawn at random, ``output_size`` of them."""
    return _fractional(
        3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )


def fractional_max_pool2d_with_indices(
    input: Any, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
    return_indices: bool = False, _random_samples: Any = None,
) -> Any:  # fmt: skip
    """``fractional_max_pool2d``'s maxima, and where they are."""
    return _fractional(2, input, kernel_size, output_size, output_ratio, True, _random_samples)


def fractional_max_pool3d_with_indices(
    input: Any, kernel_size: Any, output_size: Any = None, output_ratio: Any = None,
    return_indices: bool = False, _random_samples: Any = None,
) -> Any:  # fmt: skip
    """``fractional_max_pool3d``'s maxima, and where they are."""
    return _fractional(3, input, kernel_size, output_size, output_ratio, True, _random_samples)
