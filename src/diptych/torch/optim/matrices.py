"""Adafactor and Muon, which look at a parameter as a matrix."""

from __future__ import annotations

import math
from typing import Any

from diptych.optim import matrices
from diptych.torch.creation import zeros
from diptych.torch.dtypes import BY_INDEX, finfo
from diptych.torch.optim.optimizer import number
from diptych.torch.optim.stepping import Stepping, first_step, one_rate, rows_at


def _check(name: str, value: Any, valid: bool, bound: str) -> None:
    if not valid:
        raise ValueError(f"{name} should be {bound} but is: {value}")


class Adafactor(Stepping):
    """Steps scaled by squares of which a matrix keeps only those of its rows and columns."""

    defaults_of_old = {"foreach": None}

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        beta2_decay: float = -0.8,
        eps: Any = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        one_rate(lr)
        _check("Learning rate", lr, number(lr) >= 0.0, ">= 0")
        _check("beta2_decay", beta2_decay, beta2_decay <= 0.0, "<= 0")
        _check("epsilon1", eps[0], eps[0] is None or eps[0] >= 0.0, ">= 0")
        _check("epsilon2", eps[1], eps[1] >= 0.0, ">= 0")
        _check("Clipping threshold d", d, d >= 1.0, ">= 1")
        _check("weight_decay", weight_decay, weight_decay >= 0.0, ">= 0")
        super().__init__(
            params,
            {
                "lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d,
                "weight_decay": weight_decay, "foreach": foreach, "maximize": maximize,
            },
        )  # fmt: skip

    def begin(self, group: dict[str, Any], param: Any, entry: dict[str, Any]) -> None:
        place = param.layout
        if place.dtype.is_complex:
            raise RuntimeError("Adafactor does not support complex parameters")
        if place.ndim < 2:
            first_step(entry, param, "variance")
            return
        first_step(entry, param)
        dtype = BY_INDEX[place.dtype.index]
        entry["row_var"] = zeros((*place.shape[:-1], 1), dtype=dtype)
        entry["col_var"] = zeros((*place.shape[:-2], 1, place.shape[-1]), dtype=dtype)

    def step(self, closure: Any = None) -> Any:
        loss = self.closed(closure)
        for group in self.param_groups:
            params, grads, entries = self.gather(group)
            if not params:
                continue
            alike: dict[Any, list[int]] = {}
            for place, (count, param) in enumerate(
                zip(self.counts_of(group, entries), params, strict=True)
            ):
                key = (count, param.layout.ndim >= 2, param.layout.dtype.index)
                alike.setdefault(key, []).append(place)
            for (count, factored, dtype), places in alike.items():
                rule = matrices.ADAFACTOR if factored else matrices.ADAFACTOR_VECTOR
                rate, decay, floor = number(group["lr"]), group["weight_decay"], group["eps"][0]
                if floor is None:
                    floor = finfo(BY_INDEX[dtype]).eps
                self.run(
                    rule, (group["maximize"], decay != 0),
                    *rows_at(places, params, grads, entries),
                    (count ** group["beta2_decay"], min(rate, 1 / math.sqrt(count)),
                     group["eps"][1], 1 - rate * decay, floor, floor * floor, group["d"]),
                )  # fmt: skip
        return loss


def adjusted(rate: float, way: str | None, shape: tuple[int, ...]) -> float:
    """Muon's learning rate for a matrix of this shape."""
    if way == "match_rms_adamw":
        return rate * 0.2 * math.sqrt(max(shape[:2]))
    return rate * math.sqrt(max(1, shape[0] / shape[1]))


class Muon(Stepping):
    """Momentum whose direction is made orthogonal: every singular value moves alike."""

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: Any = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        one_rate(lr)
        _check("Learning rate", lr, number(lr) >= 0.0, ">= 0")
        _check("momentum", momentum, momentum >= 0.0, ">= 0")
        _check("weight decay", weight_decay, weight_decay >= 0.0, ">= 0")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        super().__init__(
            params,
            {
                "lr": lr, "weight_decay": weight_decay, "momentum": momentum,
                "nesterov": nesterov, "ns_coefficients": ns_coefficients, "eps": eps,
                "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn,
            },
        )  # fmt: skip
        for group in self.param_groups:
            for param in group["params"]:
                if param.layout.ndim != 2:
                    raise ValueError(
                        "Muon only supports 2D parameters whereas we found a parameter with "
                        f"size: {param.shape}"
                    )

    def begin(self, group: dict[str, Any], param: Any, entry: dict[str, Any]) -> None:
        if param.layout.dtype.is_complex:
            raise RuntimeError("Muon does not support complex parameters")
        entry["momentum_buffer"] = self.zeros(param)

    def step(self, closure: Any = None) -> Any:
        loss = self.closed(closure)
        for group in self.param_groups:
            if group["ns_steps"] >= 100:
                raise ValueError(
                    "Number of steps must be less than 100 for computational efficiency"
                )
            if len(group["ns_coefficients"]) != 3:
                raise ValueError("Coefficients must be a tuple of exactly 3 values")
            params, grads, entries = self.gather(group)
            alike: dict[Any, list[int]] = {}
            for place, param in enumerate(params):
                shape = param.layout.shape
                alike.setdefault(
                    adjusted(number(group["lr"]), group["adjust_lr_fn"], shape), []
                ).append(place)
            momentum = group["momentum"]
            flags = (
                group["nesterov"], 1 - momentum >= 0.5, tuple(group["ns_coefficients"]),
                group["ns_steps"], group["eps"],
            )  # fmt: skip
            for rate, places in alike.items():
                decay = 1 - number(group["lr"]) * group["weight_decay"]
                self.run(
                    matrices.MUON, flags, *rows_at(places, params, grads, entries),
                    (1 - momentum, momentum, -rate, decay),
                )  # fmt: skip
        return loss
