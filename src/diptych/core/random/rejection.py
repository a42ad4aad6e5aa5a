"""PyTorch's samplers that draw until they accept: gamma, Dirichlet, Poisson and binomial.

Each element consumes what its rejections cost, so elements are drawn one after another, from 53-bit
uniforms that are made in blocks ahead; the generator is then moved on by what was used.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from diptych.core import dtypes
from diptych.core.dtypes import DType
from diptych.core.random.mt19937 import Generator
from diptych.core.random.rounding import Array, narrow, require_float

_MASK53 = np.uint64((1 << 53) - 1)
_LEAST_BLOCK, _LARGEST_BLOCK = 64, 1 << 16


class Uniforms:
    """The generator's doubles in [0, 1), and its normals, one at a time."""

    def __init__(self, generator: Generator, expected: int) -> None:
        self.generator = generator
        self.ahead = generator.clone()
        self.block = min(max(expected, _LEAST_BLOCK), _LARGEST_BLOCK)
        self.values: list[float] = []
        self.place = 0
        self.used = 0
        self.held = generator.next_double_normal

    def uniform(self) -> float:
        """The next double."""
        place = self.place
        if place == len(self.values):
            raw = self.ahead.bits64(self.block) & _MASK53
            self.values = (raw.astype(np.float64) * 2.0**-53).tolist()
            self.used += place
            place = 0
        self.place = place + 1
        return self.values[place]

    def normal(self) -> float:
        """The next standard normal; of a pair the second is kept."""
        if self.held is not None:
            held, self.held = self.held, None
            return held
        first, second = self.uniform(), self.uniform()
        radius = math.sqrt(-2.0 * math.log1p(-second))
        angle = 2.0 * math.pi * first
        self.held = radius * math.sin(angle)
        return radius * math.cos(angle)

    def finish(self) -> None:
        """Move the generator to where these draws ended."""
        used = self.used + self.place
        while used:
            part = min(used, _LARGEST_BLOCK)
            self.generator.bits64(part)
            used -= part
        self.generator.next_double_normal = self.held


def _wide(values: Array, of: DType) -> Array:
    return dtypes.bfloat16_to_float32(values) if of is dtypes.bfloat16 else np.asarray(values)


def _drawn(
    generator: Generator, cost: int, sample: Callable[..., float], *operands: Array
) -> Array:
    """``sample(uniforms, *elements)`` of corresponding elements, in order (float64)."""
    source = Uniforms(generator, cost * operands[0].size)
    rows = zip(*[x.reshape(-1).tolist() for x in operands], strict=True)
    values = [sample(source, *row) for row in rows]
    source.finish()
    return np.array(values, np.float64).reshape(operands[0].shape)


# ---- gamma (Marsaglia, Tsang, "A simple method for generating gamma variables", 2000)


# PyTorch writes these constants in single precision.
_THIRD = float(np.float32(1.0) / np.float32(3.0))
_SQUEEZE = float(np.float32(0.0331))


def _gamma(source: Uniforms, alpha: float) -> float:
    """A gamma of rate 1, all in double."""
    if alpha < 1.0:
        if alpha == 0.0:
            return 0.0
        scale = (1.0 - source.uniform()) ** (1.0 / alpha)
        return _gamma_from_one(source, alpha + 1.0 - _THIRD, scale)
    return _gamma_from_one(source, alpha - _THIRD, 1.0)


def _gamma_single(source: Uniforms, alpha: float) -> float:
    """The same where the concentration is a float, and so what is added to it."""
    if alpha < 1.0:
        if alpha == 0.0:
            return 0.0
        scale = (1.0 - source.uniform()) ** float(np.float32(1.0) / np.float32(alpha))
        alpha = float(np.float32(alpha) + np.float32(1.0))
    else:
        scale = 1.0
    return _gamma_from_one(source, float(np.float32(alpha) - np.float32(_THIRD)), scale)


def _gamma_from_one(source: Uniforms, d: float, scale: float) -> float:
    """A gamma of concentration d + 1/3, which is 1 or more, times a scale."""
    if not d > 0.0:
        return math.nan
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = source.normal()
        y = 1.0 + c * x
        while y <= 0:
            x = source.normal()
            y = 1.0 + c * x
        v = y * y * y
        u = 1.0 - source.uniform()
        square = x * x
        if u < 1.0 - _SQUEEZE * square * square:
            return scale * d * v
        if math.log(u) < 0.5 * square + d * (1.0 - v + math.log(v)):
            return scale * d * v


def _smallest(dtype: DType) -> float:
    """The smallest normal number of a float dtype."""
    if dtype is dtypes.bfloat16:
        dtype = dtypes.float32
    return float(np.finfo(dtype.numpy).tiny)


def standard_gamma(generator: Generator, concentration: Array, of: DType) -> Array:
    """Gamma of rate 1 for each concentration: ``torch._standard_gamma``."""
    require_float("standard_gamma", of)
    sample = _gamma if of is dtypes.float64 else _gamma_single
    values = _drawn(generator, 4, sample, _wide(concentration, of))
    with np.errstate(all="ignore"):
        return narrow(np.maximum(values, _smallest(of)), of)


def dirichlet(generator: Generator, concentration: Array, of: DType) -> Array:
    """Points of the simplex for each row of concentrations: ``torch._sample_dirichlet``."""
    require_float("dirichlet", of)
    gamma = _drawn(generator, 4, _gamma, _wide(concentration, of))
    with np.errstate(all="ignore"):
        share = gamma / gamma.sum(-1, keepdims=True)
    kind = np.dtype(np.float32) if of is dtypes.bfloat16 else of.numpy
    most = float(np.nextafter(kind.type(1), kind.type(0)))
    return narrow(np.minimum(most, np.maximum(_smallest(of), share)), of)


# ---- Poisson (Hoermann, "The transformed rejection method", 1993, for means of 10 and more)


def _poisson(source: Uniforms, mean: float) -> float:
    if mean >= 10.0:
        return _poisson_rejection(source, mean)
    if mean == 0.0:
        return 0.0
    bound = math.exp(-mean)
    count, product = 0, source.uniform()
    while product > bound:
        count += 1
        product *= source.uniform()
    return float(count)


def _poisson_rejection(source: Uniforms, mean: float) -> float:
    root, log_mean = math.sqrt(mean), math.log(mean)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse = 1.1239 + 1.1328 / (b - 3.4)
    bound = 0.9277 - 3.6224 / (b - 2)
    while True:
        u = source.uniform() - 0.5
        v = source.uniform()
        us = 0.5 - abs(u)
        k = math.floor((2 * a / us + b) * u + mean + 0.43)
        if us >= 0.07 and v <= bound:
            return float(k)
        if k < 0 or (us < 0.013 and v > us):
            continue
        if math.log(v) + math.log(inverse) - math.log(a / (us * us) + b) <= (
            -mean + k * log_mean - math.lgamma(k + 1.0)
        ):
            return float(k)


def poisson(generator: Generator, means: Array, of: DType) -> Array:
    """Poisson counts for each mean: ``torch.poisson``."""
    require_float("poisson", of)
    wide = _wide(means, of)
    if not bool(np.all(wide >= 0)):
        raise ValueError("poisson: a mean lies below 0")
    return narrow(_drawn(generator, 4, _poisson, wide), of)


# ---- binomial (Hoermann, "The generation of binomial random variates", 1993: BTRS)

_TAILS = (
    0.0810614667953272, 0.0413406959554092, 0.0276779256849983, 0.02079067210376509,
    0.0166446911898211, 0.0138761288230707, 0.0118967099458917, 0.0104112652619720,
    0.00925546218271273, 0.00833056343336287,
)  # fmt: skip


def _tail(k: float) -> float:
    """What Stirling's formula leaves out of log k!."""
    if k <= 9:
        return _TAILS[int(k)]
    square = (k + 1) * (k + 1)
    return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1)


def _binomial(source: Uniforms, count: float, probability: float) -> float:
    if count <= 0.0 or probability <= 0.0:
        return 0.0
    if probability >= 1.0:
        return count
    if probability <= 0.5:
        return _binomial_below_half(source, count, probability)
    if probability > 0.5:
        return count - _binomial_below_half(source, count, 1.0 - probability)
    return math.nan


def _binomial_below_half(source: Uniforms, count: float, probability: float) -> float:
    if count * probability >= 10.0:
        return _binomial_rejection(source, count, probability)
    log_miss = math.log1p(-probability)
    total, successes = 0.0, 0
    while True:
        u = source.uniform()
        total += math.ceil(math.log(u) / log_miss) if u else math.inf
        if total > count:
            return float(successes)
        successes += 1


def _binomial_rejection(source: Uniforms, count: float, p: float) -> float:
    spread = math.sqrt(count * p * (1 - p))
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * p
    c = count * p + 0.5
    bound = 0.92 - 4.2 / b
    odds = p / (1 - p)
    alpha = (2.83 + 5.1 / b) * spread
    m = math.floor((count + 1) * p)
    while True:
        u = source.uniform() - 0.5
        v = source.uniform()
        us = 0.5 - abs(u)
        k = math.floor((2 * a / us + b) * u + c)
        if us >= 0.07 and v <= bound:
            return float(k)
        if k < 0 or k > count:
            continue
        v = math.log(v * alpha / (a / (us * us) + b))
        most = (
            (m + 0.5) * math.log((m + 1) / (odds * (count - m + 1)))
            + (count + 1) * math.log((count - m + 1) / (count - k + 1))
            + (k + 0.5) * math.log(odds * (count - k + 1) / (k + 1))
            + _tail(m) + _tail(count - m) - _tail(k) - _tail(count - k)
        )  # fmt: skip
        if v <= most:
            return float(k)


def binomial(generator: Generator, counts: Array, probabilities: Array, of: DType) -> Array:
    """Successes in each number of trials: ``torch.binomial``."""
    require_float("binomial", of)
    operands = np.broadcast_arrays(_wide(counts, of), _wide(probabilities, of))
    return narrow(_drawn(generator, 4, _binomial, *operands), of)
