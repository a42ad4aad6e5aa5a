"""Divergences between distributions of different kinds."""

from __future__ import annotations

import math
from typing import Any

import diptych.torch as torch
from diptych.torch.distributions.counts import (
    Bernoulli,
    Binomial,
    ContinuousBernoulli,
    Poisson,
)
from diptych.torch.distributions.kl import infinite_like, register_kl
from diptych.torch.distributions.locations import Laplace, Normal, Uniform
from diptych.torch.distributions.positive import Beta, Exponential, Gamma
from diptych.torch.distributions.transformed import Gumbel, Pareto
from diptych.torch.distributions.utils import euler_constant


def _infinite(name: str) -> Any:
    def divergence(p: Any, q: Any) -> Any:
        return infinite_like(getattr(p, name))

    return divergence


# A support that reaches beyond the other's: nothing there explains what p does.
for _p, _name, _others in (
    (Beta, "concentration1", (Pareto,)), (ContinuousBernoulli, "probs", (Pareto,)),
    (Exponential, "rate", (Beta, ContinuousBernoulli, Pareto, Uniform)),
    (Gamma, "concentration", (Beta, ContinuousBernoulli, Pareto, Uniform)),
    (Gumbel, "loc", (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform)),
    (Laplace, "loc", (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform)),
    (Normal, "loc", (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform)),
    (Pareto, "scale", (Beta, ContinuousBernoulli, Uniform)),
    (Poisson, "rate", (Bernoulli, Binomial)),
):  # fmt: skip
    for _q in _others:
        register_kl(_p, _q)(_infinite(_name))


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p: Any, q: Any) -> Any:
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(Beta, ContinuousBernoulli)
def _beta_continuous_bernoulli(p: Any, q: Any) -> Any:
    return -p.entropy() - p.mean * q.logits - torch.log1p(-q.probs) - q._cont_bern_log_norm()


@register_kl(Beta, Exponential)
def _beta_exponential(p: Any, q: Any) -> Any:
    share = p.concentration1 / (p.concentration1 + p.concentration0)
    return -p.entropy() - q.rate.log() + q.rate * share


@register_kl(Beta, Gamma)
def _beta_gamma(p: Any, q: Any) -> Any:
    total = p.concentration1 + p.concentration0
    log_mean = p.concentration1.digamma() - total.digamma()
    return (
        -p.entropy() + q.concentration.lgamma() - q.concentration * q.rate.log()
        - (q.concentration - 1) * log_mean + q.rate * p.concentration1 / total
    )  # fmt: skip


def _from_normal(mean: Any, square: Any, q: Any) -> Any:
    """-E[log q] of a normal q, by the first two moments of p."""
    var = q.scale.pow(2)
    return 0.5 * (var * 2 * math.pi).log() + (square / 2 - mean * q.loc + q.loc.pow(2) / 2) / var


@register_kl(Beta, Normal)
@register_kl(ContinuousBernoulli, Normal)
@register_kl(Exponential, Normal)
@register_kl(Gamma, Normal)
@register_kl(Gumbel, Normal)
@register_kl(Laplace, Normal)
@register_kl(Uniform, Normal)
def _any_normal(p: Any, q: Any) -> Any:
    return -p.entropy() + _from_normal(p.mean, p.variance + p.mean.pow(2), q)


@register_kl(ContinuousBernoulli, Uniform)
def _continuous_bernoulli_uniform(p: Any, q: Any) -> Any:
    found = -p.entropy() + (q.high - q.low).log()
    # PyTorch counts bounds that touch as outside too.
    outside = (q.high <= p.support.upper_bound) | (q.low >= p.support.lower_bound)
    return torch.where(outside, infinite_like(found), found)


@register_kl(Beta, Uniform)
def _unit_uniform(p: Any, q: Any) -> Any:
    found = -p.entropy() + (q.high - q.low).log()
    support = p.support
    outside = (q.high < support.upper_bound) | (q.low > support.lower_bound)
    return torch.where(outside, infinite_like(found), found)


@register_kl(ContinuousBernoulli, Exponential)
def _continuous_bernoulli_exponential(p: Any, q: Any) -> Any:
    return -p.entropy() - torch.log(q.rate) + q.rate * p.mean


@register_kl(Exponential, Gamma)
def _exponential_gamma(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    t1 = -q.concentration * torch.log(ratio)
    return (
        t1 + ratio + q.concentration.lgamma() + q.concentration * euler_constant
        - (1 + euler_constant)
    )  # fmt: skip


@register_kl(Exponential, Gumbel)
def _exponential_gumbel(p: Any, q: Any) -> Any:
    rate, loc = p.rate * q.scale, q.loc / q.scale
    return rate.log() - 1 + (-loc + rate.reciprocal()) + torch.exp(loc) * rate / (rate + 1)


@register_kl(Gamma, Exponential)
def _gamma_exponential(p: Any, q: Any) -> Any:
    return -p.entropy() - q.rate.log() + q.rate * p.concentration / p.rate


@register_kl(Gamma, Gumbel)
def _gamma_gumbel(p: Any, q: Any) -> Any:
    beta, loc = p.rate * q.scale, q.loc / q.scale
    t1 = (p.concentration - 1) * p.concentration.digamma() - p.concentration.lgamma()
    t1 = t1 - p.concentration
    t2 = beta.log() + p.concentration / beta
    t3 = torch.exp(loc) * (1 + beta.reciprocal()).pow(-p.concentration) - loc
    return t1 + t2 + t3


@register_kl(Normal, Gumbel)
def _normal_gumbel(p: Any, q: Any) -> Any:
    mean, ratio = p.loc / q.scale, (p.scale / q.scale).pow(2)
    loc = q.loc / q.scale
    t1 = -ratio.log() * 0.5
    t3 = torch.exp(-mean + 0.5 * ratio + loc)
    return t1 + (mean - loc) + t3 - 0.5 * (1 + math.log(2 * math.pi))


@register_kl(Normal, Laplace)
def _normal_laplace(p: Any, q: Any) -> Any:
    away = p.loc - q.loc
    ratio, scaled = p.scale / q.scale, away / p.scale
    t1 = torch.log(ratio)
    t2 = math.sqrt(2 / math.pi) * p.scale * torch.exp(-0.5 * scaled.pow(2))
    t3 = away * torch.erf(math.sqrt(0.5) * scaled)
    return -t1 + (t2 + t3) / q.scale - 0.5 * (1.0 + math.log(0.5 * math.pi))


@register_kl(Pareto, Exponential)
def _pareto_exponential(p: Any, q: Any) -> Any:
    scaled = p.scale * q.rate
    t1 = (p.alpha / scaled).log()
    found = t1 - p.alpha.reciprocal() + p.alpha * scaled / (p.alpha - 1) - 1
    return torch.where(p.alpha <= 1, infinite_like(found), found)


@register_kl(Pareto, Gamma)
def _pareto_gamma(p: Any, q: Any) -> Any:
    common = p.scale.log() + p.alpha.reciprocal()
    t1 = p.alpha.log() - common
    t2 = q.concentration.lgamma() - q.concentration * q.rate.log()
    t3 = (1 - q.concentration) * common
    found = t1 + t2 + t3 + q.rate * p.alpha * p.scale / (p.alpha - 1) - 1
    return torch.where(p.alpha <= 1, infinite_like(found), found)


@register_kl(Pareto, Normal)
def _pareto_normal(p: Any, q: Any) -> Any:
    width = 2 * q.scale.pow(2)
    common = p.scale / (p.alpha - 1)
    t1 = (math.sqrt(2 * math.pi) * q.scale * p.alpha / p.scale).log()
    t3 = p.alpha * common.pow(2) / (p.alpha - 2)
    t4 = (p.alpha * common - q.loc).pow(2)
    found = t1 - p.alpha.reciprocal() + (t3 + t4) / width - 1
    return torch.where(p.alpha <= 2, infinite_like(found), found)


@register_kl(Uniform, Beta)
def _uniform_beta(p: Any, q: Any) -> Any:
    width = p.high - p.low
    t1 = torch.log(width)
    t2 = (
        (q.concentration1 - 1)
        * (torch.xlogy(p.high, p.high) - torch.xlogy(p.low, p.low) - width)
        / width
    )
    t3 = (
        (q.concentration0 - 1)
        * (torch.xlogy(1 - p.high, 1 - p.high) - torch.xlogy(1 - p.low, 1 - p.low) + width)
        / width
    )
    t4 = (
        q.concentration1.lgamma() + q.concentration0.lgamma()
        - (q.concentration1 + q.concentration0).lgamma()
    )  # fmt: skip
    return _outside(p, q, t3 + t4 - t1 - t2)


def _outside(p: Any, q: Any, found: Any) -> Any:
    """Infinite where p reaches beyond the unit interval."""
    support = q.support
    beyond = (p.high > support.upper_bound) | (p.low < support.lower_bound)
    return torch.where(beyond, infinite_like(found), found)


@register_kl(Uniform, ContinuousBernoulli)
def _uniform_continuous_bernoulli(p: Any, q: Any) -> Any:
    found = -p.entropy() - p.mean * q.logits - torch.log1p(-q.probs) - q._cont_bern_log_norm()
    # PyTorch counts bounds that touch as outside too.
    outside = (p.high >= q.support.upper_bound) | (p.low <= q.support.lower_bound)
    return torch.where(outside, infinite_like(found), found)


@register_kl(Uniform, Exponential)
def _uniform_exponential(p: Any, q: Any) -> Any:
    found = q.rate * (p.high + p.low) / 2 - ((p.high - p.low) * q.rate).log()
    return torch.where(p.low < q.support.lower_bound, infinite_like(found), found)


@register_kl(Uniform, Gamma)
def _uniform_gamma(p: Any, q: Any) -> Any:
    width = p.high - p.low
    t1 = width.log()
    t2 = q.concentration.lgamma() - q.concentration * q.rate.log()
    t3 = (
        (1 - q.concentration)
        * (torch.xlogy(p.high, p.high) - torch.xlogy(p.low, p.low) - width)
        / width
    )
    found = -t1 + t2 + t3 + q.rate * (p.high + p.low) / 2
    return torch.where(p.low < q.support.lower_bound, infinite_like(found), found)


@register_kl(Uniform, Gumbel)
def _uniform_gumbel(p: Any, q: Any) -> Any:
    common = q.scale / (p.high - p.low)
    high, low = (p.high - q.loc) / q.scale, (p.low - q.loc) / q.scale
    t1 = common.log() + 0.5 * (high + low)
    return t1 - common * (torch.exp(-high) - torch.exp(-low))


@register_kl(Uniform, Pareto)
def _uniform_pareto(p: Any, q: Any) -> Any:
    width = p.high - p.low
    t1 = (q.alpha * q.scale.pow(q.alpha) * width).log()
    t2 = (torch.xlogy(p.high, p.high) - torch.xlogy(p.low, p.low) - width) / width
    found = t2 * (q.alpha + 1) - t1
    return torch.where(p.low < q.support.lower_bound, infinite_like(found), found)
