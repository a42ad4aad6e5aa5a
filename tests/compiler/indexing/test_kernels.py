"""Kernels of gather and scatter: against NumPy, on each target, between pages that trap."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from diptych import engine
from diptych.compiler.indexing import lowering
from diptych.core import call
from diptych.core.operation import Primitive, Sample
from diptych.core.tensor import Tensor, copy_array
from diptych.errors import OutOfRangeError
from diptych.ops import indexing
from diptych.ops.movement import broadcast_to
from diptych.ops.select import constant
from diptych.runtime import pool
from tests.compiler.contraction.harness import TARGETS
from tests.compiler.contraction.test_bounds import Guarded
from tests.compiler.guarded_steps import run_steps

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(sys.platform != "linux", reason="guard pages need mprotect"),
]
OPERATIONS = [
    indexing.TAKE_ALONG, indexing.SCATTER, indexing.INDEX_SELECT, indexing.INDEX_ADD,
    indexing.INDEX, indexing.INDEX_PUT,
]  # fmt: skip

# Every target costs its compilations: the quick tests take one.
LEVELS = [pytest.param(t, marks=[pytest.mark.slow] * (t != "avx512")) for t in TARGETS]


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    made = Guarded()
    yield made
    made.release()


def draw(*shape: int, dtype: Any = np.float32) -> Any:
    return (np.random.default_rng(sum(shape)).normal(size=shape) * 9).astype(dtype)


def positions(extent: int, *shape: int, dtype: Any = np.int64) -> Any:
    return np.random.default_rng(extent).integers(0, extent, shape).astype(dtype)


def calls() -> Iterator[tuple[Primitive, Sample]]:
    for dtype in (np.float32, np.float64, np.int64, np.int32, np.float16, np.uint8):
        table = draw(7, 37, dtype=dtype)
        yield indexing.INDEX_SELECT, Sample((table, positions(7, 5)), (0,))
        yield indexing.INDEX_SELECT, Sample((table, positions(37, 4, dtype=np.int32)), (1,))
        yield indexing.TAKE_ALONG, Sample((table, positions(37, 7, 50)), (1,))
        yield indexing.TAKE_ALONG, Sample((table, positions(7, 3, 20, dtype=np.int32)), (0,))
        yield (
            indexing.SCATTER,
            Sample((table, positions(37, 5, 9), draw(6, 9, dtype=dtype)), (1, "set")),
        )
        yield indexing.INDEX, Sample((table, positions(7, 5) - 7), ((0,),))
        if np.dtype(dtype).itemsize >= 4:
            yield (
                indexing.SCATTER,
                Sample((table, positions(37, 7, 9), draw(7, 9, dtype=dtype)), (1, "add")),
            )
            yield (
                indexing.SCATTER,
                Sample((table, positions(7, 9, 37), draw(9, 37, dtype=dtype)), (0, "add")),
            )
            yield (
                indexing.INDEX_ADD,
                Sample((table, positions(7, 20), draw(20, 37, dtype=dtype)), (0,)),
            )
            yield (
                indexing.INDEX_ADD,
                Sample((table, positions(37, 4), draw(7, 4, dtype=dtype)), (1,)),
            )
            yield (
                indexing.INDEX_PUT,
                Sample((table, draw(37, dtype=dtype), positions(7, 5) - 7), ((0,), True)),
            )
    deep = draw(2, 3, 5, 6)
    yield indexing.INDEX_SELECT, Sample((deep, positions(3, 2, 2)), (1,))
    yield indexing.TAKE_ALONG, Sample((deep, positions(5, 2, 3, 4, 6)), (2,))
    yield indexing.TAKE_ALONG, Sample((deep, positions(3, 1, 2, 3, 4)), (1,))


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("target", LEVELS)
def test_gather_and_scatter(
    guarded: Guarded, target: str, at_end: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lowering, "_TASK_ELEMENTS", 32)  # every cut of the work, and few rows
    for op, sample in calls():
        (got,), names = run_steps(guarded, op, sample, TARGETS[target], at_end)
        assert "indexed" in names and "host index_guard" in names, names
        want = op.reference(*sample.operands, *sample.params)
        np.testing.assert_allclose(got, want, 1e-5, 1e-5, err_msg=f"{op.name} {sample.params}")


@pytest.mark.parametrize("bad", [7, -1, 1 << 40, -(1 << 62)])
def test_an_index_out_of_range_touches_nothing(guarded: Guarded, bad: int) -> None:
    table, rows = draw(7, 37), draw(3, 37)
    index = np.array([0, bad, 2])
    spread = np.broadcast_to(index[:, None], (3, 37)).copy()
    for op, sample in (
        (indexing.INDEX_SELECT, Sample((table, index), (0,))),
        (indexing.INDEX_ADD, Sample((table, index, rows), (0,))),
        (indexing.TAKE_ALONG, Sample((table, spread), (0,))),
        (indexing.SCATTER, Sample((table, spread, rows), (0, "add"))),
    ):
        with pytest.raises(OutOfRangeError, match=f"index {bad} is out of bounds") as caught:
            run_steps(guarded, op, sample, TARGETS["avx512"], True)
        assert caught.value.got == bad
    for wrapped in (bad, -8) if bad != -1 else (-8,):
        with pytest.raises(OutOfRangeError, match=f"index {wrapped} is out of bounds"):
            sample = Sample((table, np.array([0, wrapped])), ((0,),))
            run_steps(guarded, indexing.INDEX, sample, TARGETS["avx512"], True)


def test_any_number_of_threads_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lowering, "_TASK_ELEMENTS", 256)
    rows = copy_array(draw(40, 200), Tensor)
    index = copy_array(positions(11, 40), Tensor)
    spread = copy_array(positions(11, 40, 200), Tensor)
    results = []
    for threads in (1, 2, 5):
        before = pool.get_num_threads()
        pool.set_num_threads(threads)
        try:
            with call.installed(engine.EagerEvaluator(engine.NativeBackend())):
                for op in OPERATIONS:
                    op.plans.clear()
                zeros = broadcast_to(constant(0, rows.layout.dtype), (11, 200))
                sums = indexing.index_add(zeros, index, rows, 0)
                each = indexing.scatter(zeros, spread, rows, 0, "add")
                results.append([sums.values().tobytes(), each.values().tobytes()])
        finally:
            pool.set_num_threads(before)
            for op in OPERATIONS:
                op.plans.clear()
    assert results[0] == results[1] == results[2]
