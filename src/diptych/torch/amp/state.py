"""What autocast is set to: by device type, for each thread."""

from __future__ import annotations

import threading
import warnings
from typing import Any

from diptych.core import tape
from diptych.core.tape import Leaf
from diptych.torch.device import device
from diptych.torch.dtypes import NAMED, dtype

_LOWER = {"cpu": NAMED["bfloat16"], "xla": NAMED["bfloat16"], "hpu": NAMED["bfloat16"],
          "mtia": NAMED["bfloat16"], "maia": NAMED["bfloat16"]}  # fmt: skip
# Device types that have autocast.
KINDS = frozenset(
    ("cpu", "cuda", "mtia", "maia", "xpu", "ipu", "hpu", "xla", "mps", "privateuseone")
)


class State(threading.local):
    """One thread's settings, and the casts of parameters that it keeps inside a block."""

    def __init__(self) -> None:
        self.enabled: dict[str, bool] = {}
        self.dtypes: dict[str, dtype] = {}
        self.cached = True
        self.nesting = 0
        self.casts: dict[tuple[int, int], tuple[Any, int, Any]] = {}


state = State()


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether autocast is on for a device type."""
    return state.enabled.get(device_type, False)


def get_autocast_dtype(device_type: str) -> dtype:
    """What autocast computes in on a device type."""
    kind = device(device_type).type
    if kind not in KINDS:
        raise RuntimeError(f"unsupported scalarType: {kind} has no autocast")
    return state.dtypes.get(kind) or _LOWER.get(kind, NAMED["float16"])


def set_autocast_dtype(device_type: str, dtype: dtype) -> None:
    """Set what autocast computes in on a device type."""
    state.dtypes[device(device_type).type] = dtype


def is_autocast_cache_enabled() -> bool:
    """Whether casts of parameters are kept inside a block."""
    return state.cached


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Say whether casts of parameters are kept inside a block."""
    state.cached = bool(enabled)


def clear_autocast_cache() -> None:
    """Forget the casts that were kept."""
    state.casts.clear()


def autocast_increment_nesting() -> int:
    """Count one more block; the depth."""
    state.nesting += 1
    return state.nesting


def autocast_decrement_nesting() -> int:
    """Count one block less; the depth."""
    state.nesting -= 1
    return state.nesting


def get_autocast_cpu_dtype() -> dtype:
    """The old name of ``get_autocast_dtype("cpu")``."""
    _deprecated("get_autocast_cpu_dtype()", "get_autocast_dtype('cpu')")
    return get_autocast_dtype("cpu")


def get_autocast_gpu_dtype() -> dtype:
    """The old name of ``get_autocast_dtype("cuda")``."""
    _deprecated("get_autocast_gpu_dtype()", "get_autocast_dtype('cuda')")
    return get_autocast_dtype("cuda")


def is_autocast_cpu_enabled() -> bool:
    """The old name of ``is_autocast_enabled("cpu")``."""
    _deprecated("is_autocast_cpu_enabled()", "is_autocast_enabled('cpu')")
    return is_autocast_enabled("cpu")


def set_autocast_cpu_dtype(dtype: dtype) -> None:
    """The old name of ``set_autocast_dtype("cpu", dtype)``."""
    _deprecated("set_autocast_cpu_dtype(dtype)", "set_autocast_dtype('cpu', dtype)")
    set_autocast_dtype("cpu", dtype)


def set_autocast_gpu_dtype(dtype: dtype) -> None:
    """The old name of ``set_autocast_dtype("cuda", dtype)``."""
    _deprecated("set_autocast_gpu_dtype(dtype)", "set_autocast_dtype('cuda', dtype)")
    set_autocast_dtype("cuda", dtype)


def _deprecated(old: str, new: str) -> None:
    warnings.warn(
        f"torch.{old} is deprecated. Please use torch.{new} instead.",
        DeprecationWarning, stacklevel=3,
    )  # fmt: skip


def cast(x: Any, dtype: dtype) -> Any:
    """A tensor in another dtype; a parameter's cast is kept until the outermost block ends."""
    if not (state.cached and tape.mode.enabled and isinstance(x.node, Leaf) and x.base is None):
        return x.to(dtype)
    key = (id(x), id(dtype))
    found = state.casts.get(key)
    version = x.buffer.version
    if found is None or found[0] is not x or found[1] != version:
        found = state.casts[key] = (x, version, x.to(dtype))
    return found[2]
