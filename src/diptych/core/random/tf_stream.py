"""TensorFlow's distributions over Philox: its CPU kernels' numbers for a key and counter.

Each function is pure: it takes the key and counter that ``tf_seeds`` hands out and returns a NumPy
array of ``dtype.numpy`` (bfloat16 as its bits). How TensorFlow cuts the work among threads never
shows, since every group of outputs has a counter of its own.
"""

from __future__ import annotations

import math

import numpy as np

from diptych.core import dtypes
from diptych.core.dtypes import DType
from diptych.core.random.libm import by_libm, cos_sin, cos_sin_float32, log_float32
from diptych.core.random.permutation import forward_shuffle
from diptych.core.random.philox import philox_bits, philox_blocks, philox_scattered
from diptych.core.random.rounding import Array, element_count, narrow, require_float

Shape = tuple[int, ...]

_SMALLEST = 1.0e-7  # what a uniform of 0 is raised to before its logarithm is taken
_MASK32 = (1 << 32) - 1
_MASK64 = (1 << 64) - 1
_CHUNK = 4096  # blocks transformed at once: the temporaries stay in the cache
_INTEGERS = (dtypes.int32, dtypes.int64)
_FULL_INTEGERS = (*_INTEGERS, dtypes.uint32, dtypes.uint64)


# ---------------------------------------------------------------------------- the raw operations


def unit_uniform(key: int, counter: int, shape: Shape, dtype: DType = dtypes.float32) -> Array:
    """Uniform on [0, 1): the RandomUniform operation."""
    count = element_count("uniform", shape)
    require_float("uniform", dtype)
    if dtype is dtypes.float64:
        values = _unit_float64(philox_bits(key, counter, 2 * count).reshape(count, 2))
    else:
        bits = philox_bits(key, counter, count)
        if dtype is dtypes.float32:
            values = _unit_float32(bits)
        else:  # as many of the lowest bits as the format has after its leading 1
            digits = 10 if dtype is dtypes.float16 else 7
            unit = (bits & np.uint32((1 << digits) - 1)).astype(np.float32)
            values = narrow(unit * np.float32(2.0**-digits), dtype)
    return values.reshape(shape)


def standard_normal(key: int, counter: int, shape: Shape, dtype: DType = dtypes.float32) -> Array:
    """Standard normal by Box-Muller, sine first: the RandomStandardNormal operation."""
    count = element_count("normal", shape)
    require_float("normal", dtype)
    if dtype is dtypes.float64:
        blocks = philox_blocks(key, counter, -(-count // 2))
        return _normals_float64(blocks).reshape(-1)[:count].reshape(shape)
    groups = -(-count // 4)
    values = np.empty((groups, 4), np.float32)
    for start in range(0, groups, _CHUNK):
        size = min(_CHUNK, groups - start)
        values[start : start + size] = _normals_float32(philox_blocks(key, counter + start, size))
    return narrow(values.reshape(-1)[:count], dtype).reshape(shape)


def standard_truncated_normal(
    key: int, counter: int, shape: Shape, dtype: DType = dtypes.float32
) -> Array:
    """Standard normal between -2 and 2, by rejection: the TruncatedNormal operation.

    The outputs of one group (4, or 2 in float64) share a run of counters, and take from it the
    normals that pass, however many blocks that needs.
    """
    count = element_count("truncated_normal", shape)
    require_float("truncated_normal", dtype)
    wide = dtype is dtypes.float64
    group = 2 if wide else 4
    groups = -(-count // group)
    values = np.empty((groups, group), np.float64 if wide else np.float32)
    filled = np.zeros(groups, np.int64)
    active = np.arange(groups)
    block = 0
    while active.size:
        offset = active.astype(np.uint64) * np.uint64(group * 64) + np.uint64(block)
        raw = philox_scattered(key, _counter_words(counter, offset))
        candidates = _normals_float64(raw) if wide else _normals_float32(raw)
        accepted = np.abs(candidates) < 2
        position = filled[active, None] + np.cumsum(accepted, axis=1) - 1
        accepted &= position < group
        row = np.broadcast_to(active[:, None], position.shape)
        values[row[accepted], position[accepted]] = candidates[accepted]
        filled[active] += accepted.sum(axis=1)
        active = active[filled[active] < group]
        block += 1
    return narrow(values.reshape(-1)[:count], dtype).reshape(shape)


def uniform_integers(
    key: int, counter: int, shape: Shape, low: int, high: int, dtype: DType = dtypes.int32
) -> Array:
    """Whole numbers in [low, high): the RandomUniformInt operation."""
    count = element_count("uniform", shape)
    if dtype not in _INTEGERS:
        raise ValueError(f"uniform: dtype {dtype} has no bounded integers; use int32 or int64")
    info = np.iinfo(dtype.numpy)
    if not info.min <= low < high <= info.max:
        raise ValueError(f"uniform: need minval < maxval within {dtype}, got {low} >= {high}")
    bits = _integer_bits(key, counter, count, dtype.itemsize)
    bits %= bits.dtype.type(high - low)
    bits += bits.dtype.type(low % (1 << 8 * dtype.itemsize))
    return bits.view(dtype.numpy).reshape(shape)


def full_integers(key: int, counter: int, shape: Shape, dtype: DType = dtypes.int32) -> Array:
    """Whole numbers over all of ``dtype``: the StatelessRandomUniformFullInt operation."""
    count = element_count("uniform", shape)
    if dtype not in _FULL_INTEGERS:
        names = ", ".join(d.name for d in _FULL_INTEGERS)
        raise ValueError(f"uniform: dtype {dtype} is not one of {names}")
    return _integer_bits(key, counter, count, dtype.itemsize).view(dtype.numpy).reshape(shape)


def shuffle_order(key: int, counter: int, n: int) -> Array:
    """The order (int64) in which RandomShuffle leaves n rows; it takes n - 1 draws."""
    if n < 0:
        raise ValueError(f"shuffle: got {n} rows; there must be 0 or more")
    targets = np.arange(n, dtype=np.uint32)
    if n > 1:
        remaining = np.arange(n, 1, -1, dtype=np.uint32)
        targets[:-1] += philox_bits(key, counter, n - 1) % remaining
    return forward_shuffle(targets)


# ------------------------------------------------------------------- with bounds and moments


def uniform(
    key: int,
    counter: int,
    shape: Shape,
    low: float = 0.0,
    high: float = 1.0,
    dtype: DType = dtypes.float32,
) -> Array:
    """Uniform on [low, high) for floats, rounded as the separate operations of TensorFlow are."""
    unit = unit_uniform(key, counter, shape, dtype)
    if low == 0 and high == 1:
        return unit
    ends = _widen(narrow(np.array([low, high], np.float64), dtype), dtype)
    span = _rounded(ends[1:] - ends[:1], dtype)
    return _scaled(unit, span, ends[:1], dtype)


def normal(
    key: int,
    counter: int,
    shape: Shape,
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: DType = dtypes.float32,
) -> Array:
    """``tf.random.normal`` and ``stateless_normal``: scaled, then moved."""
    values = standard_normal(key, counter, shape, dtype)
    return _moved(values, mean, stddev, dtype)


def truncated_normal(
    key: int,
    counter: int,
    shape: Shape,
    mean: float = 0.0,
    stddev: float = 1.0,
    dtype: DType = dtypes.float32,
) -> Array:
    """``tf.random.truncated_normal`` and its stateless form."""
    values = standard_truncated_normal(key, counter, shape, dtype)
    return _moved(values, mean, stddev, dtype)


def _moved(values: Array, mean: float, stddev: float, dtype: DType) -> Array:
    if mean == 0 and stddev == 1 and dtype.itemsize > 2:
        values += values.dtype.type(0)  # -0.0 + 0.0 is 0.0
        return values
    moments = _widen(narrow(np.array([stddev, mean], np.float64), dtype), dtype)
    return _scaled(values, moments[:1], moments[1:], dtype)


def _scaled(values: Array, scale: Array, shift: Array, dtype: DType) -> Array:
    """``values * scale + shift`` with both steps rounded to ``dtype``."""
    product = _rounded(_widen(values, dtype) * scale, dtype)
    return narrow(product + shift, dtype)


def _widen(stored: Array, dtype: DType) -> Array:
    """Stored values as the float type in which they are computed."""
    if dtype is dtypes.bfloat16:
        return dtypes.bfloat16_to_float32(stored)
    return stored.astype(np.float32) if dtype is dtypes.float16 else stored


def _rounded(values: Array, dtype: DType) -> Array:
    """Computed values rounded to ``dtype`` but kept wide."""
    return _widen(narrow(values, dtype), dtype) if dtype.itemsize == 2 else values


# ---------------------------------------------------------------------------- the transforms


def _unit_float32(bits: Array) -> Array:
    """Uniforms from the low 23 bits: a float in [1, 2) less 1."""
    values: Array = (bits & np.uint32(0x7FFFFF)).astype(np.float32)
    values *= np.float32(2.0**-23)
    return values


def _unit_float64(pairs: Array) -> Array:
    """Uniforms from 52 bits: 20 of the first draw of a pair, then the second."""
    mantissa = (pairs[..., 0] & np.uint32(0xFFFFF)).astype(np.uint64) << np.uint64(32)
    values: Array = (mantissa | pairs[..., 1]).astype(np.float64)
    values *= 2.0**-52
    return values


def _normals_float32(blocks: Array) -> Array:
    """Four normals from each block of four draws."""
    first, second = blocks[:, 0::2].ravel(), blocks[:, 1::2].ravel()
    length = np.maximum(_unit_float32(first), np.float32(_SMALLEST))
    radius = np.sqrt(np.float32(-2.0) * log_float32(length))
    angle = _unit_float32(second).astype(np.float64)
    angle *= 2.0 * math.pi
    cosine, sine = cos_sin_float32(angle.astype(np.float32))
    out = np.empty((blocks.shape[0], 4), np.float32)
    np.multiply(sine.reshape(-1, 2), radius.reshape(-1, 2), out=out[:, 0::2])
    np.multiply(cosine.reshape(-1, 2), radius.reshape(-1, 2), out=out[:, 1::2])
    return out


def _normals_float64(blocks: Array) -> Array:
    """Two normals from each block of four draws."""
    length = np.maximum(_unit_float64(blocks[:, :2]), _SMALLEST)
    radius = np.sqrt(-2.0 * by_libm(math.log, length))
    cosine, sine = cos_sin(2.0 * math.pi * _unit_float64(blocks[:, 2:]))
    return np.stack([sine * radius, cosine * radius], axis=1)


def _integer_bits(key: int, counter: int, count: int, itemsize: int) -> Array:
    """Unsigned draws of 4 or 8 bytes; of 8, the earlier draw is the low half."""
    if itemsize == 4:
        return philox_bits(key, counter, count)
    pairs = philox_bits(key, counter, 2 * count).reshape(count, 2).astype(np.uint64)
    joined: Array = pairs[:, 0] | pairs[:, 1] << np.uint64(32)
    return joined


def _counter_words(counter: int, offset: Array) -> list[Array]:
    """The four words of ``counter + offset`` for 64-bit offsets."""
    low = offset + np.uint64(counter & _MASK64)
    carry = low < offset
    high = np.uint64(counter >> 64 & _MASK64) + carry.astype(np.uint64)
    mask, shift = np.uint64(_MASK32), np.uint64(32)
    return [low & mask, low >> shift, high & mask, high >> shift]
