"""Optimizers that scale each element's step: RMSprop, Adagrad, Adadelta, Adamax."""

from __future__ import annotations

from typing import Any

from diptych.optim import rules
from diptych.torch.creation import full_like
from diptych.torch.optim.optimizer import number
from diptych.torch.optim.stepping import (
    Stepping,
    check,
    check_capturable,
    check_fused,
    check_rate,
    chosen,
    first_step,
    refuse_differentiable,
)


class RMSprop(Stepping):
    """Steps scaled by a running mean of the gradient's square."""

    defaults_of_old = {
        "momentum": 0, "centered": False, "foreach": None, "maximize": False,
        "differentiable": False, "capturable": False,
    }  # fmt: skip

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_rate(lr)
        check("epsilon value", eps, eps >= 0.0)
        check("momentum value", momentum, momentum >= 0.0)
        check("weight_decay value", weight_decay, weight_decay >= 0.0)
        check("alpha value", alpha, alpha >= 0.0)
        refuse_differentiable("RMSprop", differentiable)
        super().__init__(
            params,
            {
                "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered,
                "weight_decay": weight_decay, "capturable": capturable, "foreach": foreach,
                "maximize": maximize, "differentiable": differentiable,
            },
        )  # fmt: skip

    def _rule(self, group: dict[str, Any]) -> Any:
        return rules.RMSPROP[(group["momentum"] > 0, bool(group["centered"]))]

    def begin(self, group: dict[str, Any], param: Any, entry: dict[str, Any]) -> None:
        first_step(entry, param, *self._rule(group).slots)

    def step(self, closure: Any = None) -> Any:
        loss = self.closed(closure)
        for group in self.param_groups:
            params, grads, entries = self.gather(group)
            if params:
                check_capturable(group, "params and state_steps")
                self.steps_of(group, entries)
                alpha, decay = group["alpha"], group["weight_decay"]
                moves = group["momentum"] > 0
                flags = (group["maximize"], decay != 0, group["centered"], moves, 1 - alpha >= 0.5)
                self.run(
                    self._rule(group), flags, params, grads, entries,
                    (-number(group["lr"]), decay, alpha, 1 - alpha, group["eps"],
                     group["momentum"]),
                )  # fmt: skip
        return loss


class Adagrad(Stepping):
    """Steps scaled by the sum of all squares of the gradient."""

    defaults_of_old = {
        "foreach": None, "maximize": False, "differentiable": False, "fused": None,
    }  # fmt: skip

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_rate(lr)
        check("lr_decay value", lr_decay, lr_decay >= 0.0)
        check("weight_decay value", weight_decay, weight_decay >= 0.0)
        check(
            "initial_accumulator_value value",
            initial_accumulator_value,
            initial_accumulator_value >= 0.0,
        )
        check("epsilon value", eps, eps >= 0.0)
        check_fused(fused, foreach, differentiable)
        refuse_differentiable("Adagrad", differentiable)
        super().__init__(
            params,
            {
                "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value, "foreach": foreach,
                "maximize": maximize, "differentiable": differentiable, "fused": fused,
            },
        )  # fmt: skip
        for group in self.param_groups:  # PyTorch's Adagrad has its state from the start
            for param in group["params"]:
                self.begin(group, param, self.state[param])

    def begin(self, group: dict[str, Any], param: Any, entry: dict[str, Any]) -> None:
        first_step(entry, param)
        entry["sum"] = full_like(param, group["initial_accumulator_value"]).detach()

    def step(self, closure: Any = None) -> Any:
        loss = self.closed(closure)
        for group in self.param_groups:
            params, grads, entries = self.gather(group)
            if not params:
                continue
            decay = group["weight_decay"]
            flags = (group["maximize"], decay != 0)
            for count, places in self.by_count(group, entries):
                rate = number(group["lr"]) / (1 + (count - 1) * group["lr_decay"])
                held = chosen(places, params, grads, entries)
                self.run(
                    rules.ADAGRAD, flags, held[0], held[1], held[2],
                    (-rate, decay, group["eps"]),
                )  # fmt: skip
        return loss


class Adadelta(Stepping):
    """Steps scaled by running means of the steps' and the gradient's squares."""

    defaults_of_old = {
        "foreach": None, "maximize": False, "differentiable": False, "capturable": False,
    }  # fmt: skip

    def __init__(
        self,
        params: Any,
        lr: Any = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_rate(lr)
        check("rho value", rho, 0.0 <= rho <= 1.0)
        check("epsilon value", eps, eps >= 0.0)
        check("weight_decay value", weight_decay, weight_decay >= 0.0)
        refuse_differentiable("Adadelta", differentiable)
        super().__init__(
            params,
            {
                "lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay,
                "maximize": maximize, "capturable": capturable, "foreach": foreach,
                "differentiable": differentiable,
            },
        )  # fmt: skip

    def begin(self, group: dict[str, Any], param: Any, entry: dict[str, Any]) -> None:
        first_step(entry, param, *rules.ADADELTA.slots)

    def step(self, closure: Any = None) -> Any:
        loss = self.closed(closure)
        for group in self.param_groups:
            params, grads, entries = self.gather(group)
            if params:
                check_capturable(group, "params and state_steps")
                self.steps_of(group, entries)
                rho, decay = group["rho"], group["weight_decay"]
                self.run(
                    rules.ADADELTA, (group["maximize"], decay != 0), params, grads, entries,
                    (-number(group["lr"]), decay, rho, 1 - rho, group["eps"]),
                )  # fmt: skip
        return loss


class Adamax(Stepping):
    """Adam with the largest gradient in place of the mean square."""

    defaults_of_old = {
        "foreach": None, "maximize": False, "differentiable": False, "capturable": False,
    }  # fmt: skip

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: Any = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_rate(lr)
        check("epsilon value", eps, eps >= 0.0)
        check("beta parameter at index 0", betas[0], 0.0 <= betas[0] < 1.0)
        check("beta parameter at index 1", betas[1], 0.0 <= betas[1] < 1.0)
        check("weight_decay value", weight_decay, weight_decay >= 0.0)
        refuse_differentiable("Adamax", differentiable)
        super().__init__(
            params,
            {
                "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                "foreach": foreach, "maximize": maximize, "differentiable": differentiable,
                "capturable": capturable,
            },
        )  # fmt: skip

    def begin(self, group: dict[str, Any], param: Any, entry: dict[str, Any]) -> None:
        first_step(entry, param, *rules.ADAMAX.slots)

    def step(self, closure: Any = None) -> Any:
        loss = self.closed(closure)
        for group in self.param_groups:
            params, grads, entries = self.gather(group)
            if not params:
                continue
            check_capturable(group, "params and state_steps")
            (beta1, beta2), decay = group["betas"], group["weight_decay"]
            flags = (group["maximize"], decay != 0, 1 - beta1 >= 0.5)
            for count, places in self.by_count(group, entries):
                step = number(group["lr"]) / (1 - beta1**count)
                held = chosen(places, params, grads, entries)
                self.run(
                    rules.ADAMAX, flags, held[0], held[1], held[2],
                    (-step, decay, beta1, 1 - beta1, beta2, group["eps"]),
                )  # fmt: skip
        return loss
