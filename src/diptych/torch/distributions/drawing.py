"""Samples with gradients: how gamma and Dirichlet samples move with their concentrations."""

from __future__ import annotations

from typing import Any

import numpy as np

import diptych.torch as torch
from diptych.core.random import rejection
from diptych.core.tensor import copy_array
from diptych.ops.reparameterization import dirichlet_slope, gamma_slope
from diptych.torch.autograd.function import Function
from diptych.torch.random import generator_of


def _drawn(draw: Any, x: Any, *others: Any) -> Any:
    """What a stream's sampler gives for the elements of tensors."""
    arrays = [t.detach().contiguous().array() for t in (x, *others)]
    array = draw(generator_of(None), *arrays, x.layout.dtype)
    return copy_array(np.asarray(array), torch.Tensor, x.layout.dtype)


class _StandardGamma(Function):
    @staticmethod
    def forward(ctx: Any, concentration: Any) -> Any:
        sample = _drawn(rejection.standard_gamma, concentration)
        ctx.save_for_backward(concentration, sample)
        return sample

    @staticmethod
    def backward(ctx: Any, ct: Any) -> Any:
        concentration, sample = ctx.saved_tensors
        return ct * gamma_slope(concentration.contiguous(), sample)


class _Dirichlet(Function):
    @staticmethod
    def forward(ctx: Any, concentration: Any) -> Any:
        sample = _drawn(rejection.dirichlet, concentration)
        ctx.save_for_backward(concentration, sample)
        return sample

    @staticmethod
    def backward(ctx: Any, ct: Any) -> Any:
        concentration, sample = ctx.saved_tensors
        total = concentration.sum(-1, True).expand_as(concentration).contiguous()
        slope = dirichlet_slope(sample, concentration.contiguous(), total)
        # A share that grows takes from the others in proportion to what they are.
        return slope * (ct - (sample * ct).sum(-1, True))


def standard_gamma(concentration: Any) -> Any:
    """Gamma samples of rate 1."""
    return _StandardGamma.apply(concentration)


def standard_dirichlet(concentration: Any) -> Any:
    """Dirichlet samples."""
    return _Dirichlet.apply(concentration)


def standard_normal(shape: Any, dtype: Any) -> Any:
    """Standard normal samples."""
    return torch.empty(shape, dtype=dtype).normal_()


def poisson(rate: Any) -> Any:
    """Poisson samples."""
    return _drawn(rejection.poisson, rate)


def binomial(count: Any, probs: Any) -> Any:
    """Binomial samples."""
    return _drawn(rejection.binomial, count, probs)
