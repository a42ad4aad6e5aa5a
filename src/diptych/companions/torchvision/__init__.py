"""torchvision, as classic programs use it: transforms, datasets over local files, models, grids."""

from __future__ import annotations

import importlib
from types import ModuleType

__version__ = "0.28.0"
_SUBMODULES = frozenset("datasets io models ops transforms utils version".split())
_backend = "PIL"


def __getattr__(name: str) -> ModuleType:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module 'torchvision' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES})


def set_image_backend(backend: str) -> None:
    """Choose what reads images; only "PIL" is there."""
    if backend != "PIL":
        raise ValueError(f"Invalid backend '{backend}'. Options are 'PIL'")


def get_image_backend() -> str:
    """What reads images."""
    return _backend


def disable_beta_transforms_warning() -> None:
    """Accepted; there is no such warning to disable."""
