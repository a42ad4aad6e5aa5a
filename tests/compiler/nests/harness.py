"""Runs a nest natively and in the plain interpreter and compares."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from diptych.compiler.nests.emit import unit
from diptych.compiler.target import Target, host
from diptych.core.dtypes import DType
from diptych.loops import interpreter
from diptych.loops.layout import Layout, descriptor
from diptych.loops.nest import Nest
from diptych.runtime.kernels import load

Array = np.ndarray[Any, Any]
GUARD = 1024  # bytes on either side of every operand
LEVELS = sorted({host(level) for level in ("", "avx2", "generic")}, key=lambda t: -t.vector_bytes)


def strides(array: Array) -> tuple[int, ...]:
    return tuple(s // array.itemsize for s in array.strides)


def native(
    nest: Nest,
    layout: Layout,
    memories: Sequence[Array],
    starts: Sequence[int] | None = None,
    target: Target | None = None,
) -> None:
    """Compile and run ``nest`` on the memories."""
    address = load(unit(nest, target or host()))
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(address)
    desc = np.array(descriptor(nest, layout), np.int64)
    begin = starts or [0] * len(memories)
    pointers = np.array(
        [m.ctypes.data + s * m.itemsize for m, s in zip(memories, begin, strict=True)], np.int64
    )
    call(desc.ctypes.data, pointers.ctypes.data)


def both(
    nest: Nest,
    layout: Layout,
    memories: Sequence[Array],
    starts: Sequence[int] | None = None,
    target: Target | None = None,
) -> list[tuple[Array, Array]]:
    """(native, interpreted) contents of the outputs' memories after a run of each.

    The native memories lie between guards, which must come out unchanged.
    """
    guarded = [np.full(m.nbytes + 2 * GUARD, 0xAB, np.uint8) for m in memories]
    mine = [
        g[GUARD : GUARD + m.nbytes].view(m.dtype) for g, m in zip(guarded, memories, strict=True)
    ]
    for inside, m in zip(mine, memories, strict=True):
        inside[:] = m
    plain = [m.copy() for m in memories]
    native(nest, layout, mine, starts, target)
    interpreter.run(nest, layout, plain, starts)
    for k, (g, m) in enumerate(zip(guarded, memories, strict=True)):
        outside = np.concatenate([g[:GUARD], g[GUARD + m.nbytes :]])
        assert (outside == 0xAB).all(), f"operand {k}: memory beside it was written"
    count = len(nest.inputs)
    for a, b in zip(mine[:count], plain[:count], strict=True):
        np.testing.assert_array_equal(a.view(np.uint8), b.view(np.uint8))
    return list(zip(mine[count:], plain[count:], strict=True))


def wide(stored: Array, dtype: DType) -> Array:
    """Stored values as NumPy numbers that compare well."""
    return interpreter.widen(stored, dtype)


def draw(dtype: DType, size: int, seed: int = 0) -> Array:
    """Stored values of ``dtype``: small and extreme ones, specials first."""
    random = np.random.default_rng(seed)
    if dtype.kind == "b":
        return random.integers(0, 2, size).astype(bool)
    if dtype.is_integer:
        info = np.iinfo(dtype.numpy)
        values = random.integers(info.min, info.max, size, dtype.numpy, endpoint=True)
        small = random.integers(max(info.min, -5), 10, size).astype(dtype.numpy)
        values = np.where(random.random(size) < 0.6, small, values)
        special = np.array([info.min, info.max, 0, 1, info.max // 2 + 1], dtype.numpy)
    else:
        values = random.normal(0, 3, size)
        special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -1.5, 1e-40])
        values[: len(special)] = special[:size]
        return interpreter.narrow(values.astype(interpreter.computed(dtype)), dtype)
    values[: len(special)] = special[:size]
    return values
