"""torchvision.io: images from and to files, by Pillow."""

from __future__ import annotations

import io as _io
import os
from enum import Enum
from typing import Any

import numpy as np

from diptych.companions.torchvision.face import torch
from diptych.companions.torchvision.transforms import functional as F
from diptych.companions.torchvision.transforms.on_pil import modules


class ImageReadMode(Enum):
    """The colours to convert to while reading; UNCHANGED for the file's own."""

    UNCHANGED = 0
    GRAY = 1
    GRAY_ALPHA = 2
    RGB = 3
    RGB_ALPHA = 4


_MODES = {"GRAY": "L", "GRAY_ALPHA": "LA", "RGB": "RGB", "RGB_ALPHA": "RGBA"}


def read_file(path: str | os.PathLike[str]) -> Any:
    """A file's bytes, as a tensor of uint8."""
    with open(path, "rb") as file:
        return torch.from_numpy(np.frombuffer(file.read(), np.uint8).copy())


def write_file(filename: str, data: Any) -> None:
    """A tensor of uint8 as a file's bytes."""
    with open(filename, "wb") as file:
        file.write(data.numpy().tobytes())


def decode_image(input: Any, mode: Any = ImageReadMode.UNCHANGED, **_: Any) -> Any:
    """An image [C, H, W] of uint8 from encoded bytes, or from the file of that name."""
    if isinstance(input, (str, os.PathLike)):
        input = read_file(input)
    wanted = ImageReadMode.__members__.get(mode.upper()) if isinstance(mode, str) else mode
    if not isinstance(wanted, ImageReadMode):
        modes = ", ".join(ImageReadMode.__members__)
        raise ValueError(
            f"mode must be an ImageReadMode (or the name of one: {modes}), got {mode!r}"
        )
    if not isinstance(input, torch.Tensor):
        raise TypeError(f"Expected the bytes of an image as a Tensor, got {type(input)}")
    picture = modules()[0].open(_io.BytesIO(input.numpy().tobytes()))
    if wanted is not ImageReadMode.UNCHANGED:
        picture = picture.convert(_MODES[wanted.name])
    elif picture.mode not in ("L", "LA", "RGB", "RGBA"):
        picture = picture.convert("RGB")
    return F.pil_to_tensor(picture)


def read_image(path: Any, mode: Any = ImageReadMode.UNCHANGED, **_: Any) -> Any:
    """An image file as a tensor [C, H, W] of uint8."""
    return decode_image(read_file(path), mode)


decode_png = decode_jpeg = decode_image


def _encoded(image: Any, **options: Any) -> Any:
    if image.dtype != torch.uint8:
        raise RuntimeError(f"Input tensor dtype should be uint8, got {image.dtype}")
    held = _io.BytesIO()
    F.to_pil_image(image).save(held, **options)
    return torch.from_numpy(np.frombuffer(held.getvalue(), np.uint8).copy())


def encode_png(input: Any, compression_level: int = 6) -> Any:
    """An image as the bytes of a PNG."""
    return _encoded(input, format="PNG", compress_level=compression_level)


def encode_jpeg(input: Any, quality: int = 75) -> Any:
    """An image as the bytes of a JPEG."""
    return _encoded(input, format="JPEG", quality=quality)


def write_png(input: Any, filename: str, compression_level: int = 6) -> None:
    """An image as a PNG file."""
    write_file(filename, encode_png(input, compression_level))


def write_jpeg(input: Any, filename: str, quality: int = 75) -> None:
    """An image as a JPEG file."""
    write_file(filename, encode_jpeg(input, quality))
