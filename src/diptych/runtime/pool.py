"""The thread pool: its native code loaded once, its size, and what kernels link against.

``worker`` numbers are names only: a call that finds the pool busy runs on its own thread under the
number 0, so nothing may be indexed by worker. ``dp_scratch`` is safe all the same, because it goes
by the calling thread and the depth of the call, whatever number it is given.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from diptych import config
from diptych.compiler.unit import CodeUnit
from diptych.errors import ArgumentError
from diptych.runtime import objects, pool_ir
from diptych.runtime.forks import LOCK

MAX_THREADS = pool_ir.MAX_THREADS
SPIN_SECONDS = 50e-6
"""How long a worker without work, or a caller without tasks left, spins before it sleeps."""

_addresses: dict[str, int] | None = None


def usable_cpus() -> int:
    """CPUs this process may use: its affinity mask, and its control group's quota."""
    try:
        count = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        count = os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        if quota != "max":
            count = min(count, max(1, -(-int(quota) // int(period))))
    except (OSError, ValueError):
        pass
    return max(1, min(count, MAX_THREADS))


def _unit() -> CodeUnit:
    triple = objects.target().triple
    if "windows" in triple:
        raise NotImplementedError(
            "diptych.runtime.pool: Windows threads are not there yet; "
            "set DIPTYCH_EVALUATOR=reference"
        )
    written = pool_ir.text(triple)
    return CodeUnit("dp_pool", (("text", written),), lambda: written)


def symbols() -> dict[str, int]:
    """Addresses of the functions that kernels call; loads the pool at the first use."""
    global _addresses
    if _addresses is not None:
        return _addresses
    with LOCK:
        if _addresses is None:
            found = objects.obtain_and_link(_unit(), {}, pool_ir.EXPORTS)
            if ctypes.CFUNCTYPE(ctypes.c_int)(found["dp_init"])():
                raise RuntimeError("thread pool: the system gives no thread-specific key")
            _calibrate(found)
            wanted = config.NUM_THREADS.get() or usable_cpus()
            _set_threads(found, wanted)
            if hasattr(os, "register_at_fork"):
                reset = ctypes.CFUNCTYPE(None)(found["dp_reset"])
                os.register_at_fork(after_in_child=reset)
            _addresses = found
    return _addresses


def _calibrate(found: dict[str, int]) -> None:
    """Count how many turns of the spin loop take SPIN_SECONDS: the pause differs by CPU."""
    spin = ctypes.CFUNCTYPE(None, ctypes.c_int64)(found["dp_spin"])
    turns, best = 200, 1.0
    for _ in range(4):
        start = time.perf_counter()
        spin(turns)
        best = min(best, time.perf_counter() - start)
    spins = int(turns * SPIN_SECONDS / max(best, 1e-7))
    ctypes.CFUNCTYPE(None, ctypes.c_int64)(found["dp_set_spins"])(max(100, min(spins, 100_000)))


def _set_threads(found: dict[str, int], count: int) -> None:
    ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(found["dp_set_threads"])(count)


@functools.cache
def _num_threads_function(address: int) -> Callable[[], int]:
    return ctypes.CFUNCTYPE(ctypes.c_int64)(address)


def get_num_threads() -> int:
    """Threads that a kernel may use, the caller's included."""
    return _num_threads_function(symbols()["dp_num_threads"])()


def set_num_threads(count: int) -> None:
    """Use ``count`` threads from the next kernel on; waits for a kernel that runs now."""
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_THREADS:
        raise ArgumentError(
            op="set_num_threads",
            argument="count",
            got=repr(count),
            expected=f"expected an integer from 1 to {MAX_THREADS}",
        )
    _set_threads(symbols(), count)


@contextlib.contextmanager
def stopped() -> Iterator[None]:
    """No worker thread runs inside: what forks there leaves none behind.

    They start again with the next kernel that wants them.
    """
    count = get_num_threads() if _addresses is not None else 1
    if count > 1:
        set_num_threads(1)
    try:
        yield
    finally:
        if count > 1:
            set_num_threads(count)
