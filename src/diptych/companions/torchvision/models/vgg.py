"""VGG (arXiv 1409.1556)."""

from __future__ import annotations

from functools import partial
from typing import Any

from diptych.companions.torchvision.models.registry import published, register, row
from diptych.torch import nn

# Output channels of the 3x3 convolutions; "M" halves the planes.
_DEPTHS: dict[int, list[int | str]] = {
    11: [64, "M", 128, "M", *[256] * 2, "M", *[512] * 2, "M", *[512] * 2, "M"],
    13: [*[64] * 2, "M", *[128] * 2, "M", *[256] * 2, "M", *[512] * 2, "M", *[512] * 2, "M"],
    16: [*[64] * 2, "M", *[128] * 2, "M", *[256] * 3, "M", *[512] * 3, "M", *[512] * 3, "M"],
    19: [*[64] * 2, "M", *[128] * 2, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4, "M"],
}


class VGG(nn.Module):
    """Convolutions (``features``), planes brought to 7x7, and three linear layers."""

    def __init__(
        self,
        features: nn.Module,
        num_classes: int = 1000,
        init_weights: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, num_classes),
        )
        if init_weights:
            self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.constant_(module.bias, 0)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.constant_(module.weight, 1)
                nn.init.constant_(module.bias, 0)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.constant_(module.bias, 0)

    def forward(self, x: Any) -> Any:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def make_layers(cfg: list[int | str], batch_norm: bool = False) -> nn.Sequential:
    """The convolutions that a row of channel counts describes."""
    layers: list[nn.Module] = []
    inputs = 3
    for width in cfg:
        if isinstance(width, str):
            layers.append(nn.MaxPool2d(2, 2))
            continue
        layers.append(nn.Conv2d(inputs, width, 3, padding=1))
        if batch_norm:
            layers.append(nn.BatchNorm2d(width))
        layers.append(nn.ReLU(inplace=True))
        inputs = width
    return nn.Sequential(*layers)


def _make(depth: int, batch_norm: bool, **options: Any) -> VGG:
    return VGG(make_layers(_DEPTHS[depth], batch_norm), **options)


def _files(name: str, file: str) -> Any:
    return published(name, __name__, IMAGENET1K_V1=row(file))


VGG11_Weights = _files("VGG11_Weights", "vgg11-8a719046.pth")
VGG13_Weights = _files("VGG13_Weights", "vgg13-19584684.pth")
VGG16_Weights = published(
    "VGG16_Weights",
    __name__,
    default="IMAGENET1K_V1",
    IMAGENET1K_V1=row("vgg16-397923af.pth"),
    IMAGENET1K_FEATURES=row(
        "vgg16_features-amdegroot-88682ab5.pth",
        mean=(0.48235, 0.45882, 0.40784),
        std=(1 / 255, 1 / 255, 1 / 255),
    ),
)
VGG19_Weights = _files("VGG19_Weights", "vgg19-dcbb9e9d.pth")
VGG11_BN_Weights = _files("VGG11_BN_Weights", "vgg11_bn-6002323d.pth")
VGG13_BN_Weights = _files("VGG13_BN_Weights", "vgg13_bn-abd245e5.pth")
VGG16_BN_Weights = _files("VGG16_BN_Weights", "vgg16_bn-6c64b313.pth")
VGG19_BN_Weights = _files("VGG19_BN_Weights", "vgg19_bn-c79401a0.pth")

vgg11 = register("vgg11", VGG11_Weights, partial(_make, 11, False), __name__)
vgg13 = register("vgg13", VGG13_Weights, partial(_make, 13, False), __name__)
vgg16 = register("vgg16", VGG16_Weights, partial(_make, 16, False), __name__)
vgg19 = register("vgg19", VGG19_Weights, partial(_make, 19, False), __name__)
vgg11_bn = register("vgg11_bn", VGG11_BN_Weights, partial(_make, 11, True), __name__)
vgg13_bn = register("vgg13_bn", VGG13_BN_Weights, partial(_make, 13, True), __name__)
vgg16_bn = register("vgg16_bn", VGG16_BN_Weights, partial(_make, 16, True), __name__)
vgg19_bn = register("vgg19_bn", VGG19_BN_Weights, partial(_make, 19, True), __name__)
