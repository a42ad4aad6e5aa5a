"""Graphs: inputs, constants, nodes in order, outputs; typed and pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from diptych.core.layout import Layout
from diptych.core.operation import Params, Primitive
from diptych.graph import text, verify


@dataclass(frozen=True)
class Node:
    """One application of a primitive: value numbers in, value numbers out, the user's line."""

    op: Primitive
    operands: tuple[int, ...]
    params: Params
    results: tuple[int, ...]
    source: str = ""


@dataclass(eq=False)
class Graph:
    """A pure program over numbered values.

    ``layouts[v]`` gives value v's dtype and shape (inputs keep the strides they were traced with,
    every other value is row-major); ``constants`` maps values to tensors known when it was traced.
    Two graphs are equal when they do the same in the same order, whatever their values are called
    and wherever they come from.
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
        verify.verify(self)

    def prune(self) -> None:
        """Drop the nodes and constants that no output needs."""
        needed = set(self.outputs)
        kept = []
        for node in reversed(self.nodes):
            if not needed.isdisjoint(node.results):
                needed.update(node.operands)
                kept.append(node)
        self.nodes = kept[::-1]
        self.constants = {v: c for v, c in self.constants.items() if v in needed}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Graph):
            return NotImplemented
        return self is other or text.same_graph(self, other)

    __hash__ = None  # type: ignore[assignment]  # it can be changed

    def __str__(self) -> str:
        return text.format_graph(self)
