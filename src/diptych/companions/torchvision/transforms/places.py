"""Transforms of size and place: resizing, cropping, padding, flips, turns, erasing."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

from diptych.companions.torchvision.face import torch
from diptych.companions.torchvision.transforms import functional as F
from diptych.companions.torchvision.transforms.drawing import (
    WithProbability,
    described,
    integer,
    pair,
    uniform,
)
from diptych.companions.torchvision.transforms.functional import InterpolationMode
from diptych.torch import nn


class Resize(nn.Module):
    """Another size; one number is for the shorter side."""

    def __init__(
        self,
        size: Any,
        interpolation: Any = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        if not isinstance(size, (int, Sequence)) and size is not None:
            raise TypeError(f"Size should be int or sequence. Got {type(size)}")
        if isinstance(size, Sequence) and len(size) not in (1, 2):
            raise ValueError("If size is a sequence, it should have 1 or 2 values")
        self.size = size
        self.max_size = max_size
        self.interpolation = F.mode_of(interpolation)
        self.antialias = antialias

    def forward(self, img: Any) -> Any:
        return F.resize(img, self.size, self.interpolation, self.max_size, self.antialias)

    def __repr__(self) -> str:
        inner = f"size={self.size}, interpolation={self.interpolation.value}, "
        return f"{type(self).__name__}({inner}max_size={self.max_size}, antialias={self.antialias})"


class CenterCrop(nn.Module):
    """The middle of the image."""

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.size = pair(size)

    def forward(self, img: Any) -> Any:
        return F.center_crop(img, self.size)

    def __repr__(self) -> str:
        return described(self, "size")


class Pad(nn.Module):
    """Borders added."""

    def __init__(self, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> None:
        super().__init__()
        if not isinstance(padding, (numbers.Number, tuple, list)):
            raise TypeError("Got inappropriate padding arg")
        if not isinstance(fill, (numbers.Number, tuple, list)):
            raise TypeError("Got inappropriate fill arg")
        if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
            raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
        if isinstance(padding, Sequence) and len(padding) not in (1, 2, 4):
            raise ValueError(
                f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(padding)} "
                "element tuple"
            )
        self.padding = padding
        self.fill = fill
        self.padding_mode = padding_mode

    def forward(self, img: Any) -> Any:
        return F.pad(img, self.padding, self.fill, self.padding_mode)

    def __repr__(self) -> str:
        return described(self, "padding", "fill", "padding_mode")


class RandomCrop(nn.Module):
    """A part of the image at a random place, after padding if any is asked for."""

    def __init__(
        self,
        size: Any,
        padding: Any = None,
        pad_if_needed: bool = False,
        fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:
        super().__init__()
        self.size = tuple(pair(size))
        self.padding = padding
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode

    @staticmethod
    def get_params(img: Any, output_size: tuple[int, int]) -> tuple[int, int, int, int]:
        """(top, left, height, width)."""
        _, height, width = F.get_dimensions(img)
        high, wide = output_size
        if height < high or width < wide:
            raise ValueError(
                f"Required crop size {(high, wide)} is larger than input image size "
                f"{(height, width)}"
            )
        if (width, height) == (wide, high):
            return 0, 0, height, width
        top = integer(0, height - high + 1)
        return top, integer(0, width - wide + 1), high, wide

    def forward(self, img: Any) -> Any:
        if self.padding is not None:
            img = F.pad(img, self.padding, self.fill, self.padding_mode)
        _, height, width = F.get_dimensions(img)
        if self.pad_if_needed and width < self.size[1]:
            img = F.pad(img, [self.size[1] - width, 0], self.fill, self.padding_mode)
        if self.pad_if_needed and height < self.size[0]:
            img = F.pad(img, [0, self.size[0] - height], self.fill, self.padding_mode)
        return F.crop(img, *self.get_params(img, self.size))

    def __repr__(self) -> str:
        return described(self, "size", "padding")


class RandomResizedCrop(nn.Module):
    """A part of random area and aspect ratio, resized."""

    def __init__(
        self,
        size: Any,
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: Any = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.size = pair(size)
        if not isinstance(scale, Sequence):
            raise TypeError("Scale should be a sequence")
        if not isinstance(ratio, Sequence):
            raise TypeError("Ratio should be a sequence")
        self.interpolation = F.mode_of(interpolation)
        self.antialias = antialias
        self.scale = scale
        self.ratio = ratio

    @staticmethod
    def get_params(
        img: Any, scale: Sequence[float], ratio: Sequence[float]
    ) -> tuple[int, int, int, int]:
        """(top, left, height, width); the middle, within the ratios, if ten draws do not fit."""
        _, height, width = F.get_dimensions(img)
        logarithms = torch.log(torch.tensor(ratio))
        for _ in range(10):
            area = height * width * uniform(scale[0], scale[1])
            drawn = torch.empty(1).uniform_(logarithms[0].item(), logarithms[1].item())
            aspect = torch.exp(drawn).item()
            wide = round(math.sqrt(area * aspect))
            high = round(math.sqrt(area / aspect))
            if 0 < wide <= width and 0 < high <= height:
                top = integer(0, height - high + 1)
                return top, integer(0, width - wide + 1), high, wide
        given = float(width) / float(height)
        wide, high = width, height
        if given < min(ratio):
            high = round(wide / min(ratio))
        elif given > max(ratio):
            wide = round(high * max(ratio))
        return (height - high) // 2, (width - wide) // 2, high, wide

    def forward(self, img: Any) -> Any:
        place = self.get_params(img, self.scale, self.ratio)
        return F.resized_crop(img, *place, self.size, self.interpolation, self.antialias)

    def __repr__(self) -> str:
        scale = tuple(round(s, 4) for s in self.scale)
        ratio = tuple(round(r, 4) for r in self.ratio)
        inner = f"size={self.size}, scale={scale}, ratio={ratio}, "
        return (
            f"{type(self).__name__}({inner}interpolation={self.interpolation.value}, "
            f"antialias={self.antialias})"
        )


class FiveCrop(nn.Module):
    """The four corners and the middle, as a tuple."""

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.size = pair(size)

    def forward(self, img: Any) -> Any:
        return F.five_crop(img, self.size)

    def __repr__(self) -> str:
        return described(self, "size")


class TenCrop(nn.Module):
    """`FiveCrop` of the image and of its mirror image."""

    def __init__(self, size: Any, vertical_flip: bool = False) -> None:
        super().__init__()
        self.size = pair(size)
        self.vertical_flip = vertical_flip

    def forward(self, img: Any) -> Any:
        return F.ten_crop(img, self.size, self.vertical_flip)

    def __repr__(self) -> str:
        return described(self, "size", "vertical_flip")


class RandomHorizontalFlip(WithProbability):
    """Left and right exchanged."""

    def change(self, img: Any) -> Any:
        return F.hflip(img)


class RandomVerticalFlip(WithProbability):
    """Top and bottom exchanged."""

    def change(self, img: Any) -> Any:
        return F.vflip(img)


# ---- geometry


def _angles(x: Any, name: str, sizes: tuple[int, ...] = (2,)) -> list[float]:
    """A range of angles from a number (both ways) or the range itself."""
    if isinstance(x, numbers.Number):
        if x < 0:  # type: ignore[operator]
            raise ValueError(f"If {name} is a single number, it must be positive.")
        return [-float(x), float(x)]  # type: ignore[arg-type]
    if not isinstance(x, Sequence):
        raise TypeError(f"{name} should be a sequence of length {sizes[0]}.")
    if len(x) not in sizes:
        raise ValueError(f"{name} should be a sequence of length {sizes[0]}.")
    return [float(d) for d in x]


def _fill_of(fill: Any, img: Any) -> Any:
    """The fill for every channel of a tensor."""
    if torch.is_tensor(img):
        if isinstance(fill, (int, float)):
            return [float(fill)] * F.get_dimensions(img)[0]
        return [float(f) for f in fill]
    return fill


def _fill_given(fill: Any) -> Any:
    if fill is None:
        return 0
    if not isinstance(fill, (Sequence, numbers.Number)):
        raise TypeError("Fill should be either a sequence or a number.")
    return fill


class RandomRotation(nn.Module):
    """Turned by an angle drawn from a range of degrees."""

    def __init__(
        self,
        degrees: Any,
        interpolation: Any = InterpolationMode.NEAREST,
        expand: bool = False,
        center: Any = None,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.degrees = _angles(degrees, "degrees")
        self.interpolation = F.mode_of(interpolation)
        self.expand = expand
        self.center = center
        self.fill = _fill_given(fill)

    @staticmethod
    def get_params(degrees: list[float]) -> float:
        return uniform(degrees[0], degrees[1])

    def forward(self, img: Any) -> Any:
        angle = self.get_params(self.degrees)
        fill = _fill_of(self.fill, img)
        return F.rotate(img, angle, self.interpolation, self.expand, self.center, fill)

    def __repr__(self) -> str:
        inner = f"degrees={self.degrees}, interpolation={self.interpolation.value}"
        inner += f", expand={self.expand}"
        if self.center is not None:
            inner += f", center={self.center}"
        return f"{type(self).__name__}({inner}, fill={self.fill})"


class RandomAffine(nn.Module):
    """Turned, moved, scaled and sheared at random."""

    def __init__(
        self,
        degrees: Any,
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: Any = None,
        interpolation: Any = InterpolationMode.NEAREST,
        fill: Any = 0,
        center: Any = None,
    ) -> None:
        super().__init__()
        self.degrees = _angles(degrees, "degrees")
        if translate is not None and any(not 0.0 <= t <= 1.0 for t in translate):
            raise ValueError("translation values should be between 0 and 1")
        if scale is not None and any(s <= 0 for s in scale):
            raise ValueError("scale values should be positive")
        self.translate = translate
        self.scale = scale
        self.shear = None if shear is None else _angles(shear, "shear", (2, 4))
        self.interpolation = F.mode_of(interpolation)
        self.fill = _fill_given(fill)
        self.center = center

    @staticmethod
    def get_params(
        degrees: list[float], translate: Any, scale_ranges: Any, shears: Any, img_size: list[int]
    ) -> tuple[float, tuple[int, int], float, tuple[float, float]]:
        """(angle, translation in pixels, scale, shears); ``img_size`` is (width, height)."""
        angle = uniform(degrees[0], degrees[1])
        moved = (0, 0)
        if translate is not None:
            most = [float(t * extent) for t, extent in zip(translate, img_size, strict=True)]
            moved = (round(uniform(-most[0], most[0])), round(uniform(-most[1], most[1])))
        scale = uniform(*scale_ranges) if scale_ranges is not None else 1.0
        across = down = 0.0
        if shears is not None:
            across = uniform(shears[0], shears[1])
            if len(shears) == 4:
                down = uniform(shears[2], shears[3])
        return angle, moved, scale, (across, down)

    def forward(self, img: Any) -> Any:
        _, height, width = F.get_dimensions(img)
        drawn = self.get_params(
            self.degrees, self.translate, self.scale, self.shear, [width, height]
        )
        fill = _fill_of(self.fill, img)
        return F.affine(img, *drawn, self.interpolation, fill=fill, center=self.center)

    def __repr__(self) -> str:
        inner = f"degrees={self.degrees}"
        for name in ("translate", "scale", "shear"):
            if getattr(self, name) is not None:
                inner += f", {name}={getattr(self, name)}"
        if self.interpolation is not InterpolationMode.NEAREST:
            inner += f", interpolation={self.interpolation.value}"
        if self.fill != 0:
            inner += f", fill={self.fill}"
        if self.center is not None:
            inner += f", center={self.center}"
        return f"{type(self).__name__}({inner})"


class RandomPerspective(nn.Module):
    """Seen from a random side, with probability ``p``."""

    def __init__(
        self,
        distortion_scale: float = 0.5,
        p: float = 0.5,
        interpolation: Any = InterpolationMode.BILINEAR,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.p = p
        self.interpolation = F.mode_of(interpolation)
        self.distortion_scale = distortion_scale
        self.fill = _fill_given(fill)

    @staticmethod
    def get_params(
        width: int, height: int, distortion_scale: float
    ) -> tuple[list[list[int]], list[list[int]]]:
        """The corners of the image, and where they go."""
        right = int(distortion_scale * (width // 2))
        down = int(distortion_scale * (height // 2))
        near_x, far_x = (0, right + 1), (width - right - 1, width)
        near_y, far_y = (0, down + 1), (height - down - 1, height)
        corners = [(near_x, near_y), (far_x, near_y), (far_x, far_y), (near_x, far_y)]
        end = [[integer(*x), integer(*y)] for x, y in corners]
        start = [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]
        return start, end

    def forward(self, img: Any) -> Any:
        fill = _fill_of(self.fill, img)
        if torch.rand(1) < self.p:
            _, height, width = F.get_dimensions(img)
            points = self.get_params(width, height, self.distortion_scale)
            return F.perspective(img, *points, self.interpolation, fill)
        return img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class RandomErasing(nn.Module):
    """A random rectangle of a tensor erased, with probability ``p`` (arXiv 1708.04896)."""

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: Any = 0,
        inplace: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(value, (numbers.Number, str, tuple, list)):
            raise TypeError("Argument value should be either a number or str or a sequence")
        if isinstance(value, str) and value != "random":
            raise ValueError("If value is str, it should be 'random'")
        if scale[0] < 0 or scale[1] > 1:
            raise ValueError("Scale should be between 0 and 1")
        if p < 0 or p > 1:
            raise ValueError("Random erasing probability should be between 0 and 1")
        self.p = p
        self.scale = scale
        self.ratio = ratio
        self.value: Any = value
        self.inplace = inplace

    @staticmethod
    def get_params(
        img: Any, scale: Sequence[float], ratio: Sequence[float], value: list[float] | None = None
    ) -> tuple[int, int, int, int, Any]:
        """(top, left, height, width, what to put there); the whole image if ten draws fail."""
        channels, height, width = img.shape[-3:]
        logarithms = torch.log(torch.tensor(ratio))
        for _ in range(10):
            area = height * width * uniform(scale[0], scale[1])
            drawn = torch.empty(1).uniform_(logarithms[0].item(), logarithms[1].item())
            aspect = torch.exp(drawn).item()
            high, wide = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if not (high < height and wide < width):
                continue
            if value is None:
                put = torch.empty([channels, high, wide], dtype=torch.float32).normal_()
            else:
                put = torch.tensor(value)[:, None, None]
            top = integer(0, height - high + 1)
            return top, integer(0, width - wide + 1), high, wide, put
        return 0, 0, height, width, img

    def forward(self, img: Any) -> Any:
        if torch.rand(1) < self.p:
            if isinstance(self.value, (int, float)):
                value = [float(self.value)]
            elif isinstance(self.value, str):
                value = None
            else:
                value = [float(v) for v in self.value]
            if value is not None and len(value) not in (1, img.shape[-3]):
                raise ValueError(
                    "If value is a sequence, it should have either a single value or "
                    f"{img.shape[-3]} (number of input channels)"
                )
            found = self.get_params(img, self.scale, self.ratio, value)
            return F.erase(img, *found, self.inplace)
        return img

    def __repr__(self) -> str:
        return described(self, "p", "scale", "ratio", "value", "inplace")
