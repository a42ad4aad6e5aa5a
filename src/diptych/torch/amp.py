"""torch.amp: automatic mixed precision; its context is there, its casts are not yet."""

from __future__ import annotations

import functools
from typing import Any


class autocast:  # noqa: N801 (PyTorch's name)
    """Mixed precision inside a block. Disabled it does nothing; enabled it is not there yet."""

    def __init__(
        self, device_type: str = "cuda", dtype: Any = None, enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:  # fmt: skip
        self.device, self.fast_dtype, self._enabled = device_type, dtype, enabled
        if device_type == "cuda":
            self._enabled = False  # as PyTorch does, without CUDA

    def __enter__(self) -> autocast:
        if self._enabled:
            raise NotImplementedError(
                f"torch.autocast(device_type={self.device!r}) is not implemented in diptych"
            )
        return self

    def __exit__(self, *exc: Any) -> Any:
        return False

    def __call__(self, function: Any) -> Any:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return run


class GradScaler:
    """Scales losses for float16 on a GPU; without one it is disabled, as PyTorch's is."""

    def __init__(self, device: str = "cuda", init_scale: float = 2.0**16,
                 growth_factor: float = 2.0, backoff_factor: float = 0.5,
                 growth_interval: int = 2000, enabled: bool = True) -> None:  # fmt: skip
        if enabled and device != "cuda":
            raise NotImplementedError("torch.amp.GradScaler on the CPU is not implemented")

    def is_enabled(self) -> bool:
        """False: there is no GPU."""
        return False

    def scale(self, outputs: Any) -> Any:
        """The outputs as they are."""
        return outputs

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """The optimizer's step."""
        return optimizer.step(*args, **kwargs)

    def unscale_(self, optimizer: Any) -> None:
        """Nothing was scaled."""

    def update(self, new_scale: Any = None) -> None:
        """Nothing was scaled."""

    def get_scale(self) -> float:
        """1: nothing is scaled."""
        return 1.0

    def state_dict(self) -> dict[str, Any]:
        """Empty, as a disabled scaler's."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to take over."""
