"""torch.multiprocessing: Python's multiprocessing under PyTorch's name.

A tensor that goes through a queue or a pipe is copied; PyTorch shares its memory.
"""

from __future__ import annotations

import multiprocessing
from typing import Any

_STRATEGIES = {"file_descriptor", "file_system"}


class _Strategy:
    """What a program chose; the memory of data workers needs neither."""

    name = "file_descriptor"


def get_all_sharing_strategies() -> set[str]:
    """The ways of sharing memory that a program may choose."""
    return set(_STRATEGIES)


def get_sharing_strategy() -> str:
    """The way of sharing memory that was chosen."""
    return _Strategy.name


def set_sharing_strategy(new_strategy: str) -> None:
    """Choose a way of sharing memory: accepted, and without effect."""
    if new_strategy not in _STRATEGIES:
        raise AssertionError(
            f"sharing strategy should be one of {sorted(_STRATEGIES)}, but got {new_strategy!r}"
        )
    _Strategy.name = new_strategy


def spawn(
    fn: Any, args: Any = (), nprocs: int = 1, join: bool = True, daemon: bool = False,
    start_method: str = "spawn",
) -> Any:  # fmt: skip
    """Not implemented: processes that run one function each."""
    raise NotImplementedError("torch.multiprocessing.spawn is not implemented in diptych")


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    try:
        return getattr(multiprocessing, name)
    except AttributeError:
        raise AttributeError(f"module 'torch.multiprocessing' has no attribute '{name}'") from None


def __dir__() -> list[str]:
    return sorted({*globals(), *multiprocessing.__all__})
