"""torch.cuda, as a PyTorch built without CUDA has it: everything says there is none."""

from __future__ import annotations

import importlib
from typing import Any

from diptych.torch.random import Generator as _Generator


def is_available() -> bool:
    """False: there is no CUDA here."""
    return False


def device_count() -> int:
    """0: there is no CUDA here."""
    return 0


def is_initialized() -> bool:
    """False: there is nothing to initialise."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """False: there is no CUDA here."""
    return False


def _refuse(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError("Torch not compiled with CUDA enabled")


def _nothing(*args: Any, **kwargs: Any) -> None:
    """What programs call without asking whether CUDA is there, and PyTorch accepts."""


def _zero(*args: Any, **kwargs: Any) -> int:
    """The memory that is used where there is none."""
    return 0


init = synchronize = current_device = get_device_name = get_device_properties = _refuse
get_device_capability = set_device = current_stream = default_stream = mem_get_info = _refuse
memory_summary = get_rng_state = set_rng_state = get_rng_state_all = set_rng_state_all = _refuse
memory_stats = utilization = temperature = can_device_access_peer = _refuse
# PyTorch queues seeds until CUDA is initialised, which never happens.
manual_seed = manual_seed_all = seed = seed_all = empty_cache = ipc_collect = _nothing
reset_peak_memory_stats = reset_max_memory_allocated = reset_max_memory_cached = _nothing
memory_allocated = max_memory_allocated = memory_reserved = max_memory_reserved = _zero
memory_cached = max_memory_cached = _zero


class OutOfMemoryError(RuntimeError):
    """A GPU's memory ran out."""

    __module__ = "torch"


class device:  # noqa: N801 (PyTorch's name)
    """A context that would select a GPU; of no use, and no harm, without one."""

    def __init__(self, device: Any) -> None:
        self.idx = -1

    def __enter__(self) -> None:
        """Nothing to select."""

    def __exit__(self, *exc: Any) -> None:
        """Nothing to put back."""


class Stream:
    """A queue of a GPU's work."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse()


class Event(Stream):
    """A mark in a queue of a GPU's work."""


default_generators: tuple[_Generator, ...] = ()


def __getattr__(name: str) -> Any:
    if name == "amp":
        return importlib.import_module("diptych.torch.amp")
    raise AttributeError(f"module 'torch.cuda' has no attribute '{name}'")
