"""What the passes share: a graph built anew node by node, with values put in others' places."""

from __future__ import annotations

from typing import Any

from diptych.graph.graph import Graph, Node

# A primitive is pure by contract; families that are not one day (draws, calls) are named here.
_IMPURE = frozenset({"random", "effect", "call"})


def pure(node: Node) -> bool:
    """Whether a node gives the same results for the same operands, and does nothing else."""
    return node.op.family not in _IMPURE


class Rewriting:
    """A new graph in the making, numbered as the old; ``same`` says what stands for a value."""

    def __init__(self, graph: Graph) -> None:
        self.old = graph
        self.layouts = list(graph.layouts)
        self.constants = dict(graph.constants)
        self.nodes: list[Node] = []
        self.defined: dict[int, Node] = {}
        self.same: dict[int, int] = {}
        self.outputs = frozenset(graph.outputs)
        self.changed = False

    def operands(self, node: Node) -> tuple[int, ...]:
        """A node's operands, with what stands for them now."""
        return tuple([self.same.get(v, v) for v in node.operands])

    def keep(self, node: Node) -> None:
        """Add a node with its operands replaced."""
        operands = self.operands(node)
        if operands != node.operands:
            node = Node(node.op, operands, node.params, node.results, node.source)
            self.changed = True
        self.nodes.append(node)
        for result in node.results:
            self.defined[result] = node

    def put(self, node: Node, op: Any, operands: tuple[int, ...], params: Any) -> None:
        """Add another operation in the place of a node."""
        self.changed = True
        self.keep(Node(op, operands, params, node.results, node.source))

    def replace(self, value: int, by: int) -> bool:
        """Let one value stand for another from now on; False for outputs, which stay their own."""
        if value in self.outputs:
            return False
        self.same[value] = self.same.get(by, by)
        self.changed = True
        return True

    def finish(self) -> Graph:
        """The new graph; the old one when nothing was changed."""
        if not self.changed:
            return self.old
        old = self.old
        return Graph(self.layouts, old.inputs, self.constants, self.nodes, old.outputs)
