"""Sliding blocks of images as columns, and columns added up to images."""

from __future__ import annotations

from typing import Any

from diptych.core.dtypes import FLOATS, bool_
from diptych.core.layout import Shape
from diptych.ops.window import Window, extract_windows, fold_windows
from diptych.torch.dynamic import face, reshape
from diptych.torch.nn.functional.windows import unsupported, whole


def _pair(value: Any, name: str, argument: str, position: int) -> Shape:
    if not isinstance(value, (tuple, list)):
        return (whole(value, name, argument, position),) * 2
    given = tuple(whole(entry, name, argument, position) for entry in value)
    if len(given) == 1:
        return given * 2
    if len(given) != 2:
        raise RuntimeError(f"It is expected {argument} equals to 2, but got size {len(given)}")
    return given


def _positive(what: str, values: Shape, names: str, least: int = 1) -> None:
    if min(values) < least:
        rule = "greater than zero" if least else "non-negative"
        label = what if what != "kernel size" else "kernel"
        label = {"padding": "pad"}.get(label, label)
        height, width = values
        raise RuntimeError(
            f"{what} should be {rule}, but got {label if not names else names}_height: {height} "
            f"{label if not names else names}_width: {width}"
        )


def _arguments(
    name: str, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> tuple[Shape, Shape, Shape, Shape]:
    kernel = _pair(kernel_size, name, "kernel_size", 2)
    gaps = _pair(dilation, name, "dilation", 3)
    pads = _pair(padding, name, "padding", 4)
    steps = _pair(stride, name, "stride", 5)
    _positive("kernel size", kernel, "kernel")
    _positive("dilation", gaps, "dilation")
    _positive("padding", pads, "pad", 0)
    _positive("stride", steps, "stride")
    return kernel, gaps, pads, steps


def _blocks(extents: Shape, kernel: Shape, gaps: Shape, pads: Shape, steps: Shape) -> Shape:
    """How many blocks fit along each axis."""
    return tuple(
        (extent + 2 * p - d * (k - 1) - 1) // s + 1
        for extent, k, d, p, s in zip(extents, kernel, gaps, pads, steps, strict=True)
    )


def unfold(
    input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    """The sliding blocks of images: a column each."""
    input = face(input, "unfold")
    kernel, gaps, pads, steps = _arguments("unfold", kernel_size, dilation, padding, stride)
    place = input.layout
    shape = place.shape
    if len(shape) not in (3, 4) or 0 in shape[-3:]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {list(shape)}"
        )
    extents = shape[-2:]
    outs = _blocks(extents, kernel, gaps, pads, steps)
    if min(outs) < 1:
        raise RuntimeError(
            f"Given input with spatial size {_listed(extents)}, kernel_size={_listed(kernel)}, "
            f"dilation={_listed(gaps)}, padding={_listed(pads)}, calculated shape of the array of "
            f"sliding blocks as {_listed(outs)}, but its components must be at least one."
        )
    if place.dtype not in FLOATS and place.dtype is not bool_ and not place.dtype.is_complex:
        raise unsupported("im2col_out_cpu", input)
    windows = tuple(map(Window, extents, outs, kernel, steps, pads, gaps))
    parts = extract_windows(input, windows, len(shape) - 2)
    rows, columns = shape[-3] * kernel[0] * kernel[1], outs[0] * outs[1]
    return reshape(parts, (*shape[:-3], rows, columns))


def _listed(values: Shape) -> str:
    return "(" + ", ".join(map(str, values)) + ")"


def fold(
    input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0,
    stride: Any = 1,
) -> Any:  # fmt: skip
    """Columns of sliding blocks added up where they overlap: images of ``output_size``."""
    input = face(input, "fold")
    extents = _pair(output_size, "fold", "output_size", 2)
    kernel, gaps, pads, steps = _arguments("fold", kernel_size, dilation, padding, stride)
    shape = input.layout.shape
    if len(shape) not in (2, 3) or 0 in shape[-2:]:
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and "
            f"non-zero dimensions for input, but got: {list(shape)}"
        )
    rows, columns = shape[-2:]
    axis = len(shape) - 2
    size = kernel[0] * kernel[1]
    if rows % size:
        raise RuntimeError(
            f"Expected size of input's dimension {axis} to be divisible by the product of "
            f"kernel_size, but got input.size({axis})={rows} and kernel_size={_listed(kernel)}."
        )
    outs = _blocks(extents, kernel, gaps, pads, steps)
    if outs[0] * outs[1] != columns or min(outs) < 1:
        raise RuntimeError(
            f"Given output_size={_listed(extents)}, kernel_size={_listed(kernel)}, "
            f"dilation={_listed(gaps)}, padding={_listed(pads)}, stride={_listed(steps)}, expected "
            f"size of input's dimension {axis + 1} to match the calculated number of sliding "
            f"blocks {outs[0]} * {outs[1]} = {outs[0] * outs[1]}, but got "
            f"input.size({axis + 1})={columns}."
        )
    if input.layout.dtype not in FLOATS and not input.layout.dtype.is_complex:
        raise unsupported("col2im_out_cpu", input)
    windows = tuple(map(Window, extents, outs, kernel, steps, pads, gaps))
    parts = reshape(input, (*shape[:-2], rows // size, *kernel, *outs))
    return fold_windows(parts, windows, len(shape) - 1)
