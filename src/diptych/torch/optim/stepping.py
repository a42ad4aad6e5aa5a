"""What our optimizers share: checks of options, and a step over all parameters of a group."""

from __future__ import annotations

from typing import Any

from diptych.core.dtypes import float32, float64, real_of
from diptych.core.layout import layout
from diptych.core.tensor import wrap
from diptych.optim import update
from diptych.optim.update import Rule
from diptych.torch.creation import tensor, zeros_like
from diptych.torch.dtypes import BY_INDEX, Default
from diptych.torch.optim.optimizer import Optimizer, number
from diptych.torch.tensor import Tensor


def check(name: str, value: Any, valid: bool) -> None:
    """ValueError when an option is out of its range."""
    if not valid:
        raise ValueError(f"Invalid {name}: {value}")


def one_rate(rate: Any) -> None:
    """ValueError when a learning rate is a tensor of several numbers."""
    if isinstance(rate, Tensor) and rate.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")


def check_rate(rate: Any) -> None:
    """ValueError when a learning rate is several, or below zero."""
    one_rate(rate)
    check("learning rate", rate, number(rate) >= 0.0)


def check_fused(fused: Any, foreach: Any, differentiable: bool) -> None:
    """RuntimeError when ways of stepping are asked for that exclude each other."""
    if fused:
        if differentiable:
            raise RuntimeError("`fused` does not support `differentiable`")
        if foreach:
            raise RuntimeError("`fused` and `foreach` cannot be `True` together.")


def check_capturable(group: dict[str, Any], held: str) -> None:
    """AssertionError at a step of a capturable optimizer: PyTorch has it on accelerators alone."""
    if group["capturable"]:
        raise AssertionError(
            f"If capturable=True, {held} must be on supported devices: "
            "['cuda', 'xpu', 'hpu', 'privateuseone', 'xla']."
        )


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
    """An optimizer whose step is one engine call per group (and per count of steps seen).

    ``defaults_of_old`` are options that state dicts of older PyTorch versions lack.
    """

    defaults_of_old: dict[str, Any] = {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, value in self.defaults_of_old.items():
                group.setdefault(name, value)

    def gather(self, group: dict[str, Any]) -> tuple[list[Any], list[Any], list[dict[str, Any]]]:
        """The parameters of a group that have a gradient, their gradients, and their states."""
        params, grads, entries = [], [], []
        state = self.state
        for param in group["params"]:
            grad = param.held_grad
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
        for name in rule.slots:
            if any(name not in entry for entry in entries):
                raise KeyError(f"the optimizer's state of a parameter has no '{name}'")
        slots = [[entry[name] for entry in entries] for name in rule.slots]
        if any_complex(params):
            params, grads, slots = parts(params), parts(grads), [parts(slot) for slot in slots]
        update.step(rule, flags, params, grads, slots, values)

    def zeros(self, param: Any) -> Any:
        """A slot of a parameter, before its first step."""
        return zeros_like(param).detach()

    def counts_of(self, group: dict[str, Any], entries: list[dict[str, Any]]) -> list[int]:
        """The (advanced) step count of each of these parameters."""
        steps = self.steps_of(group, entries)
        return steps.counts if steps.count is None else [steps.count] * len(entries)

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


Rows = tuple[list[Any], list[Any], list[dict[str, Any]]]


def rows_at(
    places: list[int] | None, params: list[Any], grads: list[Any], entries: list[dict[str, Any]]
) -> Rows:
    """Parameters, gradients and states at these places; all of them for None."""
    held = chosen(places, params, grads, entries)
    return held[0], held[1], held[2]


def count_like(value: float) -> Any:
    """A number of the state, kept as PyTorch keeps step counts: a 0-d tensor."""
    core = float64 if Default.core is float64 else float32
    return tensor(value, dtype=BY_INDEX[core.index])


def first_step(entry: dict[str, Any], param: Any, *slots: str) -> None:
    """A step count of zero and slots of zeros."""
    entry["step"] = count_like(0.0)
    for name in slots:
        entry[name] = zeros_like(param).detach()
