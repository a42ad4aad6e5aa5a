"""Makes a good call a bad one: one or two arguments bent a little, or replaced by anything."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from diptych.core.tensor import Tensor
from tests.fuzz.draw import ABSURD_INTS, Drawer


@dataclasses.dataclass
class Recipe:
    """A call that should go well: what to call, and with what."""

    name: str
    function: Callable[..., Any]
    args: list[Any]
    kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)

    def run(self) -> Any:
        return self.function(*self.args, **self.kwargs)


def bend(d: Drawer, recipe: Recipe) -> None:
    """Bend an argument, or two; sometimes drop one, or add one."""
    for _ in range(d.choice((1, 1, 1, 2))):
        places: list[Any] = [*range(len(recipe.args)), *sorted(recipe.kwargs)]
        if not places or d.chance(0.05):
            recipe.args.append(d.value())
            continue
        place = d.choice(places)
        holder: Any = recipe.args if isinstance(place, int) else recipe.kwargs
        if d.chance(0.04):
            holder.pop(place)
        else:
            holder[place] = bent(d, holder[place])


def bent(d: Drawer, value: Any, depth: int = 2) -> Any:
    """Something near a value, or anything."""
    if d.chance(0.15):
        return d.value()
    if isinstance(value, bool) or value is None:
        return d.choice((not value, d.integer(), d.value()))
    if isinstance(value, int):
        near = (value + 1, value - 1, -value, 0, value * 2, float(value), value + 0.5, [value])
        return d.choice((*near, d.choice(ABSURD_INTS), d.choice(ABSURD_INTS)))
    if isinstance(value, float):
        return d.number()
    if isinstance(value, str):
        return d.string()
    if isinstance(value, Tensor):
        return near_tensor(d, value)
    if isinstance(value, (tuple, list)) and depth:
        items = list(value)
        kind = d.rng.randrange(4)
        if kind == 0 and items:
            items.pop()
        elif kind == 1:
            items.append(d.choice(items) if items else d.integer())
        elif items:
            place = d.rng.randrange(len(items))
            items[place] = bent(d, items[place], depth - 1)
        return type(value)(items) if type(value) in (tuple, list) else items
    return d.value()


def near_tensor(d: Drawer, x: Tensor) -> Any:
    """A tensor of a shape or a dtype nearby; of indices, one with values out of range."""
    shape, dtype = list(x.layout.shape), x.layout.dtype
    kind = d.rng.randrange(7)
    if kind == 0:
        dtype = d.fresh_dtype()
    elif kind == 1 and shape:
        shape.pop(d.rng.randrange(len(shape)))
    elif kind == 2:
        shape.insert(d.rng.randrange(len(shape) + 1), d.choice((0, 1, 2, 3)))
    elif kind == 3 and shape:
        shape[d.rng.randrange(len(shape))] = 0
    elif kind == 4:
        return d.tensor()
    elif shape:
        place = d.rng.randrange(len(shape))
        shape[place] = max(shape[place] + d.choice((-1, 1, 1, 3)), 0)
    if dtype.is_integer and d.chance(0.5):
        return d.indices(tuple(shape), d.choice((-1, 0)), d.choice((1, 5, 2**31, 2**62)), dtype)
    return d.tensor(shape=tuple(shape), dtype=dtype)
