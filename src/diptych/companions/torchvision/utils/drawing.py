"""Boxes and masks drawn on an image."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.companions.torchvision.face import torch
from diptych.companions.torchvision.transforms import functional as F


def _palette(count: int) -> list[tuple[int, int, int]]:
    """Colours that differ: multiples of three large numbers, cut to bytes."""
    steps = (2**25 - 1, 2**15 - 1, 2**21 - 1)
    return [tuple(i * step % 255 for step in steps) for i in range(count)]  # type: ignore[misc]


def _colors(colors: Any, count: int) -> list[Any]:
    from PIL import ImageColor

    if colors is None:
        made: list[Any] = list(_palette(count))
    elif isinstance(colors, list):
        if len(colors) < count:
            raise ValueError(
                f"Number of colors must be equal or larger than the number of objects, but got "
                f"{len(colors)} < {count}."
            )
        made = colors
    else:
        made = [colors] * count
    return [ImageColor.getrgb(c) if isinstance(c, str) else tuple(c) for c in made[:count]]


def _checked(image: Any) -> bool:
    """Whether the image is floats; it must be a tensor [C, H, W]."""
    if not torch.is_tensor(image):
        raise TypeError(f"Tensor expected, got {type(image)}")
    if not (image.dtype == torch.uint8 or image.is_floating_point()):
        raise ValueError(f"The image dtype must be uint8 or float, got {image.dtype}")
    if image.dim() != 3:
        raise ValueError("Pass individual images, not batches")
    return bool(image.is_floating_point())


@torch.no_grad()
def draw_bounding_boxes(
    image: Any,
    boxes: Any,
    labels: list[str | None] | None = None,
    colors: Any = None,
    fill: bool = False,
    width: int = 1,
    font: str | None = None,
    font_size: int | None = None,
) -> Any:
    """The image [C, H, W] with boxes (x1, y1, x2, y2) drawn on it, labels at their corners."""
    from PIL import ImageDraw, ImageFont

    floats = _checked(image)
    if image.size(0) not in (1, 3):
        raise ValueError("Only grayscale and RGB images are supported")
    if (boxes[:, 0] > boxes[:, 2]).any() or (boxes[:, 1] > boxes[:, 3]).any():
        raise ValueError(
            "Boxes need to be in (xmin, ymin, xmax, ymax) format. Use "
            "torchvision.ops.box_convert to convert them"
        )
    count = boxes.shape[0]
    if labels is not None and len(labels) != count:
        raise ValueError(
            f"Number of boxes ({count}) and labels ({len(labels)}) mismatch. Please specify labels "
            "for each box."
        )
    if count == 0:
        return image
    if image.size(0) == 1:
        image = torch.tile(image, (3, 1, 1))
    picture = F.to_pil_image(F.convert_image_dtype(image, torch.uint8) if floats else image)
    draw = ImageDraw.Draw(picture, "RGBA" if fill else None)
    letters = (
        ImageFont.load_default() if font is None else ImageFont.truetype(font, font_size or 10)
    )
    for box, color, label in zip(
        boxes.to(torch.int64).tolist(),
        _colors(colors, count),
        labels or [None] * count,
        strict=True,
    ):
        draw.rectangle(box, width=width, outline=color, fill=(*color, 100) if fill else None)
        if label is not None:
            draw.text((box[0] + width + 1, box[1] + width + 1), label, fill=color, font=letters)
    drawn = F.pil_to_tensor(picture)
    return F.convert_image_dtype(drawn, image.dtype) if floats else drawn


@torch.no_grad()
def draw_segmentation_masks(image: Any, masks: Any, alpha: float = 0.8, colors: Any = None) -> Any:
    """The image [3, H, W] with boolean masks [N, H, W] laid over it in colours."""
    floats = _checked(image)
    if image.size(0) != 3:
        raise ValueError("Pass an RGB image. Other Image formats are not supported")
    if not isinstance(masks, torch.Tensor):
        raise TypeError(f"The masks must be a Tensor, got {type(masks)}")
    masks = masks[None] if masks.ndim == 2 else masks
    if masks.ndim != 3:
        raise ValueError("masks must be of shape (H, W) or (batch_size, H, W)")
    if masks.dtype != torch.bool:
        raise ValueError(f"The masks must be of dtype bool. Got {masks.dtype}")
    if masks.shape[-2:] != image.shape[-2:]:
        raise ValueError("The image and the masks must have the same height and width")
    over = image.clone()
    scale = 255.0 if floats else 1.0
    for mask, color in zip(masks, _colors(colors, masks.shape[0]), strict=True):
        over[:, mask] = torch.tensor(np.array(color)[:, None] / scale, dtype=image.dtype)
    mixed = image * (1 - alpha) + over * alpha
    mixed[:, ~masks.any(dim=0)] = image[:, ~masks.any(dim=0)].to(mixed.dtype)
    return mixed.to(image.dtype)
