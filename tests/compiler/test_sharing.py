"""Reductions that wait for memory in any case are computed beside others of their space."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import diptych.engine as engine
from diptych.compiler.lower import lower
from diptych.compiler.steps import KernelStep
from diptych.core import dtypes
from diptych.core.layout import layout
from diptych.core.tensor import Tensor, from_array
from diptych.engine import traced_call
from diptych.graph.interpreter import interpret
from diptych.graph.trace import trace
from diptych.ops import arithmetic, channels, movement, reduction
from diptych.runtime import native, objects
from diptych.runtime.program import Program

pytestmark = pytest.mark.native
F32 = dtypes.float32


@pytest.fixture(autouse=True, scope="module")
def _builtins() -> None:
    engine.ensure()
    native.install()


def checked(graph: Any, *arrays: Any) -> list[Any]:
    """The steps of a graph, whose program gives what the interpreter gives."""
    lowered = lower(graph, objects.target())
    results = Program(lowered).run([from_array(a, Tensor) for a in arrays])
    for got, want in zip(results, interpret(graph, list(arrays)), strict=True):
        np.testing.assert_allclose(got.array(), want, rtol=1e-4, atol=1e-4)
    return lowered.steps


def reads(steps: list[Any], size: int) -> int:
    """How many kernels read something of so many elements or more."""
    return sum(
        isinstance(step, KernelStep) and any(place.layout.size >= size for place in step.operands)
        for step in steps
    )


@pytest.mark.parametrize("shape", [(4, 3, 50), (60, 7)])
def test_batch_norm_passes_over_its_input_twice(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    weights = [np.linspace(0.5, 1.5, shape[1], dtype=np.float32)] * 2
    places = [layout(F32, a.shape) for a in (x, *weights)]
    graph = traced_call(channels.BATCH_NORM, places, (1, 1e-5, "wb"))
    steps = checked(graph, x, *weights)
    # Means and deviations of runs in one pass; columns take a pass each.
    assert reads(steps, x.size) == (2 if len(shape) == 3 else 3)


def test_two_sums_of_runs_are_one_kernel() -> None:
    def both(x: Any, y: Any) -> Any:
        first = reduction.sum_(reduction.sum_(x, (2,)), (0,))
        second = reduction.sum_(reduction.sum_(arithmetic.mul(x, y), (2,)), (0,))
        shape = x.layout.shape
        total = arithmetic.add(first, arithmetic.square(second))
        out = arithmetic.mul(y, reduction.spread(total, shape, (0, 2)))
        return movement.reshape(out, (shape[0], shape[1], 5, -1 * (-shape[2] // 5)))

    x, y = np.random.default_rng(1).normal(size=(2, 3, 4, 40)).astype(np.float32)
    graph = trace(both, [layout(F32, x.shape), layout(F32, y.shape)])
    assert reads(checked(graph, x, y), x.size) == 2


def test_a_reduction_over_few_elements_is_not_kept_for_others() -> None:
    def both(x: Any) -> Any:
        runs = reduction.sum_(x, (2,))
        squares = reduction.sum_(arithmetic.square(x), (2,))
        return reduction.sum_(runs, (0,)), reduction.sum_(squares, (0,))

    x = np.random.default_rng(2).normal(size=(4, 3, 2)).astype(np.float32)
    checked(trace(both, [layout(F32, x.shape)]), x)


def test_a_deviation_of_columns_waits_for_their_mean() -> None:
    def deviation(x: Any) -> Any:
        mean = arithmetic.div(reduction.sum_(x, (0,)), float(x.layout.shape[0]))
        centred = arithmetic.sub(x, reduction.spread(mean, x.layout.shape, (0,)))
        return reduction.sum_(arithmetic.square(centred), (0,))

    x = np.random.default_rng(3).normal(size=(50, 9)).astype(np.float32)
    steps = checked(trace(deviation, [layout(F32, x.shape)]), x)
    kinds = [dict(step.unit.key)["nest"].split("\n")[0] for step in steps]
    assert kinds == ["columns", "columns"]
