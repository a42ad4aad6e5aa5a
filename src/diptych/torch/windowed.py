"""torch's own pooling and sampling functions, where they differ from torch.nn.functional's."""

from __future__ import annotations

from typing import Any

from diptych.torch.nn import functional as F

_MODES = ("bilinear", "nearest", "bicubic")
_PADDINGS = ("zeros", "border", "reflection")


def adaptive_max_pool1d(input: Any, output_size: Any) -> Any:
    """Maxima of parts of the last axis, and where they are."""
    return F.adaptive_max_pool1d(input, output_size, True)


def max_pool1d_with_indices(
    input: Any, kernel_size: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False,
) -> Any:  # fmt: skip
    """Maxima of windows along the last axis, and where they are."""
    return F.max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def grid_sampler(
    input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Any:
    """``grid_sample`` with its modes by number."""
    for name, number in (("interpolation", interpolation_mode), ("padding", padding_mode)):
        if number not in (0, 1, 2):
            raise RuntimeError(f"grid_sampler(): unknown {name} mode {number}")
    mode, padding = _MODES[interpolation_mode], _PADDINGS[padding_mode]
    return F.grid_sample(input, grid, mode, padding, align_corners)


grid_sampler_2d = grid_sampler
grid_sampler_3d = grid_sampler


def affine_grid_generator(theta: Any, size: Any, align_corners: bool) -> Any:
    """``affine_grid``."""
    return F.affine_grid(theta, size, align_corners)
