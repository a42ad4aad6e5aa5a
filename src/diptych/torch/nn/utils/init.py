"""Making modules without drawing their first weights."""

from __future__ import annotations

import inspect
from typing import Any

from diptych.torch.nn.modules.module import Module
from diptych.torch.random import default_generator


def skip_init(module_cls: Any, *args: Any, **kwargs: Any) -> Any:
    """A module whose parameters are not initialized."""
    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    # There is no memoryless device here: the weights are drawn, and the generator put back.
    from_state = default_generator.get_state()
    try:
        return module_cls(*args, **kwargs)
    finally:
        default_generator.set_state(from_state)


__all__ = ["skip_init"]
