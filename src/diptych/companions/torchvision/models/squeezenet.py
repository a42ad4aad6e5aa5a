"""SqueezeNet (arXiv 1602.07360)."""

from __future__ import annotations

from functools import partial
from typing import Any

from diptych.companions.torchvision.face import torch
from diptych.companions.torchvision.models.registry import published, register, row
from diptych.torch import nn


class Fire(nn.Module):
    """Few channels by 1x1 convolutions, then many by 1x1 and 3x3 side by side."""

    def __init__(
        self, inplanes: int, squeeze_planes: int, expand1x1_planes: int, expand3x3_planes: int
    ) -> None:
        super().__init__()
        self.inplanes = inplanes
        self.squeeze = nn.Conv2d(inplanes, squeeze_planes, 1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze_planes, expand1x1_planes, 1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze_planes, expand3x3_planes, 3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Any) -> Any:
        x = self.squeeze_activation(self.squeeze(x))
        small = self.expand1x1_activation(self.expand1x1(x))
        return torch.cat([small, self.expand3x3_activation(self.expand3x3(x))], 1)


def _pool() -> nn.Module:
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def _features(version: str) -> list[nn.Module]:
    def fires(*rows: tuple[int, int, int]) -> list[nn.Module]:
        return [Fire(inputs, few, many, many) for inputs, few, many in rows]

    if version == "1_0":
        return [
            nn.Conv2d(3, 96, 7, 2), nn.ReLU(inplace=True), _pool(),
            *fires((96, 16, 64), (128, 16, 64), (128, 32, 128)), _pool(),
            *fires((256, 32, 128), (256, 48, 192), (384, 48, 192), (384, 64, 256)), _pool(),
            *fires((512, 64, 256)),
        ]  # fmt: skip
    if version == "1_1":
        return [
            nn.Conv2d(3, 64, 3, 2), nn.ReLU(inplace=True), _pool(),
            *fires((64, 16, 64), (128, 16, 64)), _pool(),
            *fires((128, 32, 128), (256, 32, 128)), _pool(),
            *fires((256, 48, 192), (384, 48, 192), (384, 64, 256), (512, 64, 256)),
        ]  # fmt: skip
    raise ValueError(f"Unsupported SqueezeNet version {version}: 1_0 or 1_1 expected")


class SqueezeNet(nn.Module):
    """A stem, fire modules, and a classifier that is a convolution."""

    def __init__(self, version: str = "1_0", num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.features = nn.Sequential(*_features(version))
        last = nn.Conv2d(512, num_classes, 1)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), last, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1))
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                if module is last:
                    nn.init.normal_(module.weight, mean=0.0, std=0.01)
                else:
                    nn.init.kaiming_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.constant_(module.bias, 0)

    def forward(self, x: Any) -> Any:
        return self.classifier(self.features(x)).flatten(1)


SqueezeNet1_0_Weights = published(
    "SqueezeNet1_0_Weights", __name__, IMAGENET1K_V1=row("squeezenet1_0-b66bff10.pth")
)
SqueezeNet1_1_Weights = published(
    "SqueezeNet1_1_Weights", __name__, IMAGENET1K_V1=row("squeezenet1_1-b8a52dc0.pth")
)
squeezenet1_0 = register(
    "squeezenet1_0", SqueezeNet1_0_Weights, partial(SqueezeNet, "1_0"), __name__
)
squeezenet1_1 = register(
    "squeezenet1_1", SqueezeNet1_1_Weights, partial(SqueezeNet, "1_1"), __name__
)
