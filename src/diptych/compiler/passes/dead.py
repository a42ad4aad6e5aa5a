"""Dead code: nodes and constants that no output needs."""

from __future__ import annotations

from diptych.compiler.passes.rewriting import pure
from diptych.graph.graph import Graph


def drop_dead(graph: Graph) -> Graph:
    """The graph without what no output needs. Nodes that do more than compute all stay."""
    needed = set(graph.outputs)
    kept = []
    for node in reversed(graph.nodes):
        if not pure(node) or not needed.isdisjoint(node.results):
            needed.update(node.operands)
            kept.append(node)
    constants = {v: tensor for v, tensor in graph.constants.items() if v in needed}
    if len(kept) == len(graph.nodes) and len(constants) == len(graph.constants):
        return graph
    return Graph(list(graph.layouts), graph.inputs, constants, kept[::-1], graph.outputs)
