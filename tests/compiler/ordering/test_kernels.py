"""Scans and sorts by kernels against the references: dtypes, NaN, zeros, strides, every target."""

from __future__ import annotations

import numpy as np
import pytest

from diptych import engine
from diptych.compiler.lower import lower
from diptych.compiler.ordering import sorting as kernels
from diptych.compiler.ordering.sorting import Sort
from diptych.compiler.steps import HostStep
from diptych.compiler.unit import CodeUnit
from diptych.core import call, dtypes
from diptych.core.dtypes import REAL, bool_
from diptych.core.tensor import Tensor, copy_array
from diptych.ops import movement, scan, sorting
from diptych.runtime import objects, pool
from tests.compiler.contraction.harness import TARGETS
from tests.compiler.contraction.harness import call as native

SHAPES = [((), 0), ((1,), 0), ((64,), 0), ((65,), 0), ((700,), 0), ((9, 130), 1), ((130, 9), 0),
          ((3, 40, 17), 1), ((2, 3, 4, 5), 2)]  # fmt: skip


def drawn(shape, dtype):
    """Values with ties and, of floats, NaN, infinities and both zeros."""
    generator = np.random.default_rng(dtype.index)
    if dtype.kind == "b":
        return np.asarray(generator.integers(0, 2, shape)).astype(bool)
    if dtype.is_integer:
        low = 0 if dtype.kind == "u" else -100
        return np.asarray(generator.integers(low, 100, shape)).astype(dtype.numpy)
    values = np.asarray(np.round(generator.normal(size=shape) * 4) / 2)
    for chance, special in ((0.05, np.nan), (0.05, -0.0), (0.03, np.inf), (0.03, -np.inf)):
        values = np.where(generator.random(shape) < chance, special, values)
    if not dtype.exact:
        return dtypes.float32_to_bfloat16(values.astype(np.float32))
    return values.astype(dtype.numpy)


def calls(dtype, axis, extent):
    made = [(sorting.SORT, (axis, down)) for down in (False, True)]
    made += [(sorting.MEDIAN, (axis, ignore)) for ignore in (False, True)]
    made += [(sorting.KTHVALUE, (axis, (extent + 1) // 2))]
    made += [(sorting.TOPK, (axis, k, largest)) for k in {1, min(3, extent), extent}
             for largest in (False, True)]  # fmt: skip
    if dtype.itemsize != 2 or not dtype.is_float:  # the host's
        made += [(scan.CUMMAX, (axis,)), (scan.CUMMIN, (axis,))]
        made += [(scan.CUMSUM, (axis, dtypes.int64 if dtype is bool_ else dtype))]
        made += [(scan.CUMPROD, (axis, dtypes.int64 if dtype is bool_ else dtype))]
    return made


def check(x, op, params):
    graph = engine.traced_call(op, [x.layout], params)
    assert not any(isinstance(s, HostStep) for s in lower(graph, objects.target()).steps), op.name
    found, wanted = call.current.apply1(op, x, params), op.reference(x.values(), *params)
    pairs = zip(found, wanted, strict=True) if isinstance(found, tuple) else [(found, wanted)]
    for ours, theirs in pairs:
        values = np.asarray(theirs).astype(ours.values().dtype).reshape(ours.layout.shape)
        np.testing.assert_array_equal(ours.values(), values, err_msg=f"{op.name} {params}")


@pytest.mark.parametrize("dtype", [bool_, *REAL], ids=str)
def test_kernels_are_the_reference(dtype):
    for shape, axis in SHAPES:
        x = copy_array(drawn(shape, dtype), Tensor, dtype)
        for op, params in calls(dtype, axis, shape[axis] if shape else 1):
            check(x, op, params)


@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.int64, dtypes.bfloat16], ids=str)
def test_strided_operands(dtype):
    for shape, axis in (((9, 130), 0), ((3, 40, 17), 1), ((2, 3, 4, 5), 1)):
        x = movement.transpose(
            copy_array(drawn(shape, dtype), Tensor, dtype), tuple(range(len(shape)))[::-1]
        )
        x = movement.slice_(
            x, ((0, x.layout.shape[0], 2), *[(0, n, 1) for n in x.layout.shape[1:]])
        )
        for op, params in calls(dtype, axis, x.layout.shape[axis]):
            check(x, op, params)


@pytest.mark.parametrize("name", list(TARGETS))
@pytest.mark.parametrize("wide", [False, True])
def test_every_target_sorts(name, wide):
    target = TARGETS[name]
    values = drawn((6, 333), dtypes.float64 if wide else dtypes.float32)
    kind = Sort("all", values.itemsize, "double" if wide else "float", True, True)
    unit = CodeUnit(
        "ordered", (("ordered", kind.key()),), lambda: kernels.text(kind, target, "ordered")
    )
    rows, extent = values.shape
    out, places = np.empty_like(values), np.empty(values.shape, np.int64)
    for count in (extent, 5):  # sorted whole, or selected
        desc = [1, rows, extent, 1, count, 0, 0, extent, 1, 0, 0, extent, 1, 0,
                4, 2, kernels.scratch_bytes(kind, extent)]  # fmt: skip
        native(unit, desc, [a.ctypes.data for a in (values, out, places)], target)
        wanted = sorting.SORT.reference(values, 1, True)
        np.testing.assert_array_equal(out[:, :count], wanted[0][:, :count])
        np.testing.assert_array_equal(places[:, :count], wanted[1][:, :count])


def test_results_do_not_depend_on_threads():
    x = copy_array(drawn((400, 300), dtypes.float32), Tensor)
    before, results = pool.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            pool.set_num_threads(threads)
            made = [
                call.current.apply1(op, x, params) for op, params in calls(x.layout.dtype, 1, 300)
            ]
            parts = [part for one in made for part in (one if isinstance(one, tuple) else (one,))]
            results.append([part.values().tobytes() for part in parts])
    finally:
        pool.set_num_threads(before)
    assert results[0] == results[1] == results[2]


def test_operands_without_elements():
    x = copy_array(np.zeros((0, 3), np.float32), Tensor)
    values, places = sorting.sort(x, 0)
    assert values.layout.shape == places.layout.shape == (0, 3)
    assert scan.cumsum(x, 0).layout.shape == (0, 3)
