"""Rules of single elements and of whole parameters: one step against its formula."""

from __future__ import annotations

import numpy as np
import pytest

from diptych.core import call
from diptych.core.tensor import Tensor, copy_array
from diptych.engine import EagerEvaluator, ReferenceBackend
from diptych.optim import adaptive, matrices
from diptych.optim.update import step


def tensors(*arrays: np.ndarray) -> list[Tensor]:
    return [copy_array(np.asarray(a, np.float32), Tensor) for a in arrays]


def test_rprop_grows_shrinks_and_skips() -> None:
    p, g, before, size = tensors([0, 0, 0], [1, -1, 2], [1, 1, 0], [1, 1, 1])
    step(adaptive.RPROP, (False,), [p], [g], [[before], [size]], (0.5, 1.2, 1e-6, 50))
    np.testing.assert_allclose(p.array(), [-1.2, 0, -1], rtol=1e-6)
    np.testing.assert_allclose(size.array(), [1.2, 0.5, 1], rtol=1e-6)
    assert before.array().tolist() == [1, 0, 2]


def test_asgd_averages_once_told_to() -> None:
    p, g, mean = tensors([2.0], [1.0], [0.0])
    step(adaptive.ASGD, (False, False, False), [p], [g], [[mean]], (-1.0, 1.0, 1.0, 0))
    assert p.item() == mean.item() == 1.0
    step(adaptive.ASGD, (False, False, True), [p], [g], [[mean]], (-1.0, 1.0, 0.5, 0))
    assert p.item() == 0.0 and mean.item() == 0.5


def adafactor_of(p, g, row, column):
    row = row + ((g**2).mean(1, keepdims=True) - row) * 0.5
    column = column + ((g**2).mean(0, keepdims=True) - column) * 0.5
    estimate = row * column / row.mean()
    update = g / np.sqrt(estimate)
    scale = max(1e-3, np.sqrt((p**2).mean())) * 0.1
    return p - scale / max(1, np.sqrt((update**2).mean())) * update, row, column


@pytest.mark.parametrize("reference", [False, True])
def test_adafactor_is_its_formula_for_several_matrices_at_once(reference: bool) -> None:
    draw = np.random.default_rng(0)
    p, g = ([draw.normal(size=s) for s in ((4, 3), (2, 5))] for _ in range(2))
    row = [np.abs(draw.normal(size=(x.shape[0], 1))) for x in p]
    column = [np.abs(draw.normal(size=(1, x.shape[1]))) for x in p]
    held = [tensors(*part) for part in (p, g, row, column)]
    numbers = (0.5, 0.1, 1e-3, 1.0, 1e-7, 1e-14, 1.0)
    evaluator = EagerEvaluator(ReferenceBackend()) if reference else call.current
    plans = dict(matrices.ADAFACTOR.plans)
    matrices.ADAFACTOR.plans.clear()
    with call.installed(evaluator):
        step(matrices.ADAFACTOR, (False, False), held[0], held[1], held[2:], numbers)
    matrices.ADAFACTOR.plans.clear()
    matrices.ADAFACTOR.plans.update(plans)
    for i in range(2):
        wanted = adafactor_of(p[i], g[i], row[i], column[i])
        for found, value in zip((held[0][i], held[2][i], held[3][i]), wanted, strict=True):
            np.testing.assert_allclose(found.array(), value, rtol=1e-4, atol=1e-5)
        assert held[0][i].buffer.version == 1


@pytest.mark.parametrize("shape", [(6, 4), (3, 7)])
def test_muon_moves_along_an_orthogonal_matrix(shape: tuple[int, int]) -> None:
    draw = np.random.default_rng(0)
    p, g, held = tensors(np.zeros(shape), draw.normal(size=shape), np.zeros(shape))
    flags = (False, False, (3.4445, -4.7750, 2.0315), 5, 1e-7)
    step(matrices.MUON, flags, [p], [g], [[held]], (0.05, 0.95, -1.0, 1.0))
    values = np.linalg.svd(p.array(), compute_uv=False)
    assert 0.6 < values.min() and values.max() < 1.3
