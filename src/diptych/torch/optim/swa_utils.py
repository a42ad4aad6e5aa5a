"""torch.optim.swa_utils: averages of a model along its training, and their learning rates."""

from __future__ import annotations

import copy
import itertools
import math
from typing import Any

from diptych.optim import rules, update
from diptych.torch.creation import tensor
from diptych.torch.gradients import no_grad
from diptych.torch.nn.modules.module import Module
from diptych.torch.optim.lr_scheduler.base import LRScheduler, per_group
from diptych.torch.optim.lr_scheduler.base import rates as rates_of
from diptych.torch.optim.optimizer import number

PARAM_LIST = tuple[Any, ...] | list[Any]


def _check_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )


def _move(averaged: Any, current: Any, weight: float) -> None:
    """Bring all averages nearer to the current values, as one engine call."""
    places = [i for i, x in enumerate(averaged) if x.layout.dtype.is_float]
    if len(places) == len(averaged):
        update.step(
            rules.AVERAGE, (weight >= 0.5,), averaged, [x.detach() for x in current], [],
            (weight, 1 - weight),
        )  # fmt: skip
        return
    for held, value in zip(averaged, current, strict=True):
        held.copy_(held + (value - held) * weight)


def get_ema_multi_avg_fn(decay: float = 0.999) -> Any:
    """The exponential average of lists of parameters."""
    _check_decay(decay)

    @no_grad()
    def ema_update(ema_param_list: Any, current_param_list: Any, _: Any) -> None:
        _move(ema_param_list, current_param_list, 1 - decay)

    return ema_update


def get_swa_multi_avg_fn() -> Any:
    """The plain average of lists of parameters."""

    @no_grad()
    def swa_update(averaged_param_list: Any, current_param_list: Any, num_averaged: Any) -> None:
        _move(averaged_param_list, current_param_list, 1 / (number(num_averaged) + 1))

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> Any:
    """The exponential average of one parameter."""
    _check_decay(decay)

    @no_grad()
    def ema_update(ema_param: Any, current_param: Any, num_averaged: Any) -> Any:
        return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_swa_avg_fn() -> Any:
    """The plain average of one parameter."""

    @no_grad()
    def swa_update(averaged_param: Any, current_param: Any, num_averaged: Any) -> Any:
        return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


class AveragedModel(Module):
    """A copy of a model whose parameters are the average of those it is shown."""

    n_averaged: Any

    def __init__(
        self, model: Any, device: Any = None, avg_fn: Any = None, multi_avg_fn: Any = None,
        use_buffers: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the averaged model computes."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Any) -> None:
        """Take a model's present parameters into the average."""
        mine, theirs = self._averaged(self.module), self._averaged(model)
        held = [x.detach() for x in mine]
        seen = [x.detach() for x in theirs]
        if self.n_averaged == 0:
            for own, other in zip(held, seen, strict=True):
                own.copy_(other)
        elif held:
            self._average(held, seen)
        if not self.use_buffers:
            for own, other in zip(self.module.buffers(), model.buffers(), strict=True):
                own.detach().copy_(other.detach())
        self.n_averaged += 1

    def _averaged(self, model: Any) -> list[Any]:
        if self.use_buffers:
            return list(itertools.chain(model.parameters(), model.buffers()))
        return list(model.parameters())

    def _average(self, held: list[Any], seen: list[Any]) -> None:
        if self.avg_fn is None:
            average = self.multi_avg_fn or get_swa_multi_avg_fn()
            average(held, seen, self.n_averaged)
            return
        for own, other in zip(held, seen, strict=True):
            own.copy_(self.avg_fn(own, other, self.n_averaged))


@no_grad()
def update_bn(loader: Any, model: Any, device: Any = None) -> None:
    """Compute the running statistics of a model's batch norms anew, from a pass over data."""
    momenta = {}
    for module in model.modules():
        if hasattr(module, "reset_running_stats") and hasattr(module, "momentum"):
            module.reset_running_stats()
            momenta[module] = module.momentum
    if not momenta:
        return
    was_training = model.training
    model.train()
    for module in momenta:
        module.momentum = None
    for batch in loader:
        inputs = batch[0] if isinstance(batch, (list, tuple)) else batch
        model(inputs if device is None else inputs.to(device))
    for module, momentum in momenta.items():
        module.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """From the present rates to a constant one in ``anneal_epochs``."""

    def __init__(
        self, optimizer: Any, swa_lr: Any, anneal_epochs: int = 10, anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        for value, group in zip(
            per_group("swa_lr", swa_lr, optimizer), optimizer.param_groups, strict=True
        ):
            group["swa_lr"] = value
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        self._anneal_strategy = anneal_strategy
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        """How far the way to the constant rate is at a step."""
        done = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return (1 - math.cos(math.pi * done)) / 2 if self._anneal_strategy == "cos" else done

    def get_lr(self) -> list[Any]:
        now = self._now()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, here = self._share(step - 1), self._share(step)
        values = []
        for rate, goal in zip(now, rates_of(self.optimizer, "swa_lr"), strict=True):
            start = goal if before == 1 else (rate - before * goal) / (1 - before)
            values.append(goal * here + start * (1 - here))
        return values
