"""torchvision.utils: grids of images, and images with things drawn on them."""

from __future__ import annotations

from diptych.companions.torchvision.utils.drawing import draw_bounding_boxes as draw_bounding_boxes
from diptych.companions.torchvision.utils.drawing import (
    draw_segmentation_masks as draw_segmentation_masks,
)
from diptych.companions.torchvision.utils.grid import make_grid as make_grid
from diptych.companions.torchvision.utils.grid import save_image as save_image

_ABSENT = frozenset("draw_keypoints flow_to_image".split())


def __getattr__(name: str) -> object:
    if name in _ABSENT:
        raise NotImplementedError(f"torchvision.utils.{name} is not supported yet")
    raise AttributeError(f"module 'torchvision.utils' has no attribute {name!r}")
