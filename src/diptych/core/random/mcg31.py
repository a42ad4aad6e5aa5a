"""MCG31, the multiplicative congruential stream of Intel's VSL, in bulk from any place in it."""

from __future__ import annotations

import functools

import numpy as np

from diptych.core.random.rounding import Array

MODULUS = 2**31 - 1
MULTIPLIER = 1132489760
_BLOCK = 4096
_MODULUS = np.uint64(MODULUS)
_SHIFT = np.uint64(31)


def mcg31_states(seed: int, count: int, skip: int = 0) -> Array:
    """States ``skip`` to ``skip + count`` (uint32); over ``MODULUS`` they are uniform draws."""
    if count < 0 or skip < 0:
        raise ValueError(f"mcg31_states: count {count} and skip {skip} must be 0 or more")
    first = (seed % MODULUS or 1) * pow(MULTIPLIER, skip, MODULUS) % MODULUS
    powers = _powers()
    if count <= _BLOCK:
        return _reduce(powers[:count] * np.uint64(first)).astype(np.uint32)
    stride = pow(MULTIPLIER, _BLOCK, MODULUS)
    out = np.empty(-(-count // _BLOCK) * _BLOCK, np.uint32)
    for start in range(0, count, _BLOCK):
        out[start : start + _BLOCK] = _reduce(powers * np.uint64(first))
        first = first * stride % MODULUS
    return out[:count]


def mcg31_below(seed: int, count: int, bound: float) -> Array:
    """Which of ``count`` uniform draws lie below ``bound`` (bool): VSL's Bernoulli by inversion."""
    # The smallest state at or above the bound, judged as VSL judges it: in double precision.
    low, high = 0, MODULUS
    while low < high:
        middle = (low + high) // 2
        if middle / MODULUS < bound:
            low = middle + 1
        else:
            high = middle
    below: Array = mcg31_states(seed, count) < np.uint32(low)
    return below


@functools.cache
def _powers() -> Array:
    """The multiplier's powers 0 to _BLOCK - 1 (uint64), by doubling."""
    powers = np.ones(_BLOCK, np.uint64)
    length = 1
    while length < _BLOCK:
        factor = np.uint64(pow(MULTIPLIER, length, MODULUS))
        powers[length : 2 * length] = _reduce(powers[:length] * factor)
        length *= 2
    return powers


def _reduce(product: Array) -> Array:
    """Numbers below 2**62 modulo the Mersenne prime 2**31 - 1, never 0 for a factor that is not."""
    product = (product & _MODULUS) + (product >> _SHIFT)
    product = (product & _MODULUS) + (product >> _SHIFT)
    # Two folds leave at most the modulus itself, which stands for 0 and cannot occur here.
    return product
