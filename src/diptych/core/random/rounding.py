"""Rounding as the originals round: fused multiply-add in NumPy, and casts to what is stored."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diptych.core import dtypes
from diptych.core.dtypes import DType

Array = np.ndarray[Any, Any]

_SPLIT = 134217729.0  # 2**27 + 1 cuts a double in two halves whose products are exact


def element_count(operation: str, shape: tuple[int, ...]) -> int:
    """The number of elements of ``shape``; ValueError if an extent is negative."""
    if any(extent < 0 for extent in shape):
        raise ValueError(f"{operation}: shape {tuple(shape)} has a negative extent; use 0 or more")
    return math.prod(shape)


def require_float(operation: str, dtype: DType) -> None:
    """ValueError unless ``dtype`` is a real floating dtype."""
    if not dtype.is_float:
        names = ", ".join(d.name for d in dtypes.FLOATS)
        raise ValueError(f"{operation}: dtype {dtype} is not floating; use one of {names}")


def narrow(values: Array, dtype: DType) -> Array:
    """Cast to what stores ``dtype``; the 16-bit formats go through float32, as in C."""
    if dtype is dtypes.bfloat16:
        return dtypes.float32_to_bfloat16(values.astype(np.float32, copy=False))
    if dtype is dtypes.float16 and values.dtype != np.float32:
        with np.errstate(over="ignore"):
            return values.astype(np.float32).astype(np.float16)
    with np.errstate(over="ignore"):
        return values.astype(dtype.numpy, copy=False)


def fma32(a: Any, b: Any, c: Any) -> Array:
    """``a * b + c`` rounded to float32 once.

    The product is exact in float64; only the sum is rounded there first, so a result differs from
    the hardware's only if that rounding lands on a tie, about once in 2**29.
    """
    wide = np.multiply(a, b, dtype=np.float64)
    wide += c
    return np.asarray(wide, np.float32)


def fma64(a: Any, b: float, c: float) -> Array:
    """``a * b + c`` rounded to float64 once, exactly (Boldo and Melquiond's method)."""
    a = np.asarray(a, np.float64)
    product = a * b
    if c == 0.0 or math.frexp(b)[0] in (0.5, -0.5):  # the product is exact, or is the result
        return np.asarray(product + c)
    with np.errstate(invalid="ignore", over="ignore"):
        error = _product_error(a, b, product)
        low, lowest = _two_sum(error, np.full_like(error, c))
        high, middle = _two_sum(product, low)
        result = high + _sum_to_odd(middle, lowest)
        return np.where(np.isfinite(result), result, product + c)


def _product_error(a: Array, b: float, product: Array) -> Array:
    """What rounding took from ``product = a * b`` (Dekker)."""
    scaled = _SPLIT * a
    a_high = scaled - (scaled - a)
    a_low = a - a_high
    b_high = _SPLIT * b - (_SPLIT * b - b)
    b_low = b - b_high
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """The rounded sum and its error (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _sum_to_odd(a: Array, b: Array) -> Array:
    """``a + b`` rounded to odd: a second rounding after it cannot go wrong."""
    total, error = _two_sum(a, b)
    bits = total.view(np.int64)
    even = (error != 0) & ((bits & 1) == 0)
    away = np.where((error > 0) == (total > 0), 1, -1)
    return (bits + np.where(even, away, 0)).view(np.float64)
