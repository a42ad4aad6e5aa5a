"""Times single nests against NumPy in one process: microseconds and GB/s, best of many.

    python benchmarks/nests.py [filter]

Bytes are those that must move: every input read once, every output written once.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diptych.compiler.nests.emit import unit
from diptych.compiler.target import host
from diptych.core import dtypes
from diptych.core.dtypes import float32, int64
from diptych.loops import layout as layouts
from diptych.loops.expression import Cast, Constant, Expression, Load, RowValue, apply
from diptych.loops.layout import Layout
from diptych.loops.nest import ColumnNest, Nest, Operand, Reduce, RowNest, Stage, Store
from diptych.runtime.kernels import load

Array = np.ndarray[Any, Any]


@dataclass
class Case:
    name: str
    nest: Nest
    layout: Layout
    arrays: list[Array]
    numpy: Callable[[], Any]


def aligned(array: Array) -> Array:
    """A copy on a 64-byte boundary, where our allocator puts tensors (NumPy's is off by 16)."""
    room = np.empty(array.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    made = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    made[:] = array
    return made


def strides(array: Array) -> tuple[int, ...]:
    return tuple(s // array.itemsize for s in array.strides)


def operands(layout: Layout, arrays: Sequence[Array]) -> tuple[Operand, ...]:
    return tuple(
        Operand(dtypes.from_numpy(a.dtype), access)
        for a, access in zip(arrays, layout.accesses, strict=True)
    )


def const(value: float) -> Expression:
    return Constant(value, float32)


def x(k: int = 0) -> Expression:
    return Load(k, float32)


def value(k: int) -> Expression:
    return RowValue(k, float32)


def pointwise(name: str, expression: Expression, inputs: list[Array], numpy: Any) -> Case:
    out = np.empty(np.broadcast_shapes(*(a.shape for a in inputs)), np.float32)
    shown = [np.broadcast_to(a, out.shape) for a in inputs]
    layout = layouts.pointwise(out.shape, [strides(a) for a in [*shown, out]])
    kinds = operands(layout, [*inputs, out])
    nest = RowNest(kinds[:-1], kinds[-1:], (Stage(stores=(Store(0, expression),)),))
    arrays = [aligned(a) if a.flags.c_contiguous else aligned(a.T).T for a in [*inputs, out]]
    return Case(name, nest, layout, arrays, numpy)


def rows(
    name: str, stages: tuple[Stage, ...], arrays: list[Array], outputs: int, numpy: Any
) -> Case:
    """Arrays of fewer axes than the first hold one value per row, or per column if named so."""
    shape = arrays[0].shape
    steps = []
    for a in arrays:
        steps.append(strides(a) if a.ndim == 2 else (1, 0) if len(a) == shape[0] else (0, 1))
    layout = layouts.rows(shape, steps, [1], outputs=outputs)
    assert layout is not None, "two axes always merge"
    kinds = operands(layout, arrays)
    nest = RowNest(kinds[:-outputs], kinds[-outputs:], stages)
    return Case(name, nest, layout, [aligned(a) for a in arrays], numpy)


def softmax_stages() -> tuple[Stage, ...]:
    shifted = apply("exp", apply("sub", x(), value(0)))
    return (
        Stage(reduces=(Reduce("max", x()),)),
        Stage(
            reduces=(Reduce("sum", shifted),),
            stores=(Store(0, shifted),),
            rows=(apply("reciprocal", value(1)),),
        ),
        Stage(stores=(Store(0, apply("mul", Load(1, float32), value(2))),)),
    )


def layer_norm_stages(n: int) -> tuple[Stage, ...]:
    """Inputs x, weight, bias; outputs y, mean, 1/deviation."""
    mean = apply("mul", value(0), const(1 / n))
    centred = apply("sub", x(), value(1))
    variance = apply("mul", value(2), const(1 / n))
    scaled = apply("mul", apply("mul", centred, value(3)), x(1))
    return (
        Stage(reduces=(Reduce("sum", x()),), rows=(mean,)),
        Stage(
            reduces=(Reduce("sum", apply("square", centred)),),
            rows=(apply("rsqrt", apply("add", variance, const(1e-5))),),
        ),
        Stage(
            stores=(
                Store(0, apply("add", scaled, x(2))),
                Store(1, value(1)),
                Store(2, value(3)),
            )
        ),
    )


def gelu() -> Expression:
    erf = apply("erf", apply("mul", x(), const(0.5**0.5)))
    return apply("mul", apply("mul", x(), const(0.5)), apply("add", erf, const(1)))


def column_sum(name: str, array: Array, op: str = "sum") -> Case:
    result = float32 if op == "sum" else int64
    out = np.empty(array.shape[1], result.numpy)
    layout = layouts.columns(array.shape, [strides(array), (0, 1)], [0], ordered=op != "sum")
    assert layout is not None, "two axes always merge"
    kinds = operands(layout, [array, out])
    reduce = Reduce(op, x())
    nest = ColumnNest(kinds[:1], kinds[1:], (reduce,), (Store(0, RowValue(0, result)),))
    numpy = (lambda: array.sum(0)) if op == "sum" else (lambda: array.argmax(0))
    return Case(name, nest, layout, [aligned(array), out], numpy)


def cases() -> Iterator[Case]:
    draw = np.random.default_rng(0)

    def normal(*shape: int) -> Array:
        return draw.standard_normal(shape, dtype=np.float32)

    def numpy_softmax(a: Array) -> Array:
        e = np.exp(a - a.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    def numpy_norm(a: Array) -> Array:
        centred = a - a.mean(1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)

    add = apply("add", x(0), x(1))
    for shape in ((32, 16), (64, 512), (2048, 2048)):
        a, b, bias = normal(*shape), normal(*shape), normal(shape[1])
        yield pointwise(f"add {shape}", add, [a, b], lambda a=a, b=b: a + b)
        yield pointwise(f"add bias {shape}", add, [a, bias], lambda a=a, b=bias: a + b)
    big = normal(2048, 2048)
    yield pointwise("add transposed", add, [big, normal(2048, 2048).T], lambda: big + big.T)
    yield pointwise("relu", apply("maximum", x(), const(0)), [big], lambda: np.maximum(big, 0))
    yield pointwise("exp", apply("exp", x()), [big], lambda: np.exp(big))
    yield pointwise("tanh", apply("tanh", x()), [big], lambda: np.tanh(big))
    yield pointwise("gelu", gelu(), [big], lambda: np.tanh(big))
    for shape in ((64, 10), (4096, 1024), (3, 100_000), (1, 4_194_304)):
        a, per_row = normal(*shape), np.empty(shape[0], np.float32)
        total = Stage(reduces=(Reduce("sum", x()),), stores=(Store(0, value(0)),))
        yield rows(f"sum rows {shape}", (total,), [a, per_row], 1, lambda a=a: a.sum(1))
        where = Stage(reduces=(Reduce("argmax", x()),), stores=(Store(0, RowValue(0, int64)),))
        index = np.empty(shape[0], np.int64)
        yield rows(f"argmax rows {shape}", (where,), [a, index], 1, lambda a=a: a.argmax(1))
        out = np.empty_like(a)
        yield rows(f"softmax {shape}", softmax_stages(), [a, out], 1, lambda a=a: numpy_softmax(a))
        n = shape[1]
        norm = [a, normal(n), normal(n), out, per_row, np.empty_like(per_row)]
        if n != shape[0]:
            yield rows(
                f"layer norm {shape}", layer_norm_stages(n), norm, 3, lambda a=a: numpy_norm(a)
            )
    for shape in ((64, 512), (64, 10), (4096, 1024), (100_000, 10), (1_000_000, 4)):
        a = normal(*shape)
        yield column_sum(f"sum columns {shape}", a)
        yield column_sum(f"argmax columns {shape}", a, "argmax")
    small = draw.integers(-100, 100, (2048, 2048), dtype=np.int8)
    wide = Cast(Load(0, dtypes.int8), int64)
    total = Stage(reduces=(Reduce("sum", wide),), stores=(Store(0, RowValue(0, int64)),))
    yield rows("sum rows int8", (total,), [small, np.empty(2048, np.int64)], 1,
               lambda: small.sum(1))  # fmt: skip


def best(call: Callable[[], Any], seconds: float = 0.15) -> float:
    """The shortest of the calls made in about that time."""
    shortest, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        shortest = min(shortest, time.perf_counter() - start)
    return shortest


def main() -> None:
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    print(f"{'nest':28} {'us':>10} {'GB/s':>7} {'numpy us':>10} {'ratio':>6} {'compile ms':>10}")
    for case in cases():
        if wanted not in case.name:
            continue
        start = time.perf_counter()
        address = load(unit(case.nest, host()))
        spent = (time.perf_counter() - start) * 1e3
        call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(address)
        desc = np.array(layouts.descriptor(case.nest, case.layout), np.int64)
        pointers = np.array([a.ctypes.data for a in case.arrays], np.int64)
        first, second = desc.ctypes.data, pointers.ctypes.data
        ours = best(functools.partial(call, first, second))
        theirs = best(case.numpy)
        moved = sum(a.nbytes for a in case.arrays) / ours / 1e9
        print(f"{case.name:28} {ours * 1e6:10.2f} {moved:7.1f} {theirs * 1e6:10.2f} "
              f"{theirs / ours:6.2f} {spent:10.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
