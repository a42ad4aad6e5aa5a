"""The Mersenne Twister stream of PyTorch's CPU generator: seeding, state bytes, raw draws."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from diptych.core import recording
from diptych.core.buffer import address_of
from diptych.core.random.rounding import Array

STATE_BYTES = 5056
DEFAULT_SEED = 67280421310721
_WORDS = 624
_MASK32 = 0xFFFFFFFF

# The layout of PyTorch's state tensor: a C struct, with the compiler's padding at both ends of it.
_STATE = np.dtype(
    {
        "names": [
            "initial_seed", "left", "seeded", "next", "key",
            "normal_x", "normal_y", "normal_rho", "normal_is_valid",
            "float_normal", "float_normal_is_valid",
        ],
        "formats": [
            "<u8", "<i4", "<i4", "<u8", ("<u8", (_WORDS,)),
            "<f8", "<f8", "<f8", "<i4",
            "<f4", "u1",
        ],
        "offsets": [0, 8, 12, 16, 24, 5016, 5024, 5032, 5040, 5048, 5052],
        "itemsize": STATE_BYTES,
    }
)  # fmt: skip


class Native:
    """Machine code for many draws at once; the engine fills it in where there is any.

    ``fill(state, out, count)`` writes draws, ``noise(state, out, count, bound, value)`` a float32
    where the low 53 bits of a double draw lie below a bound, else 0; ``uniform(state, out, count)``
    and ``normal(state, out, groups, mean, std)`` float32 numbers. All take addresses.
    """

    fill: Callable[[int, int, int], None] | None = None
    noise: Callable[[int, int, int, int, float], None] | None = None
    uniform: Callable[[int, int, int], None] | None = None
    normal: Callable[[int, int, int, float, float], None] | None = None


native = Native()
_SOME = 12  # draws
_MANY = 1024  # draws from which machine code is worth its call


class Generator:
    """A stream of 32-bit draws and the two normals that a pairwise transform may have left over.

    The twister itself is NumPy's: the same recurrence, and its legacy seeding is the one PyTorch
    uses. Draws are thread-safe; a transform made of several draws is not one atomic step.
    """

    __slots__ = ("_address", "_bits", "_seed", "_state", "next_double_normal", "next_float_normal")

    def __init__(self, seed: int = DEFAULT_SEED) -> None:
        self._bits = np.random.MT19937(0)
        self._state = np.random.RandomState(self._bits)
        self._address = self._bits.ctypes.state_address
        self.next_double_normal: float | None = None
        self.next_float_normal: float | None = None
        self.manual_seed(seed)

    def manual_seed(self, seed: int) -> Generator:
        """Restart the stream. Negative seeds count down from 2**64; the low 32 bits matter."""
        if recording.active is not None:
            recording.active.draw()
        seed = int(seed)
        if not -(1 << 63) <= seed < 1 << 64:
            raise ValueError(
                f"manual_seed: got {seed}; a seed lies between -2**63 and 2**64 - 1; "
                "reduce it modulo 2**64"
            )
        self._seed = seed % (1 << 64)
        self._state.seed(self._seed & _MASK32)
        self.next_double_normal = None
        self.next_float_normal = None
        return self

    def seed(self) -> int:
        """Restart the stream from 53 bits of the system's entropy and return them."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little") >> 11)
        return self._seed

    def initial_seed(self) -> int:
        return self._seed

    def random(self) -> int:
        """The next 32-bit draw."""
        if recording.active is not None:
            recording.active.draw()
        return self._bits.random_raw()

    def random64(self) -> int:
        """The next two draws as one number, the earlier one in the high half."""
        if recording.active is not None:
            recording.active.draw()
        return self._bits.random_raw() << 32 | self._bits.random_raw()

    def bits(self, count: int) -> Array:
        """The next ``count`` draws (uint32)."""
        if recording.active is not None:
            recording.active.draw()
        if count < (_SOME if native.fill else 64):  # one call per draw costs less than the others
            raw = self._bits.random_raw
            return np.array([raw() for _ in range(count)], np.uint32)
        if native.fill is None:
            return self._state.randint(0, 1 << 32, size=count, dtype=np.uint32)
        out = np.empty(count, np.uint32)
        with self._bits.lock:
            native.fill(self._address, address_of(out), count)
        return out

    def noise(self, out: int, count: int, bound: int, value: float) -> bool:
        """Write dropout's noise to the float32 memory at ``out``; False where no code can."""
        if recording.active is not None:
            recording.active.draw()
        if native.noise is None or count < _MANY:
            return False
        with self._bits.lock:
            native.noise(self._address, out, count, bound, value)
        return True

    def uniform_into(self, out: int, count: int) -> bool:
        """Write uniforms on [0, 1) to the float32 memory at ``out``; False where no code can."""
        if recording.active is not None:
            recording.active.draw()
        if native.uniform is None:
            return False
        with self._bits.lock:
            native.uniform(self._address, out, count)
        return True

    def normal_into(self, out: int, count: int, mean: float = 0.0, std: float = 1.0) -> bool:
        """Write 16 normals or more to the float32 memory at ``out``; False where no code can.

        The last 16 are drawn anew when they are no multiple, after the draws that they would
        have been made of.
        """
        if recording.active is not None:
            recording.active.draw()
        if native.normal is None or count < 16:
            return False
        rest = count % 16
        with self._bits.lock:
            native.normal(self._address, out, count // 16, mean, std)
        if rest:
            self.bits(rest)
            with self._bits.lock:
                native.normal(self._address, out + 4 * (count - 16), 1, mean, std)
        return True

    def bits64(self, count: int) -> Array:
        """The next ``2 * count`` draws as ``count`` numbers (uint64), the earlier one high."""
        pairs = self.bits(2 * count).reshape(count, 2)
        wide = pairs[:, 0].astype(np.uint64)
        wide <<= np.uint64(32)
        wide |= pairs[:, 1]
        return wide

    def clone(self) -> Generator:
        """An independent generator at the same place in the same stream."""
        other = Generator.__new__(Generator)
        other._bits = np.random.MT19937(0)
        other._bits.state = self._bits.state
        other._state = np.random.RandomState(other._bits)
        other._address = other._bits.ctypes.state_address
        other._seed = self._seed
        other.next_double_normal = self.next_double_normal
        other.next_float_normal = self.next_float_normal
        return other

    def get_state(self) -> Array:
        """The state as the 5056 bytes (uint8) of ``torch.get_rng_state()``."""
        twister = self._bits.state["state"]
        key, position = twister["key"], int(twister["pos"])
        record = np.zeros((), _STATE)
        record["initial_seed"] = self._seed
        record["seeded"] = 1
        record["key"] = key
        # PyTorch counts what is left, and writes 0 for "no block made yet".
        record["left"] = _WORDS + 1 - position
        record["next"] = 0 if position == _WORDS and _is_fresh(key) else position
        if self.next_double_normal is not None:
            record["normal_y"] = self.next_double_normal
            record["normal_is_valid"] = 1
        if self.next_float_normal is not None:
            record["float_normal"] = self.next_float_normal
            record["float_normal_is_valid"] = 1
        return np.array(np.frombuffer(record.tobytes(), np.uint8))

    def set_state(self, state: Array) -> Generator:
        """Continue from the bytes of ``get_state`` or of ``torch.get_rng_state()``."""
        if recording.active is not None:
            recording.active.draw()
        state = np.asarray(state)
        if state.dtype != np.uint8 or state.size != STATE_BYTES:
            raise ValueError(
                f"set_state: got {state.size} elements of {state.dtype}; "
                f"a generator's state is {STATE_BYTES} bytes of uint8"
            )
        record = np.frombuffer(np.ascontiguousarray(state).tobytes(), _STATE)[0]
        left, position = int(record["left"]), int(record["next"])
        fresh = left == 1 and position == 0
        if int(record["seeded"]) != 1 or not (fresh or 0 < position == _WORDS + 1 - left <= _WORDS):
            raise ValueError(
                f"set_state: not a state of this generator (left {left}, next {position}, "
                f"seeded {int(record['seeded'])}); pass what get_state returned"
            )
        key = record["key"].astype(np.uint32)
        self._bits.state = {
            "bit_generator": "MT19937",
            "state": {"key": key, "pos": _WORDS if fresh else position},
        }
        self._seed = int(record["initial_seed"])
        valid = bool(record["normal_is_valid"])
        self.next_double_normal = float(record["normal_y"]) if valid else None
        valid = bool(record["float_normal_is_valid"])
        self.next_float_normal = float(record["float_normal"]) if valid else None
        return self


def _is_fresh(key: Any) -> bool:
    """Whether ``key`` is as seeding leaves it: its words still follow the seeding recurrence."""
    words = [int(k) for k in key[:4]]
    return all(
        words[i] == (1812433253 * (words[i - 1] ^ words[i - 1] >> 30) + i) & _MASK32
        for i in range(1, 4)
    )


def mt19937_bits(generator: Generator, count: int) -> Array:
    """``count`` raw 32-bit draws (uint32), for the engine's random-bits primitive."""
    if count < 0:
        raise ValueError(f"mt19937_bits: count {count} is negative; it must be 0 or more")
    return generator.bits(count)
