"""What our optimizers share: checks of options, and a step over all parameters of a group."""

from __future__ import annotations

from typing import Any

from diptych.core.dtypes import real_of
from diptych.core.layout import layout
from diptych.core.tensor import wrap
from diptych.optim import update
from diptych.optim.update import Rule
from diptych.torch.creation import tensor, zeros_like
from diptych.torch.optim.optimizer import Optimizer
from diptych.torch.tensor import Tensor


def check(name: str, value: Any, valid: bool) -> None:
    """ValueError when an option is out of its range."""
    if not valid:
        raise ValueError(f"Invalid {name}: {value}")


def refuse_differentiable(optimizer: str, differentiable: bool) -> None:
    if differentiable:
        raise NotImplementedError(
            f"torch.optim.{optimizer}: differentiable=True is not supported yet"
        )


def any_complex(tensors: list[Any]) -> bool:
    for t in tensors:
        if t.layout.dtype.kind == "c":
            return True
    return False


def parts(tensors: list[Any]) -> list[Any]:
    """Complex tensors as pairs of real numbers: each part is updated by itself."""
    return [real_pairs(t) if t.layout.dtype.is_complex else t for t in tensors]


def real_pairs(t: Any) -> Any:
    place = t.layout
    strides = (*[2 * stride for stride in place.strides], 1)
    pairs = layout(real_of(place.dtype), (*place.shape, 2), strides)
    return wrap(Tensor, pairs, t.buffer, t.address)


class Stepping(Optimizer):
    """An optimizer whose step is one engine call per group (and per count of steps seen)."""

    def gather(self, group: dict[str, Any]) -> tuple[list[Any], list[Any], list[dict[str, Any]]]:
        """The parameters of a group that have a gradient, their gradients, and their states."""
        params, grads, entries = [], [], []
        state = self.state
        for param in group["params"]:
            grad = param.grad
            if grad is not None:
                entry = state[param]
                if not entry:
                    self.begin(group, param, entry)
                params.append(param)
                grads.append(grad)
                entries.append(entry)
        return params, grads, entries

    def begin(self, group: dict[str, Any], param: Any, entry: dict[str, Any]) -> None:
        """Fill the state of a parameter that takes its first step."""

    def run(
        self,
        rule: Rule,
        flags: tuple[Any, ...],
        params: list[Any],
        grads: list[Any],
        entries: list[dict[str, Any]],
        values: tuple[float, ...],
    ) -> None:
        """One engine call: the rule on these parameters with these numbers."""
        slots = [[entry[name] for entry in entries] for name in rule.slots]
        if any_complex(params):
            params, grads, slots = parts(params), parts(grads), [parts(slot) for slot in slots]
        update.step(rule, flags, params, grads, slots, values)

    def by_count(self, group: dict[str, Any], entries: list[dict[str, Any]]) -> Any:
        """The step counts now due, each with the places of its parameters (None for all)."""
        steps = self.steps_of(group, entries)
        if steps.count is not None:
            return ((steps.count, None),)
        places: dict[int, list[int]] = {}
        for place, count in enumerate(steps.counts):
            places.setdefault(count, []).append(place)
        return tuple(places.items())


def chosen(places: list[int] | None, *rows: list[Any]) -> Any:
    """Each row's entries at these places; the rows themselves for None."""
    return rows if places is None else [[row[place] for place in places] for row in rows]


def first_step(entry: dict[str, Any], param: Any, *slots: str) -> None:
    """A step count of zero and slots of zeros."""
    entry["step"] = tensor(0.0)
    for name in slots:
        entry[name] = zeros_like(param).detach()
