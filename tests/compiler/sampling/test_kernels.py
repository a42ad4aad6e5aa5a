"""Kernels of taps: against NumPy, on each target, between pages that trap."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from diptych import engine
from diptych.compiler.sampling import lowering
from diptych.compiler.steps import KernelStep
from diptych.core import call
from diptych.core.dtypes import float32
from diptych.core.layout import layout
from diptych.core.operation import Primitive, Sample
from diptych.core.tensor import Tensor, copy_array
from diptych.ops import taps
from diptych.ops.sampling import GRID_SAMPLE
from diptych.runtime import pool
from tests.compiler.contraction.harness import TARGETS
from tests.compiler.contraction.test_bounds import Guarded
from tests.compiler.guarded_steps import run_steps

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(sys.platform != "linux", reason="guard pages need mprotect"),
]

LEVELS = [pytest.param(t, marks=[pytest.mark.slow] * (t != "avx512")) for t in TARGETS]
OPERATIONS = (taps.READ_TAPS, taps.ADD_TAPS, taps.MATCH_TAPS)


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    made = Guarded()
    yield made
    made.release()


def native(sample: Sample) -> bool:
    return all(np.size(x) for x in sample.operands) and 0 not in sample.params


def drawn(n: int, c: int, s: int, t: int, p: int) -> dict[Primitive, Sample]:
    """One call of each operation; some positions are outside, far outside too."""
    random = np.random.default_rng(s + p)
    x, values = (random.normal(size=(n, c, k)).astype(np.float32) for k in (s, p))
    weight = random.normal(size=(n, t, p)).astype(np.float32)
    position = random.integers(-2, s + 2, (n, t, p)).astype(np.int32)
    position[:, :, ::5] = random.choice(np.array([-(2**31), 2**31 - 1, 0, s - 1], np.int32))
    return {
        taps.READ_TAPS: Sample((x, weight, position)),
        taps.ADD_TAPS: Sample((values, weight, position), (s,)),
        taps.MATCH_TAPS: Sample((values, x, position)),
    }


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("target", LEVELS)
def test_taps_stay_inside_their_operands(guarded: Guarded, target: str, at_end: bool) -> None:
    for op in OPERATIONS:
        given = [sample for sample in op.samples() if native(sample)]
        given += [drawn(2, 6, 9, 4, 37)[op], drawn(1, 1, 1, 2, 17)[op]]
        for sample in given:
            (got,), names = run_steps(guarded, op, sample, TARGETS[target], at_end)
            assert names[-1] == "taps", names
            wanted = op.reference(*sample.operands, *sample.params)
            limit = 1e-12 if wanted.itemsize == 8 else 1e-5
            np.testing.assert_allclose(got, wanted, limit, limit)


def test_what_is_outside_spreads_no_nan(guarded: Guarded) -> None:
    x = np.array([[[np.nan, 1, np.inf]]], np.float32)
    position = np.array([[[-1, 1, 3, 0]]], np.int32)
    weight = np.array([[[np.nan, 2, np.inf, 1]]], np.float32)
    values = np.full((1, 1, 4), np.inf, np.float32)
    target = TARGETS["avx512"]
    (read,), _ = run_steps(guarded, taps.READ_TAPS, Sample((x, weight, position)), target, True)
    np.testing.assert_array_equal(read, [[[0, 2, 0, np.nan]]])
    given = Sample((values, x, position))
    (match,), _ = run_steps(guarded, taps.MATCH_TAPS, given, target, True)
    np.testing.assert_array_equal(match, [[[0, np.inf, 0, np.nan]]])
    sample = Sample((np.ones((1, 1, 4), np.float32), weight, position), (3,))
    (added,), _ = run_steps(guarded, taps.ADD_TAPS, sample, target, True)
    np.testing.assert_array_equal(added, [[[1, 2, 0]]])


def test_planes_are_read_where_they_lie(guarded: Guarded) -> None:
    """Channels last: no copy is made of them."""
    graph = engine.traced_call(
        taps.READ_TAPS,
        [layout(float32, (2, 3, 20), (60, 1, 3)), layout(float32, (2, 4, 7)),
         layout(taps.int32, (2, 4, 7))], (),
    )  # fmt: skip
    (step,) = lowering_steps(graph)
    assert step.operands[0].strides == (60, 1, 3)
    x = np.random.default_rng(1).normal(size=(2, 20, 3)).astype(np.float32)
    sample = drawn(2, 3, 20, 4, 7)[taps.READ_TAPS]
    wanted = taps.READ_TAPS.reference(np.swapaxes(x, 1, 2), *sample.operands[1:])
    last = copy_array(x, Tensor)
    got = taps.read_taps(
        taps.move_axis(last, 1, 2), *[copy_array(y, Tensor) for y in sample.operands[1:]]
    )
    np.testing.assert_allclose(got.values(), wanted, 1e-5, 1e-5)


def lowering_steps(graph: Any) -> list[KernelStep]:
    return [s for s in engine.lower(graph, TARGETS["avx512"]).steps if isinstance(s, KernelStep)]


def test_other_extents_are_no_other_code() -> None:
    def units(height: int, width: int, out: int) -> list[Any]:
        places = [layout(float32, (2, 3, height, width)), layout(float32, (2, out, out, 2))]
        graph = engine.traced_call(GRID_SAMPLE, places, ("bilinear", "reflection", False))
        return [step.unit.key for step in lowering_steps(graph)]

    assert units(20, 30, 16) == units(41, 17, 25)


def test_any_number_of_threads_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lowering, "_TASK_READS", 64)
    samples = drawn(3, 11, 30, 4, 150)
    results = []
    for threads in (1, 2, 5):
        before = pool.get_num_threads()
        pool.set_num_threads(threads)
        try:
            with call.installed(engine.EagerEvaluator(engine.NativeBackend())):
                made = []
                for op, sample in samples.items():
                    op.plans.clear()
                    operands = [copy_array(x, Tensor) for x in sample.operands]
                    made.append(call.apply(op, *operands, params=sample.params).values().tobytes())
                results.append(made)
        finally:
            pool.set_num_threads(before)
            for op in OPERATIONS:
                op.plans.clear()
    assert results[0] == results[1] == results[2]
