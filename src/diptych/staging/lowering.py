"""A stretch as a program: its graph, and the kernels that write new state over the old."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diptych.compiler.lazy import Apply, Lazy, Moved, Number, Pick, Reduced, Stored
from diptych.compiler.lower import Lowering
from diptych.compiler.steps import Lowered, Place
from diptych.compiler.target import Target
from diptych.graph.graph import Graph


class StateLowering(Lowering):
    """Lowers a graph whose last outputs replace inputs.

    ``writes`` lists (value, index of an input). The memory of those inputs is written when all
    outputs are stored, and a value that reads what another write changes is stored before.
    """

    def __init__(self, graph: Graph, target: Target, writes: Sequence[tuple[int, int]]) -> None:
        super().__init__(graph, target)
        self.writes = writes

    def run(self) -> Lowered:
        outputs = self.graph.outputs
        self.graph.outputs = (*outputs, *[value for value, _ in self.writes])
        try:
            return self.run_all(outputs)
        finally:
            self.graph.outputs = outputs

    def run_all(self, outputs: tuple[int, ...]) -> Lowered:
        graph = self.graph
        self.run_nodes()
        self.pending = [self.values[value] for value in outputs]
        targets: list[Place] = []
        for _, index in self.writes:
            held = self.values[graph.inputs[index]]
            assert isinstance(held, Stored), "inputs are stored"
            targets.append(held.place)
        changing = {place.storage for place in targets}
        for index, value in enumerate(outputs):
            made = self.output(self.values[value], index)
            if made.storage in changing:  # the old value of what is written
                made = self.copied(Stored(made), "output").place
            self.result.outputs.append(made)
        for (value, _), place in zip(self.writes, targets, strict=True):
            lazy = self.resolve(self.values[value])
            if not self.harmless(lazy, place, changing):
                self.detached(value, changing)
        for (value, _), place in zip(self.writes, targets, strict=True):
            lazy = self.resolve(self.values[value])
            self.write(self.cast(lazy, place.dtype), place)
        return self.result

    def harmless(self, lazy: Lazy, place: Place, changing: set[int]) -> bool:
        """Whether writing a value into ``place`` reads nothing that any write changes, but itself
        element by element."""
        lazy = self.resolve(lazy)
        if isinstance(lazy, Stored):
            if lazy.place.storage not in changing:
                return True
            own = lazy.place
            return own.storage == place.storage and own.offset == place.offset and (
                own.shape == place.shape and own.strides == place.strides
            )  # fmt: skip
        if isinstance(lazy, Number):
            return True
        if isinstance(lazy, Apply):
            return all(self.harmless(arg, place, changing) for arg in lazy.args)
        return not self.reads(lazy, changing)

    def reads(self, lazy: Any, changing: set[int]) -> bool:
        """Whether a value is computed from memory that a write changes."""
        lazy = self.resolve(lazy)
        if isinstance(lazy, Stored):
            return lazy.place.storage in changing
        if isinstance(lazy, Apply):
            return any(self.reads(arg, changing) for arg in lazy.args)
        if isinstance(lazy, Moved):
            return self.reads(lazy.base, changing)
        if isinstance(lazy, Reduced):
            return self.reads(lazy.arg, changing)
        if isinstance(lazy, Pick):
            return self.reads(lazy.source, changing) or self.reads(lazy.index, changing)
        return not isinstance(lazy, Number)

    def detached(self, value: int, changing: set[int]) -> None:
        """Store a value in memory that no write changes."""
        stored = self.store(self.values[value])
        if stored.place.storage in changing:
            stored = self.copied(stored)
        self.values[value] = stored


def lower_stretch(graph: Graph, target: Target, writes: Sequence[tuple[int, int]]) -> Lowered:
    """The steps of a graph whose ``writes`` end in the memory of its inputs."""
    return StateLowering(graph, target, writes).run()
