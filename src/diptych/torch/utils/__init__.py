"""torch.utils: data loading, hooks, checkpointing."""

from __future__ import annotations

import importlib
from typing import Any

from diptych.torch.utils import hooks as hooks


def __getattr__(name: str) -> Any:
    if name in (
        "checkpoint",
        "data",
        "tensorboard",
    ):  # loaded when first asked for: both bring much with them
        return importlib.import_module(f"diptych.torch.utils.{name}")
    raise AttributeError(f"module 'torch.utils' has no attribute '{name}'")
