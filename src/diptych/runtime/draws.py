"""Raw draws and dropout's noise by machine code, handed to the random streams."""

from __future__ import annotations

import functools
import struct
from typing import Any

import numpy as np

from diptych.compiler import gaussian, twister
from diptych.core.buffer import address_of
from diptych.core.random import mt19937
from diptych.runtime import kernels, native, objects


def _call(unit: Any, numbers: tuple[int, ...], state: int, out: int) -> None:
    desc = np.zeros(4, np.int64)
    desc[: len(numbers)] = numbers
    native.call(kernels.load(unit), int(desc.__array_interface__["data"][0]), state, out)


def fill(state: int, out: int, count: int) -> None:
    """The next ``count`` draws of the twister at ``state`` to the 32-bit words at ``out``."""
    desc = np.array((count, 0, 0, 0), np.int64)
    native.call(_draws(), address_of(desc), state, out)


def noise(state: int, out: int, count: int, bound: int, value: float) -> None:
    """``value`` (float32) where a double draw lies below ``bound`` in 2**53, else 0."""
    bits = struct.unpack("<i", struct.pack("<f", value))[0]
    numbers = (count, bound >> 32, bound & 0xFFFFFFFF, bits)
    _call(twister.noise_unit(objects.target()), numbers, state, out)


@functools.cache
def _draws() -> int:
    return kernels.load(twister.draws_unit(objects.target()))


@functools.cache
def _kernel(name: str) -> int:
    return kernels.load(getattr(gaussian, name)(objects.target()))


def uniform(state: int, out: int, count: int) -> None:
    """The next ``count`` uniforms (float32, of 24 bits) to the memory at ``out``."""
    native.call(_kernel("uniform_unit"), 0, state, out, count)


def normal(state: int, out: int, groups: int, mean: float, std: float) -> None:
    """The next ``groups`` of 16 normals (float32) to the memory at ``out``."""
    scale = int.from_bytes(struct.pack("<ff", std, mean), "little", signed=True)
    native.call(_kernel("normal_unit"), 0, state, out, groups, scale)


def install() -> None:
    """Let the streams draw by machine code."""
    mt19937.native.uniform = uniform
    mt19937.native.normal = normal
    mt19937.native.fill = fill
    mt19937.native.noise = noise
