"""Calls of layers and indexing: good ones, most of them bent into bad ones before they are made."""

from __future__ import annotations

import contextlib
from typing import Any

from diptych.core import tape
from diptych.core.tensor import Tensor
from tests.fuzz import index_recipes, layer_recipes, spatial_recipes, torch_calls
from tests.fuzz.bending import bend
from tests.fuzz.call import Call, describe
from tests.fuzz.draw import Drawer

TENSOR = torch_calls.TENSOR
RECIPES = (*spatial_recipes.RECIPES, *layer_recipes.RECIPES, *index_recipes.RECIPES)
BENT = 0.75

dtypes = torch_calls.dtypes


def targets() -> dict[str, Any]:
    """The recipes say what to call."""
    return {}


def draw(d: Drawer, table: dict[str, Any], bad: float = BENT) -> Call:
    """The next call."""
    return made(d, RECIPES, bad)


def made(d: Drawer, recipes: tuple[Any, ...], bad: float) -> Call:
    """A call by one of the recipes, bent with the chance ``bad``."""
    recipe = d.choice(recipes)(d)
    if d.chance(bad):
        bend(d, recipe)
    pull = d.chance(0.5)
    twice = pull and d.chance(0.15)
    silent = not pull and d.chance(0.2)
    operands = list(_tensors([*recipe.args, *recipe.kwargs.values()]))
    if pull and d.chance(0.7):
        for x in operands:
            if x.layout.dtype.is_inexact and x.node is None and x.base is None:
                tape.require_gradient(x)

    def run() -> Any:
        with torch_calls.torch.no_grad() if silent else contextlib.nullcontext():
            result = recipe.run()
        if pull:
            torch_calls.backward(result, None, twice)
        return result

    done = " and backward" * (pull + twice)
    return Call(f"{recipe.name}({describe(recipe.args, recipe.kwargs)}){done}", run, operands)


def _tensors(values: Any) -> Any:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from _tensors(value)


def reset() -> None:
    """Undo what a call may have left behind."""
    torch_calls.reset()
