"""The text form reads back to an equal graph; what is no graph is refused with a GraphError."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import numpy as np
import pytest

from diptych import engine as engine
from diptych.core import dtypes
from diptych.core.dtypes import bfloat16, bool_, complex64, float16, float32, float64, int64
from diptych.core.layout import layout
from diptych.core.operation import lookup, registered
from diptych.core.tensor import Tensor, copy_array, from_array
from diptych.engine import traced_call
from diptych.errors import GraphError
from diptych.graph.graph import Graph, Node
from diptych.graph.parse import parse
from diptych.graph.text import WIDTH, table
from diptych.graph.trace import trace
from diptych.ops.arithmetic import add, mul
from diptych.ops.transcendental import exp

PLACE = layout(float32, (2, 3))


def graph_of_params(*params: Any) -> Graph:
    """A graph whose node has these parameters, right or not."""
    graph = Graph([PLACE, PLACE], (0,), {}, [], (1,))
    graph.nodes.append(Node(lookup("exp"), (0,), params, (1,)))  # type: ignore[arg-type]
    return graph


def test_every_operation_reads_back() -> None:
    engine.ensure()
    for op in registered():
        for sample in itertools.islice(op.samples(), 3):
            arrays = [np.asarray(x) for x in sample.operands]
            places = [layout(dtypes.from_numpy(x.dtype), x.shape) for x in arrays]
            graph = traced_call(op, places, sample.params)
            text = str(graph)
            again = parse(text, table(graph))
            assert again == graph, text
            assert all(len(line) <= WIDTH for line in text.splitlines()), text
            sources = [node.source for node in graph.nodes]
            assert [node.source for node in again.nodes] == sources


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -7, 2**70, 0.1, -0.0, math.inf, -math.inf, math.nan, 5e-324, 1e300, 1.0,
        "a \"b\" \\ é\n, %0", (), (1,), (1, (2.0, None)), slice(1, None, -1),
        complex(-0.0, math.nan), float16, bfloat16, bool_, complex64,
    ],
)  # fmt: skip
def test_parameters_of_every_kind_read_back(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Graph, "verify", lambda self: None)  # exp takes none of them
    graph = graph_of_params(float32, value)
    assert parse(str(graph)) == graph
    assert parse(str(graph)) != graph_of_params(float32, 3)


def test_parameters_that_look_alike_differ() -> None:
    for a, b in ((0.0, -0.0), (1, 1.0), (1, True), ((1,), (1, 1)), (math.nan, 1.0)):
        assert graph_of_params(a) != graph_of_params(b)
    assert graph_of_params(math.nan) == graph_of_params(math.nan)


def test_graphs_stand_in_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = trace(
        lambda x: exp(mul(x, copy_array(np.arange(9.0), Tensor))), [layout(float64, (9,))]
    )
    graph = graph_of_params(float32, inner, 1)
    monkeypatch.setattr(Graph, "verify", lambda self: None)
    again = parse(str(graph), table(graph))
    assert again == graph and again.nodes[0].params[1] == inner


def constants(*arrays: Any) -> Graph:
    graph = Graph()
    for array in arrays:
        tensor = array if isinstance(array, Tensor) else copy_array(np.asarray(array), Tensor)
        graph.constants[graph.new_value(tensor.layout)] = tensor
    graph.outputs = tuple(graph.constants)
    return graph


def test_constants_read_back_bit_by_bit() -> None:
    values = [0.1, -0.0, 1 / 3, 65504.0, 6e-8, math.inf]
    arrays: list[Any] = [np.array(values, t) for t in ("f2", "f4", "f8")]
    arrays += [np.array([2**63], "u8"), np.array(True), np.array([1 + 2j, -0.0], "c8")]
    arrays += [np.zeros((0, 3)), np.arange(100).reshape(4, 25), np.array([[1]], "i1")]
    arrays.append(copy_array(np.array(values[:4], "f4"), Tensor, bfloat16))
    graph = constants(*arrays)
    graph.verify()
    again = parse(str(graph), table(graph))
    assert again == graph
    assert len(table(graph)) == 1
    strange = constants(np.array([0x7FC12345], "u4").view("f4"))  # a NaN with a payload
    assert len(table(strange)) == 1
    turned = constants(from_array(np.arange(6.0).reshape(2, 3).T, Tensor))
    assert parse(str(turned), table(turned)) == turned
    assert constants(np.zeros(2)) != constants(np.array([0.0, -0.0]))


def test_a_missing_constant_is_named() -> None:
    with pytest.raises(GraphError, match=r"constant \$0 is not in the table"):
        parse(str(constants(np.arange(100))))


def test_numbers_of_values_do_not_matter() -> None:
    one = trace(lambda x: add(exp(x), x), [PLACE])
    other = trace(lambda x: (exp(x), add(exp(x), x))[1], [PLACE])
    assert one == other and str(one) != str(other)
    assert "%3" in str(other) and "%3" not in str(parse(str(other)))
    assert one != trace(lambda x: add(x, exp(x)), [PLACE])
    assert one != trace(lambda x: add(exp(x), x), [layout(float32, (2, 3), (1, 2))])


def test_strides_and_long_lines() -> None:
    places = [layout(float32, (40 + k, 3), (1, 40 + k)) for k in range(20)]
    graph = trace(lambda *xs: xs, places)
    text = str(graph)
    assert all(len(line) <= WIDTH for line in text.splitlines())
    assert "%1: f32[41, 3]{1, 41}" in text
    assert parse(text) == graph


DAMAGED = {
    "inputs": "expected outputs|expected value",
    "outputs none": "expected inputs",
    "inputs none\noutputs %0": "defined first",
    "inputs %0: f31[2]\noutputs %0": "no dtype",
    "inputs %0: f32[-2]\noutputs %0": "negative",
    "inputs %0: f32[2]{1, 1}\noutputs %0": "dimensions",
    "inputs %0: f32[2], %0: f32[2]\noutputs %0": "declared twice",
    "inputs %0: f32[2]\n%1: f32[2] = nothing(%0)\noutputs %1": "no primitive",
    "inputs %0: f32[2]\n%1: f32[2] = softmax(%0; axis=0)\noutputs %1": "no primitive",
    "inputs %0: f32[2]\n%1: f32[2] = exp(%0; axis=0)\noutputs %1": "no parameter",
    "inputs %0: f32[2]\n%1: f32[2] = exp(%1; dtype=f32)\noutputs %1": "defined first",
    "inputs %0: f32[2]\n%1: f32[3] = exp(%0; dtype=f32)\noutputs %1": "results",
    "inputs %0: f32[2]\n%1: f32[2] = exp(%0; dtype=\"f32)\noutputs %1": "unknown character",
    "inputs %0: f32[2]\n%1: f32[2] = exp(%0; dtype=print)\noutputs %1": "no parameter",
    "inputs %0: f32[2]\n%1: f32[2] = exp(%0; dtype=slice(1))\noutputs %1": "no parameter",
    "inputs %0: f32[2]\n%1: f32[2] = exp(%0; " + "(" * 99: "too deeply",
    "inputs none\n%0: f32[2] = constant [1.0]\noutputs %0": "has 1 elements",
    "inputs none\n%0: i8[1] = constant [300]\noutputs %0": "holds",
    "inputs none\n%0: f32[1] = constant [1]\noutputs %0": "holds",
    "inputs none\n%0: f32[4000000000] = constant 1.0\noutputs %0": "has 1 elements",
    "inputs %0: f32[4]\n%1: f32[9] = as_strided(%0; shape=(9,), strides=(1,), offset=0)\n"
    "outputs %1": "a view inside",
    "inputs %0: f32[4]\n%1: f32[2] = slice(%0; limits=((0, 9, 5),))\noutputs %1": "within",
    "inputs %0: f32[4]\n%1: f32[2] = slice(%0; limits=7)\noutputs %1": "slice",
}  # fmt: skip


@pytest.mark.parametrize("text", DAMAGED)
def test_what_is_no_graph_is_refused(text: str) -> None:
    with pytest.raises(GraphError, match=DAMAGED[text]):
        parse(text)


def test_drawn_damage_gives_a_graph_or_a_graph_error() -> None:
    """Texts with characters and words exchanged never raise anything else."""
    generator = random.Random(0)
    texts = []
    for name in ("layer_norm", "convolution", "max_window", "resample", "index_put", "pad"):
        op = lookup(name)
        sample = next(iter(op.samples()))
        arrays = [np.asarray(x) for x in sample.operands]
        places = [layout(dtypes.from_numpy(x.dtype), x.shape) for x in arrays]
        texts.append(str(traced_call(op, places, sample.params)).replace(__file__, "a.py"))
    words = ["", "-1", "0", "f32", "none", '"s"', "%1", "1.5", "(", ")", "]", "99999999999", "true"]
    refused = 0
    for _ in range(1500):
        text = generator.choice(texts)
        for _ in range(generator.randint(1, 3)):
            at = generator.randrange(len(text))
            end = at + generator.choice((0, 1, 1, 2, 5))
            text = text[:at] + generator.choice(words) + text[end:]
        try:
            parse(text)
        except GraphError:
            refused += 1
    assert refused > 1000


def test_large_dtypes_keep_their_names() -> None:
    graph = trace(lambda x: x, [layout(int64, ())])
    assert str(graph) == "inputs %0: i64[]\noutputs %0"
