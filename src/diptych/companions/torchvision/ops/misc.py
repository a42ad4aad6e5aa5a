"""torchvision.ops.misc: the blocks, under the name where older programs look for them."""

from __future__ import annotations

from diptych.companions.torchvision.ops.blocks import MLP as MLP
from diptych.companions.torchvision.ops.blocks import Conv2dNormActivation as Conv2dNormActivation
from diptych.companions.torchvision.ops.blocks import Conv3dNormActivation as Conv3dNormActivation
from diptych.companions.torchvision.ops.blocks import FrozenBatchNorm2d as FrozenBatchNorm2d
from diptych.companions.torchvision.ops.blocks import Permute as Permute
from diptych.companions.torchvision.ops.blocks import SqueezeExcitation as SqueezeExcitation
