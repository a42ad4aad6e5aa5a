"""The C library's functions to the last bit, in bulk: what the originals call per element."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from diptych.core.random.rounding import Array

# glibc's logf: 1/c and log(c) for 16 points c of [0.7, 1.4), and a cubic for log(1 + r).
_INVERSE = np.array([float.fromhex(text) for text in (
    "0x1.661ec79f8f3bep+0", "0x1.571ed4aaf883dp+0", "0x1.49539f0f010bp+0", "0x1.3c995b0b80385p+0",
    "0x1.30d190c8864a5p+0", "0x1.25e227b0b8eap+0", "0x1.1bb4a4a1a343fp+0", "0x1.12358f08ae5bap+0",
    "0x1.0953f419900a7p+0", "0x1p+0", "0x1.e608cfd9a47acp-1", "0x1.ca4b31f026aap-1",
    "0x1.b2036576afce6p-1", "0x1.9c2d163a1aa2dp-1", "0x1.886e6037841edp-1", "0x1.767dcf5534862p-1",
)])  # fmt: skip
_LOG_OF = np.array([float.fromhex(text) for text in (
    "-0x1.57bf7808caadep-2", "-0x1.2bef0a7c06ddbp-2", "-0x1.01eae7f513a67p-2",
    "-0x1.b31d8a68224e9p-3", "-0x1.6574f0ac07758p-3", "-0x1.1aa2bc79c81p-3",
    "-0x1.a4e76ce8c0e5ep-4", "-0x1.1973c5a611cccp-4", "-0x1.252f438e10c1ep-5", "0x0p+0",
    "0x1.aa5aa5df25984p-5", "0x1.c5e53aa362eb4p-4", "0x1.526e57720db08p-3",
    "0x1.bc2860d22477p-3", "0x1.1058bc8a07ee1p-2", "0x1.4043057b6ee09p-2",
)])  # fmt: skip
_CUBIC = tuple(float.fromhex(text) for text in (
    "-0x1.00ea348b88334p-2", "0x1.5575b0be00b6ap-2", "-0x1.ffffef20a4123p-2",
))  # fmt: skip
_LN2 = float.fromhex("0x1.62e42fefa39efp-1")
_FIRST_BITS = np.int32(0x3F330000)
# glibc's sinf and cosf on [-pi/4, pi/4].
_SINE = tuple(float.fromhex(text) for text in (
    "-0x1.555545995a603p-3", "0x1.1107605230bc4p-7", "-0x1.994eb3774cf24p-13",
))  # fmt: skip
_COSINE = tuple(float.fromhex(text) for text in (
    "-0x1.ffffffd0c621cp-2", "0x1.55553e1068f19p-5", "-0x1.6c087e89a359dp-10",
    "0x1.99343027bf8c3p-16",
))  # fmt: skip


def by_libm(function: Callable[[float], float], values: Array) -> Array:
    """Apply a function of ``math`` to each float64.

    NumPy's own vector versions differ from the C library's in the last bit; a float64 result that
    must equal the original's to the last bit has to be computed as the original does.
    """
    flat = values.ravel().tolist()
    applied: Array = np.fromiter(map(function, flat), np.float64, len(flat))
    applied.shape = values.shape
    return applied


def cos_sin(angle: Array) -> tuple[Array, Array]:
    """The C library's cosine and sine of float64 angles."""
    # NumPy hands a complex exponential to the C library, whose parts for exp(0 + i*x) are these.
    unit = np.exp(1j * angle)
    return unit.real, unit.imag


def log_float32(x: Array) -> Array:
    """glibc's logf of normal, positive float32 numbers."""
    bits = x.view(np.int32)
    offset = bits - _FIRST_BITS
    entry = (offset >> 19) & 15
    exponent = offset >> 23
    reduced = (bits - (exponent << 23)).view(np.float32).astype(np.float64)
    reduced *= _INVERSE[entry]
    reduced -= 1.0
    whole = exponent * _LN2
    whole += _LOG_OF[entry]
    whole += reduced
    square = reduced * reduced
    value: Array = reduced * _CUBIC[1]
    value += _CUBIC[2]
    value += square * _CUBIC[0]
    value *= square
    value += whole
    return value.astype(np.float32)


def cos_sin_float32(angle: Array) -> tuple[Array, Array]:
    """glibc's cosf and sinf of float32 angles from 0 to 120."""
    wide = angle.astype(np.float64)
    quadrant = np.rint(wide * (2.0 / math.pi))
    wide -= quadrant * (math.pi / 2.0)
    square = wide * wide
    sine = square * _SINE[2]
    sine += _SINE[1]
    sine *= square
    sine += _SINE[0]
    sine *= square
    sine *= wide
    sine += wide
    cosine = square * _COSINE[3]
    for coefficient in _COSINE[2::-1]:
        cosine += coefficient
        cosine *= square
    cosine += 1.0
    turn = quadrant.astype(np.int32)
    swap = (turn & 1) != 0
    sin = np.where(swap, cosine, sine).astype(np.float32)
    cos = np.where(swap, sine, cosine).astype(np.float32)
    sin.view(np.int32)[...] ^= (turn & 2) << 30
    cos.view(np.int32)[...] ^= ((turn + 1) & 2) << 30
    return cos, sin
