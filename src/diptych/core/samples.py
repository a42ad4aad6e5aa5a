"""Sample tensors: what stands for one sample of many that are computed at once."""

from __future__ import annotations

from typing import Any

from diptych.core import call
from diptych.core.buffer import Buffer
from diptych.core.tensor import Tensor
from diptych.errors import ArgumentError

_UNREADABLE = (
    "vmap: it looks like you are reading a sample's elements (.item(), .numpy(), bool(), control "
    "flow that depends on a value), or using a sample outside the function that vmap calls. All "
    "samples are computed at once, so one has no elements of its own: use torch.where and the "
    "like, and return what is needed outside"
)


class Nowhere:
    """Where a sample tensor has its address: false, and what would pass it to a kernel raises."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __index__(self) -> int:
        raise ArgumentError(_UNREADABLE)

    __int__ = __index__

    def __add__(self, other: object) -> int:
        raise ArgumentError(_UNREADABLE)

    __radd__ = __sub__ = __rsub__ = __add__


NOWHERE: Any = Nowhere()


class SampleBuffer(Buffer):
    """No memory: the value of all samples, and the axis they differ along (None: they do not)."""

    __slots__ = ("axis", "level", "value")

    def __init__(self, level: Any, value: Tensor, axis: int | None) -> None:
        super().__init__(NOWHERE, 0, None)
        self.level = level
        self.value = value
        self.axis = axis

    @property
    def memory(self) -> Any:
        raise ArgumentError(_UNREADABLE)

    @memory.setter
    def memory(self, value: Any) -> None:
        """There is none to keep."""


def is_sample(x: Tensor) -> bool:
    """Whether ``x`` stands for one sample of many."""
    return x.buffer.__class__ is SampleBuffer


def behind(x: Tensor) -> Tensor:
    """The tensor that holds the elements of all samples of ``x``: ``x`` itself for any other."""
    buffer: Any = x.buffer
    while buffer.__class__ is SampleBuffer:
        x = buffer.value
        buffer = x.buffer
    return x


def attached(x: Tensor) -> bool:
    """Whether any level's tape holds ``x``."""
    buffer: Any = x.buffer
    return x.node is not None or (buffer.__class__ is SampleBuffer and attached(buffer.value))


def drawing_level() -> Any:
    """The level under which a random function draws for each sample; None where it draws once.

    Raises RuntimeError where the level allows no random functions.
    """
    level: Any = call.current
    mode = getattr(level, "randomness", None)
    if mode == "error":
        raise RuntimeError(
            "vmap: called random operation while in randomness error mode. Please either use the "
            "'same' or 'different' randomness flags on vmap or perform the randomness operation "
            "out of vmap"
        )
    return level if mode == "different" else None


def each_sample(level: Any, draw: Any, shape: tuple[int, ...]) -> Tensor:
    """``draw(shape)`` for each sample of a level: drawn at once, the samples first."""
    with call.installed(level.outer):
        value = draw((level.size, *shape))
    made: Tensor = level.sample(value, 0, value.result_type)
    return made
