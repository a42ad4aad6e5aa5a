"""Gradients held to a norm or to a range."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

from diptych.core import recording, tape
from diptych.ops.arithmetic import mul
from diptych.ops.collection import total_norm
from diptych.optim.update import Rule, step
from diptych.torch.creation import tensor
from diptych.torch.tensor import Tensor, face

_SCALING = Rule(
    "clip_grads_with_norm_",
    (),
    ("factor",),
    lambda own, same, slots, numbers, flags: (mul(own, numbers[0]),),
)


def _gradients(parameters: Any) -> list[Any]:
    if isinstance(parameters, Tensor):
        parameters = [parameters]
    elif not isinstance(parameters, list):
        parameters = list(parameters)
        if not parameters:
            warnings.warn(
                "`parameters` is an empty generator, no gradient clipping will occur.",
                stacklevel=3,
            )
    return [p.grad for p in parameters if p.grad is not None]


def get_total_norm(
    tensors: Any,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Any:
    """The norm of all tensors' elements together: the norm of their norms."""
    tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    tensors = [face(x, "get_total_norm", "tensors") for x in tensors]
    norm_type = float(norm_type)
    with tape.recording(False):
        if not tensors:
            return tensor(0.0)
        if norm_type == 2.0 and _alike(tensors):
            return _finite(total_norm(tensors), norm_type, error_if_nonfinite)
        norms = [t.norm(norm_type) for t in tensors]
        if len(norms) == 1:
            total = norms[0].norm(norm_type) if norm_type != 2.0 else norms[0].abs()
        elif norm_type == float("inf"):
            total = norms[0]
            for norm in norms[1:]:
                total = total.maximum(norm)
        else:
            flat = norms[0].new_empty(len(norms))
            for place, norm in enumerate(norms):
                flat[place] = norm
            total = flat.norm(norm_type)
        return _finite(total, norm_type, error_if_nonfinite)


def _alike(tensors: Any) -> bool:
    """Whether all are of one real floating dtype."""
    dtype = tensors[0].layout.dtype
    return dtype.is_float and all(x.layout.dtype is dtype for x in tensors)


def _finite(total: Any, norm_type: float, wanted: bool) -> Any:
    if wanted and not bool(total.isfinite()):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is "
            "non-finite, so it cannot be clipped. To disable this error and scale the "
            "gradients by the non-finite norm anyway, set `error_if_nonfinite=False`"
        )
    return total


def clip_grads_with_norm_(
    parameters: Any, max_norm: float, total_norm: Any, foreach: bool | None = None
) -> None:
    """Scale the gradients, in place, by max_norm / total_norm where that is below one."""
    grads = _gradients(parameters)
    with tape.recording(False):
        factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
        if not grads:
            return
        if recording.active is not None or not _alike([factor, *grads]):
            for grad in grads:
                grad.mul_(factor)
            return
        number = factor.item()
        if number != 1.0:  # scaling by one changes nothing
            step(_SCALING, (), grads, grads, (), (number,))


def clip_grad_norm_(
    parameters: Any,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Any:
    """Scale all gradients to a common norm of at most ``max_norm``; gives the norm before."""
    if not isinstance(parameters, (Tensor, list)) and isinstance(parameters, Iterable):
        parameters = list(parameters) or _gradients(iter(()))
    grads = _gradients(parameters)
    total = get_total_norm(grads, norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(parameters, max_norm, total, foreach)
    return total


def clip_grad_norm(
    parameters: Any,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Any:
    """The old name of clip_grad_norm_."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of "
        "`torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def clip_grad_value_(parameters: Any, clip_value: float, foreach: bool | None = None) -> None:
    """Hold every element of the gradients, in place, between -clip_value and clip_value."""
    clip_value = float(clip_value)
    with tape.recording(False):
        for grad in _gradients(parameters):
            grad.clamp_(min=-clip_value, max=clip_value)
