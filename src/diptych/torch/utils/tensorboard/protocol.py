"""The parts of the tensorboard package that are used; ImportError says how to get it."""

from __future__ import annotations

import importlib
from typing import Any


def part(name: str) -> Any:
    """The module ``tensorboard.<name>``."""
    try:
        return importlib.import_module(f"tensorboard.{name}")
    except ImportError as error:
        raise ImportError(
            "torch.utils.tensorboard writes with the tensorboard package: pip install tensorboard "
            "(or 'diptych[tensorboard]')"
        ) from error


def summary() -> Any:
    return part("compat.proto.summary_pb2")


def tensors() -> Any:
    return part("compat.proto.tensor_pb2")
