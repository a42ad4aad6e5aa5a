"""SGD: gradient descent, with momentum."""

from __future__ import annotations

from typing import Any

from diptych.optim import rules
from diptych.torch.optim.optimizer import number
from diptych.torch.optim.stepping import (
    Stepping,
    check,
    check_fused,
    check_rate,
    refuse_differentiable,
)

Rows = tuple[list[Any], list[Any], list[Any]]


class SGD(Stepping):
    """Stochastic gradient descent, with (Nesterov) momentum and weight decay if asked."""

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: Any = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_rate(lr)
        check("momentum value", momentum, momentum >= 0.0)
        check("weight_decay value", weight_decay, number(weight_decay) >= 0.0)
        check_fused(fused, foreach, differentiable)
        refuse_differentiable("SGD", differentiable)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(
            params,
            {
                "lr": lr, "momentum": momentum, "dampening": dampening,
                "weight_decay": weight_decay, "nesterov": nesterov, "maximize": maximize,
                "foreach": foreach, "differentiable": differentiable, "fused": fused,
            },
        )  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("nesterov", False)
            group.setdefault("maximize", False)
            group.setdefault("foreach", None)
            group.setdefault("differentiable", False)
            group.setdefault("fused", False)

    def step(self, closure: Any = None) -> Any:
        loss = self.closed(closure)
        for group in self.param_groups:
            if group["momentum"] == 0:
                self._plain(group)
            else:
                self._with_momentum(group)
        return loss

    def _values(self, group: dict[str, Any]) -> tuple[float, ...]:
        return (
            -number(group["lr"]), number(group["weight_decay"]), group["momentum"],
            1 - group["dampening"],
        )  # fmt: skip

    def _plain(self, group: dict[str, Any]) -> None:
        params, grads = [], []
        for param in group["params"]:
            grad = param.held_grad
            if grad is not None:
                params.append(param)
                grads.append(grad)
        if params:
            flags = (group["maximize"], group["weight_decay"] != 0, False, False)
            self.run(rules.SGD, flags, params, grads, [], self._values(group))

    def _with_momentum(self, group: dict[str, Any]) -> None:
        new: Rows = ([], [], [])
        known: Rows = ([], [], [])
        for param in group["params"]:
            grad = param.held_grad
            if grad is None:
                continue
            entry = self.state[param]
            first = entry.get("momentum_buffer") is None
            if first:
                entry["momentum_buffer"] = grad.detach().clone()
            rows = new if first else known
            rows[0].append(param)
            rows[1].append(grad)
            rows[2].append(entry)
        for rows, first in ((new, True), (known, False)):
            if rows[0]:
                flags = (group["maximize"], group["weight_decay"] != 0, first, group["nesterov"])
                self.run(rules.SGD_MOMENTUM, flags, *rows, self._values(group))
