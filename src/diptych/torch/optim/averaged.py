"""ASGD and Rprop: averages of where descent has been; steps that know only the gradient's sign."""

from __future__ import annotations

from typing import Any

from diptych.optim import adaptive
from diptych.torch.creation import full_like
from diptych.torch.optim.optimizer import number
from diptych.torch.optim.stepping import (
    Stepping,
    check,
    check_capturable,
    check_rate,
    count_like,
    first_step,
    refuse_differentiable,
    rows_at,
)


def put(scalar: Any, value: float) -> None:
    """Write a number into a 0-d tensor of the state."""
    scalar.array()[...] = value
    scalar.buffer.version += 1


class ASGD(Stepping):
    """Gradient descent that also keeps the average of the parameters along its way."""

    defaults_of_old = {
        "foreach": None, "maximize": False, "differentiable": False, "capturable": False,
    }  # fmt: skip

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_rate(lr)
        check("weight_decay value", weight_decay, weight_decay >= 0.0)
        refuse_differentiable("ASGD", differentiable)
        super().__init__(
            params,
            {
                "lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay,
                "foreach": foreach, "maximize": maximize, "differentiable": differentiable,
                "capturable": capturable,
            },
        )  # fmt: skip

    def begin(self, group: dict[str, Any], param: Any, entry: dict[str, Any]) -> None:
        first_step(entry, param)
        entry["eta"] = count_like(number(group["lr"]))
        entry["mu"] = count_like(1.0)
        entry["ax"] = self.zeros(param)

    def step(self, closure: Any = None) -> Any:
        loss = self.closed(closure)
        for group in self.param_groups:
            params, grads, entries = self.gather(group)
            if not params:
                continue
            check_capturable(group, "params, mus, etas, and state_steps")
            counts = self.counts_of(group, entries)
            rate, lambd, decay = number(group["lr"]), group["lambd"], group["weight_decay"]
            alike: dict[tuple[float, float], list[int]] = {}
            for place, entry in enumerate(entries):
                alike.setdefault((entry["eta"].item(), entry["mu"].item()), []).append(place)
            for (eta, weight), places in alike.items():
                self.run(
                    adaptive.ASGD, (group["maximize"], decay != 0, weight != 1),
                    *rows_at(None if len(alike) == 1 else places, params, grads, entries),
                    (-eta, 1 - lambd * eta, weight, decay),
                )  # fmt: skip
            for count, entry in zip(counts, entries, strict=True):
                put(entry["eta"], rate / (1 + lambd * rate * count) ** group["alpha"])
                put(entry["mu"], 1 / max(1, count - group["t0"]))
        return loss


class Rprop(Stepping):
    """Steps of a size of each element's own, that grows while its gradient keeps its sign."""

    defaults_of_old = ASGD.defaults_of_old

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        etas: Any = (0.5, 1.2),
        step_sizes: Any = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_rate(lr)
        etas, step_sizes = tuple(etas), tuple(step_sizes)
        if len(etas) != 2 or len(step_sizes) != 2:
            raise ValueError("Rprop: etas and step_sizes must be pairs of numbers")
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        refuse_differentiable("Rprop", differentiable)
        super().__init__(
            params,
            {
                "lr": lr, "etas": etas, "step_sizes": step_sizes, "foreach": foreach,
                "maximize": maximize, "differentiable": differentiable, "capturable": capturable,
            },
        )  # fmt: skip

    def begin(self, group: dict[str, Any], param: Any, entry: dict[str, Any]) -> None:
        first_step(entry, param, "prev")
        rate = number(group["lr"])
        # A complex parameter is a pair of numbers, and each of them has its step.
        first = complex(rate, rate) if param.layout.dtype.is_complex else rate
        entry["step_size"] = full_like(param, first).detach()

    def step(self, closure: Any = None) -> Any:
        loss = self.closed(closure)
        for group in self.param_groups:
            params, grads, entries = self.gather(group)
            if params:
                check_capturable(group, "params and state_steps")
                self.counts_of(group, entries)
                self.run(
                    adaptive.RPROP, (group["maximize"],), params, grads, entries,
                    (*group["etas"], *group["step_sizes"]),
                )  # fmt: skip
        return loss
