"""The passes: what each does to a printed graph, what it must leave alone, the verifier between."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import diptych.engine as engine
from diptych.compiler.passes import PASSES, run_passes
from diptych.compiler.passes.common import merge_common
from diptych.compiler.passes.dead import drop_dead
from diptych.compiler.passes.folding import fold_constants
from diptych.compiler.passes.simplify import lossless, simplify
from diptych.core import call, dtypes
from diptych.core.dtypes import bfloat16, bool_, float16, float32, float64, int32, int64, uint8
from diptych.core.layout import layout
from diptych.core.operation import registered
from diptych.core.tensor import Tensor, copy_array
from diptych.engine import traced_call
from diptych.graph.graph import Graph, Node
from diptych.graph.interpreter import interpret
from diptych.graph.trace import trace
from diptych.ops.arithmetic import add, div, maximum, mul, neg, sub
from diptych.ops.movement import broadcast_to, reshape, slice_, transpose
from diptych.ops.select import CAST, cast, constant, where
from diptych.ops.transcendental import exp

PLACE = layout(float32, (2, 3))


@pytest.fixture(autouse=True, scope="module")
def _declared() -> None:
    engine.ensure()


def shown(graph: Graph) -> list[str]:
    """The nodes and outputs as printed, values numbered in order and sources left out."""
    graph.verify()
    text = re.sub(r"\s+# [^\n]*", "", str(graph))
    names: dict[str, str] = {}
    text = re.sub(r"%\d+", lambda m: names.setdefault(m.group(), f"%{len(names)}"), text)
    return text.splitlines()[1:]


def after(one: Callable[[Graph], Graph], function: Any, *places: Any) -> list[str]:
    return shown(one(trace(function, places or [PLACE])))


def test_dead_code_goes() -> None:
    graph = trace(lambda x: (exp(x), add(x, 2.0)), [PLACE])
    graph.outputs = graph.outputs[:1]
    assert shown(drop_dead(graph)) == ["%1: f32[2, 3] = exp(%0; dtype=f32)", "outputs %1"]


def test_common_subexpressions_are_computed_once() -> None:
    def function(x: Tensor) -> Any:
        return mul(add(exp(x), 2.0), add(exp(x), copy_array(np.float32(2.0), Tensor)))

    assert after(lambda g: drop_dead(merge_common(g)), function) == [
        "%1: f32[] = constant 2.0",
        "%2: f32[2, 3] = exp(%0; dtype=f32)",
        "%3: f32[2, 3] = add(%2, %1; dtype=f32)",
        "%4: f32[2, 3] = mul(%3, %3; dtype=f32)",
        "outputs %4",
    ]


def test_outputs_keep_memory_of_their_own() -> None:
    graph = run_passes(trace(lambda x: (exp(x), exp(x), mul(x, 1.0)), [PLACE]), verify=True)
    assert len(set(graph.outputs)) == 3 and not set(graph.outputs) & set(graph.inputs)


def test_what_is_impure_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = trace(lambda x: add(exp(x), exp(x)), [PLACE])
    monkeypatch.setattr(graph.nodes[0].op, "family", "random")
    assert merge_common(graph) is graph
    graph.outputs = graph.inputs
    assert [node.op.name for node in drop_dead(graph).nodes] == ["exp", "exp"]


def test_constants_are_folded() -> None:
    def function(x: Tensor) -> Any:
        return mul(x, exp(add(constant(1.0, float32), constant(-1.0, float32))))

    assert after(lambda g: drop_dead(fold_constants(g)), function) == [
        "%1: f32[] = constant 1.0",
        "%2: f32[2, 3] = mul(%0, %1; dtype=f32)",
        "outputs %2",
    ]
    assert after(run_passes, lambda x: exp(function(x))) == [
        "%1: f32[2, 3] = exp(%0; dtype=f32)", "outputs %1",
    ]  # fmt: skip
    large = copy_array(np.ones(2000, np.float32), Tensor)
    graph = trace(lambda x: add(x, exp(large)), [layout(float32, (2000,))])
    assert fold_constants(graph) is graph


SIMPLIFIED: dict[str, tuple[Any, Any]] = {
    "times one": (lambda x: mul(x, 1.0), "x"),
    "one times": (lambda x: mul(constant(1.0, float32), x), "x"),
    "times one, spread": (lambda x: mul(x, broadcast_to(constant(1.0, float32), (2, 3))), "x"),
    "over one": (lambda x: div(x, 1.0), "x"),
    "less zero": (lambda x: sub(x, 0.0), "x"),
    "plus minus zero": (lambda x: add(x, -0.0), "x"),
    "twice negative": (lambda x: neg(neg(x)), "x"),
    "where either": (lambda x: where(exp(x), x, x), "x"),
    "maximum of itself": (lambda x: maximum(x, x), "x"),
    "copied": (lambda x: call_cast(x, float32), "x"),
    "turned twice": (lambda x: transpose(transpose(x, (1, 0)), (1, 0)), "x"),
    "all of it": (lambda x: slice_(x, ((0, 2, 1), (0, 3, 1))), "x"),
    "reshaped back": (lambda x: reshape(reshape(x, (6,)), (2, 3)), "x"),
    "there and back": (lambda x: cast(cast(x, float64), float32), "x"),
    "in another dtype": (lambda x: mul(x, 1.0, float64), "cast(%0; dtype=f64)"),
    "by way of a wider one": (lambda x: cast(cast(x, float64), float16), "cast(%0; dtype=f16)"),
    "reshaped twice": (
        lambda x: reshape(reshape(x, (6,)), (3, 2)), "reshape(%0; shape=(3, 2))",
    ),
    "spread twice": (
        lambda x: broadcast_to(broadcast_to(x, (4, 2, 3)), (5, 4, 2, 3)),
        "broadcast(%0; shape=(5, 4, 2, 3))",
    ),
    "plus zero": (lambda x: add(x, 0.0), "add"),
    "less minus zero": (lambda x: sub(x, -0.0), "sub"),
    "times zero": (lambda x: mul(x, 0.0), "mul"),
    "by way of a narrower one": (lambda x: cast(cast(x, float16), float32), "cast"),
}  # fmt: skip


def call_cast(x: Tensor, dtype: Any) -> Any:
    return call.current.apply1(CAST, x, (dtype,))


@pytest.mark.parametrize("name", SIMPLIFIED)
def test_simplification(name: str) -> None:
    function, expected = SIMPLIFIED[name]
    graph = trace(lambda x: exp(function(x)), [PLACE])
    made = run_passes(graph, verify=True)
    lines = [line for line in shown(made)[:-1] if "constant" not in line]
    if expected == "x":
        assert lines == ["%1: f32[2, 3] = exp(%0; dtype=f32)"]
    elif expected and "(" in expected:
        assert len(lines) == 2 and lines[0].endswith(f"= {expected}")
    elif expected:
        assert f" = {expected}(" in lines[-2]
    x = np.array([[0.0, -0.0, np.nan], [np.inf, -1.5, 1e-40]], np.float32)
    with np.errstate(all="ignore"):
        before, now = interpret(graph, [x])[0], interpret(made, [x])[0]
    assert before.tobytes() == now.tobytes()


@pytest.mark.parametrize("seed", range(40))
def test_slices_of_slices(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def limits(extent: int) -> tuple[int, int, int]:
        step = int(rng.choice([-3, -2, -1, 1, 2, 3]))
        first, second = sorted(rng.integers(0, extent, 2).tolist()) if extent else (0, 0)
        if not extent:
            return 0, 0, step
        return (first, second + 1, step) if step > 0 else (second, first - 1, step)

    outer = limits(int(rng.integers(0, 20)) or 17)
    place = layout(float64, (20,))
    count = len(range(*outer))
    inner = limits(count)
    graph = trace(lambda x: exp(slice_(slice_(x, (outer,)), (inner,))), [place])
    made = drop_dead(simplify(graph))
    made.verify()
    assert len(made.nodes) <= 2
    x = np.linspace(-1, 1, 20)
    assert np.array_equal(interpret(graph, [x])[0], interpret(made, [x])[0])


def test_which_casts_lose_nothing() -> None:
    for a, b in ((bfloat16, float32), (float16, float64), (uint8, int32), (bool_, uint8)):
        assert lossless(a, b) and not lossless(b, a)
    for a, b in ((float16, bfloat16), (int64, float64), (dtypes.int8, dtypes.uint64)):
        assert not lossless(a, b)


def test_every_operation_survives_all_passes() -> None:
    """The verifier holds between passes, and the results are the same."""
    for op in registered():
        for sample in itertools.islice(op.samples(), 2):
            arrays = [np.asarray(x) for x in sample.operands]
            places = [layout(dtypes.from_numpy(x.dtype), x.shape) for x in arrays]
            graph = traced_call(op, places, sample.params)
            made = run_passes(graph, verify=True)
            assert len(made.nodes) <= len(graph.nodes) and made.inputs == graph.inputs
            if made is graph:
                continue
            with np.errstate(all="ignore"):
                pairs = zip(interpret(made, arrays), interpret(graph, arrays), strict=True)
            for ours, expected in pairs:
                np.testing.assert_allclose(ours, expected, rtol=1e-6, equal_nan=True)


def test_nothing_to_do_gives_the_same_graph() -> None:
    graph = trace(exp, [PLACE])
    assert run_passes(graph) is graph


def test_the_list_says_what_each_pass_is_for() -> None:
    for one in PASSES:
        assert one.name and one.needs and one.guarantees and one.run.__doc__


def test_lines_stay_with_their_nodes() -> None:
    graph = trace(lambda x: exp(mul(neg(neg(x)), 1.0)), [PLACE])
    graph.nodes = [Node(n.op, n.operands, n.params, n.results, f"{k}.py:1")
                   for k, n in enumerate(graph.nodes)]  # fmt: skip
    assert [node.source for node in run_passes(graph).nodes] == ["3.py:1"]
