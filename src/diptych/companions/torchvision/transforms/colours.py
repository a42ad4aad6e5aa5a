"""Transforms of colour: jitter, gray, blur, and the whole-image operations."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

from diptych.companions.torchvision.face import torch
from diptych.companions.torchvision.transforms import functional as F
from diptych.companions.torchvision.transforms.drawing import (
    WithProbability,
    described,
    pair,
    uniform,
)
from diptych.companions.torchvision.transforms.functional import InterpolationMode
from diptych.torch import nn


class RandomInvert(WithProbability):
    """The negative."""

    def change(self, img: Any) -> Any:
        return F.invert(img)


class RandomAutocontrast(WithProbability):
    """Every channel stretched to the full range."""

    def change(self, img: Any) -> Any:
        return F.autocontrast(img)


class RandomEqualize(WithProbability):
    """Brightnesses spread evenly."""

    def change(self, img: Any) -> Any:
        return F.equalize(img)


class RandomGrayscale(WithProbability):
    """Gray, in as many channels as before."""

    def __init__(self, p: float = 0.1) -> None:
        super().__init__(p)

    def change(self, img: Any) -> Any:
        return F.rgb_to_grayscale(img, F.get_image_num_channels(img))


class RandomPosterize(WithProbability):
    """Only the highest bits."""

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__(p)
        self.bits = bits

    def change(self, img: Any) -> Any:
        return F.posterize(img, self.bits)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(bits={self.bits},p={self.p})"


class RandomSolarize(WithProbability):
    """Everything from the threshold up inverted."""

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.threshold = threshold

    def change(self, img: Any) -> Any:
        return F.solarize(img, self.threshold)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(threshold={self.threshold},p={self.p})"


class RandomAdjustSharpness(WithProbability):
    """Sharper or softer."""

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.sharpness_factor = sharpness_factor

    def change(self, img: Any) -> Any:
        return F.adjust_sharpness(img, self.sharpness_factor)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(sharpness_factor={self.sharpness_factor},p={self.p})"


class Grayscale(nn.Module):
    """Gray."""

    def __init__(self, num_output_channels: int = 1) -> None:
        super().__init__()
        self.num_output_channels = num_output_channels

    def forward(self, img: Any) -> Any:
        return F.rgb_to_grayscale(img, self.num_output_channels)

    def __repr__(self) -> str:
        return described(self, "num_output_channels")


class ColorJitter(nn.Module):
    """Brightness, contrast, saturation and hue changed at random, in a random order."""

    def __init__(
        self, brightness: Any = 0, contrast: Any = 0, saturation: Any = 0, hue: Any = 0
    ) -> None:
        super().__init__()
        self.brightness = self._range(brightness, "brightness")
        self.contrast = self._range(contrast, "contrast")
        self.saturation = self._range(saturation, "saturation")
        self.hue = self._range(hue, "hue", middle=0, bound=(-0.5, 0.5), cut=False)

    @staticmethod
    def _range(
        value: Any,
        name: str,
        middle: float = 1,
        bound: tuple[float, float] = (0, float("inf")),
        cut: bool = True,
    ) -> tuple[float, float] | None:
        if isinstance(value, numbers.Number):
            if value < 0:  # type: ignore[operator]
                raise ValueError(f"If {name} is a single number, it must be non negative.")
            amount = float(value)  # type: ignore[arg-type]
            low, high = middle - amount, middle + amount
            low = max(low, 0.0) if cut else low
        elif isinstance(value, (tuple, list)) and len(value) == 2:
            low, high = float(value[0]), float(value[1])
        else:
            raise TypeError(f"{name} should be a single number or a list/tuple with length 2.")
        if not bound[0] <= low <= high <= bound[1]:
            raise ValueError(f"{name} values should be between {bound}, but got {[low, high]}.")
        return None if low == high == middle else (low, high)

    @staticmethod
    def get_params(
        brightness: Any, contrast: Any, saturation: Any, hue: Any
    ) -> tuple[Any, float | None, float | None, float | None, float | None]:
        """(order, factors), the factors None where nothing is to change."""
        order = torch.randperm(4)
        drawn = [
            None if r is None else uniform(r[0], r[1])
            for r in (brightness, contrast, saturation, hue)
        ]
        return order, drawn[0], drawn[1], drawn[2], drawn[3]

    def forward(self, img: Any) -> Any:
        order, *factors = self.get_params(self.brightness, self.contrast, self.saturation, self.hue)
        changes = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
        for which in order.tolist():
            factor = factors[which]
            if factor is not None:
                img = changes[which](img, factor)
        return img

    def __repr__(self) -> str:
        return described(self, "brightness", "contrast", "saturation", "hue")


class GaussianBlur(nn.Module):
    """Blurred by a Gaussian of random width."""

    def __init__(self, kernel_size: Any, sigma: Any = (0.1, 2.0)) -> None:
        super().__init__()
        self.kernel_size = pair(kernel_size, "Kernel size should be a tuple/list of two integers")
        if any(size <= 0 or size % 2 == 0 for size in self.kernel_size):
            raise ValueError("Kernel size value should be an odd and positive number.")
        if isinstance(sigma, numbers.Number):
            if sigma <= 0:  # type: ignore[operator]
                raise ValueError("If sigma is a single number, it must be positive.")
            sigma = (sigma, sigma)
        elif not (isinstance(sigma, Sequence) and len(sigma) == 2):
            raise TypeError("sigma should be a number or a sequence of two numbers")
        if not 0.0 < sigma[0] <= sigma[1]:
            raise ValueError(
                f"sigma values should be positive and of the form (min, max). Got {sigma}"
            )
        self.sigma = sigma

    @staticmethod
    def get_params(sigma_min: float, sigma_max: float) -> float:
        return uniform(sigma_min, sigma_max)

    def forward(self, img: Any) -> Any:
        width = self.get_params(self.sigma[0], self.sigma[1])
        return F.gaussian_blur(img, list(self.kernel_size), [width, width])

    def __repr__(self) -> str:
        return described(self, "kernel_size", "sigma")


class ElasticTransform(nn.Module):
    """Every pixel moved by smoothed noise."""

    def __init__(
        self,
        alpha: Any = 50.0,
        sigma: Any = 5.0,
        interpolation: Any = InterpolationMode.BILINEAR,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.alpha = [float(a) for a in (alpha if isinstance(alpha, Sequence) else [alpha] * 2)]
        self.sigma = [float(s) for s in (sigma if isinstance(sigma, Sequence) else [sigma] * 2)]
        self.interpolation = F.mode_of(interpolation)
        self.fill = [float(f) for f in fill] if isinstance(fill, Sequence) else [float(fill)]

    @staticmethod
    def get_params(alpha: list[float], sigma: list[float], size: list[int]) -> Any:
        """The displacement [1, H, W, 2]; ``size`` is (height, width)."""
        moved = []
        for axis, (amount, width) in enumerate(zip(alpha, sigma, strict=True)):
            noise = torch.rand([1, 1, *size]) * 2 - 1
            if width > 0.0:
                kernel = int(8 * width + 1)
                kernel += 1 - kernel % 2
                noise = F.gaussian_blur(noise, [kernel, kernel], sigma)
            moved.append(noise * amount / size[1 - axis])  # as torchvision has it
        return torch.concat(moved, 1).permute([0, 2, 3, 1])

    def forward(self, tensor: Any) -> Any:
        _, height, width = F.get_dimensions(tensor)
        displacement = self.get_params(self.alpha, self.sigma, [height, width])
        return F.elastic_transform(tensor, displacement, self.interpolation, self.fill)

    def __repr__(self) -> str:
        inner = f"alpha={self.alpha}, sigma={self.sigma}, "
        return f"{type(self).__name__}({inner}interpolation={self.interpolation}, fill={self.fill})"
