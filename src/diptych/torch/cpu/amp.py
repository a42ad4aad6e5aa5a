"""torch.cpu.amp: the old names of torch.amp, for the CPU."""

from __future__ import annotations

from typing import Any

from diptych.torch import amp
from diptych.torch.cuda.amp import deprecated
from diptych.torch.dtypes import NAMED


class autocast(amp.autocast):  # noqa: N801 (PyTorch's name)
    """``torch.amp.autocast("cpu")``."""

    def __init__(
        self, enabled: bool = True, dtype: Any = NAMED["bfloat16"], cache_enabled: bool = True
    ) -> None:
        deprecated("cpu.amp.autocast", "autocast('cpu'")
        super().__init__("cpu", enabled=enabled, dtype=dtype, cache_enabled=cache_enabled)


class GradScaler(amp.GradScaler):
    """``torch.amp.GradScaler("cpu")``."""

    def __init__(
        self, init_scale: float = 65536.0, growth_factor: float = 2.0,
        backoff_factor: float = 0.5, growth_interval: int = 2000, enabled: bool = True,
    ) -> None:  # fmt: skip
        deprecated("cpu.amp.GradScaler", "GradScaler('cpu'")
        super().__init__("cpu", init_scale, growth_factor, backoff_factor, growth_interval, enabled)
