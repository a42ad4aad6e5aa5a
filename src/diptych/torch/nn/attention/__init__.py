"""torch.nn.attention: which way scaled_dot_product_attention computes, and biases for it."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator
from typing import Any

from diptych.torch.nn.functional import attention as _functional

WARN_FOR_UNFUSED_KERNELS = False


class SDPBackend(enum.IntEnum):
    """Ways to compute attention. On this CPU: MATH (the scores in full) and FLASH_ATTENTION."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextlib.contextmanager
def sdpa_kernel(backends: Any, set_priority: bool = False) -> Iterator[Any]:
    """Allow only these backends inside the ``with`` block."""
    assert isinstance(backends, (list, SDPBackend)), (  # noqa: S101
        "Backend must be an instance of SDPBackend or a list of SDPBackend instances, got "
        f"{type(backends).__name__}"
    )
    chosen = [backends] if isinstance(backends, SDPBackend) else list(backends)
    allowed = _functional.allowed
    before = allowed.math, allowed.flash
    allowed.math = SDPBackend.MATH in chosen
    allowed.flash = SDPBackend.FLASH_ATTENTION in chosen
    try:
        yield {}
    finally:
        allowed.math, allowed.flash = before


def list_flash_attention_impls() -> list[str]:
    """No implementations can be registered: the engine writes its own kernel."""
    return []


def current_flash_attention_impl() -> str | None:
    """None: the engine's own."""
    return None


__all__ = ["WARN_FOR_UNFUSED_KERNELS", "SDPBackend", "sdpa_kernel"]
