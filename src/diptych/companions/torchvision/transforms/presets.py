"""How the images of published weights are prepared."""

from __future__ import annotations

from typing import Any

from diptych.companions.torchvision.face import torch
from diptych.companions.torchvision.transforms import functional as F
from diptych.torch import nn

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ImageClassification(nn.Module):
    """Resize, crop the middle, scale to [0, 1] and normalise."""

    def __init__(
        self,
        *,
        crop_size: int,
        resize_size: int = 256,
        mean: tuple[float, ...] = _MEAN,
        std: tuple[float, ...] = _STD,
        interpolation: F.InterpolationMode = F.InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.crop_size = [crop_size]
        self.resize_size = [resize_size]
        self.mean = list(mean)
        self.std = list(std)
        self.interpolation = interpolation
        self.antialias = antialias

    def forward(self, img: Any) -> Any:
        image = F.resize(img, self.resize_size, self.interpolation, antialias=self.antialias)
        image = F.center_crop(image, self.crop_size)
        if not torch.is_tensor(image):
            image = F.pil_to_tensor(image)
        return F.normalize(F.convert_image_dtype(image, torch.float32), self.mean, self.std)

    def __repr__(self) -> str:
        rows = ["crop_size", "resize_size", "mean", "std", "interpolation"]
        inner = "".join(f"\n    {name}={getattr(self, name)}" for name in rows)
        return f"{type(self).__name__}({inner}\n)"
