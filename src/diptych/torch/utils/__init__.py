"""torch.utils: data loading, hooks."""

from __future__ import annotations

import importlib
from typing import Any

from diptych.torch.utils import hooks as hooks


def __getattr__(name: str) -> Any:
    if name == "data":  # loaded when it is first asked for: it brings threads and random numbers
        return importlib.import_module("diptych.torch.utils.data")
    raise AttributeError(f"module 'torch.utils' has no attribute '{name}'")
