"""What the random transforms share: draws in torchvision's order, sizes, descriptions."""

from __future__ import annotations

import numbers
from typing import Any

from diptych.companions.torchvision.face import torch
from diptych.torch import nn


def uniform(low: float, high: float) -> float:
    return float(torch.empty(1).uniform_(float(low), float(high)).item())


def integer(low: int, high: int) -> int:
    """A whole number from ``low`` up to, not including, ``high``."""
    return int(torch.randint(low, high, size=(1,)).item())


def described(self: Any, *names: str) -> str:
    inner = ", ".join(f"{name}={getattr(self, name)}" for name in names)
    return f"{type(self).__name__}({inner})"


def pair(size: Any, message: str = "Please provide only two dimensions (h, w) for size.") -> Any:
    if isinstance(size, numbers.Number):
        return int(size), int(size)  # type: ignore[call-overload]
    if len(size) == 1:
        return size[0], size[0]
    if len(size) != 2:
        raise ValueError(message)
    return size


class WithProbability(nn.Module):
    """A transform done with probability ``p``, decided by one draw."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def change(self, img: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}.change")

    def forward(self, img: Any) -> Any:
        return self.change(img) if torch.rand(1) < self.p else img

    def __repr__(self) -> str:
        return described(self, "p")
