"""GradScaler: losses scaled up so that small gradients survive in float16."""

from __future__ import annotations

import enum
import warnings
from collections import defaultdict
from typing import Any

import numpy as np

from diptych.optim import rules, update
from diptych.torch.creation import tensor
from diptych.torch.dtypes import NAMED
from diptych.torch.tensor import Tensor


class OptState(enum.Enum):
    """How far an optimizer is in this iteration."""

    READY = 0
    UNSCALED = 1
    STEPPED = 2


def _fresh() -> dict[str, Any]:
    return {"stage": OptState.READY, "found_inf_per_device": {}}


class GradScaler:
    """Scales losses, unscales gradients, and skips steps whose gradients overflowed."""

    def __init__(
        self, device: str = "cuda", init_scale: float = 2.0**16, growth_factor: float = 2.0,
        backoff_factor: float = 0.5, growth_interval: int = 2000, enabled: bool = True,
    ) -> None:  # fmt: skip
        self._device = device
        self._enabled = enabled
        if device == "cuda" and enabled:
            warnings.warn(
                "torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.",
                UserWarning, stacklevel=2,
            )  # fmt: skip
            self._enabled = False
        if self._enabled:
            if not growth_factor > 1.0:
                raise AssertionError("The growth factor must be > 1.0.")
            if not backoff_factor < 1.0:
                raise AssertionError("The backoff factor must be < 1.0.")
            self._init_scale = init_scale
            self._scale: Any = None
            self._growth_factor = growth_factor
            self._backoff_factor = backoff_factor
            self._growth_interval = growth_interval
            self._init_growth_tracker = 0
            self._growth_tracker: Any = None
            self._per_optimizer_states: Any = defaultdict(_fresh)

    # ---- scaling

    def _begin(self) -> None:
        self._scale = tensor(self._init_scale, dtype=NAMED["float32"])
        self._growth_tracker = tensor(self._init_growth_tracker, dtype=NAMED["int32"])

    def _check_begun(self, what: str) -> None:
        if self._scale is None:
            raise AssertionError(
                f"Attempted {what} but _scale is None.  This may indicate your script did not use "
                "scaler.scale(loss or outputs) earlier in the iteration."
            )

    def scale(self, outputs: Any) -> Any:
        """A tensor, or any iterable of them, times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            if self._scale is None:
                self._begin()
            return outputs * self._scale
        if hasattr(outputs, "__iter__") and not isinstance(outputs, str):
            scaled = [self.scale(value) for value in outputs]
            return type(outputs)(scaled) if isinstance(outputs, (list, tuple)) else iter(scaled)
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    def unscale_(self, optimizer: Any) -> None:
        """Divide an optimizer's gradients by the scale, and look for infinities in them."""
        if not self._enabled:
            return
        self._check_begun("unscale_")
        held = self._per_optimizer_states[id(optimizer)]
        if held["stage"] is OptState.UNSCALED:
            raise RuntimeError(
                "unscale_() has already been called on this optimizer since the last update()."
            )
        if held["stage"] is OptState.STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        held["found_inf_per_device"] = self._unscale(optimizer)
        held["stage"] = OptState.UNSCALED

    def _unscale(self, optimizer: Any) -> dict[Any, Any]:
        """Every gradient divided, in one engine call; whether one was not finite."""
        grads = [
            p.grad for group in optimizer.param_groups for p in group["params"]
            if p.grad is not None
        ]  # fmt: skip
        if not grads:
            return {}
        inverse = 1.0 / float(self._scale.item())
        update.step(rules.SCALE, (), [g.detach() for g in grads], grads, [], (inverse,))
        overflow = any(not np.isfinite(g.values()).all() for g in grads)
        return {grads[0].device: tensor(float(overflow))}

    # ---- stepping

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """The optimizer's step, unless its gradients overflowed."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._check_begun("step")
        held = self._per_optimizer_states[id(optimizer)]
        if held["stage"] is OptState.STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if held["stage"] is OptState.READY:
            self.unscale_(optimizer)
        if not held["found_inf_per_device"]:
            raise AssertionError("No inf checks were recorded for this optimizer.")
        result = None
        if not any(found.item() for found in held["found_inf_per_device"].values()):
            result = optimizer.step(*args, **kwargs)
        held["stage"] = OptState.STEPPED
        return result

    def update(self, new_scale: Any = None) -> None:
        """Shrink the scale after an overflow, grow it after enough steps without one."""
        if not self._enabled:
            return
        self._check_begun("update")
        if new_scale is not None:
            self._set_scale(new_scale)
        else:
            found = [
                value.item()
                for held in self._per_optimizer_states.values()
                for value in held["found_inf_per_device"].values()
            ]
            if not found:
                raise AssertionError("No inf checks were recorded prior to update.")
            if any(found):
                self._scale.mul_(self._backoff_factor)
                self._growth_tracker.fill_(0)
            elif self._growth_tracker.item() + 1 == self._growth_interval:
                grown = self._scale * self._growth_factor
                if np.isfinite(grown.item()):
                    self._scale.copy_(grown)
                self._growth_tracker.fill_(0)
            else:
                self._growth_tracker.add_(1)
        self._per_optimizer_states = defaultdict(_fresh)

    def _set_scale(self, new_scale: Any) -> None:
        if isinstance(new_scale, Tensor):
            if new_scale.numel() != 1 or new_scale.requires_grad:
                raise AssertionError(
                    "new_scale should be a float or a 1-element torch.FloatTensor with "
                    "requires_grad=False."
                )
            new_scale = float(new_scale.item())
        self._scale.fill_(new_scale)

    # ---- settings

    def is_enabled(self) -> bool:
        """Whether it scales."""
        return self._enabled

    def get_scale(self) -> float:
        """The scale now (1 when disabled)."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale is None else float(self._scale.item())

    def get_growth_factor(self) -> float:
        """What the scale grows by."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set what the scale grows by."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What the scale shrinks by."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set what the scale shrinks by."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """How many steps without overflow it takes to grow."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set how many steps without overflow it takes to grow."""
        self._growth_interval = new_interval

    def _get_growth_tracker(self) -> int:
        if not self._enabled:
            return 0
        if self._growth_tracker is None:
            return self._init_growth_tracker
        return int(self._growth_tracker.item())

    # ---- state

    def state_dict(self) -> dict[str, Any]:
        """The scale and the settings; empty when disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(), "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor, "growth_interval": self._growth_interval,
            "_growth_tracker": self._get_growth_tracker(),
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled "
                "instance of GradScaler."
            )
        self._init_scale = state_dict["scale"]
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._init_growth_tracker = state_dict["_growth_tracker"]
        if self._scale is not None:
            self._scale.fill_(state_dict["scale"])
            self._growth_tracker.fill_(state_dict["_growth_tracker"])

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if self._enabled:
            if self._per_optimizer_states:
                raise AssertionError(
                    "A GradScaler instance may only be pickled at the beginning of an iteration, "
                    "or at the end after scaler.update()."
                )
            state["_init_scale"] = self.get_scale()
            state["_init_growth_tracker"] = self._get_growth_tracker()
            state["_scale"] = state["_growth_tracker"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
