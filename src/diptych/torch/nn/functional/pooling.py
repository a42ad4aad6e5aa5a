"""Pooling: maxima, averages and norms over windows, of given size or of a given number."""

from __future__ import annotations

from typing import Any

from diptych.core import tape
from diptych.core.dtypes import FLOATS, bool_, int64
from diptych.core.layout import Shape
from diptych.ops import reduction, resampling
from diptych.ops.movement import reshape
from diptych.ops.resampling import Band
from diptych.ops.select import cast
from diptych.ops.window import Window, max_window, window_max
from diptych.torch.nn.functional.windows import (
    frozen,
    pool_windows,
    restored,
    spatial_first,
    unsupported,
    whole,
)
from diptych.torch.tensor import face

# ---- maxima


def _maxima(input: Any, windows: tuple[Window, ...], indices: bool) -> Any:
    """The windows' maxima; with ``indices`` also the flat positions in each plane."""
    x, first, back = spatial_first(input, len(windows))
    if not indices and (input.node is None or not tape.mode.enabled):
        return restored(window_max(x, windows, first), back)
    values, index = max_window(x, windows, first)
    values = restored(values, back)
    return (values, cast(restored(index, back), int64)) if indices else values


def _max_pool(
    name: str, count: int, input: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
    ceil_mode: bool, return_indices: bool,
) -> Any:  # fmt: skip
    input = face(input, name)
    windows = pool_windows(
        name, input.layout.shape, frozen(kernel_size), frozen(stride), frozen(padding),
        frozen(dilation), bool(ceil_mode), count,
    )  # fmt: skip
    dtype = input.layout.dtype
    if dtype is bool_ or dtype.is_complex:
        raise unsupported(name, input)
    return _maxima(input, windows, return_indices)


def max_pool1d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The maximum of each window along the last axis."""
    return _max_pool(
        "max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


def max_pool2d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The maximum of each window over the last two axes."""
    return _max_pool(
        "max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


def max_pool3d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The maximum of each window over the last three axes."""
    return _max_pool(
        "max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


def _with_indices(name: str, count: int) -> Any:
    def function(
        input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
        ceil_mode: bool = False, return_indices: bool = False,
    ) -> Any:  # fmt: skip
        return _max_pool(
            name, count, input, kernel_size, stride, padding, dilation, ceil_mode, True
        )

    function.__name__ = function.__qualname__ = f"{name}_with_indices"
    function.__doc__ = f"``{name}``'s maxima, and where in each plane they are."
    return function


max_pool1d_with_indices = _with_indices("max_pool1d", 1)
max_pool2d_with_indices = _with_indices("max_pool2d", 2)
max_pool3d_with_indices = _with_indices("max_pool3d", 3)


# ---- averages


def _avg_pool(
    name: str, count: int, input: Any, kernel_size: Any, stride: Any, padding: Any,
    ceil_mode: bool, count_include_pad: bool, divisor_override: int | None,
) -> Any:  # fmt: skip
    input = face(input, name)
    windows = pool_windows(
        name, input.layout.shape, frozen(kernel_size), frozen(stride), frozen(padding), 1,
        bool(ceil_mode), count,
    )  # fmt: skip
    if divisor_override is not None and not divisor_override:
        raise RuntimeError("divisor must be not zero")
    dtype = input.layout.dtype
    if dtype not in FLOATS and dtype is not int64:
        raise unsupported(name, input)
    x, first, back = spatial_first(input, count)
    fixed = divisor_override or 0
    sign, bands = 1, []
    for w in windows:
        numbers = (w.kernel, w.stride, w.padding, bool(count_include_pad), abs(fixed))
        bands.append(Band("mean", w.extent, w.out, numbers))
        if fixed:  # the last axis counts for all
            sign, fixed = (-1 if fixed < 0 else sign), 1
    result = restored(resampling.resample(x, tuple(bands), first), back)
    return result if sign > 0 else -result


def avg_pool1d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:  # fmt: skip
    """The mean of each window along the last axis."""
    return _avg_pool(
        "avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None
    )


def avg_pool2d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Any:  # fmt: skip
    """The mean of each window over the last two axes."""
    return _avg_pool(
        "avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad,
        divisor_override,
    )  # fmt: skip


def avg_pool3d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Any:  # fmt: skip
    """The mean of each window over the last three axes."""
    return _avg_pool(
        "avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad,
        divisor_override,
    )  # fmt: skip


def _lp_pool(pool: Any, input: Any, norm_type: Any, kernel: Any, stride: Any, ceil: bool) -> Any:
    """The norm of each window: the mean of powers, times how many there are, to its root."""
    input = face(input, pool.__name__.replace("avg", "lp"))
    count = int(pool.__name__[-2])
    if not norm_type:
        raise ValueError("lp_pool: norm_type must not be 0")
    size = 1
    for extent in (kernel,) * count if isinstance(kernel, int) else tuple(kernel):
        size *= extent
    out: Any = pool(input.pow(norm_type), kernel, stride, 0, ceil)
    return (out.sign() * out.abs().relu()).mul(size).pow(1.0 / norm_type)


def lp_pool1d(
    input: Any, norm_type: Any, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """The norm of each window along the last axis."""
    return _lp_pool(avg_pool1d, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Any, norm_type: Any, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """The norm of each window over the last two axes."""
    return _lp_pool(avg_pool2d, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Any, norm_type: Any, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """The norm of each window over the last three axes."""
    return _lp_pool(avg_pool3d, input, norm_type, kernel_size, stride, ceil_mode)


# ---- a given number of windows


def _outputs(name: str, output_size: Any, shape: Shape, count: int) -> Shape:
    """The number of windows along each axis; None keeps an extent."""
    extents = shape[len(shape) - count :]
    if not isinstance(output_size, (tuple, list)):
        output_size = (output_size,) * count
    if len(output_size) != count:
        if "max" in name:
            raise RuntimeError(f"{name}(): internal error: output_size.size() must be {count}")
        raise RuntimeError(f"{name}: output_size must be {count}")
    return tuple(
        extent if wanted is None else whole(wanted, name, "output_size", 2)
        for wanted, extent in zip(output_size, extents, strict=True)
    )


def _adaptive_checks(name: str, input: Any, outs: Shape, colon: str) -> None:
    shape, count = input.layout.shape, len(outs)
    if len(shape) not in (count + 1, count + 2):
        if count == 1:
            raise RuntimeError(
                f"Expected 2 to 3 dimensions, but got {len(shape)}-dimensional tensor for argument "
                f"#1 'self' (while checking arguments for {name})"
            )
        raise RuntimeError(
            f"{name}(): Expected {count + 1}D or {count + 2}D tensor, but got{colon} {list(shape)}"
        )
    if min(outs) < 0:
        if colon:
            made = [*shape[: len(shape) - count], *outs]
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {min(outs)}: {made}"
            )
        listed = ", ".join(map(str, outs))
        raise RuntimeError(
            f"{name}: elements of output_size must be greater than or equal to 0 but received "
            f"{{{listed}}}"
        )
    for axis in range(len(shape) - count, len(shape)):
        if not shape[axis]:
            raise RuntimeError(
                f"{name}(): Expected input to have non-zero size for non-batch dimensions, but "
                f"input has sizes {list(shape)} with dimension {axis} being empty"
            )
    if input.layout.dtype not in FLOATS:
        raise unsupported(name, input)


def _adaptive_avg(name: str, count: int, input: Any, output_size: Any) -> Any:
    input = face(input, name)
    shape = input.layout.shape
    outs = _outputs(name, output_size, shape, count)
    _adaptive_checks(name, input, outs, "")
    if outs == (1,) * count:
        outer = shape[: len(shape) - count]
        means = reduction.mean(input, tuple(range(len(outer), len(shape))))
        return reshape(means, (*outer, *outs))
    x, first, back = spatial_first(input, count)
    bands = tuple(
        Band("mean", extent, out, (0, 1, 0, True, 0))
        for extent, out in zip(shape[len(shape) - count :], outs, strict=True)
    )
    return restored(resampling.resample(x, bands, first), back)


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """Means over parts of the last axis: ``output_size`` of them."""
    return _adaptive_avg("adaptive_avg_pool1d", 1, input, output_size)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """Means over parts of the last two axes: ``output_size`` of them."""
    return _adaptive_avg("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_avg_pool3d(input: Any, output_size: Any) -> Any:
    """Means over parts of the last three axes: ``output_size`` of them."""
    return _adaptive_avg("adaptive_avg_pool3d", 3, input, output_size)


def _adaptive_max(name: str, count: int, input: Any, output_size: Any, indices: bool) -> Any:
    input = face(input, name)
    shape = input.layout.shape
    outs = _outputs(name, output_size, shape, count)
    _adaptive_checks(name, input, outs, ":")
    extents = shape[len(shape) - count :]
    return _maxima(input, tuple(map(Window, extents, outs)), indices)


def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of parts of the last axis: ``output_size`` of them."""
    return _adaptive_max("adaptive_max_pool1d", 1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of parts of the last two axes: ``output_size`` of them."""
    return _adaptive_max("adaptive_max_pool2d", 2, input, output_size, return_indices)


def adaptive_max_pool3d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima of parts of the last three axes: ``output_size`` of them."""
    return _adaptive_max("adaptive_max_pool3d", 3, input, output_size, return_indices)


def adaptive_max_pool1d_with_indices(
    input: Any, output_size: Any, return_indices: bool = False
) -> Any:
    """``adaptive_max_pool1d``'s maxima, and where they are."""
    return adaptive_max_pool1d(input, output_size, True)


def adaptive_max_pool2d_with_indices(
    input: Any, output_size: Any, return_indices: bool = False
) -> Any:
    """``adaptive_max_pool2d``'s maxima, and where in each plane they are."""
    return adaptive_max_pool2d(input, output_size, True)


def adaptive_max_pool3d_with_indices(
    input: Any, output_size: Any, return_indices: bool = False
) -> Any:
    """``adaptive_max_pool3d``'s maxima, and where in each volume they are."""
    return adaptive_max_pool3d(input, output_size, True)
