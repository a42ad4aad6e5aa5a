"""torch.signal.windows: the weights that taper a signal's ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from diptych.torch.creation import as_dtype, finished
from diptych.torch.device import check_device
from diptych.torch.dtypes import Default, core_of

Array = np.ndarray[Any, Any]


def _made(
    name: str, M: Any, values: Callable[[Array, int], Array], sym: bool, dtype: Any, device: Any,
    requires_grad: bool,
) -> Any:  # fmt: skip
    """A window of M weights: ``values`` of the positions 0 to M - 1 and the period."""
    core = Default.core if dtype is None else core_of(dtype)
    if core.name not in ("float32", "float64"):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: torch.{core.name}")
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    check_device(device)
    if M <= 1:
        weights = np.ones(M)
    else:
        weights = values(np.arange(M, dtype=np.float64), M - 1 if sym else M)
    return finished(as_dtype(weights, core), requires_grad)


def _cosines(weights: Sequence[float]) -> Callable[[Array, int], Array]:
    """A sum of cosines of the window's harmonics, with signs that alternate."""

    def values(k: Array, period: int) -> Array:
        phase = 2 * math.pi / period * k
        terms = [(-1) ** i * a * np.cos(i * phase) for i, a in enumerate(weights)]
        return np.asarray(sum(terms))

    return values


def general_cosine(
    M: int, *, a: Any, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Any:  # fmt: skip
    """A sum of cosines with the given weights."""
    if not hasattr(a, "__iter__"):
        raise TypeError("Coefficients must be a list/tuple")
    if not a:
        raise ValueError("Coefficients cannot be empty")
    return _made("general_cosine", M, _cosines(list(a)), sym, dtype, device, requires_grad)


def _fixed(name: str, values: Callable[[Array, int], Array]) -> Any:
    """A window without an argument of its own."""

    def window(
        M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
        requires_grad: bool = False,
    ) -> Any:  # fmt: skip
        return _made(name, M, values, sym, dtype, device, requires_grad)

    window.__name__ = window.__qualname__ = name
    return window


bartlett = _fixed("bartlett", lambda k, period: 1 - np.abs(2 * k / period - 1))
blackman = _fixed("blackman", _cosines((0.42, 0.5, 0.08)))
hann = _fixed("hann", _cosines((0.5, 0.5)))
hamming = _fixed("hamming", _cosines((0.54, 0.46)))
nuttall = _fixed("nuttall", _cosines((0.3635819, 0.4891775, 0.1365995, 0.0106411)))
cosine = _fixed("cosine", lambda k, period: np.sin(math.pi * (k + 0.5) / (period + 1)))


def general_hamming(
    M: int, *, alpha: float = 0.54, sym: bool = True, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Any:  # fmt: skip
    """alpha - (1 - alpha) cos."""
    values = _cosines((alpha, 1 - alpha))
    return _made("general_hamming", M, values, sym, dtype, device, requires_grad)


def exponential(
    M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, dtype: Any = None,
    layout: Any = None, device: Any = None, requires_grad: bool = False,
) -> Any:  # fmt: skip
    """exp(-|k - center| / tau)."""
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")

    def values(k: Array, period: int) -> Array:
        middle = period / 2 if center is None else center
        return np.asarray(np.exp(-np.abs(k - middle) / tau))

    return _made("exponential", M, values, sym, dtype, device, requires_grad)


def gaussian(
    M: int, *, std: float = 1.0, sym: bool = True, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Any:  # fmt: skip
    """exp(-(k / std)^2 / 2) around the middle."""
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")

    def values(k: Array, period: int) -> Array:
        return np.asarray(np.exp(-(((k - period / 2) / std) ** 2) / 2))

    return _made("gaussian", M, values, sym, dtype, device, requires_grad)


def kaiser(
    M: int, *, beta: float = 12.0, sym: bool = True, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Any:  # fmt: skip
    """I0(beta sqrt(1 - k^2)) / I0(beta), k from -1 to 1."""
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")

    def values(k: Array, period: int) -> Array:
        inside = np.maximum(1 - (2 * k / period - 1) ** 2, 0)
        return np.asarray(np.i0(beta * np.sqrt(inside)) / np.i0(beta))

    return _made("kaiser", M, values, sym, dtype, device, requires_grad)


__all__ = [
    "bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine",
    "general_hamming", "hamming", "hann", "kaiser", "nuttall",
]  # fmt: skip
