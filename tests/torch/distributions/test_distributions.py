"""Distributions: densities by formula, shapes, gradients through samples, and refusals."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest

import diptych.torch as torch
from diptych.torch import distributions as D  # noqa: N812


def test_the_normal_is_its_formula() -> None:
    d = D.Normal(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 2.0]))
    x = torch.tensor([0.5, -1.0])
    z = (x - d.loc) / d.scale
    wanted = -0.5 * z**2 - d.scale.log() - 0.5 * math.log(2 * math.pi)
    np.testing.assert_allclose(d.log_prob(x).numpy(), wanted.numpy(), rtol=1e-6)
    np.testing.assert_allclose(d.icdf(d.cdf(x)).numpy(), x.numpy(), rtol=1e-5)
    assert d.batch_shape == (2,) and d.sample((3,)).shape == (3, 2)
    assert importlib.import_module("diptych.torch.distributions.normal").Normal is D.Normal
    assert repr(D.Normal(0.0, 1.0)) == "Normal(loc: 0.0, scale: 1.0)"


def test_gradients_flow_through_samples() -> None:
    loc, scale = torch.zeros(3, requires_grad=True), torch.ones(3, requires_grad=True)
    torch.manual_seed(0)
    drawn = D.Normal(loc, scale).rsample()
    drawn.sum().backward()
    np.testing.assert_allclose(loc.grad.numpy(), 1)
    np.testing.assert_allclose(scale.grad.numpy(), drawn.detach().numpy())


@pytest.mark.parametrize("make", [
    lambda c: D.Gamma(c, torch.ones_like(c)), lambda c: D.Dirichlet(c),
    lambda c: D.Beta(c, torch.full_like(c, 2.0)), lambda c: D.Chi2(c),
])  # fmt: skip
def test_means_of_implicit_gradients_are_gradients_of_means(make) -> None:
    """E[x] is known, and so is its slope; the samples' slopes must average to it."""
    torch.manual_seed(1)
    c = torch.tensor([0.6, 2.0], dtype=torch.float64, requires_grad=True)
    d = make(c)
    weights = torch.tensor([1.0, -0.5], dtype=torch.float64)
    drawn = (d.rsample((4000,)) * weights).mean(0).sum()
    (found,) = torch.autograd.grad(drawn, c, retain_graph=True)
    (wanted,) = torch.autograd.grad((make(c).mean * weights).sum(), c, allow_unused=True)
    wanted = np.zeros(2) if wanted is None else wanted.numpy()
    np.testing.assert_allclose(found.numpy(), wanted, atol=0.06)


def test_divergences_know_their_classes() -> None:
    p, q = D.Normal(0.0, 1.0), D.Normal(1.0, 2.0)
    assert D.kl_divergence(p, q).item() == pytest.approx(math.log(2) + (1 + 1) / 8 - 0.5, rel=1e-5)
    with pytest.raises(NotImplementedError, match="cross KL"):
        D.kl_divergence(D.Poisson(1.0), p)

    class Mine(D.Normal):
        pass

    assert D.kl_divergence(Mine(0.0, 1.0), q).item() == D.kl_divergence(p, q).item()


def test_transforms_invert_and_mixtures_add_up() -> None:
    tower = D.ComposeTransform([D.TanhTransform(), D.AffineTransform(1.0, 2.0)])
    x = torch.tensor([0.3, -0.7])
    np.testing.assert_allclose(tower.inv(tower(x)).numpy(), x.numpy(), rtol=1e-5)
    assert D.ExpTransform(cache_size=1).inv.inv == D.ExpTransform()
    mixture = D.MixtureSameFamily(
        D.Categorical(torch.tensor([0.25, 0.75])), D.Normal(torch.tensor([0.0, 1.0]), 1.0)
    )
    assert mixture.mean.item() == 0.75 and mixture.sample((5,)).shape == (5,)
    whole = D.Independent(D.Normal(torch.zeros(2, 3), 1.0), 1)
    assert whole.log_prob(torch.zeros(2, 3)).shape == (2,) and whole.event_shape == (3,)


def test_categories() -> None:
    d = D.Categorical(torch.tensor([[0.2, 0.8], [1.0, 3.0]]))
    assert d.probs[1].tolist() == [0.25, 0.75] and d.sample((4,)).shape == (4, 2)
    assert d.enumerate_support().tolist() == [[0, 0], [1, 1]]
    counted = D.Multinomial(10, torch.tensor([0.5, 0.5])).sample((3,))
    assert counted.sum(-1).tolist() == [10, 10, 10]
    assert D.OneHotCategorical(torch.ones(3)).sample().sum().item() == 1


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: D.Normal(0.0, -1.0), ValueError, "Expected parameter scale"),
        (lambda: D.Normal(torch.zeros(2), 1.0).log_prob(torch.zeros(3)), ValueError, "broadcast"),
        (lambda: D.Exponential(1.0).log_prob(torch.tensor(-1.0)), ValueError, "within the support"),
        (lambda: D.Bernoulli(), ValueError, "Either `probs` or `logits`"),
        (lambda: D.Normal(0.0, 1.0).log_prob(1.0), ValueError, "must be a Tensor"),
        (lambda: D.Bernoulli(0.5).rsample(), NotImplementedError, "rsample"),
        (lambda: D.MultivariateNormal(torch.zeros(2)), ValueError, "Exactly one"),
        (lambda: D.Categorical(torch.tensor(0.5)), ValueError, "at least one-dimensional"),
        (lambda: torch.poisson(torch.tensor([-1.0])), RuntimeError, "non-negative"),
    ],
)
def test_refusals(call, error, match) -> None:
    with pytest.raises(error, match=match):
        call()
    assert D.Normal(0.0, -1.0, validate_args=False).scale.item() == -1.0
