"""DIPTYCH_CHECK=1: compiled graphs beside their NumPy reference; the first difference named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from diptych.compiler.lower import lower
from diptych.core.layout import Layout
from diptych.core.operation import Tolerance
from diptych.core.tensor import Tensor, copy_array
from diptych.errors import DiptychError
from diptych.graph.graph import Graph
from diptych.graph.interpreter import evaluate, interpret
from diptych.runtime import objects
from diptych.runtime.program import Program

Array = np.ndarray[Any, Any]
_DEFAULT = Tolerance()
_SLACK = 8.0  # errors add up along a graph; a wrong kernel is off by far more


class CheckError(DiptychError, RuntimeError):
    """Compiled code gave another result than the reference."""


def magnitude(arrays: Sequence[Array]) -> float:
    """The largest finite absolute value: what rounding errors are relative to."""
    largest = 1e-30
    for array in arrays:
        if array.dtype.kind in "fc" and array.size:
            finite = np.abs(array[np.isfinite(array)])
            if finite.size:
                largest = max(largest, float(finite.max()))
    return largest


def differs(
    ours: Array, reference: Array, dtype: str, tolerance: Tolerance, given: Sequence[Array]
) -> float:
    """The largest difference beyond the tolerance, relative to operands and result; 0.0 if none."""
    with np.errstate(all="ignore"):
        a, b = np.asarray(ours), np.asarray(reference)
        if a.dtype.kind not in "fc":
            return float((a != b).any())
        limit = tolerance.of(dtype) * _SLACK
        scale = magnitude([b, *given])
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        off = np.where(same, 0.0, np.abs(a - b) / (np.abs(b) + scale))
        off = np.where(np.isnan(off), np.inf, off)
        worst = float(off.max()) if off.size else 0.0
        return worst if worst > limit else 0.0


class CheckedExecutable:
    """Runs a graph both ways and compares every output."""

    def __init__(self, graph: Graph, out: Layout | None = None) -> None:
        self.graph = graph
        self.program = Program(lower(graph, objects.target(), out))

    def tolerance(self, dtype_name: str) -> Tolerance:
        """The widest that any operation of the graph has in a dtype."""
        return max(
            (node.op.tolerance for node in self.graph.nodes),
            key=lambda tolerance: tolerance.of(dtype_name), default=_DEFAULT,
        )  # fmt: skip

    def run(self, operands: Sequence[Tensor]) -> list[Tensor]:
        """The compiled outputs; CheckError when one differs from the reference."""
        arrays = [operand.values().copy() for operand in operands]
        results = self.program.run(operands)
        self.compare(arrays, [result.values() for result in results])
        return results

    def run_into(self, target: Tensor, operands: Sequence[Tensor]) -> None:
        """The same, written over ``target``."""
        arrays = [operand.values().copy() for operand in operands]
        self.program.run_into(target, operands)
        self.compare(arrays, [target.values()])

    def compare(self, arrays: list[Array], ours: list[Array]) -> None:
        expected = interpret(self.graph, arrays)
        for value, a, b in zip(self.graph.outputs, ours, expected, strict=False):
            place = self.graph.layouts[value]
            name = place.dtype.name
            off = differs(a, b.astype(a.dtype), name, self.tolerance(name), arrays)
            if off:
                raise CheckError(
                    f"DIPTYCH_CHECK: {self.first_difference(arrays)} differs from the reference; "
                    f"the output {place} is off by {off:.3g} of its largest value"
                    f"{self.first_line()}.\n{self.graph}"
                )

    def first_line(self) -> str:
        """Where the user first made a call of this kind."""
        source = next((node.source for node in self.graph.nodes if node.source), "")
        return f", first called at {source}" if source else ""

    def first_difference(self, arrays: list[Array]) -> str:
        """The first node whose own kernel differs, found by running the nodes one by one."""
        values: dict[int, Array] = dict(zip(self.graph.inputs, arrays, strict=True))
        for value, tensor in self.graph.constants.items():
            values[value] = tensor.values()
        for node in self.graph.nodes:
            places = [self.graph.layouts[v] for v in node.results]
            operands = [values[v] for v in node.operands]
            expected = evaluate(node.op, operands, node.params, places)
            alone = Graph(list(self.graph.layouts), node.operands, {}, [node], node.results)
            tensors = [
                copy_array(array, Tensor, self.graph.layouts[v].dtype)
                for array, v in zip(operands, node.operands, strict=True)
            ]
            alone.inputs = tuple(dict.fromkeys(node.operands))
            for v, tensor in zip(node.operands, tensors, strict=True):
                alone.layouts[v] = tensor.layout
            unique = {v: tensor for v, tensor in zip(node.operands, tensors, strict=True)}
            made = Program(lower(alone, objects.target())).run([unique[v] for v in alone.inputs])
            for ours, reference, place in zip(made, expected, places, strict=True):
                if differs(ours.values(), reference, place.dtype.name, node.op.tolerance, operands):
                    return f"'{node.op.name}' on {[str(t.layout) for t in tensors]}"
            values.update(zip(node.results, expected, strict=True))
        return "the fusion of " + ", ".join(node.op.name for node in self.graph.nodes)
