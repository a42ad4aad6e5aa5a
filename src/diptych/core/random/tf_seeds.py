"""TensorFlow's seeds: the global one, those given to operations, and the streams they name."""

from __future__ import annotations

import os
import random
import threading

from diptych.core.random.philox import philox_blocks

MAX_SEED = 2**31 - 1
DEFAULT_GLOBAL_SEED = 87654321
_BLOCKS_PER_OUTPUT = 256  # set aside for each number, for those drawn by rejection
_MASK64 = (1 << 64) - 1
_MASK128 = (1 << 128) - 1


class PhiloxStream:
    """A key and a counter that moves on: the state of one of TensorFlow's random operations."""

    __slots__ = ("_lock", "counter", "key")

    def __init__(self, key: int, counter: int) -> None:
        self.key = key & _MASK64
        self.counter = counter & _MASK128
        self._lock = threading.Lock()

    def reserve(self, outputs: int) -> tuple[int, int]:
        """Key and counter for ``outputs`` numbers; the counter moves past all they may need."""
        return self.skip(outputs * _BLOCKS_PER_OUTPUT)

    def reserve_draws(self, draws: int) -> tuple[int, int]:
        """Key and counter for exactly ``draws`` 32-bit draws."""
        return self.skip(-(-draws // 4))

    def skip(self, blocks: int) -> tuple[int, int]:
        """Key and counter as they are; the counter moves on by ``blocks``."""
        with self._lock:
            here = self.counter
            self.counter = (here + blocks) & _MASK128
        return self.key, here


class SeedState:
    """What ``tf.random.set_seed`` sets: the global seed and the seeds it deals to operations.

    An operation called without a seed of its own gets the next one dealt, and so a stream of its
    own. One called with a seed continues the stream of its earlier calls with the same signature,
    as TensorFlow's cached kernels do; ``set_seed`` forgets those streams.
    """

    def __init__(self) -> None:
        self.global_seed: int | None = None
        self._dealer = random.Random()
        self._streams: dict[tuple[object, ...], PhiloxStream] = {}

    def set_seed(self, seed: int | None) -> None:
        self.global_seed = seed
        self._dealer = random.Random(seed)
        self._streams.clear()

    def operation_seeds(self, seed: int | None = None) -> tuple[int, int]:
        """The pair that an operation called now would be given; (0, 0) asks for entropy."""
        if self.global_seed is None:
            if seed is None:
                return 0, 0
            pair = DEFAULT_GLOBAL_SEED, seed % MAX_SEED
        else:
            dealt = self._dealer.randint(0, MAX_SEED) if seed is None else seed
            pair = self.global_seed % MAX_SEED, dealt % MAX_SEED
        return (0, MAX_SEED) if pair == (0, 0) else pair

    def stream(self, operation: str, dtype: str, seed: int | None = None) -> PhiloxStream:
        """The stream from which a call of ``operation`` in ``dtype`` draws now."""
        pair = self.operation_seeds(seed)
        if pair == (0, 0):
            entropy = os.urandom(16)
            return stream_of_seeds(
                int.from_bytes(entropy[:8], "little"), int.from_bytes(entropy[8:], "little")
            )
        if seed is None:
            return stream_of_seeds(*pair)
        signature = (operation, dtype, *pair)
        found = self._streams.get(signature)
        if found is None:
            found = self._streams.setdefault(signature, stream_of_seeds(*pair))
        return found


def stream_of_seeds(seed: int, seed2: int) -> PhiloxStream:
    """The stream of an operation's pair of seeds: the key, and the counter's upper half."""
    return PhiloxStream(seed, (seed2 & _MASK64) << 64)


def stateless_stream(seed: tuple[int, int]) -> tuple[int, int]:
    """Key and counter that ``tf.random.stateless_*`` make by scrambling a pair of seeds."""
    start = (seed[0] & _MASK64) | (seed[1] & _MASK64) << 64
    mixed = [int(word) for word in philox_blocks(0x02461E293EC8F720, start, 1)[0]]
    return mixed[0] | mixed[1] << 32, (mixed[2] | mixed[3] << 32) << 64


class PhiloxGenerator(PhiloxStream):
    """``tf.random.Generator`` with the Philox algorithm: a state of three int64 words."""

    __slots__ = ()

    @classmethod
    def from_seed(cls, seed: int) -> PhiloxGenerator:
        """As ``tf.random.Generator.from_seed``: the seed is where the counter starts."""
        return cls(0, seed & _MASK64)

    def state(self) -> tuple[int, int, int]:
        """The counter's two words and the key, as signed 64-bit numbers."""
        words = (self.counter & _MASK64, self.counter >> 64, self.key)
        low, high, key = (word - (1 << 64) if word >> 63 else word for word in words)
        return low, high, key
