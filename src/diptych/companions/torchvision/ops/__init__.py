"""torchvision.ops: the blocks that models are made of, and boxes."""

from __future__ import annotations

from diptych.companions.torchvision.ops.blocks import MLP as MLP
from diptych.companions.torchvision.ops.blocks import Conv2dNormActivation as Conv2dNormActivation
from diptych.companions.torchvision.ops.blocks import Conv3dNormActivation as Conv3dNormActivation
from diptych.companions.torchvision.ops.blocks import FrozenBatchNorm2d as FrozenBatchNorm2d
from diptych.companions.torchvision.ops.blocks import Permute as Permute
from diptych.companions.torchvision.ops.blocks import SqueezeExcitation as SqueezeExcitation
from diptych.companions.torchvision.ops.blocks import StochasticDepth as StochasticDepth
from diptych.companions.torchvision.ops.blocks import stochastic_depth as stochastic_depth
from diptych.companions.torchvision.ops.boxes import batched_nms as batched_nms
from diptych.companions.torchvision.ops.boxes import box_area as box_area
from diptych.companions.torchvision.ops.boxes import box_convert as box_convert
from diptych.companions.torchvision.ops.boxes import box_iou as box_iou
from diptych.companions.torchvision.ops.boxes import clip_boxes_to_image as clip_boxes_to_image
from diptych.companions.torchvision.ops.boxes import generalized_box_iou as generalized_box_iou
from diptych.companions.torchvision.ops.boxes import nms as nms
from diptych.companions.torchvision.ops.boxes import remove_small_boxes as remove_small_boxes
from diptych.companions.torchvision.ops.boxes import sigmoid_focal_loss as sigmoid_focal_loss

_ABSENT = frozenset(
    "DeformConv2d DropBlock2d DropBlock3d FeaturePyramidNetwork MultiScaleRoIAlign PSRoIAlign "
    "PSRoIPool RoIAlign RoIPool ciou_loss complete_box_iou complete_box_iou_loss deform_conv2d "
    "diou_loss distance_box_iou distance_box_iou_loss drop_block2d drop_block3d "
    "generalized_box_iou_loss giou_loss masks_to_boxes ps_roi_align ps_roi_pool roi_align "
    "roi_pool".split()
)


def __getattr__(name: str) -> object:
    if name in _ABSENT:
        raise NotImplementedError(f"torchvision.ops.{name} is not supported yet")
    raise AttributeError(f"module 'torchvision.ops' has no attribute {name!r}")
