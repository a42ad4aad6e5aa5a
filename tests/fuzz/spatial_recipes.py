"""Good calls over images: convolutions, pools, windows, resampling, padding."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import diptych.torch as torch
import diptych.torch.nn.functional as functional
from diptych.core import dtypes
from diptych.torch import nn
from tests.fuzz.bending import Recipe
from tests.fuzz.draw import Drawer

SIDES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 17, 33)
FLOATS = (dtypes.float32,) * 7 + (dtypes.float64, dtypes.float64, dtypes.bfloat16, dtypes.float16)
MOST = 20_000  # elements of an operand


def channels_last(d: Drawer, x: Any) -> Any:
    """The same values, sometimes with the channels innermost in memory."""
    if x.layout.ndim in (4, 5) and d.chance(0.25):
        form = torch.channels_last if x.layout.ndim == 4 else torch.channels_last_3d
        with torch.no_grad():
            made = x.detach().contiguous(memory_format=form)
        return made.requires_grad_() if x.requires_grad else made
    return x


def image(d: Drawer, rank: int, channels: int, least: int = 1, dtype: Any = None) -> Any:
    """A batch of images (or one without a batch)."""
    sides = [d.choice([n for n in SIDES if n >= least] or [least]) for _ in range(rank)]
    if d.chance(0.03):
        sides[0] = 0
    lead = (channels,) if d.chance(0.12) else (d.choice((0, 1, 1, 2, 2, 3)), channels)
    while math.prod((*lead, *sides)) > MOST:
        sides[sides.index(max(sides))] = max(least, 1)
        if max(sides) == max(least, 1):
            break
    return channels_last(d, d.tensor(shape=(*lead, *sides), dtype=dtype or d.choice(FLOATS)))


def per_axis(d: Drawer, rank: int, options: Any) -> Any:
    """One number for all axes, or one for each."""
    if d.chance(0.5):
        return d.choice(options)
    made = [d.choice(options) for _ in range(rank)]
    return tuple(made) if d.chance(0.7) else made


def spread(value: Any, rank: int) -> list[int]:
    return [value] * rank if isinstance(value, int) else list(value)


def convolution(d: Drawer) -> Recipe:
    rank = d.choice((1, 2, 2, 2, 3))
    groups = d.choice((1, 1, 1, 1, 2, 3, 8))
    inner, outer = (d.choice((1, 1, 2, 3, 4, 8, 9, 16)) for _ in range(2))
    if groups > 1 and d.chance(0.5):
        inner = 1  # depthwise
    kernel = [d.choice((1, 1, 2, 3, 3, 3, 4, 5, 7)) for _ in range(rank)]
    if rank == 3:
        kernel = [min(k, 3) for k in kernel]
    dilation = per_axis(d, rank, (1, 1, 1, 2, 3))
    reach = [(k - 1) * s + 1 for k, s in zip(kernel, spread(dilation, rank), strict=True)]
    x = image(d, rank, inner * groups, d.choice((1, max(reach))))
    dtype = x.layout.dtype
    transposed = d.chance(0.35)
    stride = per_axis(d, rank, (1, 1, 1, 2, 2, 3, 5))
    padding = per_axis(d, rank, (0, 0, 1, 1, 2, 3, 9))
    shape = (inner * groups, outer, *kernel) if transposed else (outer * groups, inner, *kernel)
    weight = channels_last(d, d.tensor(shape=shape, dtype=dtype))
    bias = d.tensor(shape=(outer * groups,), dtype=dtype) if d.chance(0.5) else None
    if transposed:
        steps = zip(spread(stride, rank), spread(dilation, rank), strict=True)
        lesser = [max(pair) for pair in steps]
        output = [d.rng.randrange(n) for n in lesser] if d.chance(0.4) else 0
        name = f"conv_transpose{rank}d"
        args = [x, weight, bias, stride, padding, output, groups, dilation]
    else:
        if d.chance(0.15):
            stride, padding = 1, d.choice(("same", "valid"))
        name = f"conv{rank}d"
        args = [x, weight, bias, stride, padding, dilation, groups]
    return Recipe(f"F.{name}", getattr(functional, name), args)


def convolution_module(d: Drawer) -> Recipe:
    rank = d.choice((1, 2, 2, 3))
    groups = d.choice((1, 1, 2))
    inner, outer = d.choice((1, 2, 3)) * groups, d.choice((1, 2, 8)) * groups
    kernel = per_axis(d, rank, (1, 2, 3))
    x = image(d, rank, inner, 3, dtypes.float32)
    transposed = d.chance(0.3)
    cls = getattr(nn, f"Conv{'Transpose' if transposed else ''}{rank}d")
    options: dict[str, Any] = {
        "stride": per_axis(d, rank, (1, 2)), "padding": per_axis(d, rank, (0, 1)),
        "groups": groups, "bias": d.chance(0.7),
    }  # fmt: skip
    if not transposed:
        options["padding_mode"] = d.choice(("zeros", "zeros", "reflect", "replicate", "circular"))
        options["dilation"] = per_axis(d, rank, (1, 1, 2))

    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        return cls(*args, **kwargs)(x)

    return Recipe(f"nn.{cls.__name__}", call, [x, inner, outer, kernel], options)


def pool(d: Drawer) -> Recipe:
    rank = d.choice((1, 2, 2, 3))
    kind = d.choice(("max_pool", "max_pool", "avg_pool", "avg_pool", "lp_pool"))
    kernel = per_axis(d, rank, (1, 2, 2, 3, 3, 5))
    options: dict[str, Any] = {"ceil_mode": d.chance(0.4)}
    if d.chance(0.7):
        options["stride"] = per_axis(d, rank, (1, 1, 2, 2, 3, 4))
    halves = [k // 2 for k in spread(kernel, rank)]
    padding = [d.choice((0, h)) for h in halves] if d.chance(0.6) else 0
    if kind == "max_pool":
        options["padding"] = padding
        options["dilation"] = per_axis(d, rank, (1, 1, 2, 3))
        options["return_indices"] = d.chance(0.4)
    elif kind == "avg_pool":
        options["padding"] = padding
        options["count_include_pad"] = d.chance(0.5)
        if rank > 1 and d.chance(0.2):
            options["divisor_override"] = d.choice((1, 2, 7, -1))
    dtype = d.choice((*FLOATS, dtypes.int64)) if kind == "max_pool" else None
    x = image(d, rank, d.choice((1, 2, 3, 8, 16, 17)), d.choice((1, 3, 5)), dtype)
    args = [x, d.choice((1.0, 2.0, 3.0)), kernel] if kind == "lp_pool" else [x, kernel]
    name = f"{kind}{rank}d"
    return Recipe(f"F.{name}", getattr(functional, name), args, options)


def adaptive_pool(d: Drawer) -> Recipe:
    rank = d.choice((1, 2, 2, 3))
    kind = d.choice(("max", "avg"))
    x = image(d, rank, d.choice((1, 2, 3)))
    size: Any = per_axis(d, rank, (1, 1, 2, 3, 4, 7))
    if rank > 1 and d.chance(0.2):
        size = [None if d.chance(0.4) else n for n in spread(size, rank)]
    options = {"return_indices": d.chance(0.5)} if kind == "max" else {}
    name = f"adaptive_{kind}_pool{rank}d"
    return Recipe(f"F.{name}", getattr(functional, name), [x, size], options)


def fractional_pool(d: Drawer) -> Recipe:
    rank = d.choice((2, 3))
    x = image(d, rank, 2, 4)
    options: dict[str, Any] = {"return_indices": d.chance(0.5)}
    if d.chance(0.5):
        options["output_size"] = per_axis(d, rank, (1, 2, 3))
    else:
        options["output_ratio"] = d.choice((0.5, 0.3, 0.75))
    name = f"fractional_max_pool{rank}d"
    return Recipe(f"F.{name}", getattr(functional, name), [x, d.choice((1, 2))], options)


def unpool(d: Drawer) -> Recipe:
    rank = d.choice((1, 2, 3))
    kernel = d.choice((2, 3))
    x = image(d, rank, 2, 1, d.choice((dtypes.float32, dtypes.float64)))
    extent = math.prod((n - 1) * kernel + kernel for n in x.layout.shape[-rank:])
    places = d.indices(x.layout.shape, 0, extent)
    name = f"max_unpool{rank}d"
    return Recipe(f"F.{name}", getattr(functional, name), [x, places, kernel])


def windows(d: Drawer) -> Recipe:
    kernel = per_axis(d, 2, (1, 2, 3))
    options = {
        "stride": per_axis(d, 2, (1, 1, 2, 3)), "padding": per_axis(d, 2, (0, 1, 2)),
        "dilation": per_axis(d, 2, (1, 1, 2)),
    }  # fmt: skip
    channels = d.choice((1, 2, 3))
    x = image(d, 2, channels, d.choice((1, 5)))
    if d.chance(0.5):
        return Recipe("F.unfold", functional.unfold, [x, kernel], options)
    kernels, sides = spread(kernel, 2), list(x.layout.shape[-2:])
    counts = [
        (n + 2 * p - s * (k - 1) - 1) // t + 1
        for n, k, p, s, t in zip(
            sides,
            kernels,
            *(spread(options[k], 2) for k in ("padding", "dilation", "stride")),
            strict=True,
        )
    ]
    count = max(counts[0], 0) * max(counts[1], 0)
    shape = (channels * math.prod(kernels), count)
    lead = () if d.chance(0.3) else (d.choice((0, 1, 2)),)
    columns = d.tensor(shape=(*lead, *shape), dtype=x.layout.dtype)
    return Recipe("F.fold", functional.fold, [columns, sides, kernel], options)


def resample(d: Drawer) -> Recipe:
    rank = d.choice((1, 2, 2, 3))
    modes = {1: ("linear",), 2: ("bilinear", "bicubic"), 3: ("trilinear",)}[rank]
    mode = d.choice((*modes, *modes, "nearest", "nearest-exact", "area"))
    x = image(d, rank, d.choice((1, 2, 3)))
    if x.layout.ndim == rank + 1:
        x = x.unsqueeze(0)
    options: dict[str, Any] = {"mode": mode}
    if d.chance(0.5):
        options["size"] = per_axis(d, rank, (1, 2, 3, 7, 16))
    else:
        options["scale_factor"] = per_axis(d, rank, (0.5, 1.0, 1.5, 2.0, 2, 3.3))
        if d.chance(0.3):
            options["recompute_scale_factor"] = d.chance(0.5)
    if mode in modes:
        options["align_corners"] = d.chance(0.5)
    if mode in ("bilinear", "bicubic") and d.chance(0.3):
        options["antialias"] = True
    return Recipe("F.interpolate", functional.interpolate, [x], options)


def grid(d: Drawer) -> Recipe:
    rank = d.choice((2, 2, 3))
    dtype = d.choice((dtypes.float32, dtypes.float64))
    n = d.choice((0, 1, 2))
    x = d.tensor(shape=(n, 2, *(d.choice((1, 3, 5)) for _ in range(rank))), dtype=dtype)
    corners = d.chance(0.5)
    if d.chance(0.3):
        theta = d.tensor(shape=(n, rank, rank + 1), dtype=dtype)
        size = [n, 2, *(d.choice((1, 2, 4)) for _ in range(rank))]
        return Recipe("F.affine_grid", functional.affine_grid, [theta, size, corners])
    sides = [d.choice((0, 1, 2, 4)) for _ in range(rank)]
    where = d.tensor(shape=(n, *sides, rank), dtype=dtype)
    options = {
        "mode": d.choice(("bilinear", "nearest", "bicubic") if rank == 2 else ("bilinear",)),
        "padding_mode": d.choice(("zeros", "border", "reflection")), "align_corners": corners,
    }  # fmt: skip
    return Recipe("F.grid_sample", functional.grid_sample, [x, where], options)


def padded(d: Drawer) -> Recipe:
    rank = d.choice((1, 2, 3))
    x = image(d, rank, 2, d.choice((1, 3)), d.choice((*FLOATS, dtypes.int64, dtypes.complex64)))
    mode = d.choice(("constant", "constant", "reflect", "replicate", "circular"))
    amounts = [d.choice((0, 0, 1, 2, -1)) for _ in range(2 * rank)]
    if mode == "constant":
        amounts = amounts[: 2 * d.rng.randrange(rank + 1)]
        return Recipe("F.pad", functional.pad, [x, amounts, mode, d.choice((None, 0.0, 2.5))])
    return Recipe("F.pad", functional.pad, [x, amounts, mode])


def shuffled(d: Drawer) -> Recipe:
    r = d.choice((1, 2, 3))
    kind = d.rng.randrange(3)
    if kind == 0:
        return Recipe("F.pixel_shuffle", functional.pixel_shuffle, [image(d, 2, 2 * r * r), r])
    if kind == 1:
        x = d.tensor(shape=(2, 2, 2 * r, 3 * r), dtype=dtypes.float32)
        return Recipe("F.pixel_unshuffle", functional.pixel_unshuffle, [x, r])
    x = d.tensor(shape=(2, 2 * r, 3, d.choice((0, 4))), dtype=dtypes.float32)
    return Recipe("F.channel_shuffle", functional.channel_shuffle, [x, r])


def timed(d: Drawer) -> Recipe:
    inner, outer, kernel = d.choice((1, 3)), d.choice((1, 4)), d.choice((1, 3))
    x = d.tensor(shape=(d.choice((3, 8)), 2, inner), dtype=dtypes.float32)
    weight = d.tensor(shape=(kernel, inner, outer), dtype=dtypes.float32)
    bias = d.tensor(shape=(outer,), dtype=dtypes.float32)
    return Recipe("F.conv_tbc", functional.conv_tbc, [x, weight, bias, d.choice((0, 1, 2))])


RECIPES: tuple[Callable[[Drawer], Recipe], ...] = (
    convolution, convolution, convolution, convolution, convolution, convolution,
    convolution_module, pool, pool, pool, pool, adaptive_pool, fractional_pool, unpool, windows,
    windows, resample, resample, grid, grid, padded, shuffled, timed,
)  # fmt: skip
