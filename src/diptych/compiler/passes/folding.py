"""Constant folding: results of constants alone, computed now by the operation's reference."""

from __future__ import annotations

import numpy as np

from diptych.compiler.passes.rewriting import Rewriting, pure
from diptych.core.tensor import Tensor, copy_array
from diptych.graph.graph import Graph
from diptych.graph.interpreter import evaluate

_MOST = 1024  # elements of operands and results together: more would only make programs larger


def fold_constants(graph: Graph) -> Graph:
    """The graph with small results of constants as constants.

    What is spread from one number stays: as a view it costs no memory. What has no operands (a
    count from 0) stays: kernels compute it. Outputs stay: the caller gets memory of its own.
    """
    made = Rewriting(graph)
    for node in graph.nodes:
        operands = made.operands(node)
        sizes = [graph.layouts[v].size for v in (*operands, *node.results)]
        if (
            not operands
            or not pure(node)
            or node.op.name == "broadcast"
            or sum(sizes) > _MOST
            or not made.outputs.isdisjoint(node.results)
            or any(v not in made.constants for v in operands)
        ):
            made.keep(node)
            continue
        arrays = [made.constants[v].values() for v in operands]
        places = [graph.layouts[v] for v in node.results]
        try:
            with np.errstate(all="ignore"):
                results = evaluate(node.op, arrays, node.params, places)
        except Exception:  # it fails when it runs, if it is run
            made.keep(node)
            continue
        for value, array, place in zip(node.results, results, places, strict=True):
            made.constants[value] = copy_array(array, Tensor, place.dtype)
        made.changed = True
    return made.finish()
