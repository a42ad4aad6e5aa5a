"""torch.utils: data loading, hooks, checkpointing."""

from __future__ import annotations

import importlib
from typing import Any

from diptych.torch.utils import hooks as hooks


def __getattr__(name: str) -> Any:
    # Loaded when first asked for: they bring much with them.
    if name in ("benchmark", "checkpoint", "data", "tensorboard"):
        return importlib.import_module(f"diptych.torch.utils.{name}")
    raise AttributeError(f"module 'torch.utils' has no attribute '{name}'")
