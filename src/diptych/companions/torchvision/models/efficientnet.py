"""EfficientNet and EfficientNetV2 (arXiv 1905.11946, 2104.00298)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from diptych.companions.torchvision.models.mobilenetv2 import make_divisible
from diptych.companions.torchvision.models.registry import published, register, row
from diptych.companions.torchvision.ops.blocks import (
    Conv2dNormActivation,
    SqueezeExcitation,
    StochasticDepth,
)
from diptych.torch import nn

Layer = Callable[..., nn.Module]


@dataclass
class MBConvConfig:
    """One stage: how much its blocks widen, their kernel, stride, channels and number."""

    expand_ratio: float
    kernel: int
    stride: int
    input_channels: int
    out_channels: int
    num_layers: int
    block: Any = None

    def __post_init__(self) -> None:
        self.block = self.block or MBConv

    def scaled(self, width: float, depth: float) -> MBConvConfig:
        """The stage of a wider and deeper network."""
        return replace(
            self,
            input_channels=self.adjust_channels(self.input_channels, width),
            out_channels=self.adjust_channels(self.out_channels, width),
            num_layers=math.ceil(self.num_layers * depth),
        )

    @staticmethod
    def adjust_channels(channels: float, width_mult: float, min_value: int | None = None) -> int:
        return make_divisible(channels * width_mult, 8, min_value)


@dataclass
class FusedMBConvConfig(MBConvConfig):
    """A stage whose blocks widen and filter in one convolution."""

    def __post_init__(self) -> None:
        self.block = self.block or FusedMBConv


class _Block(nn.Module):
    """A block with a shortcut, which training drops at random, where the shape is kept."""

    def __init__(self, cnf: MBConvConfig, layers: list[nn.Module], drop: float) -> None:
        super().__init__()
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        self.block = nn.Sequential(*layers)
        self.stochastic_depth = StochasticDepth(drop, "row")
        self.out_channels = cnf.out_channels

    def forward(self, input: Any) -> Any:
        result = self.block(input)
        if self.use_res_connect:
            result = self.stochastic_depth(result)
            result += input
        return result


def _checked(cnf: MBConvConfig) -> int:
    """The channels inside a block."""
    if not 1 <= cnf.stride <= 2:
        raise ValueError("illegal stride value")
    return cnf.adjust_channels(cnf.input_channels, cnf.expand_ratio)


class MBConv(_Block):
    """Widen, filter each channel by itself, squeeze and excite, narrow."""

    def __init__(
        self,
        cnf: MBConvConfig,
        stochastic_depth_prob: float,
        norm_layer: Layer,
        se_layer: Layer = SqueezeExcitation,
    ) -> None:
        wide = _checked(cnf)
        given: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": nn.SiLU}
        layers: list[nn.Module] = []
        if wide != cnf.input_channels:
            layers.append(Conv2dNormActivation(cnf.input_channels, wide, kernel_size=1, **given))
        layers.append(
            Conv2dNormActivation(
                wide, wide, kernel_size=cnf.kernel, stride=cnf.stride, groups=wide, **given
            )
        )
        narrow = max(1, cnf.input_channels // 4)
        layers.append(se_layer(wide, narrow, activation=partial(nn.SiLU, inplace=True)))
        given["activation_layer"] = None
        layers.append(Conv2dNormActivation(wide, cnf.out_channels, kernel_size=1, **given))
        super().__init__(cnf, layers, stochastic_depth_prob)


class FusedMBConv(_Block):
    """One convolution that widens and filters, and one that narrows."""

    def __init__(self, cnf: MBConvConfig, stochastic_depth_prob: float, norm_layer: Layer) -> None:
        wide = _checked(cnf)
        given: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": nn.SiLU}
        first = wide if wide != cnf.input_channels else cnf.out_channels
        layers: list[nn.Module] = [
            Conv2dNormActivation(
                cnf.input_channels, first, kernel_size=cnf.kernel, stride=cnf.stride, **given
            )
        ]
        if wide != cnf.input_channels:
            given["activation_layer"] = None
            layers.append(Conv2dNormActivation(wide, cnf.out_channels, kernel_size=1, **given))
        super().__init__(cnf, layers, stochastic_depth_prob)


class EfficientNet(nn.Module):
    """A stem, stages of blocks, a wide 1x1 convolution, a mean over each plane, a linear layer."""

    def __init__(
        self,
        inverted_residual_setting: Sequence[MBConvConfig],
        dropout: float,
        stochastic_depth_prob: float = 0.2,
        num_classes: int = 1000,
        norm_layer: Layer | None = None,
        last_channel: int | None = None,
    ) -> None:
        super().__init__()
        setting = inverted_residual_setting
        if not setting:
            raise ValueError("The inverted_residual_setting should not be empty")
        norm = norm_layer or nn.BatchNorm2d
        given: dict[str, Any] = {"norm_layer": norm, "activation_layer": nn.SiLU}
        layers: list[nn.Module] = [
            Conv2dNormActivation(3, setting[0].input_channels, stride=2, **given)
        ]
        total, done = sum(cnf.num_layers for cnf in setting), 0
        for cnf in setting:
            stage: list[nn.Module] = []
            for position in range(cnf.num_layers):
                one = cnf
                if position:
                    one = replace(cnf, input_channels=cnf.out_channels, stride=1)
                stage.append(cnf.block(one, stochastic_depth_prob * float(done) / total, norm))
                done += 1
            layers.append(nn.Sequential(*stage))
        narrow = setting[-1].out_channels
        wide = 4 * narrow if last_channel is None else last_channel
        layers.append(Conv2dNormActivation(narrow, wide, kernel_size=1, **given))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout, inplace=True), nn.Linear(wide, num_classes)
        )
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                bound = 1.0 / math.sqrt(module.out_features)
                nn.init.uniform_(module.weight, -bound, bound)
                nn.init.zeros_(module.bias)

    def forward(self, x: Any) -> Any:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


_B0 = [
    MBConvConfig(1, 3, 1, 32, 16, 1),
    MBConvConfig(6, 3, 2, 16, 24, 2),
    MBConvConfig(6, 5, 2, 24, 40, 2),
    MBConvConfig(6, 3, 2, 40, 80, 3),
    MBConvConfig(6, 5, 1, 80, 112, 3),
    MBConvConfig(6, 5, 2, 112, 192, 4),
    MBConvConfig(6, 3, 1, 192, 320, 1),
]
_V2_S = [
    FusedMBConvConfig(1, 3, 1, 24, 24, 2),
    FusedMBConvConfig(4, 3, 2, 24, 48, 4),
    FusedMBConvConfig(4, 3, 2, 48, 64, 4),
    MBConvConfig(4, 3, 2, 64, 128, 6),
    MBConvConfig(6, 3, 1, 128, 160, 9),
    MBConvConfig(6, 3, 2, 160, 256, 15),
]
_V2_M = [
    FusedMBConvConfig(1, 3, 1, 24, 24, 3),
    FusedMBConvConfig(4, 3, 2, 24, 48, 5),
    FusedMBConvConfig(4, 3, 2, 48, 80, 5),
    MBConvConfig(4, 3, 2, 80, 160, 7),
    MBConvConfig(6, 3, 1, 160, 176, 14),
    MBConvConfig(6, 3, 2, 176, 304, 18),
    MBConvConfig(6, 3, 1, 304, 512, 5),
]
_V2_L = [
    FusedMBConvConfig(1, 3, 1, 32, 32, 4),
    FusedMBConvConfig(4, 3, 2, 32, 64, 7),
    FusedMBConvConfig(4, 3, 2, 64, 96, 7),
    MBConvConfig(4, 3, 2, 96, 192, 10),
    MBConvConfig(6, 3, 1, 192, 224, 19),
    MBConvConfig(6, 3, 2, 224, 384, 25),
    MBConvConfig(6, 3, 1, 384, 640, 7),
]


def _make(width: float, depth: float, dropout: float, **options: Any) -> EfficientNet:
    stages = [stage.scaled(width, depth) for stage in _B0]
    return EfficientNet(stages, options.pop("dropout", dropout), **options)


def _make_v2(setting: list[MBConvConfig], dropout: float, **options: Any) -> EfficientNet:
    norm = options.pop("norm_layer", partial(nn.BatchNorm2d, eps=1e-03))
    dropout = options.pop("dropout", dropout)
    return EfficientNet(setting, dropout, norm_layer=norm, last_channel=1280, **options)


def _files(name: str, file: str, crop: int, resize: int) -> Any:
    return published(name, __name__, IMAGENET1K_V1=row(file, crop, resize, bicubic=True))


EfficientNet_B0_Weights = _files(
    "EfficientNet_B0_Weights", "efficientnet_b0_rwightman-7f5810bc.pth", 224, 256
)
EfficientNet_B1_Weights = published(
    "EfficientNet_B1_Weights",
    __name__,
    IMAGENET1K_V1=row("efficientnet_b1_rwightman-bac287d4.pth", 240, 256, bicubic=True),
    IMAGENET1K_V2=row("efficientnet_b1-c27df63c.pth", 240, 255),
)
EfficientNet_B2_Weights = _files(
    "EfficientNet_B2_Weights", "efficientnet_b2_rwightman-c35c1473.pth", 288, 288
)
EfficientNet_B3_Weights = _files(
    "EfficientNet_B3_Weights", "efficientnet_b3_rwightman-b3899882.pth", 300, 320
)
EfficientNet_B4_Weights = _files(
    "EfficientNet_B4_Weights", "efficientnet_b4_rwightman-23ab8bcd.pth", 380, 384
)
EfficientNet_B5_Weights = _files(
    "EfficientNet_B5_Weights", "efficientnet_b5_lukemelas-1a07897c.pth", 456, 456
)
EfficientNet_B6_Weights = _files(
    "EfficientNet_B6_Weights", "efficientnet_b6_lukemelas-24a108a5.pth", 528, 528
)
EfficientNet_B7_Weights = _files(
    "EfficientNet_B7_Weights", "efficientnet_b7_lukemelas-c5b4e57e.pth", 600, 600
)
EfficientNet_V2_S_Weights = published(
    "EfficientNet_V2_S_Weights",
    __name__,
    IMAGENET1K_V1=row("efficientnet_v2_s-dd5fe13b.pth", 384, 384),
)
EfficientNet_V2_M_Weights = published(
    "EfficientNet_V2_M_Weights",
    __name__,
    IMAGENET1K_V1=row("efficientnet_v2_m-dc08266a.pth", 480, 480),
)
_HALF = (0.5, 0.5, 0.5)
EfficientNet_V2_L_Weights = published(
    "EfficientNet_V2_L_Weights",
    __name__,
    IMAGENET1K_V1=row(
        "efficientnet_v2_l-59c71312.pth", 480, 480, bicubic=True, mean=_HALF, std=_HALF
    ),
)

_SMALL_STEPS = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)


def _make_large(*scale: float, **options: Any) -> EfficientNet:
    options.setdefault("norm_layer", _SMALL_STEPS)
    return _make(*scale, **options)


efficientnet_b0 = register(
    "efficientnet_b0", EfficientNet_B0_Weights, partial(_make, 1.0, 1.0, 0.2), __name__
)
efficientnet_b1 = register(
    "efficientnet_b1", EfficientNet_B1_Weights, partial(_make, 1.0, 1.1, 0.2), __name__
)
efficientnet_b2 = register(
    "efficientnet_b2", EfficientNet_B2_Weights, partial(_make, 1.1, 1.2, 0.3), __name__
)
efficientnet_b3 = register(
    "efficientnet_b3", EfficientNet_B3_Weights, partial(_make, 1.2, 1.4, 0.3), __name__
)
efficientnet_b4 = register(
    "efficientnet_b4", EfficientNet_B4_Weights, partial(_make, 1.4, 1.8, 0.4), __name__
)
efficientnet_b5 = register(
    "efficientnet_b5", EfficientNet_B5_Weights, partial(_make_large, 1.6, 2.2, 0.4), __name__
)
efficientnet_b6 = register(
    "efficientnet_b6", EfficientNet_B6_Weights, partial(_make_large, 1.8, 2.6, 0.5), __name__
)
efficientnet_b7 = register(
    "efficientnet_b7", EfficientNet_B7_Weights, partial(_make_large, 2.0, 3.1, 0.5), __name__
)
efficientnet_v2_s = register(
    "efficientnet_v2_s", EfficientNet_V2_S_Weights, partial(_make_v2, _V2_S, 0.2), __name__
)
efficientnet_v2_m = register(
    "efficientnet_v2_m", EfficientNet_V2_M_Weights, partial(_make_v2, _V2_M, 0.3), __name__
)
efficientnet_v2_l = register(
    "efficientnet_v2_l", EfficientNet_V2_L_Weights, partial(_make_v2, _V2_L, 0.4), __name__
)
