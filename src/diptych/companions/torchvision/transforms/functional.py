"""Transforms as functions, of PIL images and of tensors [..., channels, height, width]."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from diptych.companions.torchvision.face import torch
from diptych.companions.torchvision.transforms import on_pil as F_pil
from diptych.companions.torchvision.transforms import on_tensor as F_t
from diptych.companions.torchvision.transforms.modes import InterpolationMode as InterpolationMode
from diptych.companions.torchvision.transforms.modes import mode_of as mode_of

_PADDINGS = ("constant", "edge", "reflect", "symmetric")


def _check(image: Any) -> bool:
    """Whether the image is a tensor; TypeError when it is no image at all."""
    if torch.is_tensor(image):
        F_t.need_image(image)
        return True
    if not F_pil.is_pil(image):
        raise TypeError(f"img should be PIL Image or Tensor. Got {type(image)}")
    return False


# ---- sizes and conversions


def get_dimensions(img: Any) -> list[int]:
    """[channels, height, width]."""
    return F_t.dimensions(img) if _check(img) else F_pil.dimensions(img)


def get_image_size(img: Any) -> list[int]:
    """[width, height]."""
    _, height, width = get_dimensions(img)
    return [width, height]


def get_image_num_channels(img: Any) -> int:
    """The number of channels."""
    return get_dimensions(img)[0]


def to_tensor(pic: Any) -> Any:
    """A PIL image or array [H, W(, C)] as a tensor [C, H, W]; bytes become floats in [0, 1]."""
    if not (F_pil.is_pil(pic) or isinstance(pic, np.ndarray)):
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    if isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        pixels = pic[:, :, None] if pic.ndim == 2 else pic
        made = torch.from_numpy(pixels.transpose((2, 0, 1))).contiguous()
    else:
        made = pil_to_tensor(pic)
        if pic.mode == "1":
            made = 255 * made
    if made.dtype == torch.uint8:
        return made.to(dtype=torch.get_default_dtype()).div(255)
    return made


def pil_to_tensor(pic: Any) -> Any:
    """A PIL image as a tensor [C, H, W] of its own numbers."""
    if not F_pil.is_pil(pic):
        raise TypeError(f"pic should be PIL Image. Got {type(pic)}")
    kinds = {"I": np.int32, "I;16": np.uint16, "F": np.float32, "1": np.uint8}
    pixels = np.array(pic, kinds.get(pic.mode))
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose((2, 0, 1))))


def convert_image_dtype(image: Any, dtype: Any = torch.float32) -> Any:
    """Another dtype, values scaled so that full brightness stays full."""
    if not torch.is_tensor(image):
        raise TypeError("Input img should be Tensor Image")
    return F_t.convert(image, dtype)


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A tensor [C, H, W] or array [H, W, C] as a PIL image; float tensors are in [0, 1]."""
    image_module = F_pil.modules()[0]
    if torch.is_tensor(pic):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        planes = pic.unsqueeze(0) if pic.ndim == 2 else pic
        if planes.is_floating_point() and mode != "F":
            planes = planes.mul(255).byte()
        pixels = planes.permute(1, 2, 0).numpy()
    elif isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        pixels = pic[:, :, None] if pic.ndim == 2 else pic
    else:
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    channels = pixels.shape[2]
    if channels > 4:
        raise ValueError(f"pic should not have > 4 channels. Got {channels} channels.")
    if channels == 1:
        pixels = pixels[:, :, 0]
        known = {"uint8": "L", "int16": "I;16", "uint16": "I;16", "int32": "I", "float32": "F"}
        wanted = known.get(pixels.dtype.name)
        if mode is not None and mode != wanted:
            raise ValueError(
                f"Incorrect mode ({mode}) supplied for input type {pixels.dtype}. "
                f"Should be {wanted}"
            )
        mode = wanted
    else:
        permitted = {2: ("LA",), 3: ("RGB", "YCbCr", "HSV"), 4: ("RGBA", "CMYK", "RGBX")}[channels]
        if mode is not None and mode not in permitted:
            raise ValueError(f"Only modes {permitted} are supported for {channels} channels inputs")
        mode = mode or (permitted[0] if pixels.dtype == np.uint8 else None)
    if mode is None:
        raise TypeError(f"Input type {pixels.dtype} is not supported")
    made = image_module.fromarray(np.ascontiguousarray(pixels))
    if made.mode != mode:  # the same bytes, read as another colour space
        made = image_module.frombytes(mode, made.size, made.tobytes())
    return made


def normalize(tensor: Any, mean: Any, std: Any, inplace: bool = False) -> Any:
    """(x - mean) / std, channel by channel; floats only."""
    if not torch.is_tensor(tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
    if not tensor.is_floating_point():
        raise TypeError(f"Input tensor should be a float tensor. Got {tensor.dtype}.")
    if tensor.ndim < 3:
        raise ValueError(
            "Expected tensor to be a tensor image of size (..., C, H, W). Got tensor.size() = "
            f"{tensor.size()}"
        )
    middle = torch.as_tensor(mean, dtype=tensor.dtype)
    spread = torch.as_tensor(std, dtype=tensor.dtype)
    if (spread == 0).any():
        raise ValueError(
            f"std evaluated to zero after conversion to {tensor.dtype}, leading to division by "
            "zero."
        )
    middle = middle.view(-1, 1, 1) if middle.ndim == 1 else middle
    spread = spread.view(-1, 1, 1) if spread.ndim == 1 else spread
    if inplace:
        return tensor.sub_(middle).div_(spread)
    return (tensor - middle) / spread


# ---- size and place


def _sizes(size: Any) -> list[int]:
    return [size] if isinstance(size, int) else list(size)


def _resized(
    image_size: tuple[int, int], size: list[int] | None, max_size: int | None, larger: bool = True
) -> list[int]:
    """[height, width] after a resize: one number is for the shorter side."""
    height, width = image_size
    if size is not None and len(size) == 2:
        return size
    if not (height and width):
        raise ValueError(f"an image of {height} x {width} pixels has no sides in proportion")
    short, long = (width, height) if width <= height else (height, width)
    if size is None:
        new_short, new_long = int((max_size or 0) * short / long), max_size or 0
    else:
        new_short, new_long = size[0], int(size[0] * long / short)
        if max_size is not None:
            if max_size <= size[0]:
                raise ValueError(
                    f"max_size = {max_size} must be strictly greater than the requested size for "
                    f"the smaller edge size = {size}"
                )
            if new_long > max_size:
                new_short, new_long = int(max_size * new_short / new_long), max_size
    return [new_long, new_short] if width <= height else [new_short, new_long]


def resize(
    img: Any,
    size: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """The image in another size; one number is for its shorter side."""
    mode = mode_of(interpolation)
    if size is None and max_size is None:
        raise ValueError("size or max_size must be given")
    wanted = None if size is None else _sizes(size)
    if wanted is not None:
        if len(wanted) not in (1, 2):
            raise ValueError(
                f"Size must be an int or a 1 or 2 element tuple/list, not a {len(wanted)} element "
                "tuple/list"
            )
        if max_size is not None and len(wanted) != 1:
            raise ValueError(
                "max_size should only be passed if size specifies the length of the smaller edge, "
                "i.e. size should be an int or a sequence of length 1 in torchscript mode."
            )
    _, height, width = get_dimensions(img)
    output = _resized((height, width), wanted, max_size)
    if [height, width] == output:
        return img
    if not _check(img):
        return F_pil.resize(img, output, mode)
    if mode.value in ("box", "hamming", "lanczos"):
        raise ValueError(f"{mode.value} resampling is for PIL images only")
    return F_t.resize(img, output, mode.value, bool(antialias))


def _sides(padding: Any) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of a number, a pair or four."""
    given = [padding] if isinstance(padding, int) else list(padding)
    if len(given) not in (1, 2, 4):
        raise ValueError(
            f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(given)} element "
            "tuple"
        )
    left, top, right, bottom = given * (4 // len(given))
    return left, top, right, bottom


def pad(img: Any, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Any:
    """Borders added: constant, edge, reflect or symmetric."""
    if not isinstance(padding, (numbers.Number, tuple, list)):
        raise TypeError("Got inappropriate padding arg")
    if padding_mode not in _PADDINGS:
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
    room = F_t if _check(img) else F_pil
    return room.pad(img, _sides(padding), fill, padding_mode)


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """A part of the image; beyond its borders is 0."""
    room = F_t if _check(img) else F_pil
    return room.crop(img, top, left, height, width)


def center_crop(img: Any, output_size: Any) -> Any:
    """The middle of the image, padded first where it is too small."""
    size = _sizes(output_size)
    size = size * 2 if len(size) == 1 else size
    _, height, width = get_dimensions(img)
    high, wide = size
    if wide > width or high > height:
        left, right = max((wide - width) // 2, 0), max((wide - width + 1) // 2, 0)
        top, bottom = max((high - height) // 2, 0), max((high - height + 1) // 2, 0)
        img = pad(img, [left, top, right, bottom], fill=0)
        _, height, width = get_dimensions(img)
        if (high, wide) == (height, width):
            return img
    top, left = round((height - high) / 2.0), round((width - wide) / 2.0)
    return crop(img, top, left, high, wide)


def resized_crop(
    img: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """A part of the image, resized."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def hflip(img: Any) -> Any:
    """Left and right exchanged."""
    return img.flip(-1) if _check(img) else F_pil.hflip(img)


def vflip(img: Any) -> Any:
    """Top and bottom exchanged."""
    return img.flip(-2) if _check(img) else F_pil.vflip(img)


def five_crop(img: Any, size: Any) -> tuple[Any, ...]:
    """The four corners and the middle."""
    wanted = _sizes(size)
    high, wide = wanted * 2 if len(wanted) == 1 else wanted
    _, height, width = get_dimensions(img)
    if wide > width or high > height:
        raise ValueError(
            f"Requested crop size {(high, wide)} is bigger than input size {(height, width)}"
        )
    corners = [(0, 0), (0, width - wide), (height - high, 0), (height - high, width - wide)]
    made = [crop(img, top, left, high, wide) for top, left in corners]
    return (*made, center_crop(img, [high, wide]))


def ten_crop(img: Any, size: Any, vertical_flip: bool = False) -> tuple[Any, ...]:
    """`five_crop` of the image and of its mirror image."""
    mirrored = vflip(img) if vertical_flip else hflip(img)
    return five_crop(img, size) + five_crop(mirrored, size)


def erase(img: Any, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False) -> Any:
    """A rectangle of a tensor replaced by ``v``."""
    if not torch.is_tensor(img):
        raise TypeError(f"img should be Tensor Image. Got {type(img)}")
    made = img if inplace else img.clone()
    made[..., i : i + h, j : j + w] = v
    return made


# ---- affine and perspective


def rotate(
    img: Any,
    angle: float,
    interpolation: Any = InterpolationMode.NEAREST,
    expand: bool = False,
    center: list[int] | None = None,
    fill: Any = None,
) -> Any:
    """Turned counter-clockwise by ``angle`` degrees about its centre, or ``center`` (x, y)."""
    mode = mode_of(interpolation)
    if not isinstance(angle, (int, float)):
        raise TypeError("Argument angle should be int or float")
    if not _check(img):
        return F_pil.rotate(img, angle, mode, expand, center, fill)
    _, height, width = get_dimensions(img)
    middle = [0.0, 0.0]
    if center is not None:
        middle = [1.0 * (c - s * 0.5) for c, s in zip(center, [width, height], strict=True)]
    matrix = F_pil.inverse_affine(middle, -angle, [0.0, 0.0], 1.0, [0.0, 0.0])
    size = F_t.rotated_size(matrix, width, height) if expand else (width, height)
    return F_t.sample(img, F_t.affine_grid(matrix, width, height, size), mode.value, fill)


def affine(
    img: Any,
    angle: float,
    translate: Sequence[int],
    scale: float,
    shear: Any,
    interpolation: Any = InterpolationMode.NEAREST,
    fill: Any = None,
    center: list[int] | None = None,
) -> Any:
    """Turned, moved, scaled and sheared about its centre; angles in degrees, clockwise."""
    mode = mode_of(interpolation)
    if len(translate) != 2:
        raise ValueError("Argument translate should be a sequence of length 2")
    if scale <= 0.0:
        raise ValueError("Argument scale should be positive")
    shears: list[float] = [shear, 0.0] if isinstance(shear, (int, float)) else [*shear, 0.0][:2]
    _, height, width = get_dimensions(img)
    if not _check(img):
        middle = [width * 0.5, height * 0.5] if center is None else center
        matrix = F_pil.inverse_affine(middle, angle, translate, scale, shears)
        return F_pil.transform(img, "AFFINE", matrix, mode, fill)
    middle = [0.0, 0.0]
    if center is not None:
        middle = [1.0 * (c - s * 0.5) for c, s in zip(center, [width, height], strict=True)]
    moved = [1.0 * t for t in translate]
    matrix = F_pil.inverse_affine(middle, angle, moved, scale, shears)
    return F_t.sample(
        img, F_t.affine_grid(matrix, width, height, (width, height)), mode.value, fill
    )


def perspective(
    img: Any,
    startpoints: list[list[int]],
    endpoints: list[list[int]],
    interpolation: Any = InterpolationMode.BILINEAR,
    fill: Any = None,
) -> Any:
    """The four ``startpoints`` (x, y) brought to the ``endpoints``."""
    mode = mode_of(interpolation)
    rows, values = [], []
    for (x, y), (u, v) in zip(endpoints, startpoints, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    solved = np.linalg.lstsq(np.array(rows, np.float64), np.array(values, np.float64), rcond=None)
    coefficients = np.asarray(solved[0], np.float32).tolist()
    if not _check(img):
        return F_pil.transform(img, "PERSPECTIVE", coefficients, mode, fill)
    height, width = img.shape[-2:]
    grid = F_t.perspective_grid(coefficients, width, height)
    return F_t.sample(img, grid, mode.value, fill)


# ---- colour


def _factor(value: float, what: str) -> float:
    if value < 0:
        raise ValueError(f"{what} ({value}) is not non-negative.")
    return value


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """0 is black, 1 the image."""
    _factor(brightness_factor, "brightness_factor")
    if not _check(img):
        return F_pil.enhance(img, "Brightness", brightness_factor)
    F_t.need_channels(img, [1, 3])
    return F_t.blend(img, torch.zeros_like(img), brightness_factor)


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """0 is gray, 1 the image."""
    _factor(contrast_factor, "contrast_factor")
    if not _check(img):
        return F_pil.enhance(img, "Contrast", contrast_factor)
    return F_t.contrast(img, contrast_factor)


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """0 is black and white, 1 the image."""
    _factor(saturation_factor, "saturation_factor")
    if not _check(img):
        return F_pil.enhance(img, "Color", saturation_factor)
    return F_t.saturation(img, saturation_factor)


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """Hues turned by a part of the circle, in [-0.5, 0.5]."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    return F_t.hue(img, hue_factor) if _check(img) else F_pil.adjust_hue(img, hue_factor)


def adjust_gamma(img: Any, gamma: float, gain: float = 1) -> Any:
    """gain * image ** gamma."""
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    room: Any = F_t.gamma if _check(img) else F_pil.adjust_gamma
    return room(img, gamma, gain)


def adjust_sharpness(img: Any, sharpness_factor: float) -> Any:
    """0 is blurred, 1 the image, 2 sharper."""
    _factor(sharpness_factor, "sharpness_factor")
    if not _check(img):
        return F_pil.enhance(img, "Sharpness", sharpness_factor)
    return F_t.sharpness(img, sharpness_factor)


def to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """A PIL image in gray."""
    if not F_pil.is_pil(img):
        raise TypeError("Input should be PIL Image")
    return F_pil.to_grayscale(img, num_output_channels)


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """An image in gray."""
    if not _check(img):
        return F_pil.to_grayscale(img, num_output_channels)
    return F_t.gray(img, num_output_channels)


def invert(img: Any) -> Any:
    """The negative."""
    if not _check(img):
        return F_pil.operate(img, "invert")
    F_t.need_channels(img, [1, 3])
    return F_t.largest(img.dtype) - img


def posterize(img: Any, bits: int) -> Any:
    """Only the highest ``bits`` of every byte."""
    if not 0 <= bits <= 8:
        raise ValueError(f"The number if bits should be between 0 and 8. Got {bits}")
    if not _check(img):
        return F_pil.operate(img, "posterize", bits)
    if img.dtype != torch.uint8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found {img.dtype}")
    return img & -int(2 ** (8 - bits)) % 256


def solarize(img: Any, threshold: float) -> Any:
    """Everything from the threshold up inverted."""
    if not _check(img):
        return F_pil.operate(img, "solarize", threshold)
    if threshold > F_t.largest(img.dtype):
        raise TypeError("Threshold should be less than bound of img.")
    return torch.where(img >= threshold, invert(img), img)


def autocontrast(img: Any) -> Any:
    """Every channel stretched to the full range."""
    return F_t.autocontrast(img) if _check(img) else F_pil.operate(img, "autocontrast")


def equalize(img: Any) -> Any:
    """Brightnesses spread evenly."""
    return F_t.equalize(img) if _check(img) else F_pil.operate(img, "equalize")


def gaussian_blur(img: Any, kernel_size: Any, sigma: Any = None) -> Any:
    """Blurred by a Gaussian; its width follows from the kernel's size unless given."""
    sizes = _sizes(kernel_size)
    sizes = sizes * 2 if len(sizes) == 1 else sizes
    if len(sizes) != 2:
        raise ValueError(f"If kernel_size is a sequence its length should be 2. Got {len(sizes)}")
    if any(size % 2 == 0 or size < 0 for size in sizes):
        raise ValueError(f"kernel_size should have odd and positive integers. Got {sizes}")
    if sigma is None:
        widths = [size * 0.15 + 0.35 for size in sizes]
    else:
        widths = [float(sigma)] if isinstance(sigma, (int, float)) else [float(s) for s in sigma]
        widths = widths * 2 if len(widths) == 1 else widths
    if len(widths) != 2:
        raise ValueError(f"If sigma is a sequence, its length should be 2. Got {len(widths)}")
    if any(not width > 0.0 or not math.isfinite(width) for width in widths):
        raise ValueError(f"sigma should have positive values. Got {widths}")
    if _check(img):
        return F_t.gaussian_blur(img, sizes, widths)
    return to_pil_image(F_t.gaussian_blur(pil_to_tensor(img), sizes, widths), mode=img.mode)


def elastic_transform(
    img: Any,
    displacement: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    fill: Any = None,
) -> Any:
    """Every pixel moved by a displacement [1, H, W, 2], in halves of the image's size."""
    mode = mode_of(interpolation)
    is_tensor = _check(img)
    image = img if is_tensor else pil_to_tensor(img)
    height, width = image.shape[-2:]
    if tuple(displacement.shape) != (1, height, width, 2):
        raise ValueError(f"Argument displacement shape should be {(1, height, width, 2)}")
    if not height or not width:
        raise ValueError(f"elastic_transform: the image has no pixels: {height} x {width}")
    rows = torch.linspace((-height + 1) / height, (height - 1) / height, height)
    columns = torch.linspace((-width + 1) / width, (width - 1) / width, width)
    still = torch.stack([columns.expand(height, width), rows[:, None].expand(height, width)], -1)[
        None
    ]
    moved = F_t.sample(image, still + displacement, mode.value, fill)
    return moved if is_tensor else to_pil_image(moved, mode=img.mode)
