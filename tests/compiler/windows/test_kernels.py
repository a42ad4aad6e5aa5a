"""Kernels of windows and banded maps: against NumPy, on each target, between pages that trap."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from diptych import engine
from diptych.compiler.windows import lowering
from diptych.core import call
from diptych.core.operation import Primitive, Sample
from diptych.core.tensor import Tensor, copy_array
from diptych.ops import resampling, window
from diptych.ops.resampling import Band
from diptych.ops.window import Window
from diptych.runtime import pool
from tests.compiler.contraction.harness import TARGETS
from tests.compiler.contraction.test_bounds import Guarded
from tests.compiler.guarded_steps import run_steps

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(sys.platform != "linux", reason="guard pages need mprotect"),
]

# Every target costs its compilations: the quick tests take one.
LEVELS = [pytest.param(t, marks=[pytest.mark.slow] * (t != "avx512")) for t in TARGETS]


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    made = Guarded()
    yield made
    made.release()


def draw(*shape: int, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(dtype)


def mean(extent: int, out: int, *numbers: Any) -> Band:
    return Band("mean", extent, out, numbers)


# The widths are around those of vectors; steps of one, two and more have code of their own.
MAXIMA = [
    Sample((draw(2, 5, width),), ((Window(5, 3, 2, 2, 1), Window(width, out, 3, step, 1)), 1))
    for step, (width, out) in itertools.product(
        (1, 2, 3), ((2, 1), (7, 2), (16, 5), (33, 11), (49, 16))
    )
] + [
    Sample((draw(1, 40),), ((Window(40, 33, 4, 1, 2, 3),), 1)),
    Sample((draw(2, 9, 37),), ((Window(9, 4), Window(37, 17)), 1)),
    Sample((draw(2, 4, 5, 19),), ((Window(4, 2, 3, 2, 1), Window(5, 5, 3, 1, 1)), 1)),
    Sample((draw(2, 3, 4, 5, 16),), ((Window(3, 2, 2), Window(4, 2, 2, 2), Window(5, 3)), 1)),
    Sample((draw(2, 9, 20, dtype=np.float64),), ((Window(9, 4, 2, 2), Window(20, 9, 3, 2)), 1)),
    Sample((draw(2, 9, 20, dtype=np.float16),), ((Window(9, 4, 2, 2), Window(20, 9, 3, 2)), 1)),
]  # fmt: skip
_LINEAR = (Band("linear", 6, 9, (6 / 9, False)), Band("linear", 17, 40, (16 / 39, True)))
_POOL = (mean(6, 3, 2, 2, 0, True, 0), mean(37, 19, 3, 2, 1, False, 0))
BANDS = [
    Sample((draw(2, 6, 37),), (_POOL, 1)),
    Sample((draw(2, 3, 19),), (resampling.adjoint(_POOL), 1)),
    Sample((draw(2, 6, 37, 18),), (_POOL, 1)),
    Sample((draw(2, 3, 19, 18),), (resampling.adjoint(_POOL), 1)),
    Sample((draw(3, 33),), ((mean(33, 31, 3, 1, 0, True, 4),), 1)),
    Sample((draw(3, 50),), ((mean(50, 7, 5, 7, 0, True, 0),), 1)),
    Sample((draw(2, 6, 17),), (_LINEAR, 1)),
    Sample((draw(2, 9, 40),), (resampling.adjoint(_LINEAR), 1)),
    Sample((draw(2, 6, 17, 5),), (_LINEAR, 1)),
    Sample((draw(2, 100),), ((Band("linear", 100, 21, (100 / 21, False)),), 1)),
    Sample((draw(2, 21),), ((Band("cubic", 21, 50, (0.42, False)),), 1)),
    Sample((draw(2, 70),), ((Band("nearest", 70, 33, (70 / 33,)),), 1)),
    Sample((draw(2, 33),), ((Band("nearest", 70, 33, (70 / 33,), True),), 1)),
    Sample((draw(2, 17, dtype=np.float64),), ((Band("cubic", 17, 40, (0.425, False)),), 1)),
    Sample((draw(2, 17, dtype=np.float16),), ((Band("nearest", 17, 40, (0.425,)),), 1)),
]


def check(
    guarded: Guarded, op: Primitive, sample: Sample, target: str, at_end: bool, kernel: str
) -> None:
    outputs, names = run_steps(guarded, op, sample, TARGETS[target], at_end)
    assert kernel in names, names
    wanted = op.reference(*sample.operands, *sample.params)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    for got, want in zip(outputs, wanted, strict=True):
        limit = {2: 2e-3, 8: 1e-12}.get(want.itemsize, 1e-5)
        np.testing.assert_allclose(got, want, limit, limit, err_msg=str(sample.params))


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("target", LEVELS)
def test_maxima_and_their_positions(guarded: Guarded, target: str, at_end: bool) -> None:
    for sample in MAXIMA:
        check(guarded, window.MAX_WINDOW, sample, target, at_end, "max_window")
    check(guarded, window.WINDOW_MAX, MAXIMA[3], target, at_end, "max_window")


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("target", LEVELS)
def test_banded_maps(guarded: Guarded, target: str, at_end: bool) -> None:
    for sample in BANDS:
        check(guarded, resampling.RESAMPLE, sample, target, at_end, "bands")


def test_windows_taken_out_and_added_back(guarded: Guarded) -> None:
    for op in (window.EXTRACT, window.FOLD):
        for sample in op.samples():
            if sample.operands[0].size:
                check(guarded, op, sample, "avx512", True, "nest")


def test_nan_infinity_and_ties(guarded: Guarded) -> None:
    nan, inf = np.nan, np.inf
    x = np.array([[nan, nan, 1, 1, 2, 2, -inf, -inf, inf, nan]], np.float32)
    sample = Sample((x,), ((Window(10, 5, 2, 2),), 1))
    (values, index), _ = run_steps(guarded, window.MAX_WINDOW, sample, TARGETS["avx512"], True)
    np.testing.assert_array_equal(values, [[nan, 1, 2, -inf, nan]])
    np.testing.assert_array_equal(index, [[1, 2, 4, 6, 9]])


def test_windows_taken_out_share_no_memory() -> None:
    x = copy_array(draw(2, 9), Tensor)
    windows = (Window(9, 4, 2, 2),)
    made = window.extract_windows(x, windows, 1)
    assert made.buffer is not x.buffer and made.layout.contiguous
    folded = window.fold_windows(made, (Window(9, 4, 2, 2),), 1)
    assert folded.layout.contiguous


def test_any_number_of_threads_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lowering, "_TASK_READS", 64)
    x = copy_array(draw(5, 9, 37), Tensor)
    results = []
    for threads in (1, 2, 5):
        before = pool.get_num_threads()
        pool.set_num_threads(threads)
        try:
            evaluator = engine.EagerEvaluator(engine.NativeBackend())
            with call.installed(evaluator):
                for op in (window.MAX_WINDOW, resampling.RESAMPLE):
                    op.plans.clear()
                bands = (mean(9, 4, 3, 2, 0, True, 0), mean(37, 18, 3, 2, 0, True, 0))
                values, index = window.max_window(x, (Window(9, 4, 2, 2), Window(37, 35, 3)), 1)
                means = resampling.resample(x, bands, 1)
                results.append([y.values().tobytes() for y in (values, index, means)])
        finally:
            pool.set_num_threads(before)
            for op in (window.MAX_WINDOW, resampling.RESAMPLE):
                op.plans.clear()
    assert results[0] == results[1] == results[2]
