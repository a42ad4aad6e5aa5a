"""``tf.config``: the devices there are, and threads."""

from __future__ import annotations

import collections
from types import SimpleNamespace
from typing import Any

from diptych.runtime import pool

__all__ = [
    "LogicalDevice", "PhysicalDevice", "experimental", "functions_run_eagerly",
    "get_soft_device_placement", "get_visible_devices", "list_logical_devices",
    "list_physical_devices", "run_functions_eagerly", "set_soft_device_placement",
    "set_visible_devices", "threading",
]  # fmt: skip

PhysicalDevice = collections.namedtuple("PhysicalDevice", ["name", "device_type"])
LogicalDevice = collections.namedtuple("LogicalDevice", ["name", "device_type"])
_CPU = PhysicalDevice("/physical_device:CPU:0", "CPU")


class _Settings:
    """What the setters were given."""

    inter_op = 0
    intra_op = 0
    soft_placement = True
    eager_functions = False


def list_physical_devices(device_type: Any = None) -> list[Any]:
    """The machine's devices of a type: one CPU, whatever its cores."""
    return [_CPU] if device_type in (None, "CPU") else []


def list_logical_devices(device_type: Any = None) -> list[Any]:
    """The devices that programs see."""
    if device_type in (None, "CPU"):
        return [LogicalDevice("/device:CPU:0", "CPU")]
    return []


def get_visible_devices(device_type: Any = None) -> list[Any]:
    """The devices not hidden: all."""
    return list_physical_devices(device_type)


def set_visible_devices(devices: Any, device_type: Any = None) -> None:
    """Hide devices; the CPU cannot be hidden."""
    if devices and any(device is not _CPU for device in devices):
        raise ValueError(f"there is no device {devices!r}; there is {_CPU}")


def get_soft_device_placement() -> bool:
    """Whether a call may run elsewhere when its device cannot run it."""
    return _Settings.soft_placement


def set_soft_device_placement(enabled: bool) -> None:
    """Set whether a call may run elsewhere: with one device it makes no difference."""
    _Settings.soft_placement = bool(enabled)


def functions_run_eagerly() -> bool:
    """Whether tf.functions run call by call."""
    return _Settings.eager_functions


def run_functions_eagerly(run_eagerly: bool) -> None:
    """Set whether tf.functions run call by call."""
    _Settings.eager_functions = bool(run_eagerly)


def _get_intra() -> int:
    """The threads one operation may use; 0 lets the runtime choose."""
    return _Settings.intra_op


def _set_intra(num_threads: int) -> None:
    """Set the threads one operation may use; 0 lets the runtime choose."""
    _Settings.intra_op = int(num_threads)
    if _Settings.intra_op > 0:
        pool.set_num_threads(_Settings.intra_op)


def _get_inter() -> int:
    """The operations that may run at once."""
    return _Settings.inter_op


def _set_inter(num_threads: int) -> None:
    """Set the operations that may run at once: calls run one after another, so nothing changes."""
    _Settings.inter_op = int(num_threads)


threading = SimpleNamespace(
    get_intra_op_parallelism_threads=_get_intra,
    set_intra_op_parallelism_threads=_set_intra,
    get_inter_op_parallelism_threads=_get_inter,
    set_inter_op_parallelism_threads=_set_inter,
)


def _set_memory_growth(device: Any, enable: bool) -> None:
    """Whether a GPU's memory grows: there is none."""
    raise ValueError("Cannot set memory growth on non-GPU and non-Pluggable devices")


experimental = SimpleNamespace(
    list_physical_devices=list_physical_devices,
    list_logical_devices=list_logical_devices,
    get_visible_devices=get_visible_devices,
    set_visible_devices=set_visible_devices,
    set_memory_growth=_set_memory_growth,
)
