"""torch.cuda, as a PyTorch built without CUDA has it: everything says there is none."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from diptych.torch.random import Generator as _Generator

has_half = True
has_magma = False


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


def is_tf32_supported() -> bool:
    """False: there is no CUDA here."""
    return False


def get_arch_list() -> list[str]:
    """Empty: nothing was compiled for a GPU."""
    return []


def get_gencode_flags() -> str:
    """Empty: nothing was compiled for a GPU."""
    return ""


def get_rng_state_all() -> list[Any]:
    """Empty: no GPU has a generator."""
    return []


def set_rng_state_all(new_states: Any) -> None:
    """Nothing to set, when nothing is given."""
    for _ in new_states:
        _refuse()


def memory_stats(device: Any = None) -> dict[str, Any]:
    """Empty: there is no allocator of a GPU's memory."""
    return OrderedDict()


def memory_stats_as_nested_dict(device: Any = None) -> dict[str, Any]:
    """Empty: there is no allocator of a GPU's memory."""
    return {}


host_memory_stats = host_memory_stats_as_nested_dict = memory_stats


def memory_cached(device: Any = None) -> int:
    """The old name of ``memory_reserved``."""
    _renamed("memory_cached", "memory_reserved")
    return 0


def max_memory_cached(device: Any = None) -> int:
    """The old name of ``max_memory_reserved``."""
    _renamed("max_memory_cached", "max_memory_reserved")
    return 0


def _renamed(old: str, new: str) -> None:
    warnings.warn(
        f"`torch.cuda.{old}` has been renamed to `torch.cuda.{new}`", FutureWarning, stacklevel=3
    )


def _refuse(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError("Torch not compiled with CUDA enabled")


def _nothing(*args: Any, **kwargs: Any) -> None:
    """What programs call without asking whether CUDA is there, and PyTorch accepts."""


def _zero(*args: Any, **kwargs: Any) -> int:
    """The memory that is used where there is none."""
    return 0


init = synchronize = current_device = get_device_name = get_device_properties = _refuse
get_device_capability = set_device = current_stream = default_stream = mem_get_info = _refuse
memory_summary = get_rng_state = set_rng_state = initial_seed = memory_snapshot = _refuse
can_device_access_peer = cudart = current_blas_handle = get_sync_debug_mode = _refuse
set_sync_debug_mode = set_per_process_memory_fraction = get_per_process_memory_fraction = _refuse
caching_allocator_alloc = caching_allocator_delete = get_allocator_backend = set_stream = _refuse
get_stream_from_external = change_current_allocator = make_graphed_callables = _refuse
# PyTorch queues seeds until CUDA is initialised, which never happens.
manual_seed = manual_seed_all = seed = seed_all = empty_cache = ipc_collect = _nothing
reset_peak_memory_stats = reset_max_memory_allocated = reset_max_memory_cached = _nothing
reset_accumulated_memory_stats = reset_peak_host_memory_stats = _nothing
reset_accumulated_host_memory_stats = caching_allocator_enable = _nothing
memory_allocated = max_memory_allocated = memory_reserved = max_memory_reserved = _zero


def _unmeasured(device: Any = None) -> int:
    raise ModuleNotFoundError(
        "nvidia-ml-py does not seem to be installed or it can't be imported: there is no GPU here"
    )


utilization = memory_usage = temperature = power_draw = clock_rate = _unmeasured
device_memory_used = _unmeasured


def is_current_stream_capturing() -> bool:
    """False: there is no stream."""
    return False


class OutOfMemoryError(RuntimeError):
    """A GPU's memory ran out."""

    __module__ = "torch"


class AcceleratorError(RuntimeError):
    """Something went wrong on an accelerator."""

    __module__ = "torch"


class DeferredCudaCallError(Exception):
    """A call that waited for CUDA failed."""


CudaError = RuntimeError


class device:  # noqa: N801 (PyTorch's name)
    """A context that would select a GPU; of no use, and no harm, without one."""

    def __init__(self, device: Any) -> None:
        self.idx = -1
        self.prev_idx = -1

    def __enter__(self) -> None:
        """Nothing to select."""

    def __exit__(self, *exc: Any) -> None:
        """Nothing to put back."""


class device_of(device):  # noqa: N801 (PyTorch's name)
    """A context that would select a tensor's GPU."""


class _OfCuda:
    """What only a GPU has."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        name = type(self).__name__
        raise RuntimeError(
            f"torch.cuda.{name} requires CUDA support"
            if name == "Stream"
            else f"Tried to instantiate dummy base class {name}"
        )


class Stream(_OfCuda):
    """A queue of a GPU's work."""


class ExternalStream(Stream):
    """A queue of a GPU's work that another library made."""


class Event(_OfCuda):
    """A mark in a queue of a GPU's work."""


class CUDAGraph(_OfCuda):
    """Recorded work of a GPU."""


class MemPool(_OfCuda):
    """A pool of a GPU's memory."""


class graph(_OfCuda):  # noqa: N801 (PyTorch's name)
    """A context that would record a GPU's work."""


class StreamContext:
    """A context that would select a stream; without one it does nothing."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        """Nothing to select."""

    def __exit__(self, *exc: Any) -> None:
        """Nothing to put back."""


def stream(stream: Any) -> StreamContext:
    """A context that would select a stream."""
    return StreamContext(stream)


@contextlib.contextmanager
def caching_allocator_disabled() -> Iterator[None]:
    """Nothing changes: there is no such allocator."""
    yield


default_generators: tuple[_Generator, ...] = ()
_TYPES = frozenset(
    f"{word}Tensor"
    for word in "Float Double Half BFloat16 Long Int Short Char Byte Bool ComplexFloat".split()
)


class _Type:
    """An old tensor type of a GPU: it can be named, and nothing can be made of it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            f"type torch.cuda.{self.name} not available. Torch not compiled with CUDA enabled."
        )

    def __repr__(self) -> str:
        return f"<class 'torch.cuda.{self.name}'>"


def __getattr__(name: str) -> Any:
    if name in ("amp", "random", "memory", "nvtx"):
        return importlib.import_module(f"diptych.torch.cuda.{name}")
    if name in _TYPES:
        return globals().setdefault(name, _Type(name))
    raise AttributeError(f"module 'torch.cuda' has no attribute '{name}'")
