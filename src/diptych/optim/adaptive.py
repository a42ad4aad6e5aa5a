"""More update rules of single elements: NAdam, RAdam, ASGD and Rprop, rounded as PyTorch rounds."""

from __future__ import annotations

from typing import Any

from diptych.core.tensor import Tensor
from diptych.ops.arithmetic import add, div, maximum, minimum, mul, sign, sqrt, sub
from diptych.ops.comparison import gt, lt
from diptych.ops.select import where
from diptych.optim.rules import Tensors, decayed, signed, toward
from diptych.optim.update import Flags, Rule

_MOMENTS = ("exp_avg", "exp_avg_sq")


def _decoupled(p: Tensor, g: Any, kind: str, decay: Tensor) -> tuple[Any, Any]:
    """Weight decay of the parameter ("decoupled", by a factor), of the gradient, or none."""
    if kind == "decoupled":
        return mul(p, decay), g
    return p, decayed(g, p, decay, bool(kind))


def _nadam(p: Tensor, g: Tensor, slots: Tensors, numbers: Tensors, flags: Flags) -> Tensors:
    """Flags: maximize, weight decay ("", "plain", "decoupled"), heavy."""
    beta1, share1, beta2, share2, correction, eps, by_gradient, by_mean, decay = numbers
    p, g = _decoupled(p, signed(g, flags[0]), flags[1], decay)
    mean = toward(slots[0], g, share1, flags[2], beta1)
    square = add(mul(slots[1], beta2), mul(mul(g, share2), g))
    width = add(sqrt(div(square, correction)), eps)
    p = add(p, div(mul(g, by_gradient), width))
    return add(p, div(mul(mean, by_mean), width)), mean, square


# Dozat, "Incorporating Nesterov momentum into Adam" (2016).
NADAM = Rule(
    "nadam", _MOMENTS,
    ("beta1", "1 - beta1", "beta2", "1 - beta2", "correction", "eps", "by_gradient", "by_mean",
     "weight_decay"), _nadam,
)  # fmt: skip


def _radam(p: Tensor, g: Tensor, slots: Tensors, numbers: Tensors, flags: Flags) -> Tensors:
    """Flags: maximize, weight decay ("", "plain", "decoupled"), heavy, rectified."""
    (beta1, share1, beta2, share2, first, rate, root_second, rectification, eps, decay) = numbers
    p, g = _decoupled(p, signed(g, flags[0]), flags[1], decay)
    mean = toward(slots[0], g, share1, flags[2], beta1)
    square = add(mul(slots[1], beta2), mul(mul(g, share2), g))
    moved = mul(div(mean, first), rate)
    if flags[3]:
        moved = mul(mul(moved, div(root_second, add(sqrt(square), eps), p.layout.dtype)),
                    rectification)  # fmt: skip
    return sub(p, moved), mean, square


# Liu et al., arXiv 1908.03265.
RADAM = Rule(
    "radam", _MOMENTS,
    ("beta1", "1 - beta1", "beta2", "1 - beta2", "1 - beta1^t", "rate", "sqrt(1 - beta2^t)",
     "rectification", "eps", "weight_decay"), _radam,
)  # fmt: skip


def _asgd(p: Tensor, g: Tensor, slots: Tensors, numbers: Tensors, flags: Flags) -> Tensors:
    """Flags: maximize, weight decay, averaging (the mean has begun to lag behind)."""
    minus_rate, shrinking, weight, decay = numbers
    g = decayed(signed(g, flags[0]), p, decay, flags[1])
    p = add(mul(p, shrinking), mul(g, minus_rate))
    return p, (add(slots[0], mul(sub(p, slots[0]), weight)) if flags[2] else p)


# Polyak, Juditsky, "Acceleration of stochastic approximation by averaging" (1992).
ASGD = Rule("asgd", ("ax",), ("minus_rate", "shrinking", "weight", "weight_decay"), _asgd)


def _rprop(p: Tensor, g: Tensor, slots: Tensors, numbers: Tensors, flags: Flags) -> Tensors:
    """Flags: maximize. A step grows while the gradient keeps its sign, and is not taken else."""
    down, up, least, most = numbers
    before, size = slots
    g = signed(g, flags[0])
    dtype = p.layout.dtype
    agreement = mul(g, before)
    turned = lt(agreement, 0.0)
    factor = where(gt(agreement, 0.0), up, where(turned, down, 1.0, dtype), dtype)
    size = minimum(maximum(mul(size, factor), least), most)
    g = where(turned, 0.0, g)
    return sub(p, mul(sign(g), size)), g, size


# Riedmiller, Braun, "A direct adaptive method for faster backpropagation learning" (1993).
RPROP = Rule("rprop", ("prev", "step_size"), ("eta_minus", "eta_plus", "least", "most"), _rprop)
