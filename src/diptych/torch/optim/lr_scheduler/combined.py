"""Schedules of schedules: one after another, and several at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from diptych.torch.optim.lr_scheduler.base import LRScheduler, rates
from diptych.torch.optim.lr_scheduler.plateau import ReduceLROnPlateau


def _require_one_optimizer(kind: str, schedulers: Sequence[Any], optimizer: Any) -> None:
    for index, scheduler in enumerate(schedulers):
        if scheduler.optimizer is not optimizer:
            raise ValueError(
                f"{kind} expects all schedulers to belong to the same optimizer, but got "
                f"scheduler {type(scheduler).__name__} at index {index} has "
                f"{scheduler.optimizer}, which is different from {type(optimizer).__name__}."
            )


class _Several(LRScheduler):
    """What both have: a list of schedules, whose states lie in theirs."""

    _schedulers: list[Any]

    def state_dict(self) -> dict[str, Any]:
        """The state, with those of all schedules."""
        held = super().state_dict()
        del held["_schedulers"]
        held["_schedulers"] = [scheduler.state_dict() for scheduler in self._schedulers]
        return held

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state, and those of all schedules."""
        rest = dict(state_dict)
        states = rest.pop("_schedulers")
        super().load_state_dict(rest)
        for scheduler, held in zip(self._schedulers, states, strict=True):
            scheduler.load_state_dict(held)


def _take_back(scheduler: Any) -> None:
    """Undo the count of the step that a schedule made when it was constructed."""
    for inner in getattr(scheduler, "_schedulers", ()):
        _take_back(inner)
    if hasattr(scheduler, "last_epoch"):
        scheduler.last_epoch -= 1


class SequentialLR(_Several):
    """One schedule after another, each from its milestone on."""

    def __init__(
        self, optimizer: Any, schedulers: Any, milestones: Any, last_epoch: int = -1
    ) -> None:
        if len(schedulers) < 1:
            raise ValueError("SequentialLR expects at least one scheduler, but got no scheduler.")
        for index, scheduler in enumerate(schedulers):
            if not hasattr(scheduler, "optimizer"):
                raise TypeError(
                    f"SequentialLR at index {index} should have `optimizer` as its attribute."
                )
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(
                    "SequentialLR does not support `ReduceLROnPlateau` scheduler as it requires "
                    "additional kwargs to be specified when calling `step`, but got one at index "
                    f"{index} in the given schedulers sequence."
                )
        _require_one_optimizer("SequentialLR", schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                "Sequential Schedulers expects number of schedulers provided to be one more than "
                f"the number of milestone points, but got number of schedulers {len(schedulers)} "
                f"and the number of milestones to be equal to {len(milestones)}"
            )
        self._schedulers = schedulers
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        # Each schedule set its first rate when it was made: only the first one's counts.
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        for scheduler in schedulers:
            _take_back(scheduler)
        schedulers[0]._initial_step()
        self._last_lr = schedulers[0].get_last_lr()

    def step(self) -> None:
        """A step of the schedule whose turn it is; a new one starts at its beginning."""
        self.last_epoch += 1
        index = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[index]
        if index > 0 and self._milestones[index - 1] == self.last_epoch:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


class ChainedScheduler(_Several):
    """Several schedules, each changing what the one before it has set."""

    def __init__(self, schedulers: Any, optimizer: Any = None) -> None:
        if len(schedulers) < 1:
            raise ValueError(
                "ChainedScheduler expects at least one scheduler to be chained, but got no "
                "scheduler."
            )
        optimizer = optimizer or schedulers[0].optimizer
        for index, scheduler in enumerate(schedulers):
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(
                    "ChainedScheduler does not support `ReduceLROnPlateau` scheduler as it "
                    "requires additional kwargs to be specified when calling `step`, but got one "
                    f"at index {index} in the given schedulers sequence."
                )
        _require_one_optimizer("ChainedScheduler", schedulers, optimizer)
        self._schedulers = schedulers
        self.optimizer = optimizer
        self._last_lr = rates(optimizer)

    def step(self) -> None:
        """A step of every schedule."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = rates(self.optimizer)
