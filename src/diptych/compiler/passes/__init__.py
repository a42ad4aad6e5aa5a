"""The passes over whole graphs, as a visible list: what each needs and what it guarantees.

They are for programs that are compiled once and run often. Eager plans go without: their graphs are
single composites, and a plan that is missing costs more than there is to gain.

Every pass makes a new graph, or gives back the one it got when there is nothing to do. All of them
keep inputs, outputs and the order of nodes, and never put one value in the place of another among
the outputs: what a caller gets stays memory of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from diptych.compiler.passes.common import merge_common
from diptych.compiler.passes.dead import drop_dead
from diptych.compiler.passes.folding import fold_constants
from diptych.compiler.passes.simplify import simplify
from diptych.graph.graph import Graph

_MOST_ROUNDS = 4


@dataclass(frozen=True)
class Pass:
    """One row of the list: a function from graph to graph, what it needs, what holds afterwards."""

    name: str
    run: Callable[[Graph], Graph]
    needs: str
    guarantees: str


PASSES: tuple[Pass, ...] = (
    Pass(
        "dead code", drop_dead,
        needs="a verified graph",
        guarantees="every node and constant is needed by an output; inputs all stay",
    ),
    Pass(
        "simplify", simplify,
        needs="a verified graph",
        guarantees="no movement of a movement of its kind, no operation that does nothing; results "
        "are the same bit by bit",
    ),
    Pass(
        "constants", fold_constants,
        needs="constants whose memory never changes: what changes is an input",
        guarantees="small results of constants alone are constants, by the operation's reference",
    ),
    Pass(
        "common subexpressions", merge_common,
        needs="pure operations, told from others by their family",
        guarantees="no two nodes apply one operation to the same values, outputs excepted",
    ),
)  # fmt: skip


def run_passes(graph: Graph, verify: bool = False, passes: Sequence[Pass] = PASSES) -> Graph:
    """The graph after all passes, in rounds until none of them finds anything.

    With ``verify`` the verifier runs after each.
    """
    for _ in range(_MOST_ROUNDS):
        before = graph
        for one in passes:
            graph = one.run(graph)
            if verify:
                graph.verify()
        if graph is before:
            break
    return graph
