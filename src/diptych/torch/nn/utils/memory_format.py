"""Weights of convolutions in another order in memory."""

from __future__ import annotations

from typing import Any

from diptych.torch.nn import modules


def _convert(module: Any, memory_format: Any, classes: tuple[Any, ...]) -> Any:
    if isinstance(module, classes):
        module.weight.data = module.weight.detach().clone(memory_format=memory_format)
    for child in module.children():
        _convert(child, memory_format, classes)
    return module


def convert_conv2d_weight_memory_format(module: Any, memory_format: Any) -> Any:
    """Put the weights of all 2-dimensional convolutions in a module into a memory format."""
    return _convert(module, memory_format, (modules.Conv2d, modules.ConvTranspose2d))


def convert_conv3d_weight_memory_format(module: Any, memory_format: Any) -> Any:
    """Put the weights of all 3-dimensional convolutions in a module into a memory format."""
    return _convert(module, memory_format, (modules.Conv3d, modules.ConvTranspose3d))
