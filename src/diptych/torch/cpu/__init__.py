"""torch.cpu: the one device there is, asked as if it were an accelerator."""

from __future__ import annotations

import importlib
from typing import Any

from diptych.torch.backends import cpu_flags


def is_available() -> bool:
    """True: there is a CPU."""
    return True


def is_initialized() -> bool:
    """True: a CPU needs no initialising."""
    return True


def device_count() -> int:
    """1: there is one CPU."""
    return 1


def current_device() -> str:
    """The CPU."""
    return "cpu"


def set_device(device: Any) -> None:
    """Nothing to choose."""


def synchronize(device: Any = None) -> None:
    """Nothing to wait for: every call has finished when it returns."""


class Stream:
    """A queue of work: on a CPU all work is done at once."""

    def __init__(self, priority: int = -1) -> None:
        self.priority = priority

    def wait_stream(self, stream: Any) -> None:
        """Nothing to wait for."""

    def record_event(self) -> None:
        """Nothing to mark."""

    def wait_event(self, event: Any) -> None:
        """Nothing to wait for."""


class Event:
    """A mark in a queue of work."""

    def query(self) -> bool:
        """True: all work is done."""
        return True

    def record(self, stream: Any = None) -> None:
        """Nothing to mark."""

    def synchronize(self) -> None:
        """Nothing to wait for."""

    def wait(self, stream: Any = None) -> None:
        """Nothing to wait for."""


_current = Stream()


def current_stream(device: Any = None) -> Stream:
    """The one queue of work."""
    return _current


class StreamContext:
    """A context that selects a stream."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        """Nothing to select."""

    def __exit__(self, *exc: Any) -> None:
        """Nothing to put back."""


def stream(stream: Any) -> StreamContext:
    """A context that selects a stream."""
    return StreamContext(stream)


def _is_avx2_supported() -> bool:
    return "avx2" in cpu_flags()


def _is_avx512_supported() -> bool:
    return "avx512f" in cpu_flags()


def _is_avx512_bf16_supported() -> bool:
    return "avx512_bf16" in cpu_flags()


def _is_vnni_supported() -> bool:
    return "avx512_vnni" in cpu_flags()


def _is_amx_tile_supported() -> bool:
    return "amx_tile" in cpu_flags()


def __getattr__(name: str) -> Any:
    if name == "amp":
        return importlib.import_module("diptych.torch.cpu.amp")
    raise AttributeError(f"module 'torch.cpu' has no attribute '{name}'")
