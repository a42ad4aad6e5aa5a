"""Samples with gradients: how gamma and Dirichlet samples move with their concentrations."""

from __future__ import annotations

from typing import Any

import diptych.torch as torch
from diptych.ops.reparameterization import dirichlet_slope, gamma_slope
from diptych.torch.autograd.function import Function


class _StandardGamma(Function):
    @staticmethod
    def forward(ctx: Any, concentration: Any) -> Any:
        sample = torch._standard_gamma(concentration)
        ctx.save_for_backward(concentration, sample)
        return sample

    @staticmethod
    def backward(ctx: Any, ct: Any) -> Any:
        concentration, sample = ctx.saved_tensors
        return ct * gamma_slope(concentration.contiguous(), sample)


class _Dirichlet(Function):
    @staticmethod
    def forward(ctx: Any, concentration: Any) -> Any:
        sample = torch._sample_dirichlet(concentration)
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
