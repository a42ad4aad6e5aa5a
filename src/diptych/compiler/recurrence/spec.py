"""What the code of a recurrence depends on, and the run-time numbers of its kernel."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, auto

from diptych.compiler.contraction.blocking import Tile
from diptych.compiler.contraction.spec import Contraction
from diptych.core.dtypes import DType
from diptych.ops.recurrence import GATES


class Slot(IntEnum):
    """Words of the descriptor; extents are in elements.

    ``TABLE`` holds (first row, rows) of each time step in the order in which steps are taken.
    """

    STEPS = 0
    BATCH = auto()
    HIDDEN = auto()
    STATE = auto()  # the width of h: HIDDEN but for projections
    WIDTH = auto()  # of all gates
    PARALLEL = auto()  # whether the pool is asked
    TASK_TILES = auto()  # row tiles that a task may have at most; 1 where lengths differ
    PANEL = auto()  # columns of a panel of the recurrent weights
    SECOND_PANEL = auto()  # and of the projection
    PACKED = auto()  # bytes of the packed recurrent weights
    SECOND_PACKED = auto()
    PITCH = auto()  # from one row of the gates' cotangents to the next
    TABLE = auto()


@dataclass(frozen=True)
class Recurrence:
    """The structure of one kernel.

    ``keep`` writes what the gradient reads; ``extra`` is the optional operand (an LSTM's
    projection, a GRU's hidden bias); ``incoming`` says that y has a cotangent (backward).
    ``packed`` copies the weights into panels first; else the tile reads them where they lie.
    ``across`` cuts each step's hidden units into tasks, not the sequences.
    """

    kind: str
    dtype: DType
    backward: bool
    keep: bool
    extra: bool
    incoming: bool
    tile: Tile
    packed: bool
    across: bool = False

    @property
    def gates(self) -> int:
        return GATES[self.kind]

    @property
    def projected(self) -> bool:
        return self.extra and self.kind == "lstm"

    @property
    def contraction(self) -> Contraction:
        """The products of a step; a GRU's gradient also passes its state on directly."""
        accumulate = self.backward and self.kind == "gru"
        return Contraction(self.dtype, self.dtype, self.dtype, accumulate=accumulate)

    @property
    def pointers(self) -> tuple[str, ...]:
        """Names of the kernel's operands in order."""
        lstm = self.kind == "lstm"
        if self.backward:
            names = ["w", "kept", "before", "dy", "dh_n", *(["dc_n"] if lstm else [])]
            names += ["projection"] if self.projected else []
            names += ["dgates", "dh", *(["dc"] if lstm else [])]
            names += ["total"] if self.projected else []
            return (*names, "dhidden") if self.kind == "gru" else tuple(names)
        names = ["x", "w", "h_0", *(["c_0"] if lstm else [])]
        if self.extra:
            names.append("projection" if lstm else "bias")
        names += ["y", "h", *(["c"] if lstm else [])]
        if self.keep:
            names += ["gates", "before", *(["cells"] if lstm else [])]
            names += ["hidden"] if self.projected else []
        return tuple(names)

    def key(self) -> tuple[tuple[str, str], ...]:
        flags = {"keep": self.keep, "extra": self.extra, "incoming": self.incoming}
        return (
            ("kernel", "recurrence.backward" if self.backward else "recurrence.forward"),
            ("kind", self.kind),
            ("dtype", self.dtype.name),
            ("flags", " ".join(name for name, on in flags.items() if on)),
            (
                "tile",
                self.tile.name
                + (" packed" if self.packed else "")
                + (" across" if self.across else ""),
            ),
        )
