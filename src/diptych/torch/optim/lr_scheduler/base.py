"""What all schedules share: counting steps, setting the rates, and state dicts."""

from __future__ import annotations

import functools
import types
import warnings
import weakref
from typing import Any

from diptych.core import recording
from diptych.torch.optim.optimizer import Optimizer
from diptych.torch.tensor import Tensor

EPOCH_DEPRECATION_WARNING = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where "
    "possible. Please use `scheduler.step()` to step the scheduler: given an epoch, the closed "
    "form is used where there is one."
)
_ORDER = (
    "call `optimizer.step()` before `lr_scheduler.step()`, or the first value of the learning "
    "rate schedule is skipped. See "
    "https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"
)


def require_optimizer(optimizer: Any) -> None:
    """TypeError for anything that is no optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def copied(value: Any) -> Any:
    """A rate that later changes of the original leave alone."""
    if isinstance(value, Tensor):
        held: Any = value
        return held.clone()
    return value


def rates(optimizer: Any, name: str = "lr") -> list[Any]:
    """An option of every parameter group, as it is now."""
    return [copied(group[name]) for group in optimizer.param_groups]


def put(group: dict[str, Any], name: str, value: Any) -> None:
    """Set an option of a group; one that is a tensor is filled."""
    if isinstance(group[name], Tensor):
        group[name].fill_(value)
    else:
        group[name] = value


def per_group(name: str, value: Any, optimizer: Any) -> list[Any]:
    """One value for every group, or a list with one for each; ValueError for another number."""
    groups = optimizer.param_groups
    if isinstance(value, (list, tuple)):
        if len(value) != len(groups):
            raise ValueError(
                f"{name} must have the same length as optimizer.param_groups. "
                f"{name} has {len(value)} values, param_groups has {len(groups)}."
            )
        return list(value)
    return [value] * len(groups)


def note_steps(optimizer: Any) -> None:
    """Let an optimizer remember that it has stepped, to tell who calls in the wrong order."""
    bound = optimizer.step
    if hasattr(bound, "_wrapped_by_lr_sched"):
        return
    function, reference = bound.__func__, weakref.ref(optimizer)

    @functools.wraps(function)
    def step(*args: Any, **kwargs: Any) -> Any:
        held: Any = reference()
        held._opt_called = True
        return function.__get__(held, type(held))(*args, **kwargs)

    step._wrapped_by_lr_sched = True  # type: ignore[attr-defined]
    optimizer.step = step


def function_state(function: Any) -> Any:
    """What a state dict holds of a user's function: an object's attributes, None of a function."""
    plain = function is None or isinstance(function, types.FunctionType)
    return None if plain else function.__dict__.copy()


def repeated(inner: Any) -> Any:
    """A schedule's ``step``, which a recorded call repeats as Python."""

    @functools.wraps(inner)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        if recording.active is not None:
            if not args and not kwargs:
                return recording.effect(step, self)
            recording.refuse("a schedule steps by an argument")
        return inner(self, *args, **kwargs)

    return step


class LRScheduler:
    """The base of all schedules: ``get_lr`` gives the next rates, ``step`` sets them."""

    _get_lr_called_within_step = False
    _is_initial = False
    last_epoch: int
    _step_count: int
    _last_lr: list[Any]

    def __init__(self, optimizer: Any, last_epoch: int = -1) -> None:
        require_optimizer(optimizer)
        self.optimizer = optimizer
        for index, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", copied(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{index}] when resuming "
                    "scheduler with last_epoch >= 0: load the optimizer's state first, or start "
                    "with last_epoch=-1"
                )
        self.base_lrs = rates(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        note_steps(optimizer)
        self._initial_step()

    def _initial_step(self) -> None:
        """Set the first rates."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {name: value for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""
        self.__dict__.update(state_dict)

    def get_last_lr(self) -> list[Any]:
        """The rates that were set last."""
        return self._last_lr

    def get_lr(self) -> list[Any]:
        """The rates of ``last_epoch``; a schedule says what they are."""
        raise NotImplementedError(f"{type(self).__name__}.get_lr: a schedule says what it is")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = cls.__dict__.get("step")
        if callable(own):
            cls.step = repeated(own)  # type: ignore[method-assign]

    @repeated
    def step(self, epoch: int | None = None) -> None:
        """Go on to the next rates (or those of an epoch)."""
        if self._step_count == 1:
            self._check_order()
        self._step_count += 1
        if epoch is not None:
            warnings.warn(EPOCH_DEPRECATION_WARNING, UserWarning, stacklevel=2)
        self._update_lr(epoch)

    def _check_order(self) -> None:
        if not hasattr(self.optimizer.step, "_wrapped_by_lr_sched"):
            warnings.warn(
                "Seems like `optimizer.step()` has been overridden after learning rate scheduler "
                f"initialization; {_ORDER}",
                UserWarning, stacklevel=3,
            )  # fmt: skip
        elif not getattr(self.optimizer, "_opt_called", False):
            warnings.warn(
                f"Detected call of `lr_scheduler.step()` before `optimizer.step()`: {_ORDER}",
                UserWarning, stacklevel=3,
            )  # fmt: skip

    def _update_lr(self, epoch: int | None = None) -> None:
        self._get_lr_called_within_step = True
        try:
            if epoch is None:
                self.last_epoch += 1
                values = self.get_lr()
            else:
                self.last_epoch = epoch
                values = getattr(self, "_get_closed_form_lr", self.get_lr)()
        finally:
            self._get_lr_called_within_step = False
        self._set(values)

    def _set(self, values: list[Any]) -> None:
        groups = self.optimizer.param_groups
        for group, value in zip(groups, values, strict=True):
            put(group, "lr", value)
        self._last_lr = rates(self.optimizer)

    def _now(self) -> list[Any]:
        """The rates as they are; warns whoever asks for new ones outside of a step."""
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use "
                "`get_last_lr()`.",
                UserWarning, stacklevel=3,
            )  # fmt: skip
        return rates(self.optimizer)
