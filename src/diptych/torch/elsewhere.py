"""torch.mps, torch.xpu, torch.mtia, torch.accelerator: devices that are not there, in rows."""

from __future__ import annotations

from types import ModuleType
from typing import Any


class Absent(ModuleType):
    """The module of a kind of device that this machine has none of."""

    def __init__(
        self, name: str, error: type[Exception], message: str, *, zeros: str = "",
        nothing: str = "", refused: str = "",
    ) -> None:  # fmt: skip
        super().__init__(f"diptych.torch.{name}", f"torch.{name}: there is no such device here.")
        self.__path__: list[str] = []
        self._error, self._message = error, message
        for names, make in (
            (zeros, _zero), (nothing, _nothing), (refused, self._refusing),
        ):  # fmt: skip
            for function in names.split():
                self.__dict__[function] = make(function)

    def _refusing(self, name: str) -> Any:
        def refuse(*args: Any, **kwargs: Any) -> Any:
            raise self._error(self._message.format(name))

        refuse.__name__ = name
        return refuse

    def is_available(self) -> bool:
        """False: there is no such device."""
        return False

    def is_initialized(self) -> bool:
        """False: there is nothing to initialise."""
        return False


def _zero(name: str) -> Any:
    return lambda *args, **kwargs: 0


def _nothing(name: str) -> Any:
    return lambda *args, **kwargs: None


_MEMORY = "memory_allocated max_memory_allocated memory_reserved max_memory_reserved"
MODULES = {
    "mps": Absent(
        "mps", RuntimeError, "Cannot execute {}() without MPS backend.",
        zeros="device_count", nothing="manual_seed",
        refused="current_allocated_memory driver_allocated_memory empty_cache get_rng_state "
        "set_rng_state recommended_max_memory seed synchronize set_per_process_memory_fraction "
        "compile_shader",
    ),
    "xpu": Absent(
        "xpu", AssertionError, "Torch not compiled with XPU enabled",
        zeros=f"device_count {_MEMORY}",
        nothing="manual_seed manual_seed_all seed seed_all empty_cache reset_peak_memory_stats",
        refused="current_device current_stream get_device_name get_device_properties "
        "get_device_capability set_device synchronize init initial_seed get_rng_state "
        "set_rng_state mem_get_info",
    ),
    "mtia": Absent(
        "mtia", RuntimeError, "Cannot execute {}() without MTIA backend.",
        zeros="device_count", nothing="manual_seed manual_seed_all seed seed_all",
        refused="current_device current_stream set_device synchronize init memory_stats",
    ),
    "accelerator": Absent(
        "accelerator", RuntimeError, "Cannot access accelerator device when none is available.",
        zeros="device_count", nothing="current_accelerator",
        refused="current_device_index current_device_idx set_device_index set_device_idx "
        "current_stream set_stream synchronize empty_cache get_memory_info memory_stats "
        f"reset_peak_memory_stats reset_accumulated_memory_stats {_MEMORY}",
    ),
}  # fmt: skip
