"""PyTorch's distributions over its CPU generator: the same numbers, and the same draws consumed.

Each function takes the generator first and returns a NumPy array of ``dtype.numpy`` (bfloat16 as
its bits). What a draw costs is part of the contract: two 32-bit draws wherever PyTorch computes in
double, one elsewhere, so that calls of any kind and size may follow each other.
"""

from __future__ import annotations

import functools
import math
import platform
from typing import Any

import numpy as np

from diptych.core import dtypes
from diptych.core.dtypes import DType
from diptych.core.random import box_muller
from diptych.core.random.libm import by_libm
from diptych.core.random.mcg31 import mcg31_below
from diptych.core.random.mt19937 import Generator
from diptych.core.random.permutation import forward_shuffle
from diptych.core.random.rounding import (
    Array,
    element_count,
    fma32,
    fma64,
    narrow,
    require_float,
)

Shape = tuple[int, ...]

_MANY = 64  # numbers from which machine code is worth its call
_MASK24 = np.uint32(0xFFFFFF)
_MASK53 = np.uint64((1 << 53) - 1)
_DIGITS = {dtypes.float16: 11, dtypes.bfloat16: 8, dtypes.float32: 24, dtypes.float64: 53}
_INTEGERS = (
    dtypes.bool_, dtypes.uint8, dtypes.int8, dtypes.int16, dtypes.int32, dtypes.int64,
)  # fmt: skip


def _unit24(generator: Generator, count: int) -> Array:
    """Uniforms (float32) in [0, 1): the low 24 bits of a draw."""
    values: Array
    if count >= _MANY:
        values = np.empty(count, np.float32)
        if generator.uniform_into(values.ctypes.data, count):
            return values
    values = (generator.bits(count) & _MASK24).astype(np.float32)
    values *= np.float32(2.0**-24)
    return values


def _unit53(generator: Generator, count: int) -> Array:
    """Uniforms (float64) in [0, 1): the low 53 bits of a double draw."""
    values: Array = (generator.bits64(count) & _MASK53).astype(np.float64)
    values *= 2.0**-53
    return values


# --------------------------------------------------------------------------------- real-valued


def uniform(
    generator: Generator,
    shape: Shape,
    low: float = 0.0,
    high: float = 1.0,
    dtype: DType = dtypes.float32,
) -> Array:
    """Uniform on [low, high): ``Tensor.uniform_``."""
    count = element_count("uniform", shape)
    if dtype is dtypes.float32 and low == 0.0 and high == 1.0:  # nothing to round, no end to meet
        return _unit24(generator, count).reshape(shape)
    require_float("uniform", dtype)
    compute = np.float64 if dtype is dtypes.float64 else np.float32
    with np.errstate(over="ignore", invalid="ignore"):
        start, stop = compute(low), compute(high)
        span = compute(stop - start)
    if not low <= high or not np.isfinite(span):
        raise ValueError(
            f"uniform: got low {low}, high {high}; the bounds must be finite in {dtype}, "
            "low at most high, and their difference finite too"
        )
    if compute is np.float64:
        values = fma64(_unit53(generator, count), float(span), float(start))
    else:
        unit = _unit24(generator, count)
        values = unit * span if start == 0 else fma32(unit, span, float(start))
    stored = narrow(values, dtype)
    ends = narrow(np.array([start, stop], compute), dtype)
    # Rounding may reach the bound that is not included; PyTorch then returns the other one.
    stored[stored == ends[1]] = ends[0]
    return stored.reshape(shape)


def rand(generator: Generator, shape: Shape, dtype: DType = dtypes.float32) -> Array:
    """Uniform on [0, 1): ``torch.rand``."""
    if dtype.is_complex:
        real = uniform(generator, (*shape, 2), dtype=dtypes.real_of(dtype))
        return real.view(dtype.numpy)[..., 0]
    return uniform(generator, shape, 0.0, 1.0, dtype)


def normal(
    generator: Generator,
    shape: Shape,
    mean: float = 0.0,
    std: float = 1.0,
    dtype: DType = dtypes.float32,
    *,
    contiguous: bool = True,
) -> Array:
    """Normal: ``Tensor.normal_``. ``contiguous`` says whether the tensor to be filled is.

    Sixteen elements or more in one piece take the vector kernel's route; otherwise normals come
    one at a time in double, the second of a pair kept in the generator for the next call.
    """
    count = element_count("normal", shape)
    if dtype.is_complex:  # half the variance for each part
        parts = normal(
            generator, (*shape, 2), 0.0, std / math.sqrt(2.0), dtypes.real_of(dtype),
            contiguous=contiguous,
        )  # fmt: skip
        whole: Array = parts.view(dtype.numpy)[..., 0]
        whole += dtype.numpy.type(mean)
        return whole
    require_float("normal", dtype)
    if not std >= 0.0:
        raise ValueError(f"normal: got std {std}; a standard deviation is 0 or more")
    if count < box_muller.GROUP or not contiguous:
        values = fma64(_normals_in_turn(generator, count), std, mean)
    else:
        values = _normals_in_groups(generator, count, mean, std, dtype)
    return narrow(values, dtype).reshape(shape)


def randn(generator: Generator, shape: Shape, dtype: DType = dtypes.float32) -> Array:
    """Standard normal: ``torch.randn``."""
    return normal(generator, shape, 0.0, 1.0, dtype)


def _normals_in_groups(
    generator: Generator, count: int, mean: float, std: float, dtype: DType
) -> Array:
    """The route of 16 at a time; the last 16 are drawn anew when ``count`` is not a multiple."""
    group = box_muller.GROUP
    if dtype is dtypes.float32:
        made = np.empty(count, np.float32)
        if generator.normal_into(made.ctypes.data, count, mean, std):
            return made
    whole = count - count % group
    # The 16-bit formats draw group by group, so they skip what the tail would have drawn first.
    drawn = whole if dtype.itemsize == 2 else count
    if dtype is dtypes.float64:
        main = _unit53(generator, drawn)[:whole]
        values = box_muller.normals_float64(main, mean, std)
        if whole < count:
            tail = box_muller.normals_float64(_unit53(generator, group), mean, std)
    else:
        raw = generator.bits(drawn)[:whole]
        if whole < count:
            raw = np.concatenate([raw, generator.bits(group)])
        values = box_muller.normals_float32(raw, mean, std)
        values, tail = values[:whole], values[whole:]
    if whole == count:
        return values
    return np.concatenate([values[: count - group], tail])


def _normals_in_turn(generator: Generator, count: int) -> Array:
    """Standard normals (float64) one after another, the odd one out kept for the next call."""
    values = np.empty(count, np.float64)
    start = 0
    if count and generator.next_double_normal is not None:
        values[0] = generator.next_double_normal
        generator.next_double_normal = None
        start = 1
    missing = count - start
    if missing:
        pairs = box_muller.normals_in_turn(_unit53(generator, missing + missing % 2))
        values[start:] = pairs[:missing]
        if missing % 2:
            generator.next_double_normal = float(pairs[-1])
    return values


def log_normal(
    generator: Generator,
    shape: Shape,
    mean: float = 1.0,
    std: float = 2.0,
    dtype: DType = dtypes.float32,
) -> Array:
    """The exponential of a normal: ``Tensor.log_normal_``."""
    count = element_count("log_normal", shape)
    require_float("log_normal", dtype)
    if not std > 0.0:
        raise ValueError(f"log_normal: got std {std}; it must be above 0")
    values = fma64(_normals_in_turn(generator, count), std, mean)
    return narrow(_apply("exp", values, dtype), dtype).reshape(shape)


def exponential(
    generator: Generator, shape: Shape, rate: float = 1.0, dtype: DType = dtypes.float32
) -> Array:
    """Exponential with the given rate: ``Tensor.exponential_``."""
    count = element_count("exponential", shape)
    require_float("exponential", dtype)
    if not rate > 0.0:
        raise ValueError(f"exponential: got rate {rate}; it must be above 0")
    values = -1.0 / rate * _apply("log1p", -_unit53(generator, count), dtype)
    return narrow(values, dtype).reshape(shape)


def cauchy(
    generator: Generator,
    shape: Shape,
    median: float = 0.0,
    sigma: float = 1.0,
    dtype: DType = dtypes.float32,
) -> Array:
    """Cauchy: ``Tensor.cauchy_``."""
    count = element_count("cauchy", shape)
    require_float("cauchy", dtype)
    if not sigma > 0.0:
        raise ValueError(f"cauchy: got sigma {sigma}; it must be above 0")
    angle = math.pi * (_unit53(generator, count) - 0.5)
    return narrow(fma64(_apply("tan", angle, dtype), sigma, median), dtype).reshape(shape)


def geometric(
    generator: Generator, shape: Shape, probability: float, dtype: DType = dtypes.float32
) -> Array:
    """The number of trials to the first success: ``Tensor.geometric_``."""
    count = element_count("geometric", shape)
    if not 0.0 < probability < 1.0:
        raise ValueError(f"geometric: got probability {probability}; it lies between 0 and 1")
    if not (dtype.is_float or dtype.is_integer):
        raise ValueError(f"geometric: dtype {dtype} is neither integer nor floating")
    unit = _unit53(generator, count)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.ceil(np.log(unit) / math.log1p(-probability))
        return narrow(values, dtype).reshape(shape)


def _apply(name: str, values: Array, dtype: DType) -> Array:
    """A function of float64, to the last bit of the C library's where the result stays float64."""
    if dtype is dtypes.float64:
        return by_libm(_exp if name == "exp" else getattr(math, name), values)
    function: Any = getattr(np, name)
    with np.errstate(over="ignore"):
        return np.asarray(function(values))


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf


# ------------------------------------------------------------------------------ whole numbers


def randint(
    generator: Generator,
    shape: Shape,
    low: int,
    high: int,
    dtype: DType = dtypes.int64,
) -> Array:
    """Whole numbers in [low, high): ``torch.randint`` and ``Tensor.random_(low, high)``."""
    count = element_count("randint", shape)
    if not low < high:
        raise ValueError(f"randint: got low {low}, high {high}; low must be below high")
    _require_in_range("randint", low, high - 1, dtype)
    if dtype in _DIGITS:
        low, high = _within_precision(low, high, dtype)
    return _from_to(generator, count, low, high - low, dtype).reshape(shape)


def random_from(generator: Generator, shape: Shape, low: int, dtype: DType = dtypes.int64) -> Array:
    """Whole numbers from ``low`` to the dtype's largest: ``Tensor.random_(low, None)``."""
    count = element_count("random_from", shape)
    if low == -(1 << 63) and dtype in (
        dtypes.int64, dtypes.float64, dtypes.float32, dtypes.bfloat16,
    ):  # fmt: skip
        return _store(generator.bits64(count).view(np.int64), dtype).reshape(shape)
    highest = _highest(dtype, "random_from")
    if low > highest:
        raise ValueError(f"random_from: got low {low}, above the largest {dtype}, {highest}")
    _require_in_range("random_from", low, highest, dtype)
    return _from_to(generator, count, low, highest - low + 1, dtype).reshape(shape)


def random_full(generator: Generator, shape: Shape, dtype: DType = dtypes.int64) -> Array:
    """Whole numbers from 0 to what ``dtype`` holds exactly: ``Tensor.random_()``."""
    count = element_count("random_full", shape)
    span = _highest(dtype, "random_full") + 1
    if dtype in (dtypes.int64, dtypes.float64):
        return _store((generator.bits64(count) % np.uint64(span)).view(np.int64), dtype).reshape(
            shape
        )
    return _store(generator.bits(count) % np.uint32(span), dtype).reshape(shape)


def _from_to(generator: Generator, count: int, base: int, span: int, dtype: DType) -> Array:
    if span >= 1 << 28:  # wide ranges take a double draw, to keep the remainder's skew small
        draws = generator.bits64(count)
        if span < 1 << 64:
            draws %= np.uint64(span)
    else:
        draws = (generator.bits(count) % np.uint32(span)).astype(np.uint64)
    draws += np.uint64(base % (1 << 64))
    return _store(draws.view(np.int64), dtype)


def _within_precision(low: int, high: int, dtype: DType) -> tuple[int, int]:
    """The bounds moved inward, as PyTorch moves them, where a float's rounding would pass them."""
    digits = _DIGITS[dtype]
    first = int(_rounded(low + 1, dtype))
    if first < low:
        low = first + (1 << (abs(low + 1).bit_length() - digits))
    last = int(_rounded(high - 1, dtype))
    if last >= high:
        high = last - (1 << (abs(high - 1).bit_length() - digits))
    return low, high


def _rounded(value: int, dtype: DType) -> float:
    stored = _store(np.array([value], np.int64), dtype)
    if dtype is dtypes.bfloat16:
        stored = dtypes.bfloat16_to_float32(stored)
    return float(stored[0])


def _store(values: Array, dtype: DType) -> Array:
    """Whole numbers cast to ``dtype`` as C casts them (the 16-bit floats through float32)."""
    if dtype.is_float and dtype.itemsize == 2:
        return narrow(values.astype(np.float32), dtype)
    return values.astype(dtype.numpy)


def _highest(dtype: DType, operation: str) -> int:
    """The largest number that ``random_`` gives in ``dtype``."""
    if dtype in _DIGITS:
        return 1 << _DIGITS[dtype]
    if dtype is dtypes.bool_:
        return 1
    if dtype in _INTEGERS:
        return int(np.iinfo(dtype.numpy).max)
    raise ValueError(f"{operation}: PyTorch draws no {dtype}; use bool, uint8, a signed or a float")


def _require_in_range(operation: str, low: int, high: int, dtype: DType) -> None:
    if dtype is dtypes.bool_:
        least, most = 0, 1
    elif dtype.is_integer:
        bits = 8 * dtype.itemsize - (dtype.kind == "i")
        least, most = -(1 << bits) if dtype.kind == "i" else 0, (1 << bits) - 1
    elif dtype.is_float:
        most = 65504 if dtype is dtypes.float16 else (1 << 63) - 1
        least = -most - (dtype is not dtypes.float16)
    else:
        raise ValueError(f"{operation}: dtype {dtype} holds no whole numbers in order")
    if low < least or high > most:
        raise ValueError(
            f"{operation}: {low} to {high} does not fit {dtype}, which holds {least} to {most}"
        )


def randperm(generator: Generator, n: int, dtype: DType = dtypes.int64) -> Array:
    """A permutation of 0 .. n - 1: ``torch.randperm``."""
    if n < 0:
        raise ValueError(f"randperm: got n {n}; it must be 0 or more")
    if n >= 0xFFFFFFFF // 20:
        raise NotImplementedError(f"randperm: n {n} is above the {0xFFFFFFFF // 20} supported")
    _require_in_range("randperm", 0, max(n - 1, 0), dtype)
    targets = np.arange(n, dtype=np.uint32)
    if n > 1:
        remaining = np.arange(n, 1, -1, dtype=np.uint32)
        draws = generator.bits(n - 1)
        draws %= remaining
        targets[:-1] += draws
    return _store(forward_shuffle(targets), dtype)


# ---------------------------------------------------------------------------------- choices


def bernoulli(
    generator: Generator,
    shape: Shape,
    probability: float,
    dtype: DType = dtypes.bool_,
    *,
    scheme: str = "auto",
) -> Array:
    """Ones with one probability for all: ``Tensor.bernoulli_(p)``, and so every dropout mask.

    PyTorch's build with MKL draws these in two ways. On an Intel processor one draw seeds an MCG31
    stream of MKL ("mcg31"); on any other each element costs a double draw ("serial"). "auto" does
    as PyTorch would on this machine. Neither depends on the number of threads.
    """
    count = element_count("bernoulli", shape)
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"bernoulli: got probability {probability}; it lies in [0, 1]")
    if scheme not in ("auto", "serial", "mcg31"):
        raise ValueError(f"bernoulli: got scheme {scheme!r}; use 'auto', 'serial' or 'mcg31'")
    if scheme == "mcg31" or (scheme == "auto" and _on_intel()):
        mask = mcg31_below(generator.random(), count, probability)
    else:
        mask = _double_draws_below(generator.bits(2 * count).reshape(count, 2), probability)
    return _ones(mask, dtype).reshape(shape)


def bernoulli_noise(
    generator: Generator, out: int, count: int, probability: float, value: float
) -> bool:
    """``bernoulli``'s ones as ``value``, float32 at the address ``out``; False if it cannot."""
    if _on_intel():
        return False
    return generator.noise(out, count, math.ceil(math.ldexp(probability, 53)), value)


def bernoulli_each(
    generator: Generator, probabilities: Array, of: DType, dtype: DType | None = None
) -> Array:
    """Ones with a probability for each element: ``torch.bernoulli(p)``. ``of`` is p's dtype."""
    require_float("bernoulli", of)
    wide = dtypes.bfloat16_to_float32(probabilities) if of is dtypes.bfloat16 else probabilities
    if not bool(np.all((wide >= 0) & (wide <= 1))):
        raise ValueError("bernoulli: a probability lies outside [0, 1]")
    if of is dtypes.float64:
        mask = _unit53(generator, wide.size).reshape(wide.shape) < wide
    else:
        mask = _unit24(generator, wide.size).reshape(wide.shape) < wide.astype(np.float32)
    return _ones(mask, dtype or of)


def _double_draws_below(pairs: Array, probability: float) -> Array:
    """Whether the 53-bit uniforms of pairs of draws lie below it, without making the uniforms."""
    bound = math.ceil(math.ldexp(probability, 53))
    top, rest = bound >> 32, bound & 0xFFFFFFFF
    high = pairs[:, 0] & np.uint32(0x1FFFFF)
    mask = high < np.uint32(top)
    if rest:
        tied = np.flatnonzero(high == np.uint32(top))
        mask[tied] = pairs[tied, 1] < np.uint32(rest)
    return np.asarray(mask)


def _ones(mask: Array, dtype: DType) -> Array:
    if dtype is dtypes.bool_:
        return mask
    if dtype is dtypes.bfloat16:
        bits: Array = mask.astype(np.uint16)
        bits *= np.uint16(0x3F80)
        return bits
    return mask.astype(dtype.numpy)


@functools.cache
def _on_intel() -> bool:
    """Whether the processor's maker is Intel, the test PyTorch makes before it calls MKL."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
            return any("GenuineIntel" in line for line in lines if line.startswith("vendor_id"))
    except OSError:
        return "GenuineIntel" in platform.processor()


def multinomial(
    generator: Generator,
    weights: Array,
    num_samples: int,
    replacement: bool = False,
    *,
    of: DType = dtypes.float32,
) -> Array:
    """Indices (int64) drawn with probability by weight, per row: ``torch.multinomial``."""
    require_float("multinomial", of)
    wide = dtypes.bfloat16_to_float32(weights) if of is dtypes.bfloat16 else np.asarray(weights)
    if wide.dtype == np.float16:
        wide = wide.astype(np.float32)
    if wide.ndim not in (1, 2):
        raise ValueError(f"multinomial: weights have shape {wide.shape}; 1 or 2 axes are needed")
    categories = wide.shape[-1]
    if num_samples <= 0 or (not replacement and num_samples > categories):
        raise ValueError(
            f"multinomial: got num_samples {num_samples} of {categories} categories; without "
            "replacement 1 to that many can be drawn, with replacement any number above 0"
        )
    rows = wide.reshape(-1, categories)
    _require_weights(rows)
    if replacement and num_samples > 1:
        drawn = _with_replacement(generator, rows, num_samples)
    else:
        # Exponential races: the category whose weighted arrival is first wins.
        races = exponential(generator, weights.shape, 1.0, of)
        if of is dtypes.bfloat16:
            races = dtypes.bfloat16_to_float32(races)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratio = (wide / races.astype(wide.dtype)).reshape(rows.shape)
        if of.itemsize == 2:
            ratio = _reround(ratio, of)
        if num_samples == 1:
            drawn = np.argmax(ratio, axis=1)[:, None]
        else:
            drawn = np.argsort(-ratio, axis=1, kind="stable")[:, :num_samples]
    return drawn.reshape(*weights.shape[:-1], num_samples)


def _require_weights(rows: Array) -> None:
    if not np.all(np.isfinite(rows)):
        raise ValueError("multinomial: a weight is infinite or NaN")
    if np.any(rows < 0):
        raise ValueError("multinomial: a weight is below 0")
    if np.any(rows.sum(axis=1) <= 0):
        raise ValueError("multinomial: the weights of a row sum to 0")


def _with_replacement(generator: Generator, rows: Array, num_samples: int) -> Array:
    drawn = np.empty((len(rows), num_samples), np.int64)
    cumulative = np.cumsum(rows, axis=1, dtype=rows.dtype)
    cumulative /= cumulative[:, -1:].copy()
    cumulative[:, -1] = 1
    for row, bounds in enumerate(cumulative):
        drawn[row] = np.searchsorted(bounds, _unit53(generator, num_samples), side="left")
    return drawn


def _reround(values: Array, dtype: DType) -> Array:
    """Float32 values rounded to a 16-bit format and widened again."""
    stored = narrow(values, dtype)
    if dtype is dtypes.bfloat16:
        return dtypes.bfloat16_to_float32(stored)
    return stored.astype(np.float32)
