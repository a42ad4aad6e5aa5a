"""How images are resampled."""

from __future__ import annotations

from enum import Enum


class InterpolationMode(Enum):
    """How pixels between pixels are found; box, hamming and lanczos are for PIL images only."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


_BY_NUMBER = {0: "NEAREST", 2: "BILINEAR", 3: "BICUBIC", 4: "BOX", 5: "HAMMING", 1: "LANCZOS"}
PIL_NUMBERS = {name: number for number, name in _BY_NUMBER.items()} | {"NEAREST_EXACT": 0}


def mode_of(interpolation: InterpolationMode | int) -> InterpolationMode:
    """The mode that a mode or one of PIL's numbers means."""
    if isinstance(interpolation, InterpolationMode):
        return interpolation
    if isinstance(interpolation, int) and interpolation in _BY_NUMBER:
        return InterpolationMode[_BY_NUMBER[interpolation]]
    raise TypeError(
        "Argument interpolation should be a InterpolationMode or a corresponding Pillow integer "
        f"constant, got {interpolation!r}"
    )
