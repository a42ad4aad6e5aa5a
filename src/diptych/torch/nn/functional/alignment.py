"""The CTC loss: label sequences against steps, without alignment."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.core.tensor import from_array
from diptych.ops.ctc import ctc
from diptych.ops.movement import expand_axis
from diptych.ops.reduction import sum_
from diptych.ops.select import where
from diptych.ops.transcendental import exp
from diptych.torch.dtypes import scalar_name
from diptych.torch.nn.functional.reduction import checked
from diptych.torch.tensor import Tensor, face

Array = np.ndarray[Any, Any]


def _lengths(values: Any, name: str, batch: int, highest: int | None) -> Array:
    """Lengths as int64, checked against the batch and a highest value."""
    if isinstance(values, Tensor):
        array = np.asarray(values.detach().array())
        if array.dtype.kind not in "iu":
            raise RuntimeError(f"{name} must be integral")
    else:
        array = np.asarray(values)
        if array.size and array.dtype.kind not in "iu":
            raise TypeError(f"ctc_loss(): argument '{name}' must be a Tensor or whole numbers")
    array = array.reshape(-1).astype(np.int64)
    if array.size != batch:
        raise RuntimeError(f"{name} must be of size batch_size")
    for bad, bound, word in (
        (array < 0, 0, "least"), (array > (highest or 0), highest, "most"),
    ):  # fmt: skip
        if bound is not None and bad.any():
            raise RuntimeError(
                f"Expected {name} to have value at {word} {bound}, but got value "
                f"{int(array[bad][0])} (while checking arguments for ctc_loss)"
            )
    return array


def _padded(targets: Any, lengths: Array, classes: int) -> Array:
    """Targets as (batch, labels), whichever of the two forms they come in."""
    values = np.asarray(targets.detach().array())
    if values.dtype.kind not in "iuf":
        raise RuntimeError("ctc_loss: targets are whole numbers")
    values = values.astype(np.int64)
    longest = int(lengths.max(initial=0))
    if values.ndim == 1:
        if values.size != lengths.sum():
            raise RuntimeError(
                f"Expected tensor to have size {int(lengths.sum())} at dimension 0, but got size "
                f"{values.size} for argument #2 'targets' (while checking arguments for ctc_loss)"
            )
        place = np.arange(longest)
        begin = np.cumsum(lengths) - lengths
        inside = place < lengths[:, None]
        at = np.where(inside, begin[:, None] + place, 0)
        padded = np.where(inside, values[at] if values.size else 0, 0)
    else:
        for axis, least, exact in ((0, lengths.size, True), (1, longest, False)):
            got = values.shape[axis]
            if got < least or (exact and got != least):
                words = "size" if exact else "size at least"
                raise RuntimeError(
                    f"Expected tensor to have {words} {least} at dimension {axis}, but got size "
                    f"{got} for argument #2 'targets' (while checking arguments for ctc_loss)"
                )
        inside = np.arange(values.shape[1]) < lengths[:, None]
        padded = np.where(inside, values, 0)
    if padded.size and not (0 <= int(padded.min()) and int(padded.max()) < classes):
        raise IndexError(f"ctc_loss: a target lies outside of [0, {classes})")
    return np.ascontiguousarray(padded, np.int64)


def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """-log of the probability of the targets, over all alignments, under (T, N, C) log-probs."""
    x: Any = face(log_probs, "ctc_loss", "log_probs")
    targets = face(targets, "ctc_loss", "targets", 2)
    checked(reduction)
    single = x.layout.ndim == 2
    if x.layout.ndim not in (2, 3):
        raise RuntimeError(f"log_probs must be 2D or 3D, but got {x.layout.ndim}D")
    if not x.layout.dtype.is_float or x.layout.dtype.itemsize < 4:
        raise NotImplementedError(
            f"\"ctc_loss_cpu\" not implemented for '{scalar_name(x.layout.dtype)}'"
        )
    if targets.layout.ndim not in (1, 2):
        raise RuntimeError(f"targets must be 1D or 2D, but got {targets.layout.ndim}D")
    if single:
        x = expand_axis(x, 1)
    time, batch, classes = x.layout.shape
    steps = _lengths(input_lengths, "input_lengths", batch, time)
    lengths = _lengths(target_lengths, "target_lengths", batch, None)
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    padded = _padded(targets, lengths, classes)
    operands = [from_array(values, Tensor) for values in (padded, steps, lengths)]
    losses: Any = ctc(x, operands[0], operands[1], operands[2], blank)
    if x.node is not None:
        losses = _with_slope_of_softmax(losses, x, steps)
    if zero_infinity:
        losses = where(losses.detach().isinf(), 0.0, losses)
    if reduction == "mean":
        share = np.maximum(lengths, 1).astype(x.layout.dtype.numpy)
        return (losses / from_array(share, Tensor)).mean()
    if reduction == "sum":
        return losses.sum()
    return losses.squeeze(0) if single else losses


def _with_slope_of_softmax(losses: Any, x: Any, steps: Array) -> Any:
    """The losses with exp(log_probs) added to their gradient, as PyTorch's has it.

    Its gradient is that in front of a log_softmax. Both lead to the same one behind it.
    """
    live = from_array((np.arange(x.layout.shape[0])[:, None] < steps)[:, :, None], Tensor)
    total: Any = sum_(where(live, exp(x), 0.0), (0, 2))
    return losses + (total - total.detach())
