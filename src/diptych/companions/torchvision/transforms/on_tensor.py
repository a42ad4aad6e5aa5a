"""The transforms of image tensors [..., channels, height, width]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from diptych.companions.torchvision.face import torch
from diptych.torch.nn import functional as F


def dimensions(image: Any) -> list[int]:
    """[channels, height, width]."""
    channels = 1 if image.ndim == 2 else image.shape[-3]
    return [channels, *image.shape[-2:]]


def need_image(image: Any) -> None:
    if not torch.is_tensor(image) or image.ndim < 2:
        raise TypeError("Tensor is not a torch image.")


def need_channels(image: Any, permitted: Sequence[int]) -> None:
    found = dimensions(image)[0]
    if found not in permitted:
        raise TypeError(
            f"Input image tensor permitted channel values are {list(permitted)}, but found {found}"
        )


def largest(dtype: Any) -> float:
    """The value of full brightness: 1 for floats, the largest integer otherwise."""
    return 1 if dtype.is_floating_point else torch.iinfo(dtype).max


def convert(image: Any, dtype: Any) -> Any:
    """Another dtype, with full brightness kept full."""
    if image.dtype == dtype:
        return image
    if image.is_floating_point():
        if dtype.is_floating_point:
            return image.to(dtype)
        if (image.dtype, dtype) in (
            (torch.float32, torch.int32), (torch.float32, torch.int64),
            (torch.float64, torch.int64),
        ):  # fmt: skip
            raise RuntimeError(
                f"The cast from {image.dtype} to {dtype} cannot be performed safely."
            )
        return image.mul(largest(dtype) + 1.0 - 1e-3).to(dtype)
    most = largest(image.dtype)
    if dtype.is_floating_point:
        return image.to(dtype) / most
    wanted = largest(dtype)
    if most > wanted:
        return torch.div(image, int((most + 1) // (wanted + 1)), rounding_mode="floor").to(dtype)
    return image.to(dtype) * int((wanted + 1) // (most + 1))


def crop(image: Any, top: int, left: int, height: int, width: int) -> Any:
    """A part of the image; what lies beyond its borders is 0."""
    high, wide = image.shape[-2:]
    bottom, right = top + height, left + width
    part = image[..., max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    beyond = [
        max(min(right, 0) - left, 0), max(right - max(wide, left), 0),
        max(min(bottom, 0) - top, 0), max(bottom - max(high, top), 0),
    ]  # fmt: skip
    return F.pad(part, beyond) if any(beyond) else part


def as_batch(image: Any, dtypes: Sequence[Any]) -> tuple[Any, Any]:
    """Four dimensions and a dtype that the operation takes, and how to come back."""
    before, shape = image.dtype, image.shape
    x = image.reshape(-1, *shape[-3:]) if image.ndim != 4 else image
    if before not in dtypes:
        x = x.to(torch.float32)

    def back(y: Any) -> Any:
        y = y.reshape(*shape[:-3], *y.shape[-3:]) if image.ndim != 4 else y
        if before not in dtypes:
            if not before.is_floating_point:
                y = torch.round(y)
            y = y.to(before)
        return y

    return x, back


def resize(image: Any, size: Sequence[int], mode: str, antialias: bool) -> Any:
    smooth = mode in ("bilinear", "bicubic")
    x, back = as_batch(image, [torch.float32, torch.float64])
    made = F.interpolate(
        x, size=list(size), mode=mode, align_corners=False if smooth else None,
        antialias=antialias and smooth,
    )  # fmt: skip
    if mode == "bicubic" and image.dtype == torch.uint8:
        made = made.clamp(min=0, max=255)
    return back(made)


def pad(image: Any, sides: tuple[int, int, int, int], fill: Any, padding_mode: str) -> Any:
    """``sides``: left, top, right, bottom."""
    left, top, right, bottom = sides
    widths = [left, right, top, bottom]
    if padding_mode == "constant":
        value = 0 if fill is None else fill
        if isinstance(value, (tuple, list)):
            if len(value) != 1:
                raise ValueError("tensors are padded with one number, not with one per channel")
            value = value[0]
        return F.pad(image, widths, value=float(value))
    if padding_mode == "symmetric":
        return _pad_symmetric(image, widths)
    mode = {"edge": "replicate"}.get(padding_mode, padding_mode)
    x, back = as_batch(image, [torch.float32, torch.float64])
    return back(F.pad(x, widths, mode=mode))


def _pad_symmetric(image: Any, widths: list[int]) -> Any:
    """Mirrored with the edge repeated; negative widths crop first."""
    if any(width < 0 for width in widths):
        left, right, top, bottom = (-min(width, 0) for width in widths)
        high, wide = image.shape[-2:]
        image = crop(image, top, left, high - top - bottom, wide - left - right)
        widths = [max(width, 0) for width in widths]
    high, wide = image.shape[-2:]
    rows, columns = (_mirrored(n, a, b) for n, a, b in [(high, *widths[2:]), (wide, *widths[:2])])
    return image[..., torch.tensor(rows)[:, None], torch.tensor(columns)[None, :]]


def _mirrored(extent: int, before: int, after: int) -> list[int]:
    return [
        *(i - 1 for i in range(before, 0, -1)),
        *range(extent),
        *(extent - 1 - i for i in range(after)),
    ]


# ---- colour


def blend(image: Any, other: Any, ratio: float) -> Any:
    ratio = float(ratio)
    most = largest(image.dtype)
    return (ratio * image + (1.0 - ratio) * other).clamp(0, most).to(image.dtype)


def gray(image: Any, channels: int = 1) -> Any:
    """Luma of ITU-R 601-2, in ``channels`` equal channels."""
    need_channels(image, [1, 3])
    if channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    if image.shape[-3] == 3:
        red, green, blue = image.unbind(dim=-3)
        light = (0.2989 * red + 0.587 * green + 0.114 * blue).to(image.dtype).unsqueeze(dim=-3)
    else:
        light = image.clone()
    return light.expand(image.shape[:-3] + (3, *image.shape[-2:])) if channels == 3 else light


def contrast(image: Any, factor: float) -> Any:
    need_channels(image, [1, 3])
    dtype = image.dtype if image.is_floating_point() else torch.float32
    light = gray(image) if image.shape[-3] == 3 else image
    mean = torch.mean(light.to(dtype), dim=(-3, -2, -1), keepdim=True)
    return blend(image, mean, factor)


def saturation(image: Any, factor: float) -> Any:
    need_channels(image, [1, 3])
    return image if image.shape[-3] == 1 else blend(image, gray(image), factor)


def hue(image: Any, shift: float) -> Any:
    need_channels(image, [1, 3])
    if image.shape[-3] == 1:
        return image
    before = image.dtype
    h, s, v = _to_hsv(convert(image, torch.float32)).unbind(dim=-3)
    turned = torch.stack(((h + shift) % 1.0, s, v), dim=-3)
    return convert(_from_hsv(turned), before)


def _to_hsv(image: Any) -> Any:
    red, green, blue = image.unbind(dim=-3)
    most, least = torch.max(image, dim=-3).values, torch.min(image, dim=-3).values
    same = most == least
    range_ = most - least
    ones = torch.ones_like(most)
    s = range_ / torch.where(same, ones, most)
    divisor = torch.where(same, ones, range_)
    rc, gc, bc = (most - red) / divisor, (most - green) / divisor, (most - blue) / divisor
    is_red = most == red
    is_green = (most == green) & ~is_red
    h = is_red * (bc - gc) + is_green * (2.0 + rc - bc) + (~is_red & ~is_green) * (4.0 + gc - rc)
    return torch.stack((torch.fmod(h / 6.0 + 1.0, 1.0), s, most), dim=-3)


def _from_hsv(image: Any) -> Any:
    h, s, v = image.unbind(dim=-3)
    sextant = torch.floor(h * 6.0)
    f = h * 6.0 - sextant
    sextant = sextant.to(torch.int32) % 6
    p = torch.clamp(v * (1.0 - s), 0.0, 1.0)
    q = torch.clamp(v * (1.0 - s * f), 0.0, 1.0)
    t = torch.clamp(v * (1.0 - s * (1.0 - f)), 0.0, 1.0)
    choices = [(v, t, p), (q, v, p), (p, v, t), (p, q, v), (t, p, v), (v, p, q)]
    made = [torch.zeros_like(v) for _ in range(3)]
    for number, values in enumerate(choices):
        here = sextant == number
        made = [torch.where(here, value, old) for value, old in zip(values, made, strict=True)]
    return torch.stack(made, dim=-3)


def gamma(image: Any, gamma: float, gain: float) -> Any:
    before = image.dtype
    x = image if image.is_floating_point() else convert(image, torch.float32)
    return convert((gain * x**gamma).clamp(0, 1), before)


def sharpness(image: Any, factor: float) -> Any:
    need_channels(image, [1, 3])
    if image.shape[-1] <= 2 or image.shape[-2] <= 2:
        return image
    x, back = as_batch(image, [torch.float32, torch.float64])
    kernel = torch.ones((3, 3), dtype=x.dtype)
    kernel[1, 1] = 5.0
    kernel = (kernel / kernel.sum()).expand(x.shape[-3], 1, 3, 3)
    inner = F.conv2d(x, kernel, groups=x.shape[-3])
    if not image.is_floating_point():
        inner = torch.round(inner)
    blurred = x.clone()
    blurred[..., 1:-1, 1:-1] = inner
    return blend(image, back(blurred), factor)


def autocontrast(image: Any) -> Any:
    need_channels(image, [1, 3])
    most = largest(image.dtype)
    dtype = image.dtype if image.is_floating_point() else torch.float32
    low = image.amin(dim=(-2, -1), keepdim=True).to(dtype)
    high = image.amax(dim=(-2, -1), keepdim=True).to(dtype)
    flat = low == high
    scale = most / (high - low)
    low = torch.where(flat, torch.zeros_like(low), low)
    scale = torch.where(flat, torch.ones_like(scale), scale)
    return ((image - low) * scale).clamp(0, most).to(image.dtype)


def equalize(image: Any) -> Any:
    need_channels(image, [1, 3])
    if image.dtype != torch.uint8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found {image.dtype}")
    planes = image.reshape(-1, *image.shape[-2:])
    return torch.stack([_equalize(plane) for plane in planes]).reshape(image.shape)


def _equalize(plane: Any) -> Any:
    counts = torch.bincount(plane.reshape(-1).to(torch.int64), minlength=256)
    filled = counts[counts != 0]
    step = int(torch.div(filled[:-1].sum(), 255, rounding_mode="floor"))
    if step == 0:
        return plane
    table = torch.div(torch.cumsum(counts, 0) + step // 2, step, rounding_mode="floor")
    table = F.pad(table, [1, 0])[:-1].clamp(0, 255)
    return table[plane.to(torch.int64)].to(torch.uint8)


def gaussian_blur(image: Any, kernel_size: Sequence[int], sigma: Sequence[float]) -> Any:
    """Blurred with a separable kernel, the borders mirrored."""
    x, back = as_batch(image, [torch.float32, torch.float64])

    def weights(size: int, width: float) -> Any:
        half = (size - 1) * 0.5
        places = torch.linspace(-half, half, steps=size, dtype=x.dtype)
        made = torch.exp(-0.5 * (places / width).pow(2))
        return made / made.sum()

    kernel = torch.mm(
        weights(kernel_size[1], sigma[1])[:, None], weights(kernel_size[0], sigma[0])[None, :]
    )
    channels = x.shape[-3]
    half = [kernel_size[0] // 2] * 2 + [kernel_size[1] // 2] * 2
    padded = F.pad(x, half, mode="reflect")
    return back(F.conv2d(padded, kernel.expand(channels, 1, *kernel.shape), groups=channels))


# ---- geometry by a grid of places


def sample(image: Any, grid: Any, mode: str, fill: Any) -> Any:
    """The image at the places of ``grid``; ``fill`` beyond its borders."""
    x, back = as_batch(image, [torch.float32, torch.float64])
    if x.shape[0] > 1:
        grid = grid.expand(x.shape[0], *grid.shape[1:])
    grid = grid.to(x.dtype)
    values = None
    if fill is not None:
        values = torch.tensor([fill] if isinstance(fill, (int, float)) else fill, dtype=x.dtype)
        values = values.reshape(1, -1, 1, 1).expand(1, x.shape[1], 1, 1)
        inside = torch.ones((x.shape[0], 1, *x.shape[-2:]), dtype=x.dtype)
        x = torch.cat((x, inside), dim=1)
    made = F.grid_sample(x, grid, mode=mode, padding_mode="zeros", align_corners=False)
    if values is not None:
        mask, made = made[:, -1:], made[:, :-1]
        if mode == "nearest":
            made = torch.where(mask < 0.5, values, made)
        else:
            made = made * mask + (1.0 - mask) * values
    return back(made)


def affine_grid(matrix: Sequence[float], width: int, height: int, out: tuple[int, int]) -> Any:
    """The places that an inverse affine matrix about the centre reads, as grid_sample counts."""
    theta = torch.tensor([list(matrix[:3]), list(matrix[3:])], dtype=torch.float32)
    wide, high = out
    xs = torch.linspace(-wide * 0.5 + 0.5, wide * 0.5 + 0.5 - 1, steps=wide)
    ys = torch.linspace(-high * 0.5 + 0.5, high * 0.5 + 0.5 - 1, steps=high)
    base = torch.stack(
        [
            xs.expand(high, wide),
            ys[:, None].expand(high, wide),
            torch.ones(high, wide),
        ],
        dim=-1,
    )
    half = torch.tensor([0.5 * width, 0.5 * height])
    return (base.reshape(-1, 3) @ (theta.t() / half)).reshape(1, high, wide, 2)


def rotated_size(matrix: Sequence[float], width: int, height: int) -> tuple[int, int]:
    """(width, height) of what holds a whole image after a rotation."""
    corners = [(x * width, y * height) for x in (-0.5, 0.5) for y in (-0.5, 0.5)]
    a, b, c, d, e, f = matrix
    places = [(a * x + b * y + c, d * x + e * y + f) for x, y in corners]
    spans = []
    for axis, extent in enumerate((width, height)):
        values = [math.trunc((place[axis] + 0.5 * extent) * 1e4) / 1e4 for place in places]
        spans.append(math.ceil(max(values)) - math.floor(min(values)))
    return spans[0], spans[1]


def perspective_grid(coefficients: Sequence[float], width: int, height: int) -> Any:
    a, b, c, d, e, f, g, h = (float(v) for v in coefficients)
    xs = torch.linspace(0.5, width + 0.5 - 1.0, steps=width).expand(height, width)
    ys = torch.linspace(0.5, height + 0.5 - 1.0, steps=height)[:, None].expand(height, width)
    below = g * xs + h * ys + 1
    if not width or not height:
        raise ValueError(f"perspective: the image has no pixels: {height} x {width}")
    across = (a * xs + b * ys + c) * (2 / width) / below - 1
    down = (d * xs + e * ys + f) * (2 / height) / below - 1
    return torch.stack([across, down], dim=-1)[None]
