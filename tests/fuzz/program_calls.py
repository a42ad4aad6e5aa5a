"""Calls of what training programs use around their layers, most of them bent."""

from __future__ import annotations

from typing import Any

from tests.fuzz import network_calls, program_recipes
from tests.fuzz.call import Call
from tests.fuzz.draw import Drawer

TENSOR = network_calls.TENSOR

dtypes = network_calls.dtypes
targets = network_calls.targets
reset = network_calls.reset


def draw(d: Drawer, table: dict[str, Any]) -> Call:
    """The next call."""
    return network_calls.made(d, program_recipes.RECIPES, network_calls.BENT)
