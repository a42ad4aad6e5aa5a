"""Samplers that reject: golden numbers of PyTorch's, what they consume, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from diptych.core import dtypes
from diptych.core.random import rejection, torch_stream
from diptych.core.random.mt19937 import Generator


def seeded() -> Generator:
    return Generator(7)


def test_pytorchs_numbers() -> None:
    """What torch.manual_seed(7) and these calls in turn give there."""
    generator, kind = seeded(), dtypes.float32
    three = np.array([0.3, 1.0, 7.5], np.float32)
    found = rejection.standard_gamma(generator, three, kind)
    assert found.tolist() == [0.23634669184684753, 3.911741018295288, 8.427401542663574]
    found = rejection.dirichlet(generator, three[None], kind)
    assert found.tolist() == [[0.00041195619269274175, 0.113172248005867, 0.8864157795906067]]
    found = rejection.poisson(generator, np.array([0.3, 5.0, 40.0], np.float32), kind)
    assert found.tolist() == [0.0, 3.0, 48.0]
    counts, shares = np.array([12.0, 100.0], np.float32), np.array([0.2, 0.6], np.float32)
    assert rejection.binomial(generator, counts, shares, kind).tolist() == [5.0, 68.0]
    assert torch_stream.rand(generator, (1,)).item() == 0.21469539403915405


@pytest.mark.parametrize("kind", [dtypes.float32, dtypes.float64])
def test_the_generator_moves_by_what_was_used(kind: dtypes.DType) -> None:
    generator, again = seeded(), seeded()
    values = np.full(5, 3.7, kind.numpy)
    first = rejection.standard_gamma(generator, values, kind)
    second = rejection.standard_gamma(generator, values, kind)
    both = rejection.standard_gamma(again, np.concatenate([values, values]), kind)
    assert np.array_equal(np.concatenate([first, second]), both)
    assert np.array_equal(generator.get_state(), again.get_state())


def test_means_are_what_they_should_be() -> None:
    generator = seeded()
    many = np.ones(4000)
    assert abs(rejection.poisson(generator, 3 * many, dtypes.float64).mean() - 3) < 0.1
    assert abs(rejection.poisson(generator, 30 * many, dtypes.float64).mean() - 30) < 0.4
    drawn = rejection.binomial(generator, 50 * many, 0.7 * many, dtypes.float64)
    assert abs(drawn.mean() - 35) < 0.3 and drawn.max() <= 50
    assert abs(rejection.standard_gamma(generator, 0.3 * many, dtypes.float64).mean() - 0.3) < 0.05
    shares = rejection.dirichlet(generator, np.ones((100, 3)), dtypes.float64)
    np.testing.assert_allclose(shares.sum(-1), 1)


def test_edges() -> None:
    generator = seeded()
    zero = np.zeros(2, np.float32)
    assert rejection.poisson(generator, zero, dtypes.float32).tolist() == [0, 0]
    tiny = float(np.finfo(np.float32).tiny)
    assert rejection.standard_gamma(generator, zero, dtypes.float32).tolist() == [tiny, tiny]
    nothing = np.zeros((0, 3), np.float32)
    assert rejection.dirichlet(generator, nothing, dtypes.float32).shape == (0, 3)
    certain = rejection.binomial(generator, zero + 5, zero + 1, dtypes.float32)
    assert certain.tolist() == [5, 5]
    with pytest.raises(ValueError, match="below 0"):
        rejection.poisson(generator, zero - 1, dtypes.float32)
    with pytest.raises(ValueError):
        rejection.poisson(generator, np.zeros(2, np.int64), dtypes.int64)
