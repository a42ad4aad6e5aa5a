"""What the functions of linear algebra share: checks in PyTorch's words, LAPACK's complaints."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.core import dtypes as engine
from diptych.errors import LinAlgError as LinAlgError
from diptych.torch.dtypes import scalar_name as word
from diptych.torch.tensor import Tensor, face


def matrices(x: Any, name: str, square: bool = False) -> Tensor:
    """``x`` as matrices that LAPACK works on; RuntimeError in PyTorch's words if it is none."""
    x = face(x, name, "A")
    shape = x.layout.shape
    if len(shape) < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    if square and shape[-1] != shape[-2]:
        raise RuntimeError(
            f"{name}: A must be batches of square matrices, but they are {shape[-2]} by "
            f"{shape[-1]} matrices"
        )
    if x.layout.dtype not in (*engine.FLOATS[2:], *engine.COMPLEX):
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got "
            f"{word(x.layout.dtype)}"
        )
    return x


def guarded(function: Any, message: str, *operands: Any) -> Any:
    """Call LAPACK through an operation; its complaint in PyTorch's class and words."""
    try:
        return function(*operands)
    except (np.linalg.LinAlgError, LinAlgError) as error:
        raise LinAlgError(f"{message} ({error})") from error


def epsilon(x: Tensor) -> float:
    """The spacing of the dtype at one."""
    return 2.0**-52 if engine.real_of(x.layout.dtype) is engine.float64 else 2.0**-23
