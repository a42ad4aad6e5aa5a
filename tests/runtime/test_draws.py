"""Draws by machine code are NumPy's draws, and leave its state behind."""

from __future__ import annotations

import math

import numpy as np
import pytest

from diptych.compiler import twister
from diptych.core.random import mt19937
from diptych.core.random import torch_stream as stream
from diptych.core.random.mt19937 import Generator
from diptych.runtime import draws
from tests.compiler.contraction.harness import TARGETS
from tests.compiler.contraction.harness import call as native


@pytest.fixture
def plain(monkeypatch):
    """A function that draws by NumPy alone."""

    def drawn(generator: Generator, count: int) -> np.ndarray:
        with monkeypatch.context() as patch:
            patch.setattr(mt19937.native, "fill", None)
            return generator.bits(count)

    return drawn


@pytest.mark.parametrize("before", [0, 1, 623, 624, 625, 1000])
def test_draws_and_state(before, plain, monkeypatch):
    monkeypatch.setattr(mt19937.native, "fill", draws.fill)
    ours, theirs = Generator(7), Generator(7)
    for generator in (ours, theirs):
        for _ in range(before):
            generator.random()
    for count in (1024, 1248, 5000):
        assert np.array_equal(ours.bits(count), plain(theirs, count))
        assert np.array_equal(ours.get_state(), theirs.get_state())
    assert ours.random() == theirs.random()


@pytest.mark.parametrize("name", list(TARGETS))
def test_every_target_draws_the_same(name, plain):
    target = TARGETS[name]
    generator, other = Generator(3), Generator(3)
    out = np.empty(3001, np.uint32)
    state = generator._bits.ctypes.state_address
    native(twister.draws_unit(target), [out.size, 0, 0, 0], [state, out.ctypes.data], target)
    assert np.array_equal(out, plain(other, out.size))
    bound = math.ceil(math.ldexp(0.37, 53))
    values = np.empty(2500, np.float32)
    desc = [values.size, bound >> 32, bound & 0xFFFFFFFF, int(np.float32(2.5).view(np.int32))]
    native(twister.noise_unit(target), desc, [state, values.ctypes.data], target)
    high, low = plain(other, 2 * values.size).reshape(-1, 2).astype(np.uint64).T
    below = ((high << np.uint64(32) | low) & np.uint64((1 << 53) - 1)) < np.uint64(bound)
    assert np.array_equal(values, np.where(below, np.float32(2.5), np.float32(0)))
    assert np.array_equal(generator.get_state(), other.get_state())


@pytest.mark.parametrize("count", [1, 15, 16, 17, 63, 64, 2048, 2049, 5003])
@pytest.mark.parametrize("mean, std", [(0.0, 1.0), (-3.3, 0.7), (0.0, 2.5)])
def test_numbers_by_machine_code_are_the_reference(count, mean, std, monkeypatch):
    ours, theirs = Generator(count), Generator(count)
    monkeypatch.setattr(mt19937.native, "uniform", draws.uniform)
    monkeypatch.setattr(mt19937.native, "normal", draws.normal)
    normals, uniforms = stream.normal(ours, (count,), mean, std), stream.rand(ours, (count,))
    monkeypatch.setattr(mt19937.native, "uniform", None)
    monkeypatch.setattr(mt19937.native, "normal", None)
    assert np.array_equal(normals, stream.normal(theirs, (count,), mean, std))
    assert np.array_equal(uniforms, stream.rand(theirs, (count,)))
    assert np.array_equal(ours.get_state(), theirs.get_state())


def test_numbers_stay_within_their_memory():
    out = np.full(40, 7.0, np.float32)
    generator = Generator(5)
    draws.uniform(generator._address, out.ctypes.data + 4, 30)
    draws.normal(generator._address, out.ctypes.data + 4, 2, 0.0, 1.0)
    assert out[0] == 7.0 and (out[33:] == 7.0).all() and (out[1:33] != 7.0).all()
