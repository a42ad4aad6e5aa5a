"""Images: resampled to other sizes or at given points, and pixels exchanged with channels."""

from __future__ import annotations

import math
import warnings
from typing import Any

from diptych.core.dtypes import FLOATS, uint8
from diptych.core.layout import Shape
from diptych.ops import contraction, movement, resampling, sampling
from diptych.ops.resampling import Band
from diptych.torch.dtypes import scalar_name
from diptych.torch.dynamic import concatenate, face, reshape
from diptych.torch.nn.functional.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
)
from diptych.torch.nn.functional.windows import restored, spatial_first, unsupported, whole
from diptych.torch.size import Size

# ---- other sizes

_LINEAR = {3: "linear", 4: "bilinear", 5: "trilinear"}
_DIMENSIONS = {"linear": 3, "bilinear": 4, "trilinear": 5, "bicubic": 4, "lanczos": 4}
_ALIGNING = ("linear", "bilinear", "bicubic", "trilinear")
_AREAS = {3: adaptive_avg_pool1d, 4: adaptive_avg_pool2d, 5: adaptive_avg_pool3d}


def _per_axis(value: Any, count: int, shape: Shape, what: str) -> list[Any]:
    if not isinstance(value, (tuple, list)):
        return [value] * count
    if len(value) == count:
        return list(value)
    extents = list(shape[2:])
    if what == "size":
        raise ValueError(
            "Input and output must have the same number of spatial dimensions, but got input with "
            f"spatial dimensions of {extents} and output size of {value}. Please provide input "
            "tensor in (N, C, d1, d2, ...,dK) format and output size in (o1, o2, ...,oK) format."
        )
    raise ValueError(
        "Input and scale_factor must have the same number of spatial dimensions, but got input "
        f"with spatial dimensions of {extents} and scale_factor of shape {value}. Please provide "
        "input tensor in (N, C, d1, d2, ...,dK) format and scale_factor in (s1, s2, ...,sK) format."
    )


def _target(
    shape: Shape, size: Any, scale_factor: Any, recompute: bool | None
) -> tuple[Shape, list[float | None]]:
    """The extents to make, and the factors by which positions are computed, where they count."""
    count = len(shape) - 2
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    if size is not None:
        if recompute:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        extents = _per_axis(size, count, shape, "size")
        if isinstance(size, (tuple, list)) and not all(hasattr(e, "__index__") for e in size):
            raise TypeError(
                "expected size to be one of int or Tuple[int] or Tuple[int, int] or "
                f"Tuple[int, int, int], but got size with types {[type(e) for e in size]}"
            )
        return tuple(whole(e, "interpolate", "size", 2) for e in extents), [None] * count
    factors = [float(factor) for factor in _per_axis(scale_factor, count, shape, "scale_factor")]
    made = tuple(math.floor(n * factor) for n, factor in zip(shape[2:], factors, strict=True))
    return made, [None] * count if recompute else list(factors)


def _check_mode(mode: str, ndim: int, align_corners: bool | None, antialias: bool) -> None:
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: linear | "
                "bilinear | bicubic | trilinear"
            )
    if antialias and not (mode in ("bilinear", "bicubic", "lanczos") and ndim == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires "
            "a 4-D tensor as input"
        )


def _known_mode(mode: str, ndim: int) -> None:
    wanted = _DIMENSIONS.get(mode)
    if wanted is not None and wanted != ndim and 3 <= ndim <= 5:
        raise NotImplementedError(f"Got {ndim}D input, but {mode} mode needs {wanted}D input")
    if not 3 <= ndim <= 5 or (wanted is None and mode not in ("nearest", "nearest-exact", "area")):
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {ndim}D) for the modes: "
            "nearest | linear | bilinear | bicubic | trilinear | lanczos | area | nearest-exact "
            f"(got {mode})"
        )
    if mode == "lanczos":
        raise NotImplementedError(
            "torch.nn.functional.interpolate: mode 'lanczos' is supported with antialias=True"
        )


def _check_sizes(shape: Shape, outs: Shape) -> None:
    if min(shape[2:]) <= 0 or min(outs) <= 0:
        names = "DHW"[-len(outs) :] if len(outs) > 1 else "W"
        given, made = (
            ", ".join(f"{name}: {extent}" for name, extent in zip(names, extents, strict=True))
            for extents in (shape[2:], outs)
        )
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input ({given}) output "
            f"({made})"
        )
    if not shape[1]:
        raise RuntimeError(
            f"Non-empty {len(shape)}D data tensor expected but got a tensor with sizes "
            f"{list(shape)}"
        )


def _bands(
    mode: str, shape: Shape, outs: Shape, factors: list[float | None], aligned: bool, smooth: bool
) -> tuple[Band, ...]:
    bands = []
    for extent, out, factor in zip(shape[2:], outs, factors, strict=True):
        scale = resampling.linear_scale(extent, out, aligned, factor)
        if mode in ("nearest", "nearest-exact"):
            bands.append(Band(mode, extent, out, (scale,)))
            continue
        kind = {"bicubic": "cubic", "lanczos": "lanczos"}.get(mode, "linear")
        if smooth:
            bands.append(Band(f"{kind}-antialias", extent, out, (scale,)))
        else:
            bands.append(Band(kind, extent, out, (scale, aligned)))
    return tuple(bands)


def interpolate(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:  # fmt: skip
    """Resample the axes after the first two to a size, or by a factor."""
    input = face(input, "interpolate")
    shape = input.layout.shape
    _check_mode(mode, len(shape), align_corners, antialias)
    if len(shape) < 3:
        _known_mode(mode, len(shape))
    outs, factors = _target(shape, size, scale_factor, recompute_scale_factor)
    if not (mode == "lanczos" and antialias):
        _known_mode(mode, len(shape))
    if mode == "area":
        return _AREAS[len(shape)](input, outs)
    _check_sizes(shape, outs)
    dtype = input.layout.dtype
    if dtype not in FLOATS and dtype is not uint8:
        raise unsupported(f"upsample_{mode}{len(outs)}d", input)
    x, first, back = spatial_first(input, len(outs))
    bands = _bands(mode, shape, outs, factors, bool(align_corners), antialias)
    if dtype is uint8 and not mode.startswith("nearest"):
        wide: Any = restored(resampling.resample(face(x, "x").float(), bands, first), back)
        return face(wide, "x").round().clamp(0, 255).byte()
    return restored(resampling.resample(x, bands, first), back)


def upsample(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None,
) -> Any:  # fmt: skip
    """The old name of :func:`interpolate`."""
    warnings.warn(
        "`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """The old name of :func:`interpolate` to the nearest element."""
    warnings.warn(
        "`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """The old name of bilinear :func:`interpolate` with aligned corners."""
    warnings.warn(
        "`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


# ---- at given points


def _aligned(name: str, align_corners: bool | None) -> bool:
    if align_corners is None:
        warnings.warn(
            f"Default {name} behavior has changed to align_corners=False since 1.3.0. Please "
            "specify align_corners=True if the old behavior is desired. See the documentation of "
            f"{name} for details.",
            stacklevel=3,
        )
    return bool(align_corners)


def grid_sample(
    input: Any, grid: Any, mode: str = "bilinear", padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Any:  # fmt: skip
    """``input`` at the points of ``grid``, whose coordinates run from -1 to 1."""
    input, grid = face(input, "grid_sample"), face(grid, "grid_sample", "grid", 2)
    start = "nn.functional.grid_sample(): expected"
    if mode not in sampling.MODES:
        raise ValueError(
            f"{start} mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'"
        )
    if padding_mode not in sampling.PADDINGS:
        raise ValueError(
            f"{start} padding_mode to be 'zeros', 'border', or 'reflection', but got: "
            f"'{padding_mode}'"
        )
    aligned = _aligned("grid_sample", align_corners)
    a, b = input.layout, grid.layout
    sizes = f"input with sizes {list(a.shape)} and grid with sizes {list(b.shape)}"
    if a.ndim and b.ndim and a.shape[0] != b.shape[0]:
        raise RuntimeError(
            f"grid_sampler(): expected grid and input to have same batch size, but got {sizes}"
        )
    if b.ndim and b.shape[-1] != a.ndim - 2:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {a.ndim - 2} in last dimension, but got "
            f"grid with sizes {list(b.shape)}"
        )
    for axis in range(2, a.ndim):
        if not a.shape[axis]:
            raise RuntimeError(
                "grid_sampler(): expected input to have non-empty spatial dimensions, but input "
                f"has sizes {list(a.shape)} with dimension {axis} being empty"
            )
    if a.ndim not in (4, 5) or b.ndim != a.ndim:
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but "
            f"got {sizes}"
        )
    if mode == "bicubic" and a.ndim == 5:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    if a.dtype not in FLOATS:
        raise unsupported(f"grid_sampler_{a.ndim - 2}d_cpu", input)
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"expected scalar type {scalar_name(a.dtype)} but found {scalar_name(b.dtype)}"
        )
    return sampling.grid_sample(input, grid, mode, padding_mode, aligned)


def affine_grid(theta: Any, size: Any, align_corners: bool | None = None) -> Any:
    """The points of an image of ``size`` under affine maps, one for each of a batch."""
    theta = face(theta, "affine_grid", "theta")
    aligned = _aligned("affine_grid", align_corners)
    size = Size(size)
    place = theta.layout
    if place.dtype not in FLOATS:
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    if len(size) not in (4, 5):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, "
            f"respectively. Got size {tuple(size)}."
        )
    count = len(size) - 2
    if place.ndim != 3 or place.shape[1:] != (count, count + 1):
        raise ValueError(
            f"Expected a batch of {count}D affine matrices of shape Nx{count}x{count + 1} for size "
            f"{tuple(size)}. Got {theta.shape}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {tuple(size)}")
    if size[0] != place.shape[0]:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{size[0]}, "
            f"{count + 1}] but got: [{place.shape[0]}, {count + 1}]."
        )
    outs = tuple(size[2:])
    columns = []
    for axis in range(count - 1, -1, -1):  # the last axis is the first coordinate
        extent = outs[axis]
        first = -1.0 if aligned else -(extent - 1) / extent
        step = (2.0 / (extent - 1) if aligned else 2.0 / extent) if extent > 1 else 0.0
        line = theta.new_tensor([first + step * k if extent > 1 else 0.0 for k in range(extent)])
        line = line.reshape([-1 if k == axis else 1 for k in range(count)])
        columns.append(movement.broadcast_to(line, outs))
    columns.append(movement.broadcast_to(theta.new_tensor(1.0), outs))
    base = concatenate(
        [reshape(column, (-1 if not outs else math.prod(outs), 1)) for column in columns], 1
    )
    points = contraction.matmul(base, movement.swap_axes(theta, 1, 2))
    return reshape(points, (size[0], *outs, count))


# ---- pixels and channels


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """Channels, a square number of them for each, become pixels of a larger image."""
    input = face(input, "pixel_shuffle")
    r = whole(upscale_factor, "pixel_shuffle", "upscale_factor", 2)
    shape = input.layout.shape
    if len(shape) < 3:
        raise RuntimeError(
            "pixel_shuffle expects input to have at least 3 dimensions, but got input with "
            f"{len(shape)} dimension(s)"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *outer, channels, height, width = shape
    if channels % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square "
            f"of upscale_factor, but input.size(-3)={channels} is not divisible by {r * r}"
        )
    n = len(outer)
    c = channels // (r * r)
    parts = reshape(input, (*outer, c, r, r, height, width))
    order = (*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return reshape(movement.transpose(parts, order), (*outer, c, height * r, width * r))


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """Squares of pixels become channels: the inverse of :func:`pixel_shuffle`."""
    input = face(input, "pixel_unshuffle")
    r = whole(downscale_factor, "pixel_unshuffle", "downscale_factor", 2)
    shape = input.layout.shape
    if len(shape) < 3:
        raise RuntimeError(
            "pixel_unshuffle expects input to have at least 3 dimensions, but got input with "
            f"{len(shape)} dimension(s)"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    for axis, what in ((-2, "height"), (-1, "width")):
        if shape[axis] % r:
            raise RuntimeError(
                f"pixel_unshuffle expects {what} to be divisible by downscale_factor, but "
                f"input.size({axis})={shape[axis]} is not divisible by {r}"
            )
    *outer, channels, height, width = shape
    n = len(outer)
    parts = reshape(input, (*outer, channels, height // r, r, width // r, r))
    order = (*range(n), n, n + 2, n + 4, n + 1, n + 3)
    turned = movement.transpose(parts, order)
    return reshape(turned, (*outer, channels * r * r, height // r, width // r))


def channel_shuffle(input: Any, groups: int) -> Any:
    """Channels of groups, one of each in turn."""
    input = face(input, "channel_shuffle")
    groups = whole(groups, "channel_shuffle", "groups", 2)
    shape = input.layout.shape
    if len(shape) <= 2:
        raise RuntimeError(
            f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(shape)}"
        )
    if groups <= 0:
        raise RuntimeError(
            f"Number of groups to divide channels in must be positive. Value of groups:{groups}"
        )
    if shape[1] % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {shape[1]} channels and "
            f"{groups} groups."
        )
    parts = reshape(input, (shape[0], groups, shape[1] // groups, *shape[2:]))
    return reshape(movement.swap_axes(parts, 1, 2), shape)


def native_channel_shuffle(input: Any, groups: int) -> Any:
    """:func:`channel_shuffle`."""
    return channel_shuffle(input, groups)
