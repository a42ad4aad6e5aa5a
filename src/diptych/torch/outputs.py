"""``out=``: writing a result into a tensor the caller gives."""

from __future__ import annotations

import warnings
from typing import Any

from diptych.core import inplace, tape
from diptych.core.layout import layout
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import empty
from diptych.ops.select import ASSIGN
from diptych.torch.dtypes import scalar_name
from diptych.torch.promotion import PARAMS, castable
from diptych.torch.tensor import Tensor


def write(out: Any, result: CoreTensor, function: str) -> Any:
    """Put ``result`` into ``out``, resizing it where the shapes differ; returns ``out``."""
    if not isinstance(out, Tensor):
        raise TypeError(f"{function}(): argument 'out' must be Tensor, not {type(out).__name__}")
    if tape.mode.enabled and (out.node is not None or result.node is not None):
        raise RuntimeError(
            f"{function}(): functions with out=... arguments don't support automatic "
            "differentiation, but one of the arguments requires grad."
        )
    source, target = result.layout.dtype, out.layout.dtype
    if not castable(source, target):
        raise RuntimeError(
            f"result type {scalar_name(source)} can't be cast to the desired output type "
            f"{scalar_name(target)}"
        )
    if out.layout.shape != result.layout.shape:
        resize(out, result.layout.shape)
    inplace.update(out, ASSIGN, (out, result), PARAMS[target])
    return out


def resize(out: Tensor, shape: tuple[int, ...]) -> None:
    """Give ``out`` fresh memory of another shape, with PyTorch's warning if it held anything."""
    if out.layout.size:
        warnings.warn(
            f"An output with one or more elements was resized since it had shape "
            f"{list(out.layout.shape)}, which does not match the required output shape "
            f"{list(shape)}. This behavior is deprecated, and in a future PyTorch release outputs "
            "will not be resized unless they have zero elements. You can explicitly reuse an out "
            "tensor t by resizing it, inplace, to zero elements with t.resize_(0).",
            UserWarning,
            stacklevel=4,
        )
    fresh = empty(layout(out.layout.dtype, shape), Tensor)
    out.layout, out.buffer, out.address = fresh.layout, fresh.buffer, fresh.address


def finish(result: Any, out: Any, function: str) -> Any:
    """``result``, or ``out`` holding it when one was given."""
    return result if out is None else write(out, result, function)
