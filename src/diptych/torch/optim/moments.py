"""NAdam and RAdam: Adam with Nesterov's momentum, and with its first steps rectified."""

from __future__ import annotations

import math
from typing import Any

from diptych.core.tensor import store
from diptych.optim import adaptive
from diptych.torch.optim.optimizer import number
from diptych.torch.optim.stepping import (
    Rows,
    Stepping,
    check,
    check_capturable,
    check_rate,
    count_like,
    first_step,
    refuse_differentiable,
    rows_at,
)


def _check(lr: Any, betas: Any, eps: float, weight_decay: float) -> None:
    check_rate(lr)
    check("epsilon value", eps, eps >= 0.0)
    check("beta parameter at index 0", betas[0], 0.0 <= betas[0] < 1.0)
    check("beta parameter at index 1", betas[1], 0.0 <= betas[1] < 1.0)
    check("weight_decay value", weight_decay, weight_decay >= 0.0)


def decay_of(group: dict[str, Any]) -> tuple[str, float]:
    """The kind of a group's weight decay, and its number: of the gradient, or the factor."""
    decay = group["weight_decay"]
    if decay == 0:
        return "", 0.0
    if group["decoupled_weight_decay"]:
        return "decoupled", 1 - number(group["lr"]) * decay
    return "plain", decay


class NAdam(Stepping):
    """Adam with Nesterov's momentum."""

    slots = adaptive.NADAM.slots
    defaults_of_old = {
        "maximize": False, "foreach": None, "capturable": False, "differentiable": False,
        "decoupled_weight_decay": False,
    }  # fmt: skip

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: Any = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        _check(lr, betas, eps, weight_decay)
        check("momentum_decay value", momentum_decay, momentum_decay >= 0.0)
        refuse_differentiable("NAdam", differentiable)
        super().__init__(
            params,
            {
                "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                "momentum_decay": momentum_decay,
                "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize,
                "foreach": foreach, "capturable": capturable, "differentiable": differentiable,
            },
        )  # fmt: skip

    def begin(self, group: dict[str, Any], param: Any, entry: dict[str, Any]) -> None:
        first_step(entry, param)
        entry["mu_product"] = count_like(1.0)
        for name in self.slots:
            entry[name] = self.zeros(param)

    def step(self, closure: Any = None) -> Any:
        loss = self.closed(closure)
        for group in self.param_groups:
            params, grads, entries = self.gather(group)
            if not params:
                continue
            check_capturable(group, "params, mu_products and state_steps")
            counts = self.counts_of(group, entries)
            beta1, decay = group["betas"][0], group["momentum_decay"]
            alike: dict[tuple[int, float, float], list[int]] = {}
            for place, (count, entry) in enumerate(zip(counts, entries, strict=True)):
                mu = beta1 * (1.0 - 0.5 * 0.96 ** (count * decay))
                product = entry["mu_product"]
                store(product, product.array() * product.array().dtype.type(mu))
                product.buffer.version += 1
                alike.setdefault((count, mu, product.item()), []).append(place)
            for (count, mu, product), places in alike.items():
                following = beta1 * (1.0 - 0.5 * 0.96 ** ((count + 1) * decay))
                held = rows_at(None if len(alike) == 1 else places, params, grads, entries)
                rate = number(group["lr"])
                by_gradient = -rate * (1.0 - mu) / (1.0 - product)
                by_mean = -rate * following / (1.0 - product * following)
                self._move(group, held, count, by_gradient, by_mean)
        return loss

    def _move(
        self, group: dict[str, Any], held: Rows, count: int, by_gradient: float, by_mean: float
    ) -> None:
        """One call of the rule on parameters with one step count and one product of momenta."""
        beta1, beta2 = group["betas"]
        kind, decay = decay_of(group)
        self.run(
            adaptive.NADAM, (group["maximize"], kind, 1 - beta1 >= 0.5), *held,
            (beta1, 1 - beta1, beta2, 1 - beta2, 1 - beta2**count, group["eps"],
             by_gradient, by_mean, decay),
        )  # fmt: skip


class RAdam(Stepping):
    """Adam whose scaling waits until the variance of the squares' mean is known to be small."""

    slots = adaptive.RADAM.slots
    defaults_of_old = NAdam.defaults_of_old

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: Any = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        _check(lr, betas, eps, weight_decay)
        refuse_differentiable("RAdam", differentiable)
        super().__init__(
            params,
            {
                "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                "maximize": maximize, "foreach": foreach, "capturable": capturable,
                "decoupled_weight_decay": decoupled_weight_decay,
                "differentiable": differentiable,
            },
        )  # fmt: skip

    def begin(self, group: dict[str, Any], param: Any, entry: dict[str, Any]) -> None:
        first_step(entry, param, *self.slots)

    def step(self, closure: Any = None) -> Any:
        loss = self.closed(closure)
        for group in self.param_groups:
            params, grads, entries = self.gather(group)
            if not params:
                continue
            check_capturable(group, "params and state_steps")
            (beta1, beta2), (kind, decay) = group["betas"], decay_of(group)
            heavy = 1 - beta1 >= 0.5
            for count, places in self.by_count(group, entries):
                second = 1 - beta2**count
                longest = 2 / (1 - beta2) - 1
                length = longest - 2 * count * beta2**count / second
                rectified, by = length > 5.0, 0.0
                if rectified:
                    by = math.sqrt(
                        (length - 4) * (length - 2) * longest
                        / ((longest - 4) * (longest - 2) * length)
                    )  # fmt: skip
                self.run(
                    adaptive.RADAM, (group["maximize"], kind, heavy, rectified),
                    *rows_at(places, params, grads, entries),
                    (beta1, 1 - beta1, beta2, 1 - beta2, 1 - beta1**count, number(group["lr"]),
                     second**0.5, by, group["eps"], decay),
                )  # fmt: skip
        return loss
