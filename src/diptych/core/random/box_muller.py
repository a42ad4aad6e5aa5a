"""Box-Muller as PyTorch's CPU kernels compute it, in float32 and float64, many pairs at a time."""

from __future__ import annotations

import math

import numpy as np

from diptych.core.random.libm import by_libm, cos_sin
from diptych.core.random.rounding import Array, fma64

# Moshier's Cephes polynomials for single precision: logf on [sqrt(1/2), sqrt(2)], sinf and cosf on
# [-pi/4, pi/4], and the three parts of pi/4 for reducing an angle.
LOG = (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
    -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip
SIN = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
COS = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
PI4_HIGH, PI4_MIDDLE = np.float32(0.78515625), np.float32(2.4187564849853515625e-4)
PI4_LOW = np.float64(np.float32(3.77489497744594108e-8))
FOUR_OVER_PI = np.float32(1.27323954473516)
TWO_PI = np.float32(2.0 * math.pi)
SQRT_HALF_BITS = np.int32(0x3F3504F3)
ULP24 = np.float32(2.0**-24)
_HALF, _ONE = np.float32(0.5), np.float32(1.0)

GROUP = 16  # PyTorch turns 16 uniforms into 16 normals: element i pairs with element i + 8
_CHUNK = 2048  # groups worked on at once: small enough that the scratch stays in the L2 cache


def normals_float32(raw: Array, mean: float, std: float) -> Array:
    """Normals (float32) from raw 32-bit draws, whose count is a multiple of 16.

    The vector kernel of PyTorch evaluates Cephes polynomials with fused multiply-adds. A fused
    step is done here in float64 and rounded, where its product could be inexact in float32.
    """
    groups = raw.size // GROUP
    draws = raw.reshape(groups, 2, 8)
    out = np.empty((groups, 2, 8), np.float32)
    mean32, std32 = np.float32(mean), np.float32(std)
    scratch = _Scratch(min(groups, _CHUNK) * 8)
    for start in range(0, groups, _CHUNK):
        part = draws[start : start + _CHUNK]
        count = part.shape[0] * 8
        work = scratch if count == scratch.size else _Scratch(count)
        first = (part[:, 0] & 0xFFFFFF).ravel()
        second = (part[:, 1] & 0xFFFFFF).ravel()
        radius = _radius(first, work)
        cosine, sine = _cos_sin_float32(second, work)
        for column, wave in ((0, cosine), (1, sine)):
            np.multiply(radius, wave, out=wave)
            shaped = _scale(wave, mean32, std32, work)
            out[start : start + _CHUNK, column] = shaped.reshape(-1, 8)
    return out.reshape(-1)


class _Scratch:
    """The float64 and float32 temporaries of one chunk, reused along a Horner scheme."""

    __slots__ = ("factor", "narrow", "size", "wide")

    def __init__(self, size: int) -> None:
        self.size = size
        self.wide = np.empty(size, np.float64)
        self.factor = np.empty(size, np.float64)
        self.narrow = np.empty(size, np.float32)

    def horner(self, coefficients: tuple[float, ...], at: Array) -> Array:
        """The polynomial at ``at`` in fused float32 steps, as a new array."""
        wide, factor, narrow = self.wide, self.factor, self.narrow
        np.copyto(factor, at)
        np.multiply(factor, np.float64(np.float32(coefficients[0])), out=wide)
        wide += np.float64(np.float32(coefficients[1]))
        for coefficient in coefficients[2:]:
            np.copyto(narrow, wide, casting="same_kind")
            np.copyto(wide, narrow)
            np.multiply(wide, factor, out=wide)
            np.add(wide, np.float64(np.float32(coefficient)), out=wide)
        return wide.astype(np.float32)

    def fused(self, a: Array, b: Array, c: Array) -> Array:
        """``a * b + c`` rounded to float32 once, into ``a``."""
        wide, factor = self.wide, self.factor
        np.copyto(wide, a)
        np.copyto(factor, b)
        np.multiply(wide, factor, out=wide)
        np.copyto(factor, c)
        np.add(wide, factor, out=wide)
        np.copyto(a, wide, casting="same_kind")
        return a


def _radius(draw: Array, work: _Scratch) -> Array:
    """``sqrt(-2 log(1 - draw / 2**24))`` for 24-bit draws."""
    bits: Array = (np.uint32(1 << 24) - draw).astype(np.float32)
    bits *= ULP24
    integer = bits.view(np.int32)
    exponent = integer - SQRT_HALF_BITS
    exponent >>= 23
    integer -= exponent << 23  # now bits, a float, lies in [sqrt(1/2), sqrt(2))
    power = exponent.astype(np.float32)
    x = bits
    x -= _ONE
    square = x * x
    y = work.horner(LOG, x)
    y *= x
    y = work.fused(y, square, power * LN2_LOW)
    square *= _HALF
    y -= square
    x += y
    power *= LN2_HIGH
    x += power
    x *= np.float32(-2.0)
    np.sqrt(x, out=x)
    return x


def _cos_sin_float32(draw: Array, work: _Scratch) -> tuple[Array, Array]:
    """The cosine and sine of ``2 pi draw / 2**24`` for 24-bit draws."""
    angle = draw.astype(np.float32)
    angle *= ULP24
    angle *= TWO_PI
    octant = (angle * FOUR_OVER_PI).astype(np.int32)
    octant += 1
    octant &= ~1
    turns = octant.astype(np.float32)
    angle -= turns * PI4_HIGH  # these two products are exact: few bits times few bits
    angle -= turns * PI4_MIDDLE
    np.copyto(work.wide, turns)
    work.wide *= -PI4_LOW
    work.wide += angle
    x = work.wide.astype(np.float32)
    square = x * x
    cosine = work.horner(COS, square)
    cosine *= square
    cosine = work.fused(cosine, square, square * -_HALF)
    cosine += _ONE
    sine = work.horner(SIN, square)
    sine *= square
    sine = work.fused(sine, x, x)
    swap = (octant & 2) != 0
    cos = np.where(swap, sine, cosine)
    sin = np.where(swap, cosine, sine)
    sin.view(np.int32)[...] ^= (octant & 4) << 29
    octant -= 2
    np.invert(octant, out=octant)
    cos.view(np.int32)[...] ^= (octant & 4) << 29
    return cos, sin


def _scale(values: Array, mean: np.float32, std: np.float32, work: _Scratch) -> Array:
    """``values * std + mean``, fused, in float32."""
    if std == 1.0 or mean == 0.0:
        values *= std
        values += mean
        return values
    np.copyto(work.wide, values)
    work.wide *= np.float64(std)
    work.wide += np.float64(mean)
    np.copyto(values, work.wide, casting="same_kind")
    return values


def normals_float64(uniform: Array, mean: float, std: float) -> Array:
    """Normals (float64) from uniforms in [0, 1), whose count is a multiple of 16."""
    pairs = uniform.reshape(-1, 2, 8)
    radius = np.sqrt(-2.0 * by_libm(math.log, 1.0 - pairs[:, 0]))
    cosine, sine = cos_sin(2.0 * math.pi * pairs[:, 1])
    return fma64(np.stack([radius * cosine, radius * sine], axis=1), std, mean).reshape(-1)


def normals_in_turn(uniform: Array) -> Array:
    """Standard normals (float64) from uniforms taken two by two: the cosine's, then the sine's."""
    angle, length = uniform[0::2], uniform[1::2]
    radius = np.sqrt(-2.0 * by_libm(math.log1p, -length))
    cosine, sine = cos_sin(2.0 * math.pi * angle)
    return np.stack([radius * cosine, radius * sine], axis=1).reshape(-1)
