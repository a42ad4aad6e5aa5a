"""Drawn graphs: compiled, with and without passes, equals interpreted; gradients too."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import diptych.engine as engine
from diptych.compiler.lower import lower
from diptych.compiler.passes import run_passes
from diptych.core.tensor import Tensor
from diptych.graph.graph import Graph
from diptych.graph.parse import parse
from diptych.graph.text import table
from diptych.runtime import native, objects
from diptych.runtime.program import Program
from tests.compiler.drawn_graphs import drawn_gradient, drawn_graph, drawn_inputs, interpreted

pytestmark = pytest.mark.native

# Each graph costs LLVM up to a second the first time; DRAWN_GRAPHS=2000 draws an evening's worth.
MANY = int(os.environ.get("DRAWN_GRAPHS", "200"))
LIMITS = {"float64": 1e-8, "float16": 6e-2, "bfloat16": 4e-1}
LEAST = {"float16": 1e-2, "bfloat16": 1e-1}
SMALL = st.integers(0, 63)
CODES = st.lists(st.tuples(SMALL, SMALL, SMALL, SMALL), min_size=1, max_size=14)
NUMBERS = st.tuples(SMALL, SMALL, SMALL, SMALL)


def drawn(examples: int) -> Any:
    return settings(
        max_examples=examples, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink],
    )  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _builtins() -> None:
    engine.ensure()
    native.install()


def narrowest(graph: Graph) -> str:
    """The dtype on the way that rounds most."""
    names = {place.dtype.name for place in (graph.layouts[v] for n in graph.nodes
             for v in (*n.operands, *n.results))}  # fmt: skip
    names |= {getattr(node.params[0], "name", "") for node in graph.nodes if node.params}
    order = ("bfloat16", "float16", "float32", "int32", "float64")
    return next((name for name in order if name in names), "float64")


def agree(graph: Graph, inputs: Sequence[Tensor]) -> None:
    """The compiled graph, as it is and after all passes, gives what the reference gives."""
    graph.verify()
    assert parse(str(graph), table(graph)) == graph
    expected, largest = interpreted(graph, inputs)
    limit = LIMITS.get(narrowest(graph), 1e-4)
    passed = run_passes(graph, verify=True)
    for made in (graph, passed):
        results = Program(lower(made, objects.target())).run(inputs)
        for got, want, scale in zip(results, expected, largest, strict=True):
            ours = got.values()
            assert ours.shape == want.shape
            if want.dtype.kind not in "fc":
                assert np.array_equal(ours, want), f"{made}"
                continue
            with np.errstate(all="ignore"):
                known = np.isfinite(want)
                off = np.abs(ours - want)[known]
            worst = float(off.max()) if off.size else 0.0
            assert worst <= limit * (scale + 1e-6), f"{worst} of {scale}\n{made}"
            assert np.isfinite(ours[known]).all() and (limit > 1e-3 or same_oddities(ours, want))


def same_oddities(ours: Any, want: Any) -> bool:
    """Whether infinities and NaN stand in the same places."""
    return bool(np.array_equal(np.isnan(ours), np.isnan(want))) and bool(
        np.array_equal(ours[np.isinf(want)], want[np.isinf(want)])
    )


def forward(numbers: Any, codes: Any, outputs: int) -> None:
    inputs = drawn_inputs(np.random.default_rng(sum(numbers)), numbers, smooth=False)
    agree(drawn_graph(inputs, codes, outputs, smooth=False), inputs)


def backward(numbers: Any, codes: Any) -> None:
    inputs = drawn_inputs(np.random.default_rng(sum(numbers)), numbers, smooth=True)
    agree(drawn_gradient(inputs, codes[:8]), inputs)


def test_a_part_written_over_a_view_leaves_what_it_is_a_view_of() -> None:
    """Found by drawing: the value stood in the place that was then changed."""
    codes = [
        (16, 21, 37, 12), (24, 12, 19, 52), (22, 19, 40, 28), (55, 49, 35, 19), (12, 23, 24, 20),
        (60, 24, 56, 62), (12, 2, 25, 56), (4, 13, 55, 27),
    ]  # fmt: skip
    forward((0, 38, 32, 17), codes, 20)


@drawn(40)
@given(NUMBERS, CODES, SMALL)
def test_drawn_graphs(numbers: Any, codes: Any, outputs: int) -> None:
    forward(numbers, codes, outputs)


@drawn(12)
@given(NUMBERS, CODES)
def test_drawn_gradients(numbers: Any, codes: Any) -> None:
    backward(numbers, codes)


@pytest.mark.slow
@drawn(MANY)
@given(NUMBERS, CODES, SMALL)
def test_many_drawn_graphs(numbers: Any, codes: Any, outputs: int) -> None:
    forward(numbers, codes, outputs)


@pytest.mark.slow
@drawn(MANY // 4)
@given(NUMBERS, CODES)
def test_many_drawn_gradients(numbers: Any, codes: Any) -> None:
    backward(numbers, codes)
