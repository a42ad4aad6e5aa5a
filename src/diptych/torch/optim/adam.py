"""Adam and AdamW."""

from __future__ import annotations

from typing import Any

from diptych.optim import rules
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
from diptych.torch.tensor import Tensor


class Adam(Stepping):
    """Steps scaled by running means of the gradient and of its square."""

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: Any = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_rate(lr)
        if isinstance(lr, Tensor) and foreach and not capturable:
            raise ValueError(
                "lr as a Tensor is not supported for capturable=False and foreach=True"
            )
        check("epsilon value", eps, eps >= 0.0)
        check("beta parameter at index 0", betas[0], 0.0 <= number(betas[0]) < 1.0)
        check("beta parameter at index 1", betas[1], 0.0 <= number(betas[1]) < 1.0)
        check("weight_decay value", weight_decay, weight_decay >= 0.0)
        check_fused(fused, foreach, differentiable)
        refuse_differentiable(type(self).__name__, differentiable)
        super().__init__(
            params,
            {
                "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                "amsgrad": amsgrad, "maximize": maximize, "foreach": foreach,
                "capturable": capturable, "differentiable": differentiable, "fused": fused,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name in ("amsgrad", "maximize", "capturable", "differentiable"):
                group.setdefault(name, False)
            group.setdefault("foreach", None)
            group.setdefault("fused", None)
            group.setdefault("decoupled_weight_decay", False)

    def begin(self, group: dict[str, Any], param: Any, entry: dict[str, Any]) -> None:
        first_step(entry, param, *self._rule(group).slots)

    def _rule(self, group: dict[str, Any]) -> Any:
        return rules.AMSGRAD if group["amsgrad"] else rules.ADAM

    def step(self, closure: Any = None) -> Any:
        loss = self.closed(closure)
        for group in self.param_groups:
            params, grads, entries = self.gather(group)
            if not params:
                continue
            check_capturable(group, "params and state_steps")
            rate, decay = number(group["lr"]), group["weight_decay"]
            beta1, beta2 = number(group["betas"][0]), number(group["betas"][1])
            kind = ""
            if group["decoupled_weight_decay"]:
                kind = "decoupled" if decay != 0 else ""
                decay = 1 - rate * decay
            elif decay != 0:
                kind = "plain"
            flags = (group["maximize"], kind, 1 - beta1 >= 0.5)
            for count, places in self.by_count(group, entries):
                first, second = 1 - beta1**count, 1 - beta2**count
                held = chosen(places, params, grads, entries)
                self.run(
                    self._rule(group), flags, held[0], held[1], held[2],
                    (beta1, 1 - beta1, beta2, 1 - beta2, -(rate / first), second**0.5,
                     group["eps"], decay),
                )  # fmt: skip
        return loss


class AdamW(Adam):
    """Adam whose weight decay does not go through the running means."""

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: Any = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad,
            foreach=foreach, maximize=maximize, capturable=capturable,
            differentiable=differentiable, fused=fused, decoupled_weight_decay=True,
        )  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
