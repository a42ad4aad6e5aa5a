"""The calls of network_calls, none of them bent: DIPTYCH_CHECK=1 compares their answers."""

from __future__ import annotations

from tests.fuzz import network_calls
from tests.fuzz.call import Call
from tests.fuzz.draw import Drawer

TENSOR = network_calls.TENSOR
PURE = True  # no call writes to an operand, so operands that overlap themselves excuse nothing

dtypes = network_calls.dtypes
targets = network_calls.targets
reset = network_calls.reset


def draw(d: Drawer, table: dict[str, list[object]]) -> Call:
    """The next call, of tame values."""
    d.tame = True
    return network_calls.draw(d, table, bad=0.0)
