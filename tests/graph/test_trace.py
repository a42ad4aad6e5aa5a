"""Tracing: calls become nodes, composites expand, outside tensors become constants."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from diptych import engine as engine
from diptych.core import tape
from diptych.core.dtypes import float32, float64
from diptych.core.layout import layout
from diptych.core.tensor import Tensor, copy_array
from diptych.errors import GraphError
from diptych.graph.graph import Graph, Node
from diptych.graph.interpreter import interpret, rounded
from diptych.graph.trace import Traced, trace
from diptych.ops.activation import silu
from diptych.ops.arithmetic import add, mul
from diptych.ops.indexing import masked_fill, masked_select, nonzero
from diptych.ops.movement import as_strided
from diptych.ops.normalization import softmax
from diptych.ops.sorting import sort, unique
from diptych.ops.transcendental import exp

PLACE = layout(float64, (2, 3))


def names(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes]


def test_calls_become_nodes_in_order() -> None:
    graph = trace(lambda x, y: mul(add(x, y), x), [PLACE, PLACE])
    graph.verify()
    assert names(graph) == ["add", "mul"]
    x, y = np.arange(6.0).reshape(2, 3), np.ones((2, 3))
    assert np.array_equal(interpret(graph, [x, y])[0], (x + y) * x)


def test_what_no_output_needs_is_dropped() -> None:
    def function(x: Tensor) -> Tensor:
        exp(x)
        return add(x, x)

    assert names(trace(function, [PLACE])) == ["add"]


def test_composites_expand_into_primitives() -> None:
    graph = trace(lambda x: softmax(x, 1), [PLACE])
    graph.verify()
    assert "softmax" not in names(graph) and "exp" in names(graph)


def test_tensors_from_outside_become_constants() -> None:
    outside = copy_array(np.full((2, 3), 5.0), Tensor)
    graph = trace(lambda x: add(add(x, outside), outside), [PLACE])
    graph.verify()
    assert [c is outside for c in graph.constants.values()] == [True]


def test_several_and_absent_outputs() -> None:
    graph = trace(lambda x: (x, None, *sort(x, 1)), [PLACE])
    graph.verify()
    assert graph.outputs[0] == graph.inputs[0] and len(graph.outputs) == 3


def test_a_backward_pass_can_be_traced() -> None:
    def function(x: Tensor) -> Any:
        leaf = tape.copy_alias(x)
        with tape.recording(True):
            tape.require_gradient(leaf)
            y = silu(exp(leaf))
        ones = copy_array(np.ones((2, 3)), Tensor)
        return tape.backward([(y.node, y.output, ones)], [(leaf.node, 0)])[0]

    graph = trace(function, [PLACE])
    graph.verify()
    x = np.linspace(-1, 1, 6).reshape(2, 3)

    def value(x: Any) -> Any:
        return np.exp(x) / (1 + np.exp(-np.exp(x)))

    slope = (value(x + 1e-6) - value(x - 1e-6)) / 2e-6
    assert np.allclose(interpret(graph, [x])[0], slope, rtol=1e-6)


def test_values_cannot_be_read_while_tracing() -> None:
    with pytest.raises(GraphError, match="while tracing"):
        trace(lambda x: x.array(), [PLACE])
    for function in (nonzero, unique, lambda x: masked_select(x, x)):
        with pytest.raises((GraphError, TypeError), match="tracing|traced"):
            trace(function, [layout(engine.dtypes.bool_, (2, 3))])


def test_a_mask_that_keeps_the_shape_can_be_traced() -> None:
    mask = layout(engine.dtypes.bool_, (2, 3))
    graph = trace(lambda x, m: masked_fill(x, m, 0.0), [PLACE, mask])
    held = np.arange(6).reshape(2, 3) % 2 == 0
    assert interpret(graph, [np.ones((2, 3)), held])[0].tolist() == [[0, 1, 0], [1, 0, 1]]


def test_other_threads_are_not_traced() -> None:
    got = []

    def function(x: Tensor) -> Tensor:
        other = copy_array(np.ones(3), Tensor)
        thread = threading.Thread(target=lambda: got.append(add(other, other)))
        thread.start()
        thread.join()
        return exp(x)

    assert names(trace(function, [PLACE])) == ["exp"]
    assert not isinstance(got[0], Traced) and got[0].array().tolist() == [2, 2, 2]


def test_an_alias_of_a_traced_value_is_the_same_value() -> None:
    def function(x: Tensor) -> Tensor:
        other = tape.alias(x, x.result_type)
        return add(x, other)

    graph = trace(function, [PLACE])
    assert graph.nodes[0].operands == (graph.inputs[0], graph.inputs[0])


# ---- graphs


def test_verify_finds_what_is_wrong() -> None:
    def made() -> Graph:
        return trace(lambda x: exp(add(x, x)), [PLACE])

    graph = made()
    graph.nodes.reverse()
    with pytest.raises(GraphError, match="defined first"):
        graph.verify()
    graph = made()
    graph.layouts[graph.nodes[0].results[0]] = layout(float32, (2, 3))
    with pytest.raises(GraphError, match="results"):
        graph.verify()
    graph = made()
    node = graph.nodes[0]
    graph.nodes[1] = Node(node.op, node.operands, node.params, node.results)
    with pytest.raises(GraphError, match="defined once"):
        graph.verify()
    graph = made()
    graph.outputs = (99,)
    with pytest.raises(GraphError, match="a defined value"):
        graph.verify()


def test_verify_finds_wrong_inputs_constants_and_views() -> None:
    graph = trace(lambda x: mul(exp(x), 2.0), [PLACE])
    (constant,) = graph.constants
    graph.inputs = (*graph.inputs, constant)
    with pytest.raises(GraphError, match="defined once"):
        graph.verify()
    graph.inputs = (99,)
    with pytest.raises(GraphError, match="a value with a layout"):
        graph.verify()
    graph = trace(lambda x: mul(exp(x), 2.0), [PLACE])
    graph.constants[constant] = copy_array(np.zeros(3), Tensor)
    with pytest.raises(GraphError, match="the dtype and shape of its layout"):
        graph.verify()
    graph = trace(lambda x: as_strided(x, (2,), (3,), 0), [PLACE])
    graph.verify()
    graph = trace(lambda x: as_strided(x, (2,), (7,), 0), [PLACE])
    with pytest.raises(GraphError, match="a view inside"):
        graph.verify()


def test_verify_accepts_repeated_outputs() -> None:
    graph = trace(lambda x: (x, exp(x), x), [PLACE])
    graph.outputs += graph.outputs
    graph.verify()


def test_a_graph_prints_on_a_screen() -> None:
    graph = trace(lambda x: mul(exp(x), 2.0), [PLACE])
    line = graph.nodes[0].source
    assert line.startswith(__file__)
    assert str(graph).replace(f"  # {line}", "").replace(f"\n  {line}", "").splitlines() == [
        "inputs %0: f64[2, 3]",
        "%2: f64[] = constant 2.0",
        "%1: f64[2, 3] = exp(%0; dtype=f64)",
        "%3: f64[2, 3] = mul(%1, %2; dtype=f64)",
        "outputs %3",
    ]


# ---- conversions of the interpreter


def test_values_are_converted_as_native_code_does() -> None:
    dtypes = engine.dtypes
    assert rounded(np.array([-1.5, 300.0]), dtypes.uint8).tolist() == [255, 44]
    assert rounded(np.array([0.0, 0.1, np.nan]), dtypes.bool_).tolist() == [False, True, True]
    assert rounded(np.array([1 + 2j]), float32).tolist() == [1.0]
    assert rounded(np.array([1.00390625]), dtypes.bfloat16).tolist() == [1.0]
