"""``tf.random``: TensorFlow's numbers for TensorFlow's seeds."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np

from diptych.core import dtypes
from diptych.core.dtypes import DType
from diptych.core.random import tf_seeds, tf_stream
from diptych.core.tensor import copy_array, from_array
from diptych.ops import indexing
from diptych.tensorflow import elementwise as table
from diptych.tensorflow.conversion import (
    integer,
    python_scalar,
    shape_argument,
    tensor_as,
    tensor_of,
)
from diptych.tensorflow.dtype import BY_INDEX, engine_dtype, kernel_name
from diptych.tensorflow.errors import invalid
from diptych.tensorflow.missing import attributes
from diptych.tensorflow.tensor import EagerTensor
from diptych.tensorflow.variable import Variable

__all__ = [
    "Generator", "Algorithm", "create_rng_state", "get_global_generator", "normal",
    "set_global_generator", "set_seed", "shuffle", "stateless_normal", "stateless_shuffle",
    "stateless_truncated_normal", "stateless_uniform", "truncated_normal", "uniform",
]  # fmt: skip

FLOATS = (dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64)
INTEGERS = (dtypes.int32, dtypes.int64)
FULL = (*INTEGERS, dtypes.uint32, dtypes.uint64)

_state = tf_seeds.SeedState()
_lock = threading.Lock()


class Algorithm:
    """The generators' algorithms, by number."""

    PHILOX = 1
    THREEFRY = 2
    AUTO_SELECT = 3


def set_seed(seed: Any) -> None:
    """Set the global seed: the same calls after it give the same numbers."""
    with _lock:
        _state.set_seed(None if seed is None else integer(python_scalar(seed)))


def _stream(op: str, dtype: DType, seed: Any) -> tf_seeds.PhiloxStream:
    """The stream from which a call of an operation draws now."""
    with _lock:
        return _state.stream(op, dtype.name, None if seed is None else integer(python_scalar(seed)))


def _tensor(array: Any, dtype: DType) -> Any:
    return from_array(np.ascontiguousarray(array), EagerTensor, dtype)


def _float_dtype(dtype: Any, given: Any) -> DType:
    wanted = engine_dtype(dtype)
    if wanted not in FLOATS:
        if not wanted.is_float:
            raise TypeError(
                f"Cannot convert {given!r} to EagerTensor of dtype {kernel_name(wanted)}"
            )
        raise ValueError(f"dtype {BY_INDEX[wanted.index]!r} is not one that can be drawn")
    return wanted


def _moments(mean: Any, stddev: Any) -> tuple[Any, Any, bool]:
    """Mean and deviation as numbers, and whether they are: tensors with axes broadcast instead."""
    plain = all(isinstance(v, (int, float)) or not tensor_of(v).layout.ndim for v in (mean, stddev))
    if plain:
        return python_scalar(mean), python_scalar(stddev), True
    return mean, stddev, False


def _spread(values: Any, scale: Any, shift: Any) -> Any:
    """Drawn values scaled and moved by tensors."""
    dtype = values.layout.dtype
    return table.add(table.multiply(values, tensor_as(scale, dtype)), tensor_as(shift, dtype))


def normal(
    shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32", seed: Any = None,
    name: Any = None,
) -> Any:  # fmt: skip
    """Normally distributed numbers."""
    wanted = _float_dtype(dtype, mean)
    extents = shape_argument(shape, "RandomStandardNormal")
    shift, scale, plain = _moments(mean, stddev)
    key, counter = _stream("RandomStandardNormal", wanted, seed).reserve(int(np.prod(extents)))
    if plain:
        return _tensor(tf_stream.normal(key, counter, extents, shift, scale, wanted), wanted)
    drawn = _tensor(tf_stream.standard_normal(key, counter, extents, wanted), wanted)
    return _spread(drawn, scale, shift)


def truncated_normal(
    shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32", seed: Any = None,
    name: Any = None,
) -> Any:  # fmt: skip
    """Normally distributed numbers, those beyond two deviations drawn again."""
    wanted = _float_dtype(dtype, mean)
    extents = shape_argument(shape, "TruncatedNormal")
    shift, scale, plain = _moments(mean, stddev)
    key, counter = _stream("TruncatedNormal", wanted, seed).reserve(int(np.prod(extents)))
    if plain:
        return _tensor(
            tf_stream.truncated_normal(key, counter, extents, shift, scale, wanted), wanted
        )
    drawn = _tensor(tf_stream.standard_truncated_normal(key, counter, extents, wanted), wanted)
    return _spread(drawn, scale, shift)


def uniform(
    shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = "float32", seed: Any = None,
    name: Any = None,
) -> Any:  # fmt: skip
    """Uniformly distributed numbers of [minval, maxval)."""
    wanted = engine_dtype(dtype)
    if wanted not in (*FLOATS, *INTEGERS):
        raise ValueError(
            f"Argument `dtype` got invalid value {BY_INDEX[wanted.index]!r}. Accepted dtypes are "
            "bfloat16, float16, float32, float64, int32, int64."
        )
    if maxval is None:
        if wanted.is_integer:
            raise ValueError(f"Must specify maxval for integer dtype {BY_INDEX[wanted.index]!r}")
        maxval = 1
    extents = shape_argument(shape, "RandomUniform")
    low, high = python_scalar(minval), python_scalar(maxval)
    count = int(np.prod(extents))
    if wanted.is_integer:
        low, high = integer(low), integer(high)
        if low >= high:
            raise invalid("RandomUniformInt", f"Need minval < maxval, got {low} >= {high}")
        key, counter = _stream("RandomUniformInt", wanted, seed).reserve(count)
        drawn = tf_stream.uniform_integers(key, counter, extents, low, high, wanted)
    else:
        key, counter = _stream("RandomUniform", wanted, seed).reserve(count)
        drawn = tf_stream.uniform(key, counter, extents, low, high, wanted)
    return _tensor(drawn, wanted)


def shuffle(value: Any, seed: Any = None, name: Any = None) -> Any:
    """The rows in a random order."""
    x = tensor_of(value)
    if not x.layout.ndim:
        return x
    rows = x.layout.shape[0]
    key, counter = _stream("RandomShuffle", x.layout.dtype, seed).reserve_draws(max(rows - 1, 0))
    order = tf_stream.shuffle_order(key, counter, rows)
    return indexing.index_select(x, copy_array(order, EagerTensor, dtypes.int64), 0)


# ---- stateless


def _seed_pair(seed: Any) -> tuple[int, int]:
    values = tensor_of(seed).values().reshape(-1)
    if values.size != 2 or values.dtype.kind not in "iu":
        raise invalid("StatelessRandomGetKeyCounter", f"seed must have shape [2], not {seed!r}")
    return int(values[0]), int(values[1])


def stateless_normal(
    shape: Any, seed: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32",
    name: Any = None, alg: Any = "auto_select",
) -> Any:  # fmt: skip
    """Normally distributed numbers that the seed alone determines."""
    wanted = _float_dtype(dtype, mean)
    extents = shape_argument(shape, "StatelessRandomNormalV2")
    key, counter = tf_seeds.stateless_stream(_seed_pair(seed))
    shift, scale = python_scalar(mean), python_scalar(stddev)
    return _tensor(tf_stream.normal(key, counter, extents, shift, scale, wanted), wanted)


def stateless_truncated_normal(
    shape: Any, seed: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32",
    name: Any = None, alg: Any = "auto_select",
) -> Any:  # fmt: skip
    """Truncated normal numbers that the seed alone determines."""
    wanted = _float_dtype(dtype, mean)
    extents = shape_argument(shape, "StatelessTruncatedNormalV2")
    key, counter = tf_seeds.stateless_stream(_seed_pair(seed))
    shift, scale = python_scalar(mean), python_scalar(stddev)
    return _tensor(tf_stream.truncated_normal(key, counter, extents, shift, scale, wanted), wanted)


def stateless_uniform(
    shape: Any, seed: Any, minval: Any = 0, maxval: Any = None, dtype: Any = "float32",
    name: Any = None, alg: Any = "auto_select",
) -> Any:  # fmt: skip
    """Uniformly distributed numbers that the seed alone determines."""
    key, counter = tf_seeds.stateless_stream(_seed_pair(seed))
    return _uniform(key, counter, shape, minval, maxval, engine_dtype(dtype))


def _uniform(key: int, counter: int, shape: Any, minval: Any, maxval: Any, wanted: DType) -> Any:
    extents = shape_argument(shape, "StatelessRandomUniformV2")
    if wanted.is_integer:
        if (minval is None) != (maxval is None):
            raise ValueError(
                f"For integer `dtype` argument {BY_INDEX[wanted.index]!r}, argument `minval` and "
                f"`maxval` must be both None or not None. Got `minval`={minval} and "
                f"`maxval`={maxval}."
            )
        if maxval is None:
            return _tensor(tf_stream.full_integers(key, counter, extents, wanted), wanted)
        low, high = integer(python_scalar(minval)), integer(python_scalar(maxval))
        if low >= high:
            raise invalid(
                "StatelessRandomUniformIntV2", f"Need minval < maxval, got {low} >= {high}"
            )
        return _tensor(tf_stream.uniform_integers(key, counter, extents, low, high, wanted), wanted)
    low = python_scalar(0 if minval is None else minval)
    high = python_scalar(1 if maxval is None else maxval)
    return _tensor(tf_stream.uniform(key, counter, extents, low, high, wanted), wanted)


def stateless_shuffle(value: Any, seed: Any, alg: Any = "auto_select", name: Any = None) -> Any:
    raise NotImplementedError("tf.random.experimental.stateless_shuffle is not there yet")


# ---- generators


class Generator:
    """A generator of its own, whose state is a variable."""

    __module__ = "tensorflow.random"

    def __init__(self, copy_from: Any = None, state: Any = None, alg: Any = None) -> None:
        if copy_from is not None:
            if state is not None or alg is not None:
                raise ValueError("Since `copy_from` is not None, `state` and `alg` must be None")
            state = copy_from.state
        elif state is None:
            raise ValueError("Either `copy_from` or `state` must be given")
        _check_algorithm(alg)
        words = tensor_of(state).values().reshape(-1).tolist()
        if len(words) != 3:
            raise ValueError(
                f"For the Philox algorithm, the state must have shape (3,); got {len(words)} words"
            )
        mask = (1 << 64) - 1
        counter = (words[0] & mask) | (words[1] & mask) << 64
        self._stream = tf_seeds.PhiloxGenerator(words[2] & mask, counter)

    @classmethod
    def from_seed(cls, seed: Any, alg: Any = None) -> Generator:
        """A generator that a number sets going."""
        _check_algorithm(alg)
        start = integer(python_scalar(seed)) & ((1 << 64) - 1)
        return cls._of(tf_seeds.PhiloxGenerator.from_seed(start))

    @classmethod
    def from_non_deterministic_state(cls, alg: Any = None) -> Generator:
        """A generator that entropy sets going."""
        _check_algorithm(alg)
        words = [int.from_bytes(os.urandom(8), "little") for _ in range(3)]
        return cls._of(tf_seeds.PhiloxGenerator(words[2], words[0] | words[1] << 64))

    @classmethod
    def from_state(cls, state: Any, alg: Any) -> Generator:
        """A generator that goes on from another's state."""
        return cls(state=state, alg=alg)

    @classmethod
    def from_key_counter(cls, key: Any, counter: Any, alg: Any) -> Generator:
        """A generator of this key and counter (two words, the low one first)."""
        low, high = tensor_of(counter).values().reshape(-1).tolist()
        return cls(state=[low, high, integer(python_scalar(key))], alg=alg)

    @classmethod
    def _of(cls, stream: tf_seeds.PhiloxGenerator) -> Generator:
        self = cls.__new__(cls)
        self._stream = stream
        return self

    @property
    def algorithm(self) -> int:
        return Algorithm.PHILOX

    @property
    def state(self) -> Variable:
        return Variable(np.array(self._stream.state(), np.int64), trainable=False, name="StateVar")

    @property
    def key(self) -> Any:
        return tensor_of(np.int64(self._stream.state()[2]))

    def reset(self, state: Any) -> None:
        """Go on from a state."""
        self._stream = Generator(state=state)._stream

    def reset_from_seed(self, seed: Any) -> None:
        """Start again from a seed."""
        self._stream = Generator.from_seed(seed)._stream

    def skip(self, delta: Any) -> Any:
        """Move on past that many blocks; the state before."""
        before = self.state
        self._stream.skip(integer(python_scalar(delta)))
        return before.read_value()

    def normal(
        self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32",
        name: Any = None,
    ) -> Any:  # fmt: skip
        """Normally distributed numbers."""
        wanted = _float_dtype(dtype, mean)
        extents = shape_argument(shape)
        key, counter = self._stream.reserve(int(np.prod(extents)))
        shift, scale = python_scalar(mean), python_scalar(stddev)
        return _tensor(tf_stream.normal(key, counter, extents, shift, scale, wanted), wanted)

    def truncated_normal(
        self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32",
        name: Any = None,
    ) -> Any:  # fmt: skip
        """Truncated normal numbers."""
        wanted = _float_dtype(dtype, mean)
        extents = shape_argument(shape)
        key, counter = self._stream.reserve(int(np.prod(extents)))
        shift, scale = python_scalar(mean), python_scalar(stddev)
        return _tensor(
            tf_stream.truncated_normal(key, counter, extents, shift, scale, wanted), wanted
        )

    def uniform(
        self, shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = "float32",
        name: Any = None,
    ) -> Any:  # fmt: skip
        """Uniformly distributed numbers of [minval, maxval)."""
        wanted = engine_dtype(dtype)
        if wanted.is_integer and maxval is None and minval is not None:
            raise ValueError(f"Must specify maxval for integer dtype {BY_INDEX[wanted.index]!r}")
        extents = shape_argument(shape)
        key, counter = self._stream.reserve(int(np.prod(extents)))
        return _uniform(key, counter, extents, minval, maxval, wanted)

    def uniform_full_int(self, shape: Any, dtype: Any = "uint64", name: Any = None) -> Any:
        """Whole numbers over all of a dtype."""
        wanted = engine_dtype(dtype)
        extents = shape_argument(shape)
        key, counter = self._stream.reserve(int(np.prod(extents)))
        return _tensor(tf_stream.full_integers(key, counter, extents, wanted), wanted)

    def make_seeds(self, count: Any = 1) -> Any:
        """Seeds for the stateless functions, one a column."""
        number = integer(python_scalar(count))
        first = self.uniform_full_int([number], "int64").values()
        return _tensor(np.stack([first, np.zeros_like(first)]), dtypes.int64)

    def split(self, count: Any = 1) -> list[Generator]:
        """New generators, started from this one's numbers."""
        keys = self.make_seeds(count).values()[0]
        mask = (1 << 64) - 1
        return [Generator._of(tf_seeds.PhiloxGenerator(int(key) & mask, 0)) for key in keys]


def _check_algorithm(alg: Any) -> None:
    """Philox, by any of its names; NotImplementedError for the other."""
    if alg in (None, "philox", "auto_select", Algorithm.PHILOX, Algorithm.AUTO_SELECT):
        return
    if alg in ("threefry", Algorithm.THREEFRY):
        raise NotImplementedError("tf.random.Generator with ThreeFry is not there yet")
    raise ValueError(
        f"Argument `alg` got unsupported string value {alg}. Supported string values are 'philox' "
        "for the Philox algorithm, 'threefry' for the ThreeFry algorithm, and 'auto_select' for "
        "auto-selection."
    )


def create_rng_state(seed: Any, alg: Any) -> Any:
    """The state that a seed leads to."""
    return Generator.from_seed(seed, alg).state.read_value()


class _Global:
    """The generator that functions share, made when it is first asked for."""

    generator: Generator | None = None


def get_global_generator() -> Generator:
    """The generator that functions share."""
    if _Global.generator is None:
        _Global.generator = Generator.from_non_deterministic_state()
    return _Global.generator


def set_global_generator(generator: Generator) -> None:
    """Replace the generator that functions share."""
    _Global.generator = generator


__getattr__ = attributes("random")
