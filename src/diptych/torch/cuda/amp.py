"""torch.cuda.amp: the old names of torch.amp, for CUDA."""

from __future__ import annotations

import functools
import warnings
from typing import Any

from diptych.torch import amp
from diptych.torch.dtypes import NAMED


def deprecated(old: str, new: str) -> None:
    """Say what the name is now."""
    warnings.warn(
        f"`torch.{old}(args...)` is deprecated. Please use `torch.amp.{new}, args...)` instead.",
        FutureWarning, stacklevel=3,
    )  # fmt: skip


class autocast(amp.autocast):  # noqa: N801 (PyTorch's name)
    """``torch.amp.autocast("cuda")``."""

    def __init__(
        self, enabled: bool = True, dtype: Any = NAMED["float16"], cache_enabled: bool = True
    ) -> None:
        deprecated("cuda.amp.autocast", "autocast('cuda'")
        super().__init__("cuda", enabled=enabled, dtype=dtype, cache_enabled=cache_enabled)


class GradScaler(amp.GradScaler):
    """``torch.amp.GradScaler("cuda")``."""

    def __init__(
        self, init_scale: float = 65536.0, growth_factor: float = 2.0,
        backoff_factor: float = 0.5, growth_interval: int = 2000, enabled: bool = True,
    ) -> None:  # fmt: skip
        deprecated("cuda.amp.GradScaler", "GradScaler('cuda'")
        super().__init__(
            "cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled
        )


def custom_fwd(fwd: Any = None, *, cast_inputs: Any = None) -> Any:
    """``torch.amp.custom_fwd`` for CUDA."""
    deprecated("cuda.amp.custom_fwd", "custom_fwd(device_type='cuda'")
    return functools.partial(amp.custom_fwd, device_type="cuda")(fwd, cast_inputs=cast_inputs)


def custom_bwd(bwd: Any = None) -> Any:
    """``torch.amp.custom_bwd`` for CUDA."""
    deprecated("cuda.amp.custom_bwd", "custom_bwd(device_type='cuda'")
    return functools.partial(amp.custom_bwd, device_type="cuda")(bwd)


def amp_definitely_not_available() -> bool:
    """True: there is no CUDA."""
    return True
