"""Runs contraction kernels on NumPy arrays, for any target this CPU can execute."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence

import numpy as np

from diptych.compiler.contraction.plan import Strided, plan
from diptych.compiler.contraction.spec import Contraction
from diptych.compiler.llvm import backend
from diptych.compiler.target import Target, host
from diptych.compiler.unit import CodeUnit
from diptych.core import dtypes
from diptych.core.dtypes import DType
from diptych.runtime import objects, pool

TARGETS = {"avx512": host("avx512"), "avx2": host("avx2"), "generic": host("generic")}


@functools.cache
def _address(unit: CodeUnit, target: Target) -> int:
    content = backend.compile_object(unit.text(), target)
    return objects.link(content, pool.symbols(), [unit.name])[unit.name]


def call(unit: CodeUnit, desc: Sequence[int], addresses: Sequence[int], target: Target) -> None:
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(_address(unit, target))
    words = (ctypes.c_int64 * len(desc))(*desc)
    pointers = (ctypes.c_void_p * len(addresses))(*addresses)
    function(ctypes.addressof(words), ctypes.addressof(pointers))


def strided(array: np.ndarray) -> Strided:
    steps = [stride // array.itemsize for stride in array.strides]
    return Strided(steps[-2], steps[-1], tuple(steps[:-2]))


def run(
    contraction: Contraction,
    a: np.ndarray,
    b: np.ndarray,
    c: np.ndarray,
    operands: Sequence[np.ndarray] = (),
    target: Target = TARGETS["avx512"],
) -> np.ndarray:
    """Run the planned kernel; all arrays have c's batch dimensions (broadcast ones by stride 0)."""
    unit, desc = plan(
        contraction, c.shape[-2], c.shape[-1], a.shape[-1], strided(a), strided(b), strided(c),
        [strided(x) for x in operands], c.shape[:-2], target=target,
    )  # fmt: skip
    call(unit, desc, [x.ctypes.data for x in (a, b, *operands, c)], target)
    return c


def store_as(values: np.ndarray, dtype: DType) -> np.ndarray:
    """Values rounded to ``dtype``, in its storage type."""
    if dtype is dtypes.bfloat16:
        return dtypes.float32_to_bfloat16(values.astype(np.float32))
    return values.astype(dtype.numpy)


def exact(stored: np.ndarray, dtype: DType) -> np.ndarray:
    """Stored values as float64."""
    if dtype is dtypes.bfloat16:
        return dtypes.bfloat16_to_float32(stored).astype(np.float64)
    return stored.astype(np.float64)


def laid_out(array: np.ndarray, layout: str) -> np.ndarray:
    """The same values by rows ("r"), by columns ("c"), or with neither stride one ("s")."""
    if layout == "r":
        return array.copy(order="C")
    if layout == "c":
        return array.swapaxes(-1, -2).copy(order="C").swapaxes(-1, -2)
    wide = np.zeros((*array.shape[:-2], 2 * array.shape[-2], 3 * array.shape[-1]), array.dtype)
    view = wide[..., ::2, ::3]
    view[...] = array
    return view
