"""Many images as one, and an image as a file."""

from __future__ import annotations

import math
from typing import Any

from diptych.companions.torchvision.face import torch
from diptych.companions.torchvision.transforms.on_pil import modules


def _scaled(images: Any, value_range: Any, scale_each: bool) -> Any:
    """Brought to [0, 1], all by one range or each by its own."""
    if value_range is not None and not isinstance(value_range, tuple):
        raise TypeError(
            "value_range has to be a tuple (min, max) if specified. min and max are numbers"
        )
    images = images.clone()
    for part in images if scale_each else [images]:
        low, high = value_range or (float(part.min()), float(part.max()))
        part.clamp_(min=low, max=high)
        part.sub_(low).div_(max(high - low, 1e-5))
    return images


@torch.no_grad()
def make_grid(
    tensor: Any,
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[int, int] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Any:
    """Images [B, C, H, W] (or a list of them) beside and below each other: [C, H', W'].

    ``nrow`` images a row, ``padding`` pixels of ``pad_value`` between and around them.
    """
    if not torch.is_tensor(tensor):
        if not isinstance(tensor, list):
            raise TypeError(f"tensor or list of tensors expected, got {type(tensor)}")
        for one in tensor:
            if not torch.is_tensor(one):
                raise TypeError(
                    f"tensor or list of tensors expected, got a list containing {type(one)}"
                )
        tensor = torch.stack(tensor, dim=0)
    if tensor.dim() == 2:
        tensor = tensor.unsqueeze(0)
    if tensor.dim() == 3:
        if tensor.size(0) == 1:
            tensor = torch.cat((tensor, tensor, tensor), 0)
        tensor = tensor.unsqueeze(0)
    if tensor.dim() == 4 and tensor.size(1) == 1:
        tensor = torch.cat((tensor, tensor, tensor), 1)
    if normalize:
        tensor = _scaled(tensor, value_range, scale_each)
    if tensor.size(0) == 1:
        return tensor.squeeze(0)
    count, channels, high, wide = tensor.shape
    if not count or nrow < 1:
        raise ValueError(f"make_grid: expected images and nrow >= 1, got {count} and nrow={nrow}")
    across = min(nrow, count)
    down = math.ceil(count / across)
    high, wide = high + padding, wide + padding
    grid = tensor.new_full((channels, high * down + padding, wide * across + padding), pad_value)
    for position, image in enumerate(tensor):
        row, column = divmod(position, across)
        top, left = row * high + padding, column * wide + padding
        grid[:, top : top + high - padding, left : left + wide - padding] = image
    return grid


@torch.no_grad()
def save_image(tensor: Any, fp: Any, format: str | None = None, **kwargs: Any) -> None:
    """`make_grid` of the images, as a file; values in [0, 1]."""
    grid = make_grid(tensor, **kwargs)
    pixels = grid.mul(255).add_(0.5).clamp_(0, 255).permute(1, 2, 0).to(torch.uint8).numpy()
    modules()[0].fromarray(pixels).save(fp, format=format)
