"""torchvision.models: networks for images, with torchvision's parameter names."""

from __future__ import annotations

from diptych.companions.torchvision.models.alexnet import AlexNet as AlexNet
from diptych.companions.torchvision.models.alexnet import AlexNet_Weights as AlexNet_Weights
from diptych.companions.torchvision.models.alexnet import alexnet as alexnet
from diptych.companions.torchvision.models.efficientnet import EfficientNet as EfficientNet
from diptych.companions.torchvision.models.efficientnet import (
    EfficientNet_B0_Weights as EfficientNet_B0_Weights,
)
from diptych.companions.torchvision.models.efficientnet import (
    EfficientNet_B1_Weights as EfficientNet_B1_Weights,
)
from diptych.companions.torchvision.models.efficientnet import (
    EfficientNet_B2_Weights as EfficientNet_B2_Weights,
)
from diptych.companions.torchvision.models.efficientnet import (
    EfficientNet_B3_Weights as EfficientNet_B3_Weights,
)
from diptych.companions.torchvision.models.efficientnet import (
    EfficientNet_B4_Weights as EfficientNet_B4_Weights,
)
from diptych.companions.torchvision.models.efficientnet import (
    EfficientNet_B5_Weights as EfficientNet_B5_Weights,
)
from diptych.companions.torchvision.models.efficientnet import (
    EfficientNet_B6_Weights as EfficientNet_B6_Weights,
)
from diptych.companions.torchvision.models.efficientnet import (
    EfficientNet_B7_Weights as EfficientNet_B7_Weights,
)
from diptych.companions.torchvision.models.efficientnet import (
    EfficientNet_V2_L_Weights as EfficientNet_V2_L_Weights,
)
from diptych.companions.torchvision.models.efficientnet import (
    EfficientNet_V2_M_Weights as EfficientNet_V2_M_Weights,
)
from diptych.companions.torchvision.models.efficientnet import (
    EfficientNet_V2_S_Weights as EfficientNet_V2_S_Weights,
)
from diptych.companions.torchvision.models.efficientnet import efficientnet_b0 as efficientnet_b0
from diptych.companions.torchvision.models.efficientnet import efficientnet_b1 as efficientnet_b1
from diptych.companions.torchvision.models.efficientnet import efficientnet_b2 as efficientnet_b2
from diptych.companions.torchvision.models.efficientnet import efficientnet_b3 as efficientnet_b3
from diptych.companions.torchvision.models.efficientnet import efficientnet_b4 as efficientnet_b4
from diptych.companions.torchvision.models.efficientnet import efficientnet_b5 as efficientnet_b5
from diptych.companions.torchvision.models.efficientnet import efficientnet_b6 as efficientnet_b6
from diptych.companions.torchvision.models.efficientnet import efficientnet_b7 as efficientnet_b7
from diptych.companions.torchvision.models.efficientnet import (
    efficientnet_v2_l as efficientnet_v2_l,
)
from diptych.companions.torchvision.models.efficientnet import (
    efficientnet_v2_m as efficientnet_v2_m,
)
from diptych.companions.torchvision.models.efficientnet import (
    efficientnet_v2_s as efficientnet_v2_s,
)
from diptych.companions.torchvision.models.mobilenetv2 import (
    MobileNet_V2_Weights as MobileNet_V2_Weights,
)
from diptych.companions.torchvision.models.mobilenetv2 import MobileNetV2 as MobileNetV2
from diptych.companions.torchvision.models.mobilenetv2 import mobilenet_v2 as mobilenet_v2
from diptych.companions.torchvision.models.mobilenetv3 import (
    MobileNet_V3_Large_Weights as MobileNet_V3_Large_Weights,
)
from diptych.companions.torchvision.models.mobilenetv3 import (
    MobileNet_V3_Small_Weights as MobileNet_V3_Small_Weights,
)
from diptych.companions.torchvision.models.mobilenetv3 import MobileNetV3 as MobileNetV3
from diptych.companions.torchvision.models.mobilenetv3 import (
    mobilenet_v3_large as mobilenet_v3_large,
)
from diptych.companions.torchvision.models.mobilenetv3 import (
    mobilenet_v3_small as mobilenet_v3_small,
)
from diptych.companions.torchvision.models.registry import Weights as Weights
from diptych.companions.torchvision.models.registry import WeightsEnum as WeightsEnum
from diptych.companions.torchvision.models.registry import get_model as get_model
from diptych.companions.torchvision.models.registry import get_model_builder as get_model_builder
from diptych.companions.torchvision.models.registry import get_model_weights as get_model_weights
from diptych.companions.torchvision.models.registry import get_weight as get_weight
from diptych.companions.torchvision.models.registry import list_models as list_models
from diptych.companions.torchvision.models.resnet import ResNet as ResNet
from diptych.companions.torchvision.models.resnet import ResNet18_Weights as ResNet18_Weights
from diptych.companions.torchvision.models.resnet import ResNet34_Weights as ResNet34_Weights
from diptych.companions.torchvision.models.resnet import ResNet50_Weights as ResNet50_Weights
from diptych.companions.torchvision.models.resnet import ResNet101_Weights as ResNet101_Weights
from diptych.companions.torchvision.models.resnet import ResNet152_Weights as ResNet152_Weights
from diptych.companions.torchvision.models.resnet import (
    ResNeXt50_32X4D_Weights as ResNeXt50_32X4D_Weights,
)
from diptych.companions.torchvision.models.resnet import (
    ResNeXt101_32X8D_Weights as ResNeXt101_32X8D_Weights,
)
from diptych.companions.torchvision.models.resnet import (
    ResNeXt101_64X4D_Weights as ResNeXt101_64X4D_Weights,
)
from diptych.companions.torchvision.models.resnet import (
    Wide_ResNet50_2_Weights as Wide_ResNet50_2_Weights,
)
from diptych.companions.torchvision.models.resnet import (
    Wide_ResNet101_2_Weights as Wide_ResNet101_2_Weights,
)
from diptych.companions.torchvision.models.resnet import resnet18 as resnet18
from diptych.companions.torchvision.models.resnet import resnet34 as resnet34
from diptych.companions.torchvision.models.resnet import resnet50 as resnet50
from diptych.companions.torchvision.models.resnet import resnet101 as resnet101
from diptych.companions.torchvision.models.resnet import resnet152 as resnet152
from diptych.companions.torchvision.models.resnet import resnext50_32x4d as resnext50_32x4d
from diptych.companions.torchvision.models.resnet import resnext101_32x8d as resnext101_32x8d
from diptych.companions.torchvision.models.resnet import resnext101_64x4d as resnext101_64x4d
from diptych.companions.torchvision.models.resnet import wide_resnet50_2 as wide_resnet50_2
from diptych.companions.torchvision.models.resnet import wide_resnet101_2 as wide_resnet101_2
from diptych.companions.torchvision.models.squeezenet import SqueezeNet as SqueezeNet
from diptych.companions.torchvision.models.squeezenet import (
    SqueezeNet1_0_Weights as SqueezeNet1_0_Weights,
)
from diptych.companions.torchvision.models.squeezenet import (
    SqueezeNet1_1_Weights as SqueezeNet1_1_Weights,
)
from diptych.companions.torchvision.models.squeezenet import squeezenet1_0 as squeezenet1_0
from diptych.companions.torchvision.models.squeezenet import squeezenet1_1 as squeezenet1_1
from diptych.companions.torchvision.models.vgg import VGG as VGG
from diptych.companions.torchvision.models.vgg import VGG11_BN_Weights as VGG11_BN_Weights
from diptych.companions.torchvision.models.vgg import VGG11_Weights as VGG11_Weights
from diptych.companions.torchvision.models.vgg import VGG13_BN_Weights as VGG13_BN_Weights
from diptych.companions.torchvision.models.vgg import VGG13_Weights as VGG13_Weights
from diptych.companions.torchvision.models.vgg import VGG16_BN_Weights as VGG16_BN_Weights
from diptych.companions.torchvision.models.vgg import VGG16_Weights as VGG16_Weights
from diptych.companions.torchvision.models.vgg import VGG19_BN_Weights as VGG19_BN_Weights
from diptych.companions.torchvision.models.vgg import VGG19_Weights as VGG19_Weights
from diptych.companions.torchvision.models.vgg import vgg11 as vgg11
from diptych.companions.torchvision.models.vgg import vgg11_bn as vgg11_bn
from diptych.companions.torchvision.models.vgg import vgg13 as vgg13
from diptych.companions.torchvision.models.vgg import vgg13_bn as vgg13_bn
from diptych.companions.torchvision.models.vgg import vgg16 as vgg16
from diptych.companions.torchvision.models.vgg import vgg16_bn as vgg16_bn
from diptych.companions.torchvision.models.vgg import vgg19 as vgg19
from diptych.companions.torchvision.models.vgg import vgg19_bn as vgg19_bn
from diptych.companions.torchvision.models.vision_transformer import (
    VisionTransformer as VisionTransformer,
)
from diptych.companions.torchvision.models.vision_transformer import (
    ViT_B_16_Weights as ViT_B_16_Weights,
)
from diptych.companions.torchvision.models.vision_transformer import (
    ViT_B_32_Weights as ViT_B_32_Weights,
)
from diptych.companions.torchvision.models.vision_transformer import (
    ViT_H_14_Weights as ViT_H_14_Weights,
)
from diptych.companions.torchvision.models.vision_transformer import (
    ViT_L_16_Weights as ViT_L_16_Weights,
)
from diptych.companions.torchvision.models.vision_transformer import (
    ViT_L_32_Weights as ViT_L_32_Weights,
)
from diptych.companions.torchvision.models.vision_transformer import vit_b_16 as vit_b_16
from diptych.companions.torchvision.models.vision_transformer import vit_b_32 as vit_b_32
from diptych.companions.torchvision.models.vision_transformer import vit_h_14 as vit_h_14
from diptych.companions.torchvision.models.vision_transformer import vit_l_16 as vit_l_16
from diptych.companions.torchvision.models.vision_transformer import vit_l_32 as vit_l_32

_ABSENT = frozenset(
    "ConvNeXt DenseNet GoogLeNet Inception3 MNASNet MaxVit RegNet ShuffleNetV2 SwinTransformer "
    "convnext_base convnext_large convnext_small convnext_tiny densenet121 densenet161 "
    "densenet169 densenet201 googlenet inception_v3 maxvit_t mnasnet0_5 mnasnet0_75 mnasnet1_0 "
    "mnasnet1_3 regnet_x_16gf regnet_x_1_6gf regnet_x_32gf regnet_x_3_2gf regnet_x_400mf "
    "regnet_x_800mf regnet_x_8gf regnet_y_128gf regnet_y_16gf regnet_y_1_6gf regnet_y_32gf "
    "regnet_y_3_2gf regnet_y_400mf regnet_y_800mf regnet_y_8gf shufflenet_v2_x0_5 "
    "shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0 swin_b swin_s swin_t swin_v2_b "
    "swin_v2_s swin_v2_t detection segmentation video optical_flow quantization".split()
)


def __getattr__(name: str) -> object:
    if name in _ABSENT:
        raise NotImplementedError(f"torchvision.models.{name} is not supported yet")
    raise AttributeError(f"module 'torchvision.models' has no attribute {name!r}")
