"""Graphs: inputs, constants, nodes in order, outputs; typed and pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from diptych.core.layout import Layout
from diptych.core.operation import Params, Primitive
from diptych.errors import GraphError


@dataclass(frozen=True)
class Node:
    """One application of a primitive: value numbers in, value numbers out, the user's line."""

    op: Primitive
    operands: tuple[int, ...]
    params: Params
    results: tuple[int, ...]
    source: str = ""


@dataclass
class Graph:
    """A pure program over numbered values.

    ``layouts[v]`` gives value v's dtype and shape (inputs keep the strides they were traced with,
    every other value is row-major); ``constants`` maps values to tensors known when it was traced.
    """

    layouts: list[Layout] = field(default_factory=list)
    inputs: tuple[int, ...] = ()
    constants: dict[int, Any] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    outputs: tuple[int, ...] = ()

    def new_value(self, place: Layout) -> int:
        """A fresh value of this layout."""
        self.layouts.append(place)
        return len(self.layouts) - 1

    def verify(self) -> None:
        """Raise GraphError unless values are defined once, before use, with their op's shape."""
        defined = set(self.inputs) | set(self.constants)
        for node in self.nodes:
            for operand in node.operands:
                if operand not in defined:
                    raise GraphError(
                        op=node.op.name, argument=f"value %{operand}", expected="defined first"
                    )
            inferred = node.op.infer(tuple(self.layouts[v] for v in node.operands), node.params)
            expected = inferred if isinstance(inferred, tuple) else (inferred,)
            got = tuple(self.layouts[v] for v in node.results)
            if [(p.dtype, p.shape) for p in got] != [(p.dtype, p.shape) for p in expected]:
                raise GraphError(
                    op=node.op.name, argument="results", got=got, expected=f"{expected}"
                )
            for result in node.results:
                if result in defined:
                    raise GraphError(
                        op=node.op.name, argument=f"value %{result}", expected="defined once"
                    )
                defined.add(result)
        for output in self.outputs:
            if output not in defined:
                raise GraphError(argument=f"output %{output}", expected="a defined value")

    def prune(self) -> None:
        """Drop the nodes and constants that no output needs."""
        needed = set(self.outputs)
        kept = []
        for node in reversed(self.nodes):
            if needed.intersection(node.results):
                needed.update(node.operands)
                kept.append(node)
        self.nodes = kept[::-1]
        self.constants = {v: c for v, c in self.constants.items() if v in needed}

    def __str__(self) -> str:
        def named(value: int) -> str:
            return f"%{value}"

        lines = [f"inputs {', '.join(f'%{v}: {self.layouts[v]}' for v in self.inputs)}"]
        for value, constant in self.constants.items():
            shown = constant.item() if constant.layout.size == 1 else "..."
            lines.append(f"%{value}: {self.layouts[value]} = constant {shown}")
        for node in self.nodes:
            results = ", ".join(f"%{v}: {self.layouts[v]}" for v in node.results)
            operands = ", ".join(map(named, node.operands))
            params = ", ".join(
                f"{name}={value}" for name, value in zip(node.op.params, node.params, strict=False)
            )
            lines.append(f"{results} = {node.op.name}({operands}{'; ' if params else ''}{params})")
        return "\n".join([*lines, f"outputs {', '.join(map(named, self.outputs))}"])
