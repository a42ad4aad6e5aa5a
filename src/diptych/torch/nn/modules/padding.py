"""Padding layers: a constant, zeros, or the input continued past its edges."""

from __future__ import annotations

from typing import Any

from diptych.torch.nn import functional as F
from diptych.torch.nn.modules.module import Module


def _pairs(padding: Any, axes: int) -> tuple[int, ...]:
    return (padding,) * (2 * axes) if isinstance(padding, int) else tuple(padding)


class _Pad(Module):
    """Widens the last ``axes`` axes, in a mode of ``F.pad``."""

    __constants__ = ["padding"]
    axes = 0
    mode = ""

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = _pairs(padding, self.axes)

    def forward(self, input: Any) -> Any:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    """Widens with a number."""

    __constants__ = ["padding", "value"]
    mode = "constant"

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Any) -> Any:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _CircularPad(_Pad):
    """Widens with the other end."""

    mode = "circular"

    def forward(self, input: Any) -> Any:
        if input.dim() not in (self.axes + 1, self.axes + 2):
            raise ValueError(
                f"expected {self.axes + 1}D or {self.axes + 2}D input (got {input.dim()}D input)"
            )
        return F.pad(input, self.padding, "circular")


class ConstantPad1d(_ConstantPad):
    """Widens the last axis with a number."""

    axes = 1


class ConstantPad2d(_ConstantPad):
    """Widens the last two axes with a number."""

    axes = 2


class ConstantPad3d(_ConstantPad):
    """Widens the last three axes with a number."""

    axes = 3


class ZeroPad1d(ConstantPad1d):
    """Widens the last axis with zeros."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad2d(ConstantPad2d):
    """Widens the last two axes with zeros."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad3d(ConstantPad3d):
    """Widens the last three axes with zeros."""

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ReflectionPad1d(_Pad):
    """Widens the last axis by mirroring at the edge."""

    axes, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """Widens the last two axes by mirroring at the edges."""

    axes, mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """Widens the last three axes by mirroring at the edges."""

    axes, mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """Widens the last axis by repeating the edge."""

    axes, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """Widens the last two axes by repeating the edges."""

    axes, mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """Widens the last three axes by repeating the edges."""

    axes, mode = 3, "replicate"


class CircularPad1d(_CircularPad):
    """Widens the last axis with the other end."""

    axes = 1


class CircularPad2d(_CircularPad):
    """Widens the last two axes with the other ends."""

    axes = 2


class CircularPad3d(_CircularPad):
    """Widens the last three axes with the other ends."""

    axes = 3
