"""Times our matrix products through the real runtime, beside NumPy's in the same process.

    PYTHONPATH=src python benchmarks/gemm.py [large] [training] [thin] [--threads 1,2] [--bf16]

Prints GFLOP/s, the share of the FMA peak that a register-only loop reaches in the same run, and the
ratio to NumPy. Best of many runs: the machine may be shared.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import os
import time
from collections.abc import Callable, Iterator

import numpy as np

from diptych.compiler.contraction.plan import Strided, plan
from diptych.compiler.contraction.spec import Contraction
from diptych.compiler.llvm.writer import Module, constant, vector
from diptych.compiler.target import Target
from diptych.compiler.unit import CodeUnit
from diptych.core import dtypes
from diptych.core.dtypes import DType
from diptych.runtime import kernels, objects, pool

_CHAINS = 16  # independent sums: more than an FMA's latency times two a cycle
_STEPS = 1_000_000
_CPUS = sorted(os.sched_getaffinity(0))


def peak_unit(target: Target, dtype: DType) -> CodeUnit:
    """A kernel whose tasks do nothing but fused multiply-adds in registers."""
    element = {"float32": "float", "float64": "double"}[dtype.name]

    def text() -> str:
        module = Module("FMA peak")
        body = module.function(
            "peak_body", [("ptr", "context"), ("i64", "task"), ("i64", "worker")], internal=True
        )
        type_ = vector(target.lanes(dtype.itemsize), element)
        factor = body.load(type_, body.parameters[0])
        sums = [constant(type_, float(i)) for i in range(_CHAINS)]
        with body.loop(0, constant("i64", _STEPS), carried=sums, runs=True) as loop:
            loop.next([body.muladd(x, factor, factor) for x in loop.carried])
        total = loop.results[0]
        for value in loop.results[1:]:
            total = body.add(total, value)
        body.store(total, body.offset(body.parameters[0], 64, "i8"))
        body.ret()
        f = module.function("peak", [("ptr", "desc"), ("ptr", "ptrs")])
        count = f.load("i64", f.parameters[0])
        context = f.load("ptr", f.parameters[1])
        body_pointer = constant("ptr", 0)._replace(text="@peak_body")
        f.call("dp_parallel", "void", [count, body_pointer, context])
        f.ret()
        return module.text()

    return CodeUnit("peak", (("kernel", "benchmark.peak"), ("dtype", dtype.name)), text)


class Call:
    """A kernel with its descriptor and pointers, ready to run."""

    def __init__(self, unit: CodeUnit, desc: list[int], arrays: list[np.ndarray]) -> None:
        self.arrays = arrays
        self.function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(kernels.load(unit))
        self.words = (ctypes.c_int64 * len(desc))(*desc)
        self.pointers = (ctypes.c_void_p * len(arrays))(*[x.ctypes.data for x in arrays])
        self.addresses = ctypes.addressof(self.words), ctypes.addressof(self.pointers)

    def __call__(self) -> None:
        self.function(*self.addresses)


def best(run: Callable[[], object], seconds: float) -> float:
    """The shortest of the runs that fit into ``seconds``, in seconds."""
    run()
    start = time.perf_counter()
    run()
    once = max(time.perf_counter() - start, 1e-7)
    repeat = max(1, int(min(0.01, seconds / 5) / once))
    found, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(repeat):
            run()
        found = min(found, (time.perf_counter() - start) / repeat)
    return found


def spread_threads() -> None:
    """Give each thread a CPU of its own.

    Linux may leave the caller and a worker on one CPU for seconds, which halves every number.
    """
    if len(_CPUS) < 2:
        return
    main = os.getpid()
    for name in os.listdir("/proc/self/task"):
        os.sched_setaffinity(int(name), {_CPUS[0]} if int(name) == main else set(_CPUS[1:]))


def measured_peak(dtype: DType, threads: int) -> float:
    """FMA throughput of this many threads, in GFLOP/s."""
    target = objects.target()
    room = np.zeros(64, np.float64)
    call = Call(peak_unit(target, dtype), [threads], [room])
    operations = 2.0 * threads * _STEPS * _CHAINS * target.lanes(dtype.itemsize)
    return operations / best(call, 0.3) / 1e9


def strided(array: np.ndarray) -> Strided:
    return Strided(*(step // array.itemsize for step in array.strides))


def shapes(group: str) -> Iterator[tuple[str, int, int, int, bool, bool]]:
    """(name, m, n, k, whether A is transposed, whether B is)."""
    if group == "large":
        for size in (512, 1024, 2048, 4096):
            yield f"{size} cubed", size, size, size, False, False
        yield "1024 cubed, B^T", 1024, 1024, 1024, False, True
    elif group == "training":
        deep, wide = (784, 512, 512, 10), (784, 128, 10)
        for batch, widths in ((64, deep), (100, wide), (1000, wide), (32, (16, 32, 2))):
            for inputs, outputs in zip(widths, widths[1:], strict=False):
                yield f"x W^T  {inputs}->{outputs}", batch, outputs, inputs, False, True
                yield f"g W    {inputs}->{outputs}", batch, inputs, outputs, False, False
                yield f"g^T x  {inputs}->{outputs}", outputs, inputs, batch, True, False
    else:
        yield "dot", 1, 1, 100_000, False, False
        yield "outer", 1024, 1024, 1, False, False
        for size in (1024, 4096):
            yield "matrix vector", size, 1, size, False, False
            yield "matrix^T vector", size, 1, size, True, False
        yield "4 rows", 4, 1024, 1024, False, False
        yield "4 rows, B^T", 4, 1024, 1024, False, True
        yield "16 rows, B^T", 16, 1024, 1024, False, True


def filled(shape: tuple[int, int], transposed: bool, dtype: DType) -> np.ndarray:
    values = np.random.default_rng(0).standard_normal(shape[::-1] if transposed else shape)
    stored = (
        values.astype(dtype.numpy)
        if dtype.exact
        else dtypes.float32_to_bfloat16(values.astype(np.float32))
    )
    return stored.T if transposed else stored


def report(group: str, dtype: DType, threads: list[int], peaks: dict[int, float]) -> None:
    print(f"\n{group}, {dtype.name}" + " " * 22 + "".join(
        f"{f'{count} threads: us, GFLOP/s, of peak':>40}" for count in threads) + "   NumPy / ours"
    )  # fmt: skip
    for name, m, n, k, turn_a, turn_b in shapes(group):
        a, b = filled((m, k), turn_a, dtype), filled((k, n), turn_b, dtype)
        c = np.zeros((m, n), dtype.numpy)
        unit, desc = plan(
            Contraction(dtype, dtype, dtype), m, n, k, strided(a), strided(b), strided(c),
            target=objects.target(),
        )  # fmt: skip
        call = Call(unit, desc, [a, b, c])
        line, operations = f"{name:18}{m:5} x{n:5} x{k:6}", 2.0 * m * n * k
        seconds = 0.0
        for count in threads:
            pool.set_num_threads(count)
            call()
            spread_threads()
            seconds = best(call, 0.2 if operations < 4e9 else 1.5)
            speed = operations / seconds / 1e9
            line += f"{seconds * 1e6:18.2f}{speed:12.1f}{speed / peaks[count]:9.0%} "
        if dtype.exact:
            numpy = best(functools.partial(np.matmul, a, b, out=c), 0.2)
            line += f"{numpy / seconds:12.2f}"
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("groups", nargs="*", default=["large", "training", "thin"])
    parser.add_argument("--threads", default=f"1,{pool.usable_cpus()}")
    parser.add_argument("--bf16", action="store_true", help="bfloat16 in and out")
    parser.add_argument("--f64", action="store_true")
    options = parser.parse_args()
    threads = sorted({int(count) for count in options.threads.split(",")})
    dtype = dtypes.bfloat16 if options.bf16 else dtypes.float64 if options.f64 else dtypes.float32
    peaks = {}
    for count in threads:
        pool.set_num_threads(count)
        measured_peak(dtypes.float32, count)
        spread_threads()
        peaks[count] = measured_peak(dtypes.float64 if options.f64 else dtypes.float32, count)
        print(f"FMA peak, {count} threads: {peaks[count]:.0f} GFLOP/s")
    for group in options.groups:
        report(group, dtype, threads, peaks)


if __name__ == "__main__":
    main()
