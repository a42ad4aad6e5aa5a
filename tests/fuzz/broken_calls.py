"""Calls that do what no call may do, by which the watchman himself is tested."""

from __future__ import annotations

import ctypes
import time
from typing import Any

from diptych.core.tensor import Tensor
from tests.fuzz import worker
from tests.fuzz.call import Call, Target
from tests.fuzz.draw import Drawer

TENSOR = Tensor


def dtypes() -> dict[str, Any]:
    """None needed."""
    return {"float32": None}


def targets() -> dict[str, list[Target]]:
    """Nothing drawn."""
    return {}


def draw(drawer: Drawer, table: dict[str, list[Target]]) -> Call:
    """The first call is fine, the second reads address 0, the third never ends."""
    number = int(drawer.seed.partition(":")[2])
    if number == 1:
        return Call("read address 0", lambda: ctypes.string_at(0), [])
    if number == 2:
        worker.rearm(1)
        return Call("sleep", lambda: time.sleep(60), [])
    return Call("nothing", lambda: None, [])


def reset() -> None:
    """Nothing to undo."""
