"""The transforms of PIL images; Pillow does the work."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from diptych.companions.torchvision.transforms.modes import PIL_NUMBERS, InterpolationMode


def modules() -> Any:
    """Pillow, with the modules used here; ImportError says how to get it."""
    try:
        from PIL import Image, ImageEnhance, ImageOps
    except ImportError as error:
        raise ImportError("images need Pillow: pip install pillow") from error
    return Image, ImageEnhance, ImageOps


def is_pil(image: Any) -> bool:
    """Whether an object is a PIL image, without importing Pillow for it."""
    return any(kind.__module__ == "PIL.Image" for kind in type(image).__mro__)


def dimensions(image: Any) -> list[int]:
    """[channels, height, width]."""
    width, height = image.size
    return [len(image.getbands()), height, width]


def hflip(image: Any) -> Any:
    return image.transpose(modules()[0].Transpose.FLIP_LEFT_RIGHT)


def vflip(image: Any) -> Any:
    return image.transpose(modules()[0].Transpose.FLIP_TOP_BOTTOM)


def crop(image: Any, top: int, left: int, height: int, width: int) -> Any:
    return image.crop((left, top, left + width, top + height))


def resize(image: Any, size: list[int], mode: InterpolationMode) -> Any:
    return image.resize((size[1], size[0]), PIL_NUMBERS[mode.name])


def filling(image: Any, fill: Any) -> Any:
    """The fill as this image's mode takes it: a number, or one per band."""
    bands = len(image.getbands())
    if fill is None:
        fill = 0
    if isinstance(fill, (int, float)):
        if bands > 1:
            return (round(fill),) * bands
        return float(fill) if image.mode.startswith("F") else round(fill)
    values = [float(v) if image.mode == "F" else int(v) for v in fill]
    if len(values) == 1:
        values *= bands
    if len(values) != bands:
        raise ValueError(
            "The number of elements in 'fill' does not match the number of channels of the image "
            f"({len(values)} != {bands})"
        )
    return values[0] if bands == 1 else tuple(values)


def pad(image: Any, sides: tuple[int, int, int, int], fill: Any, padding_mode: str) -> Any:
    """``sides``: left, top, right, bottom; negative ones crop."""
    left, top, right, bottom = sides
    image_module, _, image_ops = modules()
    if padding_mode == "constant":
        padded = image_ops.expand(
            image, border=(left, top, right, bottom), fill=filling(image, fill)
        )
        if image.mode == "P":
            padded.putpalette(image.getpalette())
        return padded
    cropped = image.crop(
        (max(-left, 0), max(-top, 0), image.width - max(-right, 0), image.height - max(-bottom, 0))
    )
    pixels = np.asarray(cropped)
    widths = [(max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0))]
    widths += [(0, 0)] * (pixels.ndim - 2)
    mode: Any = padding_mode
    made = image_module.fromarray(np.pad(pixels, widths, mode=mode))
    if image.mode == "P":
        made.putpalette(image.getpalette())
    return made


def enhance(image: Any, kind: str, factor: float) -> Any:
    """Blend with the image that lacks brightness, contrast, colour or sharpness."""
    return getattr(modules()[1], kind)(image).enhance(factor)


def adjust_hue(image: Any, shift: float) -> Any:
    if image.mode in ("L", "1", "I", "F"):
        return image
    hue, saturation, value = image.convert("HSV").split()
    turned = (np.array(hue, np.int32) + int(shift * 255)).astype(np.uint8)
    image_module = modules()[0]
    bands = (image_module.fromarray(turned), saturation, value)
    return image_module.merge("HSV", bands).convert(image.mode)


def adjust_gamma(image: Any, gamma: float, gain: float) -> Any:
    table = [int((255 + 1 - 1e-3) * gain * pow(level / 255.0, gamma)) for level in range(256)]
    bands = len(image.getbands())
    converted = image.convert("RGB")
    return converted.point(table * 3).convert(image.mode if bands else "RGB")


def rotate(
    image: Any, angle: float, mode: InterpolationMode, expand: bool, center: Any, fill: Any
) -> Any:
    return image.rotate(
        angle, PIL_NUMBERS[mode.name], expand, center, fillcolor=filling(image, fill)
    )


def transform(image: Any, kind: str, data: Sequence[float], mode: Any, fill: Any) -> Any:
    """An affine or perspective transform to an image of the same size."""
    method = getattr(modules()[0].Transform, kind)
    return image.transform(
        image.size, method, data, PIL_NUMBERS[mode.name], fillcolor=filling(image, fill)
    )


def to_grayscale(image: Any, channels: int) -> Any:
    gray = image.convert("L")
    if channels == 1:
        return gray
    if channels == 3:
        return modules()[0].merge("RGB", (gray, gray, gray))
    raise ValueError("num_output_channels should be either 1 or 3")


def operate(image: Any, name: str, *values: Any) -> Any:
    """One of Pillow's whole-image operations: invert, posterize, solarize, autocontrast, ..."""
    return getattr(modules()[2], name)(image, *values)


def inverse_affine(
    center: Sequence[float],
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: Sequence[float],
) -> list[float]:
    """The map from output to input pixels of: shear, rotate and scale about a centre, then move."""
    turn, across, down = (math.radians(v) for v in (angle, shear[0], shear[1]))
    cx, cy = center
    tx, ty = translate
    # rotation after the two shears, without the scale
    a = math.cos(turn - down) / math.cos(down)
    b = -math.cos(turn - down) * math.tan(across) / math.cos(down) - math.sin(turn)
    c = math.sin(turn - down) / math.cos(down)
    d = -math.sin(turn - down) * math.tan(across) / math.cos(down) + math.cos(turn)
    inverse = [v / scale for v in (d, -b, 0.0, -c, a, 0.0)]
    inverse[2] = inverse[0] * (-cx - tx) + inverse[1] * (-cy - ty) + cx
    inverse[5] = inverse[3] * (-cx - tx) + inverse[4] * (-cy - ty) + cy
    return inverse
