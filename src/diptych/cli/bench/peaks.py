"""What this machine can do at most: multiply-adds a second and bytes copied a second."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from diptych.compiler.llvm.writer import Module, Value, constant, vector
from diptych.compiler.unit import CodeUnit
from diptych.runtime import kernels, objects

ACCUMULATORS = 16  # latency 4 times two a cycle needs 8; more hides what the loop costs
ROUNDS = 7
COPY_BYTES = 64 << 20


@dataclass(frozen=True)
class Peaks:
    """GFLOP/s in float32 (a multiply-add counts two) and GB/s of a copy, read and write counted."""

    gflops: float
    copy_gbytes: float
    threads: int


def multiply_add_unit(lanes: int) -> CodeUnit:
    """A kernel that does ``desc[0]`` rounds of independent multiply-adds in registers alone."""
    name = f"fma_peak_{lanes}"

    def text() -> str:
        module = Module("float32 multiply-adds in registers")
        function = module.function(name, [("ptr", "desc"), ("ptr", "ptrs")])
        desc, ptrs = function.parameters
        rounds = function.load("i64", desc)
        data = function.load("ptr", ptrs)
        kind = vector(lanes, "float")
        factor = function.load(kind, data)  # read from memory: nothing can be computed beforehand
        sums = [constant(kind, index) for index in range(ACCUMULATORS)]
        with function.loop(0, rounds, carried=sums, runs=True) as loop:
            values: list[Value] = loop.carried
            for _ in range(4):
                values = [function.fma(value, factor, factor) for value in values]
            loop.next(values)
        total = loop.results[0]
        for value in loop.results[1:]:
            total = function.add(total, value)
        function.store(total, data)
        function.ret()
        return module.text()

    return CodeUnit(name, (("kernel", name), ("accumulators", str(ACCUMULATORS))), text)


def together(work: Callable[[int], None], threads: int) -> float:
    """Seconds from when all threads start ``work(index)`` until the last has done it."""
    barrier = threading.Barrier(threads + 1)

    def run(index: int) -> None:
        barrier.wait()
        work(index)
        barrier.wait()

    started = [threading.Thread(target=run, args=(index,)) for index in range(threads)]
    for thread in started:
        thread.start()
    barrier.wait()
    start = time.perf_counter()
    barrier.wait()
    seconds = time.perf_counter() - start
    for thread in started:
        thread.join()
    return seconds


def multiply_add_peak(threads: int) -> float:
    """The best GFLOP/s of ``threads`` threads."""
    lanes = objects.target().lanes(4)
    address = kernels.load(multiply_add_unit(lanes))
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(address)  # drops the GIL
    rounds = 1_000_000
    desc = np.array([rounds], np.int64)
    data = [np.full(16, 0.5, np.float32) for _ in range(threads)]
    pointers = [np.array([values.ctypes.data], np.uintp) for values in data]
    places = [pointer.ctypes.data for pointer in pointers]
    where = desc.ctypes.data
    best = min(together(lambda index: call(where, places[index]), threads) for _ in range(ROUNDS))
    return 2 * lanes * ACCUMULATORS * 4 * rounds * threads / best / 1e9


def copy_peak(threads: int) -> float:
    """The best GB/s of NumPy copies by ``threads`` threads, bytes read and bytes written."""
    count = COPY_BYTES // 8
    pairs = [(np.ones(count), np.zeros(count)) for _ in range(threads)]

    def copy(index: int) -> None:
        np.copyto(pairs[index][1], pairs[index][0])

    best = min(together(copy, threads) for _ in range(ROUNDS))
    return 2 * COPY_BYTES * threads / best / 1e9


def measure(threads: int) -> Peaks:
    """Both, now."""
    return Peaks(multiply_add_peak(threads), copy_peak(threads), threads)
