"""One program for both engines: pooling, resampling, sampling, folding, indexing; writes JSON.

python window_cases.py OUT.json            (PyTorch)
diptych run window_cases.py OUT.json       (diptych)
"""

# ruff: noqa: B008, B023, E501 (a table of calls, one a line)

from __future__ import annotations

import itertools
import json
import sys
import warnings

import torch
import torch.nn as nn
import torch.nn.functional as F

warnings.simplefilter("ignore")
OUT: dict[str, object] = {}


def plain(value):
    if isinstance(value, torch.Tensor):
        value = value.detach()
        return (value.float() if value.dtype == torch.bfloat16 else value).tolist()
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    return value


def case(name, function, *inputs, second=False):
    """The outputs of a call; where an input wants one, the gradients of a weighted sum."""
    torch.manual_seed(11)
    given = [
        x.detach().clone().requires_grad_(x.requires_grad) if isinstance(x, torch.Tensor) else x
        for x in inputs
    ]
    try:
        out = function(*given)
        result = {"out": plain(out)}
        first = out[0] if isinstance(out, tuple) else out
        wanted = [x for x in given if isinstance(x, torch.Tensor) and x.requires_grad]
        if wanted and isinstance(first, torch.Tensor) and first.requires_grad:
            weights = torch.linspace(0.5, 1.5, first.numel()).reshape(first.shape).to(first.dtype)
            grads = torch.autograd.grad(
                (first * weights).sum(), wanted, create_graph=second, allow_unused=True
            )
            result["grads"] = [None if g is None else plain(g) for g in grads]
            if second:
                total = sum((g * g).sum() for g in grads if g is not None and g.requires_grad)
                if isinstance(total, torch.Tensor) and total.requires_grad:
                    again = torch.autograd.grad(total, wanted, allow_unused=True)
                    result["second"] = [None if g is None else plain(g) for g in again]
    except Exception as error:
        classes = [kind.__name__ for kind in type(error).__mro__]
        result = {"error": classes, "text": str(error)[:60]}
    assert name not in OUT, name
    OUT[name] = result


def rand(*shape, grad=True, dtype=torch.float32):
    return torch.rand(shape, dtype=dtype).mul(6.0).sub(3.0).requires_grad_(grad)


def max_pools():
    x = rand(2, 3, 9, 8)
    for number, (k, s, p, d, c) in enumerate(
        itertools.product((2, (3, 2)), (None, 1, (2, 3)), (0, 1), (1, 2), (False, True))
    ):
        case(f"max2 {number}", lambda x: F.max_pool2d(x, k, s, p, d, c, True), x)
        case(f"avg2 {number}", lambda x: F.avg_pool2d(x, k, s, p, c, d == 1), x)
    line = rand(2, 3, 11)
    for number, (k, s, p, d, c) in enumerate(
        itertools.product((2, 3), (None, 1, 2), (0, 1), (1, 2), (False, True))
    ):
        case(f"max1 {number}", lambda x: F.max_pool1d(x, k, s, p, d, c, return_indices=True), line)
        case(f"max1v {number}", lambda x: F.max_pool1d(x, k, s, p, d, c), line.detach())
        case(f"avg1 {number}", lambda x: F.avg_pool1d(x, k, s, p, c, d == 1), line)
    volume = rand(2, 2, 5, 6, 4)
    for number, (k, s, p, c) in enumerate(
        itertools.product((2, (1, 3, 2)), (None, (2, 1, 1)), (0, (0, 1, 1)), (False, True))
    ):
        case(f"max3 {number}", lambda x: F.max_pool3d(x, k, s, p, 1, c, True), volume)
        case(f"avg3 {number}", lambda x: F.avg_pool3d(x, k, s, p, c), volume)
    nan, infinite = float("nan"), float("inf")
    odd = torch.tensor(
        [[[[nan, nan, 1.0, 1.0], [2.0, nan, 1.0, 1.0], [-infinite] * 4, [-infinite] * 4]]]
    )
    case("max nan", lambda x: F.max_pool2d(x, 2, 2, return_indices=True), odd.requires_grad_())
    case("max nan 3", lambda x: F.max_pool2d(x, 3, 1, 1, return_indices=True), odd.requires_grad_())
    case("max ties", lambda x: F.max_pool2d(x, 3, 2, 1), torch.ones(1, 2, 7, 7).requires_grad_())
    for dtype in (torch.float64, torch.bfloat16, torch.float16):
        case(
            f"max {dtype}",
            lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True),
            rand(2, 3, 9, 20, dtype=dtype, grad=dtype == torch.float64),
        )
    case("avg float64", lambda x: F.avg_pool2d(x, 3, 2, 1), rand(2, 3, 9, 20, dtype=torch.float64))
    for dtype in (torch.int64, torch.int32, torch.uint8, torch.int8):
        case(
            f"max {dtype}",
            lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True),
            torch.arange(48).reshape(1, 1, 6, 8).remainder(13).to(dtype),
        )
    case(
        "avg int64", lambda x: F.avg_pool2d(x, 3, 2, 1), (torch.arange(48) - 20).reshape(1, 1, 6, 8)
    )
    case("avg divisor", lambda x: F.avg_pool2d(x, 3, 2, 1, divisor_override=4), x)
    case("avg divisor -", lambda x: F.avg_pool2d(x, 3, 2, 1, divisor_override=-4), x)
    case("avg3 divisor", lambda x: F.avg_pool3d(x, 2, divisor_override=5), volume)
    case("unbatched", lambda x: F.max_pool2d(x[0], 2), x)
    case("avg unbatched", lambda x: F.avg_pool2d(x[0], 2), x)
    case("strided", lambda x: F.max_pool2d(x.transpose(2, 3)[:, ::2], 2), x)
    case("avg strided", lambda x: F.avg_pool2d(x.transpose(2, 3)[:, ::2], 2), x)
    case(
        "channels last",
        lambda x: F.max_pool2d(x.permute(0, 3, 1, 2), (3, 2), 1, 1, return_indices=True),
        rand(2, 5, 6, 20),
    )
    case(
        "avg channels last",
        lambda x: F.avg_pool2d(x.permute(0, 3, 1, 2), 3, 2, 1),
        rand(2, 5, 6, 20),
    )
    case("lp 3d last", lambda x: F.max_pool3d(x.permute(0, 4, 1, 2, 3), 2), rand(2, 4, 5, 6, 3))
    case("second max", lambda x: F.max_pool2d(x * x, 2), x, second=True)
    case("second avg", lambda x: F.avg_pool2d(x * x, 3, 2, 1), x, second=True)
    for norm in (1, 2, 3.0):
        case(f"lp1 {norm}", lambda x: F.lp_pool1d(x.abs(), norm, 3, 2), line)
        case(f"lp2 {norm}", lambda x: F.lp_pool2d(x.abs(), norm, (2, 3), ceil_mode=True), x)
        case(f"lp3 {norm}", lambda x: F.lp_pool3d(x.abs(), norm, 2), volume)
    case("lp int", lambda x: F.lp_pool2d(x, 2, 2), torch.arange(16).reshape(1, 1, 4, 4))
    for empty in (x[:0], x[:, :0], x[..., :0]):
        case(f"max empty {tuple(empty.shape)}", lambda x: F.max_pool2d(x, 2), empty)
        case(f"avg empty {tuple(empty.shape)}", lambda x: F.avg_pool2d(x, 2), empty)


def adaptive():
    line, x, volume = rand(2, 3, 11), rand(2, 3, 9, 8), rand(2, 2, 5, 6, 4)
    for outs in (1, 3, 5, 11, 16):
        case(f"aavg1 {outs}", lambda x: F.adaptive_avg_pool1d(x, outs), line)
        case(f"amax1 {outs}", lambda x: F.adaptive_max_pool1d(x, outs, True), line)
    for outs in (1, 3, (2, 5), (None, 3), (9, 8), (12, 7), 0):
        given = x if outs else x.detach()
        case(f"aavg2 {outs}", lambda x: F.adaptive_avg_pool2d(x, outs), given)
        case(f"amax2 {outs}", lambda x: F.adaptive_max_pool2d(x, outs, True), given)
    for outs in (1, 2, (3, 4, 2), (None, 4, None)):
        case(f"aavg3 {outs}", lambda x: F.adaptive_avg_pool3d(x, outs), volume)
        case(f"amax3 {outs}", lambda x: F.adaptive_max_pool3d(x, outs, True), volume)
    case("aavg second", lambda x: F.adaptive_avg_pool2d(x * x, (4, 3)), x, second=True)
    for bad in (-1, (1, 2, 3), (-1, 2)):
        case(f"aavg bad {bad}", lambda x: F.adaptive_avg_pool2d(x, bad), x)
        case(f"amax bad {bad}", lambda x: F.adaptive_max_pool2d(x, bad), x)
    case("aavg rank", lambda x: F.adaptive_avg_pool2d(x[0, 0], 2), x)
    case("amax rank", lambda x: F.adaptive_max_pool2d(x[0, 0], 2), x)
    case("aavg1 rank", lambda x: F.adaptive_avg_pool1d(x, 2), x)
    case("aavg empty", lambda x: F.adaptive_avg_pool2d(x[:0], 2), x)
    case("aavg hollow", lambda x: F.adaptive_avg_pool2d(x[..., :0], 2), x)
    case("aavg long", lambda x: F.adaptive_avg_pool2d(x.long(), 2), x)
    case("amax long", lambda x: F.adaptive_max_pool2d(x.long(), 2), x)


def unpooling():
    x = rand(2, 3, 8, 9)
    case(
        "unpool2", lambda x: F.max_unpool2d(*F.max_pool2d(x[..., :8], 2, return_indices=True), 2), x
    )
    case(
        "unpool2 size",
        lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2, output_size=x.size()),
        x,
    )
    case(
        "unpool1",
        lambda x: F.max_unpool1d(*F.max_pool1d(x, 3, return_indices=True), 3),
        rand(2, 3, 9),
    )
    case(
        "unpool3",
        lambda x: F.max_unpool3d(*F.max_pool3d(x, 2, return_indices=True), 2),
        rand(1, 2, 4, 4, 6),
    )
    case(
        "unpool second",
        lambda x: F.max_unpool2d(
            (x * x)[..., :4, :4],
            torch.arange(16).reshape(1, 1, 4, 4).expand(2, 3, 4, 4).contiguous(),
            2,
        ),
        x,
        second=True,
    )
    u, i = F.max_pool2d(x, 2, return_indices=True)
    for name, call in {
        "far": lambda: F.max_unpool2d(u[:1, :1, :1, :1], i[:1, :1, :1, :1] * 0 + 100, 2), "negative": lambda: F.max_unpool2d(u[:1, :1, :1, :1], i[:1, :1, :1, :1] * 0 - 100, 2),
        "shape": lambda: F.max_unpool2d(u, i[:1], 2), "int": lambda: F.max_unpool2d(u, i.int(), 2),
        "rank": lambda: F.max_unpool2d(u[0, 0], i[0, 0], 2), "size": lambda: F.max_unpool2d(u, i, 2, output_size=(20, 20)),
        "sizes": lambda: F.max_unpool2d(u, i, 2, output_size=(20, 20, 20)),
    }.items():  # fmt: skip
        case(f"unpool bad {name}", call)
    for size in (1, 2, 3, (3, 5)):
        case(
            f"fractional2 {size}",
            lambda x: F.fractional_max_pool2d(x, 2, size, return_indices=True),
            x,
        )
    case(
        "fractional2 ratio",
        lambda x: F.fractional_max_pool2d(x, (2, 3), output_ratio=(0.5, 0.4)),
        x,
    )
    case("fractional2 unbatched", lambda x: F.fractional_max_pool2d(x[0], 2, 3), x)
    case("fractional2 then", lambda x: (F.fractional_max_pool2d(x, 2, 3), torch.rand(3)), x)
    case(
        "fractional2 float64",
        lambda x: F.fractional_max_pool2d(x, 2, 3),
        rand(2, 3, 8, 9, dtype=torch.float64),
    )
    case(
        "fractional3",
        lambda x: F.fractional_max_pool3d(x, 2, (2, 3, 3), return_indices=True),
        rand(2, 2, 5, 6, 7),
    )
    case("fractional none", lambda x: F.fractional_max_pool2d(x, 2), x)
    case("fractional large", lambda x: F.fractional_max_pool2d(x, 2, 8), x)


def bad_pools():
    x = rand(2, 3, 8, 8, grad=False)
    calls = {
        "pad": lambda f: f(x, 2, padding=2), "negative pad": lambda f: f(x, 2, padding=-1),
        "kernel 0": lambda f: f(x, 0), "stride 0": lambda f: f(x, 2, 0), "small": lambda f: f(x, 9),
        "rank": lambda f: f(x[0, 0], 2), "rank 5": lambda f: f(x[None], 2), "kernel 3": lambda f: f(x, (1, 2, 3)),
        "stride 3": lambda f: f(x, 2, (1, 2, 3)), "padding 3": lambda f: f(x, 2, 2, (1, 2, 3)),
        "text": lambda f: f(x, "a"), "float": lambda f: f(x, 2.5), "list": lambda f: f([1], 2), "bool": lambda f: f(x > 0, 2),
    }  # fmt: skip
    for name, call in calls.items():
        case(f"max2 bad {name}", lambda: call(F.max_pool2d))
        case(f"avg2 bad {name}", lambda: call(F.avg_pool2d))
        case(f"max3 bad {name}", lambda: call(F.max_pool3d))
    case("max2 bad dilation", lambda: F.max_pool2d(x, 2, dilation=0))
    for name, call in {
        "rank 1": lambda: F.max_pool1d(x[0, 0, 0], 2), "rank 4": lambda: F.max_pool1d(x, 2),
        "kernel": lambda: F.max_pool1d(x[0], 0), "stride": lambda: F.max_pool1d(x[0], 2, 0),
        "pad": lambda: F.max_pool1d(x[0], 2, 1, 2), "large": lambda: F.max_pool1d(x[0], 9),
        "dilation": lambda: F.max_pool1d(x[0], 2, 1, 0, 0), "negative": lambda: F.max_pool1d(x[0], 2, 1, -1),
        "avg rank": lambda: F.avg_pool1d(x, 2), "avg large": lambda: F.avg_pool1d(x[0], 9),
        "avg kernel": lambda: F.avg_pool1d(x[0], (2, 2)), "divisor": lambda: F.avg_pool2d(x, 2, divisor_override=0),
    }.items():  # fmt: skip
        case(f"pool1 bad {name}", call)


def resampling():
    line, x, volume = rand(2, 3, 7), rand(2, 3, 7, 6), rand(1, 2, 3, 4, 5)
    for mode in ("nearest", "nearest-exact", "area"):
        for size in (1, 3, 7, 14, 16):
            case(f"{mode} 1 {size}", lambda x: F.interpolate(x, size, mode=mode), line)
            case(f"{mode} 2 {size}", lambda x: F.interpolate(x, (size, 11), mode=mode), x)
        case(f"{mode} 3", lambda x: F.interpolate(x, (5, 4, 9), mode=mode), volume)
        for factor in (2, 0.5, 1.3, (1.7, 0.6)):
            case(
                f"{mode} by {factor}", lambda x: F.interpolate(x, scale_factor=factor, mode=mode), x
            )
            case(
                f"{mode} recompute {factor}",
                lambda x: F.interpolate(
                    x, scale_factor=factor, mode=mode, recompute_scale_factor=True
                ),
                x,
            )
    for mode, given in (("linear", line), ("bilinear", x), ("bicubic", x), ("trilinear", volume)):
        count = given.ndim - 2
        for aligned in (None, False, True):
            for size in (1, 3, 4, 13):
                case(
                    f"{mode} {aligned} {size}",
                    lambda x: F.interpolate(x, (size,) * count, mode=mode, align_corners=aligned),
                    given,
                )
            for factor in (2, 0.7, 1.3):
                case(
                    f"{mode} {aligned} by {factor}",
                    lambda x: F.interpolate(
                        x, scale_factor=factor, mode=mode, align_corners=aligned
                    ),
                    given,
                )
                case(
                    f"{mode} {aligned} recompute {factor}",
                    lambda x: F.interpolate(
                        x,
                        scale_factor=factor,
                        mode=mode,
                        align_corners=aligned,
                        recompute_scale_factor=True,
                    ),
                    given,
                )
        case(
            f"{mode} float64",
            lambda x: F.interpolate(x.double(), scale_factor=1.7, mode=mode),
            given,
        )
        case(
            f"{mode} second",
            lambda x: F.interpolate(x * x, scale_factor=1.7, mode=mode),
            given,
            second=True,
        )
    for mode in ("bilinear", "bicubic", "lanczos"):
        for aligned in (False, True):
            for size in ((3, 2), (4, 11), (15, 13), (1, 1)):
                case(
                    f"{mode} antialias {aligned} {size}",
                    lambda x: F.interpolate(
                        x,
                        size,
                        mode=mode,
                        antialias=True,
                        align_corners=aligned if mode != "lanczos" else None,
                    ),
                    x,
                )
        case(
            f"{mode} antialias by",
            lambda x: F.interpolate(x, scale_factor=0.4, mode=mode, antialias=True),
            x,
        )
    case(
        "bilinear last",
        lambda x: F.interpolate(x.permute(0, 3, 1, 2), scale_factor=2, mode="bilinear"),
        rand(2, 4, 5, 18),
    )
    case(
        "nearest last",
        lambda x: F.interpolate(x.permute(0, 3, 1, 2), scale_factor=2),
        rand(2, 4, 5, 18),
    )
    case(
        "bilinear wide",
        lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
        rand(1, 2, 9, 40),
    )
    case("bilinear down", lambda x: F.interpolate(x, (5, 21), mode="bilinear"), rand(1, 2, 9, 70))
    whole = torch.arange(42).reshape(1, 1, 7, 6).mul(6).to(torch.uint8)
    for mode in ("nearest", "nearest-exact"):
        case(f"{mode} uint8", lambda x: F.interpolate(x, (3, 9), mode=mode), whole)
    for mode in (
        "nearest",
        "nearest-exact",
        "bilinear",
        "bicubic",
        "area",
        "linear",
        "trilinear",
        "foo",
    ):
        case(
            f"{mode} smooth",
            lambda: F.interpolate(x, scale_factor=2, mode=mode, antialias=True) is None,
        )
        case(
            f"{mode} corners",
            lambda: F.interpolate(x, scale_factor=2, mode=mode, align_corners=True) is None,
        )
    for name, call in {
        "none": lambda: F.interpolate(x), "both": lambda: F.interpolate(x, size=3, scale_factor=2),
        "size 3": lambda: F.interpolate(x, size=(3, 3, 3)), "factor 3": lambda: F.interpolate(x, scale_factor=(3, 3, 3)),
        "size 0": lambda: F.interpolate(x, size=0), "size -1": lambda: F.interpolate(x, size=-1),
        "rank 2": lambda: F.interpolate(x[0, 0], size=2), "rank 6": lambda: F.interpolate(x[None, None], size=4),
        "recompute": lambda: F.interpolate(x, size=4, recompute_scale_factor=True),
        "channels": lambda: F.interpolate(x[:, :0], size=4), "hollow": lambda: F.interpolate(x[..., :0], size=4),
        "empty": lambda: F.interpolate(x[:0], size=4), "tiny": lambda: F.interpolate(x, scale_factor=0.01),
        "floats": lambda: F.interpolate(x, size=(2.0, 3)),
    }.items():  # fmt: skip
        case(f"interpolate bad {name}", call)
    case("upsample", lambda x: F.upsample(x, scale_factor=2), x)
    case("upsample bilinear", lambda x: F.upsample_bilinear(x, scale_factor=2), x)
    case("upsample nearest", lambda x: F.upsample_nearest(x, 5), x)


def sampling():
    x, grid = rand(2, 3, 5, 4), rand(2, 6, 7, 2).detach().div(2.2).requires_grad_()
    for mode, padding, aligned in itertools.product(
        ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection"), (False, True)
    ):
        case(
            f"grid {mode} {padding} {aligned}",
            lambda x, g: F.grid_sample(x, g, mode, padding, aligned),
            x,
            grid if mode != "nearest" else grid.detach(),
        )
    volume, points = rand(2, 2, 3, 4, 5), rand(2, 2, 3, 4, 3).detach().div(2.2).requires_grad_()
    for mode, padding, aligned in itertools.product(
        ("bilinear", "nearest"), ("zeros", "border", "reflection"), (False, True)
    ):
        case(
            f"grid3 {mode} {padding} {aligned}",
            lambda x, g: F.grid_sample(x, g, mode, padding, aligned),
            volume,
            points if mode != "nearest" else points.detach(),
        )
    case(
        "grid float64",
        lambda x, g: F.grid_sample(x.double(), g.double(), align_corners=False),
        x,
        grid,
    )
    far = torch.tensor([[[[1e30, 0.0], [-1e20, 0.3], [1e30, 0.1]]]])
    case("grid far", lambda x: F.grid_sample(x[:1], far, align_corners=False), x)
    for name, call in {
        "batch": lambda: F.grid_sample(x, grid[:1]), "last": lambda: F.grid_sample(x, grid[..., :1]),
        "rank": lambda: F.grid_sample(x[0], grid[0]), "dtype": lambda: F.grid_sample(x, grid.double()),
        "mode": lambda: F.grid_sample(x, grid, "foo"), "padding": lambda: F.grid_sample(x, grid, "nearest", "foo"),
        "hollow": lambda: F.grid_sample(x[..., :0], grid), "empty": lambda: F.grid_sample(x[:0], grid[:0]),
        "bicubic": lambda: F.grid_sample(volume, points, "bicubic"),
    }.items():  # fmt: skip
        case(f"grid bad {name}", call)
    theta, theta3 = rand(2, 2, 3), rand(2, 3, 4)
    for aligned in (False, True):
        case(f"affine {aligned}", lambda t: F.affine_grid(t, (2, 3, 4, 5), aligned), theta)
        case(f"affine one {aligned}", lambda t: F.affine_grid(t, (2, 3, 1, 5), aligned), theta)
        case(
            f"affine 3 {aligned}",
            lambda t: F.affine_grid(t, torch.Size((2, 1, 2, 3, 4)), aligned),
            theta3,
        )
    for name, size in {
        "rank": (2, 3, 4),
        "five": (2, 3, 4, 5, 6),
        "zero": (2, 3, 0, 5),
        "batch": (3, 3, 4, 5),
    }.items():
        case(f"affine bad {name}", lambda t: F.affine_grid(t, size), theta)


def folding():
    x = rand(2, 8, 6, 9)
    case("shuffle", lambda x: F.pixel_shuffle(x, 2), x)
    case("unshuffle", lambda x: F.pixel_unshuffle(x, 3), x)
    case("shuffle 5", lambda x: F.pixel_shuffle(x[None], 2), x)
    case("channels", lambda x: F.channel_shuffle(x, 4), x)
    for name, call in {
        "indivisible": lambda: F.pixel_shuffle(x, 3), "rank": lambda: F.pixel_shuffle(x[0, 0], 2), "zero": lambda: F.pixel_shuffle(x, 0),
        "unshuffle": lambda: F.pixel_unshuffle(x, 4), "unshuffle rank": lambda: F.pixel_unshuffle(x[0, 0], 3),
        "groups": lambda: F.channel_shuffle(x, 3), "no groups": lambda: F.channel_shuffle(x, 0), "channels rank": lambda: F.channel_shuffle(x[0, 0], 1),
    }.items():  # fmt: skip
        case(f"pixels bad {name}", call)
    for number, (k, d, p, s) in enumerate(
        itertools.product((2, (3, 2)), (1, 2), (0, 1), (1, (2, 3)))
    ):
        case(f"unfold {number}", lambda x: F.unfold(x, k, d, p, s), x)
        columns = F.unfold(x.detach(), k, d, p, s).requires_grad_()
        case(f"fold {number}", lambda c: F.fold(c, (6, 9), k, d, p, s), columns, second=True)
    case("unfold unbatched", lambda x: F.unfold(x[0], 2), x)
    for name, call in {
        "large": lambda: F.unfold(x, 10), "zero": lambda: F.unfold(x, 0), "dilation": lambda: F.unfold(x, 2, 0),
        "padding": lambda: F.unfold(x, 2, 1, -1), "stride": lambda: F.unfold(x, 2, 1, 0, 0), "hollow": lambda: F.unfold(x[:, :0], 2),
        "fold size": lambda: F.fold(F.unfold(x, 2), (9, 8), 2), "fold rows": lambda: F.fold(F.unfold(x, 2)[:, :11], (6, 9), 2),
        "fold rank": lambda: F.fold(x[0, 0, 0], (6, 9), 2), "fold sizes": lambda: F.fold(F.unfold(x, 2), (6, 9, 1), 2),
    }.items():  # fmt: skip
        case(f"fold bad {name}", call)


def layers():
    x = rand(2, 4, 8, 8)
    for number, module in enumerate((
        nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1, return_indices=True), nn.AvgPool2d((2, 3), padding=1), nn.LPPool2d(2, 2),
        nn.AdaptiveAvgPool2d((None, 3)), nn.AdaptiveMaxPool2d(3, True), nn.FractionalMaxPool2d(2, 3), nn.FractionalMaxPool2d(2, output_ratio=0.5),
        nn.Upsample(scale_factor=2), nn.Upsample(size=(3, 4), mode="bilinear"), nn.Upsample(scale_factor=(2, 3)), nn.UpsamplingNearest2d(scale_factor=2),
        nn.UpsamplingBilinear2d(size=3), nn.PixelShuffle(2), nn.PixelUnshuffle(2), nn.ChannelShuffle(2), nn.Unfold((2, 3), padding=1),
    )):  # fmt: skip
        case(f"layer {number}", module, x)
        OUT[f"repr {number}"] = [
            repr(module),
            sorted(k for k in module.__dict__ if not k.startswith("_")),
        ]
    others = (
        nn.MaxPool1d(2, 1, 1, 1, ceil_mode=True), nn.MaxPool3d((1, 2, 3)), nn.AvgPool1d(2), nn.AvgPool3d(2), nn.LPPool1d(2, 3), nn.LPPool3d(2, 3),
        nn.AdaptiveAvgPool1d(3), nn.AdaptiveAvgPool3d(2), nn.AdaptiveMaxPool1d(2), nn.AdaptiveMaxPool3d((1, 2, 3)), nn.MaxUnpool1d(2),
        nn.MaxUnpool2d(2, 2, 1), nn.MaxUnpool3d(2), nn.FractionalMaxPool3d(2, output_ratio=0.5), nn.Fold(4, 2),
    )  # fmt: skip
    for module in others:
        OUT[f"repr {module!r}"] = [
            repr(module),
            sorted(k for k in module.__dict__ if not k.startswith("_")),
        ]
    case("layer unpool", lambda x: nn.MaxUnpool2d(2)(*nn.MaxPool2d(2, return_indices=True)(x)), x)
    case("layer fold", lambda x: nn.Fold((8, 8), 2)(nn.Unfold(2)(x)), x)
    case("layer bad fractional", lambda: nn.FractionalMaxPool2d(2))
    case("layer bad ratio", lambda: nn.FractionalMaxPool2d(2, output_ratio=1.5))
    case("layer bad both", lambda: nn.FractionalMaxPool2d(2, 3, 0.5))


def indexing():
    x = rand(7, 5)
    where = torch.tensor([[0, 3, 6], [6, 6, 1]])
    for dtype in (
        torch.float32,
        torch.float64,
        torch.bfloat16,
        torch.int64,
        torch.int32,
        torch.uint8,
        torch.bool,
    ):
        y = x.detach().abs().to(dtype)
        case(f"embedding {dtype}", lambda y: y[where], y)
        case(f"select {dtype}", lambda y: y.index_select(1, torch.tensor([4, 0, 0])), y)
        case(f"gather {dtype}", lambda y: y.gather(1, torch.tensor([[0, 4], [1, 1], [3, 2]])), y)
        case(
            f"scatter {dtype}",
            lambda y: y.scatter(0, torch.tensor([[0, 4], [1, 1], [3, 2]]), y[1:4, :2]),
            y,
        )
        case(
            f"scatter_add {dtype}",
            lambda y: y.scatter_add(1, torch.tensor([[0, 0, 4], [1, 1, 1]]), y),
            y,
        )
        case(f"index_add {dtype}", lambda y: y.index_add(0, torch.tensor([2, 2, 0]), y[:3]), y)
    case("embedding", lambda x: F.embedding(where, x), x, second=True)
    case("embedding int32", lambda x: F.embedding(where.int(), x, padding_idx=6), x)
    case("gather", lambda x: x.gather(0, where[:, :2].expand(2, 2)), x, second=True)
    case(
        "scatter", lambda x, s: x.scatter(0, torch.tensor([[1, 0, 5], [2, 1, 6]]), s), x, rand(2, 3)
    )
    case(
        "scatter_add",
        lambda x, s: x.scatter_add(1, torch.tensor([[0, 0, 4], [1, 1, 1]]), s),
        x,
        rand(2, 3),
    )
    case(
        "scatter wide",
        lambda x: torch.zeros(3, 40).scatter_add(1, torch.arange(120).reshape(3, 40) % 40, x),
        rand(3, 40),
    )
    case("select empty", lambda x: x.index_select(0, torch.zeros(0, dtype=torch.long)), x)
    case("select middle", lambda x: x.index_select(1, torch.tensor([2, 0, 2])), rand(2, 3, 4))
    case("select strided", lambda x: x.t().index_select(1, torch.tensor([2, 0, 2])), x)
    case(
        "index_add middle",
        lambda x, s: x.index_add(1, torch.tensor([2, 0, 2]), s),
        rand(2, 3, 4),
        rand(2, 3, 4),
    )
    case("take_along", lambda x: torch.take_along_dim(x, where.t()[:, :1].expand(3, 5), 0), x)
    for name, call in {
        "gather": lambda: x.gather(0, torch.tensor([[9]])), "gather -1": lambda: x.gather(1, torch.tensor([[-1]])),
        "scatter": lambda: x.scatter(0, torch.tensor([[9]]), 1.0), "add": lambda: x.scatter_add(1, torch.tensor([[5]]), x),
        "index_add": lambda: x.detach().index_add(0, torch.tensor([7]), x[:1]), "embedding": lambda: F.embedding(torch.tensor([7]), x),
    }.items():  # fmt: skip
        case(f"index bad {name}", call)


for part in (
    max_pools,
    adaptive,
    unpooling,
    bad_pools,
    resampling,
    sampling,
    folding,
    layers,
    indexing,
):
    torch.manual_seed(3)
    part()
with open(sys.argv[1], "w") as out:
    json.dump(OUT, out)
