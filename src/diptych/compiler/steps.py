"""What lowering makes of a graph: storages, steps over them, and where the outputs lie."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from diptych.compiler.unit import CodeUnit
from diptych.core.dtypes import DType
from diptych.core.layout import Layout, Shape, layout
from diptych.graph.graph import Node


@dataclass(frozen=True)
class Place:
    """A strided view of a storage: offset and strides in elements of ``dtype``."""

    storage: int
    offset: int
    dtype: DType
    shape: Shape
    strides: Shape

    @property
    def layout(self) -> Layout:
        return layout(self.dtype, self.shape, self.strides)

    @property
    def byte_offset(self) -> int:
        return self.offset * self.dtype.itemsize


@dataclass
class Storage:
    """Memory that steps read and write.

    ``kind``: "input" (operand ``index`` of the call), "constant" (``tensor``), "output" (fresh,
    handed to the caller) or "temporary" (in the arena).
    """

    kind: str
    nbytes: int = 0
    index: int = 0
    tensor: Any = None


@dataclass(frozen=True)
class KernelStep:
    """One native kernel: its code, its run-time numbers, its operands in order.

    ``pointwise``: every element of a result is computed from the elements at its own position, so a
    result may lie where such an operand does.
    """

    unit: CodeUnit
    desc: tuple[int, ...]
    operands: tuple[Place, ...]
    pointwise: bool = False


@dataclass(frozen=True)
class HostStep:
    """One node that NumPy runs: operands and results as places."""

    node: Node
    operands: tuple[Place, ...]
    results: tuple[Place, ...]


@dataclass
class Lowered:
    """A lowered graph: storages, steps in order, the places of the outputs."""

    storages: list[Storage] = field(default_factory=list)
    steps: list[KernelStep | HostStep] = field(default_factory=list)
    outputs: list[Place] = field(default_factory=list)
