"""torch.types: names for annotations."""

from __future__ import annotations

from typing import Any

from diptych.torch.device import device
from diptych.torch.dtypes import dtype
from diptych.torch.size import Size
from diptych.torch.tensor import Tensor

Number = int | float | bool
Device = device | str | int | None
FileLike = Any
Storage = Any
IntLikeType = int
FloatLikeType = float
BoolLikeType = bool
__all__ = ["Device", "Number", "Size", "Tensor", "dtype"]
