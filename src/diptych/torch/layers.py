"""Layers of the namespace itself whose arguments come in another order than nn.functional's."""

from __future__ import annotations

from typing import Any

from diptych.torch.nn import functional as F
from diptych.torch.nn.utils import norms

REDUCTIONS = ("none", "mean", "sum")  # by the numbers that the namespace's losses take


def _named(reduction: Any) -> str:
    """A reduction by its number, or by its name."""
    if isinstance(reduction, str):
        return reduction
    if reduction not in (0, 1, 2):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return REDUCTIONS[reduction]


def batch_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: bool,
    momentum: float, eps: float, cudnn_enabled: bool = False,
) -> Any:  # fmt: skip
    """torch.batch_norm."""
    return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any,
    use_input_stats: bool, momentum: float, eps: float, cudnn_enabled: bool = False,
) -> Any:  # fmt: skip
    """torch.instance_norm."""
    return F.instance_norm(
        input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Any:  # fmt: skip
    """torch.group_norm."""
    return F.group_norm(input, num_groups, weight, bias, eps)


def layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Any:  # fmt: skip
    """torch.layer_norm."""
    return F.layer_norm(input, normalized_shape, weight, bias, eps)


def embedding(
    weight: Any, indices: Any, padding_idx: int = -1, scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:  # fmt: skip
    """torch.embedding: the table comes first, and -1 is no padding."""
    padding = None if padding_idx < 0 else padding_idx
    return F.embedding(
        indices, weight, padding, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse
    )


def ctc_loss(
    log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0,
    reduction: Any = 1, zero_infinity: bool = False,
) -> Any:  # fmt: skip
    """torch.ctc_loss."""
    return F.ctc_loss(
        log_probs, targets, input_lengths, target_lengths, blank, _named(reduction), zero_infinity
    )


def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: Any = 1
) -> Any:
    """torch.cosine_embedding_loss."""
    return F.cosine_embedding_loss(input1, input2, target, margin, reduction=_named(reduction))


def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, reduction: Any = 1) -> Any:
    """torch.hinge_embedding_loss."""
    return F.hinge_embedding_loss(input, target, margin, reduction=_named(reduction))


def kl_div(input: Any, target: Any, reduction: Any = 1, *, log_target: bool = False) -> Any:
    """torch.kl_div."""
    return F.kl_div(input, target, reduction=_named(reduction), log_target=log_target)


def margin_ranking_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: Any = 1
) -> Any:
    """torch.margin_ranking_loss."""
    return F.margin_ranking_loss(input1, input2, target, margin, reduction=_named(reduction))


def poisson_nll_loss(
    input: Any, target: Any, log_input: bool, full: bool, eps: float, reduction: Any
) -> Any:
    """torch.poisson_nll_loss."""
    return F.poisson_nll_loss(input, target, log_input, full, eps=eps, reduction=_named(reduction))


def triplet_margin_loss(
    anchor: Any, positive: Any, negative: Any, margin: float = 1.0, p: float = 2.0,
    eps: float = 1e-6, swap: bool = False, reduction: Any = 1,
) -> Any:  # fmt: skip
    """torch.triplet_margin_loss."""
    return F.triplet_margin_loss(
        anchor, positive, negative, margin, p, eps, swap, reduction=_named(reduction)
    )


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, pos_weight: Any = None, reduction: Any = 1
) -> Any:
    """torch.binary_cross_entropy_with_logits."""
    return F.binary_cross_entropy_with_logits(
        input, target, weight, reduction=_named(reduction), pos_weight=pos_weight
    )


def norm_except_dim(v: Any, pow: int = 2, dim: int = 0) -> Any:
    """The norm over all axes but one, which keeps its extent."""
    if pow != 2:
        raise NotImplementedError("torch.norm_except_dim: only the 2-norm is supported")
    return norms.norm_except_dim(v, dim)


def _weight_norm(v: Any, g: Any, dim: int = 0) -> Any:
    """v scaled to the norms g."""
    return norms.weight_norm(v, g, dim)


def embedding_bag(*args: Any, **kwargs: Any) -> Any:
    """torch.embedding_bag gives tensors of its own making beside the result."""
    raise NotImplementedError(
        "torch.embedding_bag is not supported; use torch.nn.functional.embedding_bag"
    )
