"""NumPy references of special functions: SciPy's where it is installed, else our own."""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def _scipy(name: str) -> Callable[..., Any] | None:
    """SciPy's function of this name, imported when first needed; None where SciPy is absent."""
    if importlib.util.find_spec("scipy") is None:
        return None
    return getattr(importlib.import_module("scipy.special"), name)


def _special(name: str, scalar: Callable[[float], float]) -> Callable[[Array], Array]:
    chosen: list[Callable[..., Any]] = []

    def function(x: Array) -> Array:
        if not chosen:
            chosen.append(_scipy(name) or np.vectorize(scalar, otypes=[float]))
        if x.size == 0:
            return x.copy()
        return np.asarray(chosen[0](x), x.dtype)

    function.__name__ = name
    function.__doc__ = f"{name} of every element."
    return function


def _lgamma(x: float) -> float:
    if x == -math.inf or (x <= 0 and x == math.floor(x)):
        return math.inf
    return math.lgamma(x)


def _digamma(x: float) -> float:
    """The logarithmic derivative of gamma, by recurrence and asymptotic series (DLMF 5.11.2)."""
    if math.isnan(x) or x == -math.inf or (x < 0 and x == math.floor(x)):
        return math.nan
    if x == 0:
        return math.copysign(math.inf, -math.copysign(1.0, x))
    if x == math.inf:
        return math.inf
    if x < 0:
        return _digamma(1 - x) - math.pi / math.tan(math.pi * x)
    shift = 0.0
    while x < 12:
        shift -= 1 / x
        x += 1
    inverse = 1 / (x * x)
    series = 0.0
    for coefficient in (
        -3617 / 8160,
        1 / 12,
        -691 / 32760,
        1 / 132,
        -1 / 240,
        1 / 252,
        -1 / 120,
        1 / 12,
    ):
        series = (series + coefficient) * inverse
    return shift + math.log(x) - 0.5 / x - series


def _trigamma(x: float) -> float:
    """The derivative of digamma, by recurrence, reflection and its asymptotic series."""
    if x <= 0 and x == math.floor(x):
        return math.inf
    if x < 0:
        return (math.pi / math.sin(math.pi * x)) ** 2 - _trigamma(1 - x)
    shift = 0.0
    while x < 15:
        shift += 1 / (x * x)
        x += 1
    inverse = 1 / (x * x)
    series = 0.0
    for coefficient in (7 / 6, -691 / 2730, 5 / 66, -1 / 30, 1 / 42, -1 / 30, 1 / 6):
        series = (series + coefficient) * inverse
    return shift + 1 / x + inverse / 2 + series / x


def _erfinv(y: float) -> float:
    """The inverse of erf by Newton's method on the normal quantile."""
    if math.isnan(y) or abs(y) > 1:
        return math.nan
    if abs(y) == 1:
        return math.copysign(math.inf, y)
    tail = math.log1p(-y * y)
    middle = 2 / (math.pi * 0.147) + tail / 2  # Winitzki's approximation starts the iteration
    x = math.copysign(math.sqrt(math.sqrt(middle * middle - tail / 0.147) - middle), y)
    for _ in range(4):
        x -= (math.erf(x) - y) / (2 / math.sqrt(math.pi) * math.exp(-x * x))
    return x


erf = _special("erf", math.erf)
erfc = _special("erfc", math.erfc)
erfinv = _special("erfinv", _erfinv)
lgamma = _special("gammaln", _lgamma)
digamma = _special("digamma", _digamma)


def trigamma(x: Array) -> Array:
    """The second logarithmic derivative of gamma."""
    if x.size == 0:
        return x.copy()
    return np.asarray(np.vectorize(_trigamma, otypes=[float])(x), x.dtype)


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)) without overflow in the tails."""
    if np.iscomplexobj(x):
        return np.asarray(1 / (1 + np.exp(-x)), x.dtype)
    decay = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1, decay) / (1 + decay), x.dtype)


# ---- those that SciPy alone has: reckoned in float64


def _by_scipy(name: str, *, pick: int | None = None) -> Callable[..., Array]:
    """SciPy's function of this name (result ``pick`` of it); ImportError that names the extra."""

    def function(*arguments: Array) -> Array:
        chosen = _scipy(name)
        if chosen is None:
            raise ImportError(
                f'{name} of tensors needs SciPy: pip install scipy (diptych\'s extra "scipy")'
            )
        result = chosen(*[np.asarray(x, np.float64) for x in arguments])
        return np.asarray(result if pick is None else result[pick], np.result_type(*arguments))

    function.__name__ = name
    function.__doc__ = f"{name} of every element."
    return function


i0 = _by_scipy("i0")
i1 = _by_scipy("i1")
i0e = _by_scipy("i0e")
i1e = _by_scipy("i1e")
j0 = _by_scipy("j0")
j1 = _by_scipy("j1")
y0 = _by_scipy("y0")
y1 = _by_scipy("y1")
k0 = _by_scipy("k0")
k1 = _by_scipy("k1")
k0e = _by_scipy("k0e")
k1e = _by_scipy("k1e")
airy_ai = _by_scipy("airy", pick=0)
erfcx = _by_scipy("erfcx")
log_ndtr = _by_scipy("log_ndtr")
zeta = _by_scipy("zeta")
gammainc = _by_scipy("gammainc")
gammaincc = _by_scipy("gammaincc")


def spherical_j0(x: Array) -> Array:
    """sin(x) / x, 1 at zero and 0 at infinity."""
    wide = np.asarray(x, np.float64)
    result = np.where(wide == 0, 1.0, np.sin(wide) / np.where(wide == 0, 1.0, wide))
    return np.asarray(np.where(np.isinf(wide), 0.0, result), x.dtype)
