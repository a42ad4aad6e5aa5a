"""Batch norm folded into the layer before it, for inference."""

from __future__ import annotations

import copy
from typing import Any

from diptych.torch.creation import ones_like, zeros_like
from diptych.torch.nn.parameter import Parameter


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """One convolution that computes what the two modules do in evaluation."""
    if conv.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    fused = copy.deepcopy(conv)
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias,
        transpose,
    )  # fmt: skip
    return fused


def _factor(bn_rv: Any, bn_eps: float, bn_w: Any) -> Any:
    return bn_w * (bn_rv + bn_eps).rsqrt()


def fuse_conv_bn_weights(
    conv_w: Any,
    conv_b: Any,
    bn_rm: Any,
    bn_rv: Any,
    bn_eps: float,
    bn_w: Any,
    bn_b: Any,
    transpose: bool = False,
) -> tuple[Any, Any]:
    """Weight and bias of the one convolution."""
    bias = zeros_like(bn_rm) if conv_b is None else conv_b
    bn_w = ones_like(bn_rm) if bn_w is None else bn_w
    bn_b = zeros_like(bn_rm) if bn_b is None else bn_b
    shape = [1] * conv_w.dim()
    shape[1 if transpose else 0] = -1
    factor = _factor(bn_rv, bn_eps, bn_w)
    weight = (conv_w * factor.reshape(shape)).to(dtype=conv_w.dtype)
    bias = ((bias - bn_rm) * factor + bn_b).to(dtype=conv_w.dtype)
    return (
        Parameter(weight.detach(), conv_w.requires_grad),
        Parameter(bias.detach(), conv_b.requires_grad if conv_b is not None else True),
    )


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """One linear layer that computes what the two modules do in evaluation."""
    if linear.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    fused = copy.deepcopy(linear)
    if linear.out_features != bn.num_features and bn.num_features != 1:
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1"
        )
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")
    fused.weight, fused.bias = fuse_linear_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return fused


def fuse_linear_bn_weights(
    linear_w: Any, linear_b: Any, bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any
) -> tuple[Any, Any]:
    """Weight and bias of the one linear layer."""
    bias = zeros_like(bn_rm) if linear_b is None else linear_b
    factor = _factor(bn_rv, bn_eps, bn_w)
    weight = (linear_w * factor.unsqueeze(-1)).to(dtype=linear_w.dtype)
    bias = ((bias - bn_rm) * factor + bn_b).to(dtype=linear_w.dtype)
    return (
        Parameter(weight.detach(), linear_w.requires_grad),
        Parameter(bias.detach(), linear_b.requires_grad if linear_b is not None else True),
    )
