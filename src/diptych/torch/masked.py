"""torch.masked: reductions and normalisations that leave out what a mask leaves out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from diptych.ops import movement, select
from diptych.torch import absent, binary, namespace, ordering, reductions, selection
from diptych.torch import dtypes as torch_dtypes
from diptych.torch.tensor import face


def _extreme(x: Any, sign: float) -> float:
    """The dtype's end on one side: what never is the extremum of anything else."""
    core = x.layout.dtype
    if core.is_float:
        return sign * math.inf
    info = np.iinfo(core.numpy if core.kind != "b" else np.uint8)
    return int(info.max if sign > 0 else info.min)


def _given(input: Any, name: str, dtype: Any) -> Any:
    x: Any = face(input, name)
    return x if dtype is None else x.to(dtype)


def _filled(x: Any, mask: Any, value: Any) -> Any:
    """``x`` with ``value`` where the mask does not hold."""
    if mask is None:
        return x
    keep = movement.broadcast_to(face(mask, "masked", "mask"), x.layout.shape)
    return face(select.where(keep, x, value, x.layout.dtype), "masked")


def _over(x: Any, dim: Any) -> Any:
    """The dims of a reduction: all of them for None and ()."""
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return tuple(range(x.layout.ndim))
    return dim


def _reduction(name: str, function: Callable[..., Any], value: Callable[[Any], Any]) -> Any:
    """A reduction over dims, of what the mask leaves; ``value`` is what does not change it."""

    def reduce(
        input: Any, dim: Any = None, *, keepdim: bool | None = False, dtype: Any = None,
        mask: Any = None,
    ) -> Any:  # fmt: skip
        x = _given(input, name, dtype)
        return function(_filled(x, mask, value(x)), _over(x, dim), bool(keepdim))

    reduce.__name__ = reduce.__qualname__ = name
    return reduce


def _prod_over(x: Any, dims: Any, keepdim: bool) -> Any:
    for axis in sorted([dims] if isinstance(dims, int) else dims, reverse=True):
        x = x.prod(axis, keepdim=keepdim)
    return x


sum = _reduction("sum", reductions.sum, lambda x: 0)
prod = _reduction("prod", _prod_over, lambda x: 1)
amax = _reduction("amax", reductions.amax, lambda x: _extreme(x, -1))
amin = _reduction("amin", reductions.amin, lambda x: _extreme(x, 1))
logsumexp = _reduction("logsumexp", reductions.logsumexp, lambda x: _extreme(x, -1))


def _position(name: str, function: Any, sign: float) -> Any:
    def position(
        input: Any, dim: int | None = None, *, keepdim: bool | None = False, dtype: Any = None,
        mask: Any = None,
    ) -> Any:  # fmt: skip
        x = _given(input, name, dtype)
        found = function(_filled(x, mask, _extreme(x, sign)), dim, bool(keepdim))
        return found.to(x.dtype)

    position.__name__ = position.__qualname__ = name
    return position


argmax = _position("argmax", reductions.argmax, -1)
argmin = _position("argmin", reductions.argmin, 1)


def _along(name: str, function: Any, value: Callable[[Any], Any]) -> Any:
    """A function along one axis that keeps the shape."""

    def run(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
        x = _given(input, name, dtype)
        return function(_filled(x, mask, value(x)), dim)

    run.__name__ = run.__qualname__ = name
    return run


def _softmin(x: Any, dim: int) -> Any:
    return namespace.softmax(-x, dim)


cumsum = _along("cumsum", ordering.cumsum, lambda x: 0)
cumprod = _along("cumprod", ordering.cumprod, lambda x: 1)
softmax = _along("softmax", namespace.softmax, lambda x: _extreme(x, -1))
log_softmax = _along("log_softmax", namespace.log_softmax, lambda x: _extreme(x, -1))
softmin = _along("softmin", _softmin, lambda x: _extreme(x, 1))


def _count(x: Any, dim: Any, keepdim: bool, mask: Any) -> Any:
    ones = x.new_ones(x.layout.shape, dtype=torch_dtypes.NAMED["int64"])
    return sum(ones, dim, keepdim=keepdim, mask=mask)


def mean(
    input: Any, dim: Any = None, *, keepdim: bool | None = False, dtype: Any = None,
    mask: Any = None,
) -> Any:  # fmt: skip
    """The mean of what the mask leaves (NaN of nothing)."""
    x = _given(input, "mean", dtype)
    if mask is None:
        return reductions.mean(x, _over(x, dim), bool(keepdim))
    if not x.layout.dtype.is_inexact:
        raise ValueError(
            "mean(): Could not infer output dtype. Input dtype must be either a floating point or "
            f"complex dtype. Got: {x.dtype}"
        )
    total = sum(x, dim, keepdim=keepdim, mask=mask)
    return total / _count(x, dim, bool(keepdim), mask)


def median(
    input: Any, dim: int = -1, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Any:
    """The (lower) median of what the mask leaves."""
    x = _given(input, "median", dtype)
    if mask is None:
        return reductions.median(x, dim, keepdim)[0]
    if not x.layout.dtype.is_float:
        raise NotImplementedError("torch.masked.median of whole numbers with a mask is not there")
    return reductions.nanmedian(_filled(x, mask, math.nan), dim, keepdim)[0]


def norm(
    input: Any, ord: Any = 2.0, dim: Any = None, *, keepdim: bool | None = False,
    dtype: Any = None, mask: Any = None,
) -> Any:  # fmt: skip
    """The vector norm of what the mask leaves."""
    x = _given(input, "norm", dtype)
    value = math.inf if ord == -math.inf else 0
    filled = _filled(x, mask, value)
    return reductions.vector_norm(filled, ord, _over(x, dim), bool(keepdim))


def normalize(
    input: Any, ord: Any, dim: int, *, eps: float = 1e-12, dtype: Any = None, mask: Any = None
) -> Any:
    """What the mask leaves, divided by its norm along an axis."""
    x = _given(input, "normalize", dtype)
    size = norm(x, ord, dim, keepdim=True, mask=mask)
    return _filled(x, mask, 0) / binary.FUNCTIONS["maximum"](size, size.new_full((), eps))


def _spread(
    input: Any, dim: Any, unbiased: bool | None, correction: Any, keepdim: bool | None, dtype: Any,
    mask: Any, name: str,
) -> Any:  # fmt: skip
    x = _given(input, name, dtype)
    if not x.layout.dtype.is_inexact:
        x = x.to(torch_dtypes.get_default_dtype())
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    if mask is None:
        function = reductions.std if name == "std" else reductions.var
        return function(x, _over(x, dim), correction=correction, keepdim=bool(keepdim))
    count = _count(x, dim, True, mask)
    centre = sum(x, dim, keepdim=True, mask=mask) / count
    gap = x - centre
    total = sum(gap * gap.conj(), dim, keepdim=keepdim, mask=mask)
    number = count.reshape(total.layout.shape)
    if correction != 0:
        number = selection.clamp_min(number - correction, 0)
    result = total / number
    return result.sqrt() if name == "std" else result


def var(
    input: Any, dim: Any = None, unbiased: bool | None = None, *, correction: Any = None,
    keepdim: bool | None = False, dtype: Any = None, mask: Any = None,
) -> Any:  # fmt: skip
    """The variance of what the mask leaves."""
    return _spread(input, dim, unbiased, correction, keepdim, dtype, mask, "var")


def std(
    input: Any, dim: Any = None, unbiased: bool | None = None, *, correction: Any = None,
    keepdim: bool | None = False, dtype: Any = None, mask: Any = None,
) -> Any:  # fmt: skip
    """The standard deviation of what the mask leaves."""
    return _spread(input, dim, unbiased, correction, keepdim, dtype, mask, "std")


def logaddexp(
    input: Any, other: Any, *, dtype: Any = None, input_mask: Any = None, other_mask: Any = None
) -> Any:
    """log(exp(input) + exp(other)), what a mask leaves out counting as nothing."""
    a, b = _given(input, "logaddexp", dtype), _given(other, "logaddexp", dtype)
    return binary.logaddexp(_filled(a, input_mask, -math.inf), _filled(b, other_mask, -math.inf))


_ABSENT = ("MaskedTensor", "as_masked_tensor", "is_masked_tensor", "masked_tensor")


def __getattr__(name: str) -> Any:
    if name in _ABSENT:
        return absent.function(f"torch.masked.{name}")
    raise AttributeError(f"module 'torch.masked' has no attribute '{name}'")


__all__ = [
    "amax", "amin", "argmax", "argmin", "cumprod", "cumsum", "log_softmax", "logaddexp",
    "logsumexp", "mean", "median", "norm", "normalize", "prod", "softmax", "softmin", "std", "sum",
    "var",
]  # fmt: skip
