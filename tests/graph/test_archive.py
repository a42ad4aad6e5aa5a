"""Graphs in files: what is saved comes back; damaged files are refused, nothing is run."""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diptych import engine as engine
from diptych.core.dtypes import bfloat16, float32
from diptych.core.layout import layout
from diptych.core.tensor import Tensor, copy_array, from_array
from diptych.errors import GraphError
from diptych.graph.archive import load, save
from diptych.graph.graph import Graph, Node
from diptych.graph.interpreter import interpret
from diptych.graph.trace import trace
from diptych.ops.arithmetic import add, mul
from diptych.ops.transcendental import exp


def example() -> Graph:
    large = copy_array(np.linspace(0, 1, 60, dtype=np.float32).reshape(3, 20), Tensor)
    turned = from_array(np.arange(60, dtype=np.float32).reshape(20, 3).T, Tensor)
    half = copy_array(np.arange(20, dtype=np.float32), Tensor, bfloat16)
    return trace(lambda x: mul(add(exp(add(x, large)), turned), half), [layout(float32, (3, 20))])


def saved(graph: Graph) -> bytes:
    held = io.BytesIO()
    save(graph, held)
    return held.getvalue()


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    graph = example()
    save(graph, tmp_path / "graph.zip")
    again = load(tmp_path / "graph.zip")
    assert again == graph and again.nodes[0].source == graph.nodes[0].source
    x = np.ones((3, 20), np.float32)
    assert np.array_equal(interpret(again, [x])[0], interpret(graph, [x])[0])


def test_what_has_no_text_is_refused() -> None:
    graph = trace(exp, [layout(float32, (2,))])
    node = graph.nodes[0]
    graph.nodes[0] = Node(node.op, node.operands, (*node.params, object()), node.results)
    with pytest.raises(GraphError):
        saved(graph)


def rewritten(parts: dict[str, Any], compression: int = zipfile.ZIP_STORED) -> io.BytesIO:
    """The example's file with some members replaced, or left out where None."""
    held = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(saved(example()))) as old,
        zipfile.ZipFile(held, "w", compression) as new,
    ):
        for name in old.namelist():
            data = parts.get(name, old.read(name))
            if data is not None:
                new.writestr(name, data)
    held.seek(0)
    return held


def npy(array: Any, allow_pickle: bool = False) -> bytes:
    held = io.BytesIO()
    np.lib.format.write_array(held, array, allow_pickle=allow_pickle)
    return held.getvalue()


@pytest.mark.parametrize(
    "parts",
    [
        {"graph.txt": None}, {"graph.txt": b""}, {"graph.txt": b"diptych graph 1\nconstants 9\n"},
        {"graph.txt": b"diptych graph 2\n"}, {"graph.txt": b"\xff\xfe"},
        {"graph.txt": b"diptych graph 1\nconstants 99999999999\n"},
        {"constants/0.npy": None}, {"constants/0.npy": b"junk"},
        {"constants/0.npy": npy(np.zeros((3, 20)))},
        {"constants/0.npy": npy(np.zeros((3, 21), np.float32))},
        {"constants/0.npy": npy(np.array([print], object), allow_pickle=True)},
        {"constants/0.npy": npy(np.zeros((3, 20), np.float32))[:-8]},
        {"constants/0.npy": npy(np.zeros((3, 20), np.float32)) + b"12345678"},
        {"constants/0.npy": npy(np.zeros(1, np.float32)).replace(b"(1,)", b"(1 << 60,)")},
    ],
)  # fmt: skip
def test_damaged_parts_are_refused(parts: dict[str, Any]) -> None:
    with pytest.raises(GraphError):
        load(rewritten(parts))


def test_compressed_constants_are_refused() -> None:
    with pytest.raises(GraphError, match="stored as they are"):
        load(rewritten({}, zipfile.ZIP_DEFLATED))


@pytest.mark.filterwarnings("ignore")  # zipfile's own, about what it finds
def test_drawn_damage_is_refused_or_harmless() -> None:
    generator = random.Random(0)
    good = saved(example())
    for _ in range(400):
        data = bytearray(good)
        for _ in range(generator.randint(1, 4)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        if generator.random() < 0.2:
            del data[generator.randrange(len(data)) :]
        try:
            load(io.BytesIO(bytes(data)))
        except GraphError:
            continue
