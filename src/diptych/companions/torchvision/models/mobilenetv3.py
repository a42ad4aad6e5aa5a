"""MobileNetV3 (arXiv 1905.02244)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from diptych.companions.torchvision.models.mobilenetv2 import initialise, make_divisible
from diptych.companions.torchvision.models.registry import published, register, row
from diptych.companions.torchvision.ops.blocks import Conv2dNormActivation, SqueezeExcitation
from diptych.torch import nn

_SQUEEZE = partial(SqueezeExcitation, scale_activation=nn.Hardsigmoid)


class InvertedResidualConfig:
    """One block: channels in, inside and out, kernel, squeeze-excitation, activation, stride."""

    def __init__(
        self,
        input_channels: int,
        kernel: int,
        expanded_channels: int,
        out_channels: int,
        use_se: bool,
        activation: str,
        stride: int,
        dilation: int,
        width_mult: float,
    ) -> None:
        self.input_channels = self.adjust_channels(input_channels, width_mult)
        self.kernel = kernel
        self.expanded_channels = self.adjust_channels(expanded_channels, width_mult)
        self.out_channels = self.adjust_channels(out_channels, width_mult)
        self.use_se = use_se
        self.use_hs = activation == "HS"
        self.stride = stride
        self.dilation = dilation

    @staticmethod
    def adjust_channels(channels: int, width_mult: float) -> int:
        return make_divisible(channels * width_mult, 8)


class InvertedResidual(nn.Module):
    """Widen, filter each channel by itself, squeeze and excite, narrow; a shortcut if it fits."""

    def __init__(
        self,
        cnf: InvertedResidualConfig,
        norm_layer: Callable[..., nn.Module],
        se_layer: Callable[..., nn.Module] = _SQUEEZE,
    ) -> None:
        super().__init__()
        if not 1 <= cnf.stride <= 2:
            raise ValueError("illegal stride value")
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        wide = cnf.expanded_channels
        given: dict[str, Any] = {
            "norm_layer": norm_layer,
            "activation_layer": nn.Hardswish if cnf.use_hs else nn.ReLU,
        }
        layers: list[nn.Module] = []
        if wide != cnf.input_channels:
            layers.append(Conv2dNormActivation(cnf.input_channels, wide, kernel_size=1, **given))
        layers.append(
            Conv2dNormActivation(
                wide,
                wide,
                kernel_size=cnf.kernel,
                stride=1 if cnf.dilation > 1 else cnf.stride,
                dilation=cnf.dilation,
                groups=wide,
                **given,
            )
        )
        if cnf.use_se:
            layers.append(se_layer(wide, make_divisible(wide // 4, 8)))
        given["activation_layer"] = None
        layers.append(Conv2dNormActivation(wide, cnf.out_channels, kernel_size=1, **given))
        self.block = nn.Sequential(*layers)
        self.out_channels = cnf.out_channels
        self._is_cn = cnf.stride > 1

    def forward(self, input: Any) -> Any:
        result = self.block(input)
        if self.use_res_connect:
            result += input
        return result


class MobileNetV3(nn.Module):
    """A stem, the blocks of ``inverted_residual_setting``, a wide convolution, a classifier."""

    def __init__(
        self,
        inverted_residual_setting: list[InvertedResidualConfig],
        last_channel: int,
        num_classes: int = 1000,
        block: Callable[..., nn.Module] | None = None,
        norm_layer: Callable[..., nn.Module] | None = None,
        dropout: float = 0.2,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        setting = inverted_residual_setting
        if not setting:
            raise ValueError("The inverted_residual_setting should not be empty")
        make = block or InvertedResidual
        norm = norm_layer or partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
        given: dict[str, Any] = {"norm_layer": norm, "activation_layer": nn.Hardswish}
        layers: list[nn.Module] = [
            Conv2dNormActivation(3, setting[0].input_channels, stride=2, **given)
        ]
        layers += [make(cnf, norm) for cnf in setting]
        narrow = setting[-1].out_channels
        layers.append(Conv2dNormActivation(narrow, 6 * narrow, kernel_size=1, **given))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(6 * narrow, last_channel),
            nn.Hardswish(inplace=True),
            nn.Dropout(p=dropout, inplace=True),
            nn.Linear(last_channel, num_classes),
        )
        initialise(self)

    def forward(self, x: Any) -> Any:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


# channels in, kernel, inside, out, squeeze-excitation, activation, stride, dilation
_Row = tuple[Any, ...]


def _large(deep: int, dilation: int) -> list[_Row]:
    return [
        (16, 3, 16, 16, False, "RE", 1, 1),
        (16, 3, 64, 24, False, "RE", 2, 1),
        (24, 3, 72, 24, False, "RE", 1, 1),
        (24, 5, 72, 40, True, "RE", 2, 1),
        (40, 5, 120, 40, True, "RE", 1, 1),
        (40, 5, 120, 40, True, "RE", 1, 1),
        (40, 3, 240, 80, False, "HS", 2, 1),
        (80, 3, 200, 80, False, "HS", 1, 1),
        (80, 3, 184, 80, False, "HS", 1, 1),
        (80, 3, 184, 80, False, "HS", 1, 1),
        (80, 3, 480, 112, True, "HS", 1, 1),
        (112, 3, 672, 112, True, "HS", 1, 1),
        (112, 5, 672, 160 // deep, True, "HS", 2, dilation),
        (160 // deep, 5, 960 // deep, 160 // deep, True, "HS", 1, dilation),
        (160 // deep, 5, 960 // deep, 160 // deep, True, "HS", 1, dilation),
    ]


def _small(deep: int, dilation: int) -> list[_Row]:
    return [
        (16, 3, 16, 16, True, "RE", 2, 1),
        (16, 3, 72, 24, False, "RE", 2, 1),
        (24, 3, 88, 24, False, "RE", 1, 1),
        (24, 5, 96, 40, True, "HS", 2, 1),
        (40, 5, 240, 40, True, "HS", 1, 1),
        (40, 5, 240, 40, True, "HS", 1, 1),
        (40, 5, 120, 48, True, "HS", 1, 1),
        (48, 5, 144, 48, True, "HS", 1, 1),
        (48, 5, 288, 96 // deep, True, "HS", 2, dilation),
        (96 // deep, 5, 576 // deep, 96 // deep, True, "HS", 1, dilation),
        (96 // deep, 5, 576 // deep, 96 // deep, True, "HS", 1, dilation),
    ]


def _make(
    rows: Callable[[int, int], list[Any]],
    last: int,
    width_mult: float = 1.0,
    reduced_tail: bool = False,
    dilated: bool = False,
    **options: Any,
) -> MobileNetV3:
    deep = 2 if reduced_tail else 1
    chosen = rows(deep, 2 if dilated else 1)
    setting = [InvertedResidualConfig(*(*cells, width_mult)) for cells in chosen]
    channels = InvertedResidualConfig.adjust_channels(last // deep, width_mult)
    return MobileNetV3(setting, channels, **options)


MobileNet_V3_Large_Weights = published(
    "MobileNet_V3_Large_Weights",
    __name__,
    IMAGENET1K_V1=row("mobilenet_v3_large-8738ca79.pth"),
    IMAGENET1K_V2=row("mobilenet_v3_large-5c1a4163.pth", resize=232),
)
MobileNet_V3_Small_Weights = published(
    "MobileNet_V3_Small_Weights", __name__, IMAGENET1K_V1=row("mobilenet_v3_small-047dcff4.pth")
)
mobilenet_v3_large = register(
    "mobilenet_v3_large", MobileNet_V3_Large_Weights, partial(_make, _large, 1280), __name__
)
mobilenet_v3_small = register(
    "mobilenet_v3_small", MobileNet_V3_Small_Weights, partial(_make, _small, 1024), __name__
)
