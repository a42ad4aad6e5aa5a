"""The update rules: gradient descent with momentum, Adam and its kin, rounded as PyTorch rounds.

Each computes in the parameter's dtype; the numbers are doubles, rounded to it as they are read.
"""

from __future__ import annotations

from typing import Any

from diptych.core.tensor import Tensor
from diptych.ops.arithmetic import abs_, add, div, maximum, mul, neg, sqrt, sub
from diptych.optim.update import Flags, Rule

Tensors = tuple[Tensor, ...]


def signed(gradient: Tensor, maximize: bool) -> Any:
    """The gradient, or its negative."""
    return neg(gradient) if maximize else gradient


def decayed(gradient: Any, parameter: Tensor, decay: Tensor, wanted: bool) -> Any:
    """The gradient, with that of the weights' squared length where it is wanted."""
    return add(gradient, mul(parameter, decay)) if wanted else gradient


def toward(start: Any, end: Any, weight: Tensor, heavy: bool, rest: Tensor) -> Any:
    """Linear interpolation; from the nearer end, so that a weight of one gives that end exactly."""
    if heavy:
        return sub(end, mul(sub(end, start), rest))
    return add(start, mul(sub(end, start), weight))


def _sgd(p: Tensor, g: Tensor, slots: Tensors, numbers: Tensors, flags: Flags) -> Tensors:
    """Flags: maximize, weight decay, first step, nesterov. Slots: the momentum, if there is one."""
    minus_rate, decay, momentum, share = numbers
    maximize, decays, first, nesterov = flags
    g = decayed(signed(g, maximize), p, decay, decays)
    if not slots:
        return (add(p, mul(g, minus_rate)),)
    held = g if first else add(mul(slots[0], momentum), mul(g, share))
    moved = add(g, mul(held, momentum)) if nesterov else held
    return add(p, mul(moved, minus_rate)), held


_SGD_NUMBERS = ("minus_rate", "weight_decay", "momentum", "share")
SGD = Rule("sgd", (), _SGD_NUMBERS, _sgd)
SGD_MOMENTUM = Rule("sgd_momentum", ("momentum_buffer",), _SGD_NUMBERS, _sgd)


def _adam(p: Tensor, g: Tensor, slots: Tensors, numbers: Tensors, flags: Flags) -> Tensors:
    """Flags: maximize, weight decay ("", "plain", "decoupled"), heavy (1 - beta1 >= 1/2)."""
    beta1, share1, beta2, share2, minus_step, correction, eps, decay = numbers
    maximize, decays, heavy = flags
    g = signed(g, maximize)
    if decays == "decoupled":
        p = mul(p, decay)
    elif decays:
        g = add(g, mul(p, decay))
    mean = toward(slots[0], g, share1, heavy, beta1)
    square = add(mul(slots[1], beta2), mul(mul(g, share2), g))
    largest = [maximum(slots[2], square)] if len(slots) > 2 else []
    width = add(div(sqrt((largest or [square])[0]), correction), eps)
    return add(p, div(mul(mean, minus_step), width)), mean, square, *largest


_ADAM_NUMBERS = (
    "beta1", "1 - beta1", "beta2", "1 - beta2", "minus_step", "correction", "eps", "weight_decay",
)  # fmt: skip
# Kingma, Ba, arXiv 1412.6980; Loshchilov, Hutter, 1711.05101; Reddi et al., 1904.09237.
ADAM = Rule("adam", ("exp_avg", "exp_avg_sq"), _ADAM_NUMBERS, _adam)
AMSGRAD = Rule("amsgrad", ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"), _ADAM_NUMBERS, _adam)


def _adagrad(p: Tensor, g: Tensor, slots: Tensors, numbers: Tensors, flags: Flags) -> Tensors:
    """Flags: maximize, weight decay."""
    minus_rate, decay, eps = numbers
    g = decayed(signed(g, flags[0]), p, decay, flags[1])
    total = add(slots[0], mul(g, g))
    return add(p, div(mul(g, minus_rate), add(sqrt(total), eps))), total


ADAGRAD = Rule("adagrad", ("sum",), ("minus_rate", "weight_decay", "eps"), _adagrad)


def _rmsprop(p: Tensor, g: Tensor, slots: Tensors, numbers: Tensors, flags: Flags) -> Tensors:
    """Flags: maximize, weight decay, centered, momentum, heavy. Slots follow centered, momentum."""
    minus_rate, decay, alpha, rest, eps, momentum = numbers
    maximize, decays, centered, moves, heavy = flags
    g = decayed(signed(g, maximize), p, decay, decays)
    square = add(mul(slots[0], alpha), mul(mul(g, rest), g))
    out = [square]
    width: Any = square
    if centered:
        mean = toward(slots[-1], g, rest, heavy, alpha)
        width = sub(square, mul(mean, mean))
    width = add(sqrt(width), eps)
    if moves:
        held = add(mul(slots[1], momentum), div(g, width))
        out.append(held)
        p = add(p, mul(held, minus_rate))
    else:
        p = add(p, div(mul(g, minus_rate), width))
    if centered:
        out.append(mean)
    return p, *out


_RMSPROP_NUMBERS = ("minus_rate", "weight_decay", "alpha", "1 - alpha", "eps", "momentum")
RMSPROP = {
    (moves, centered): Rule(
        "rmsprop" + "_momentum" * moves + "_centered" * centered,
        ("square_avg", *["momentum_buffer"] * moves, *["grad_avg"] * centered),
        _RMSPROP_NUMBERS,
        _rmsprop,
    )
    for moves in (False, True)
    for centered in (False, True)
}


def _adadelta(p: Tensor, g: Tensor, slots: Tensors, numbers: Tensors, flags: Flags) -> Tensors:
    """Flags: maximize, weight decay."""
    minus_rate, decay, rho, rest, eps = numbers
    g = decayed(signed(g, flags[0]), p, decay, flags[1])
    square = add(mul(slots[0], rho), mul(mul(g, rest), g))
    delta = mul(div(sqrt(add(slots[1], eps)), sqrt(add(square, eps))), g)
    moved = add(mul(slots[1], rho), mul(mul(delta, rest), delta))
    return add(p, mul(delta, minus_rate)), square, moved


ADADELTA = Rule(
    "adadelta", ("square_avg", "acc_delta"),
    ("minus_rate", "weight_decay", "rho", "1 - rho", "eps"), _adadelta,
)  # fmt: skip


def _adamax(p: Tensor, g: Tensor, slots: Tensors, numbers: Tensors, flags: Flags) -> Tensors:
    """Flags: maximize, weight decay, heavy."""
    minus_step, decay, beta1, share1, beta2, eps = numbers
    g = decayed(signed(g, flags[0]), p, decay, flags[1])
    mean = toward(slots[0], g, share1, flags[2], beta1)
    largest = maximum(mul(slots[1], beta2), add(abs_(g), eps))
    return add(p, div(mul(mean, minus_step), largest)), mean, largest


ADAMAX = Rule(
    "adamax", ("exp_avg", "exp_inf"),
    ("minus_step", "weight_decay", "beta1", "1 - beta1", "beta2", "eps"), _adamax,
)  # fmt: skip


def _average(p: Tensor, g: Tensor, slots: Tensors, numbers: Tensors, flags: Flags) -> Tensors:
    """Flags: heavy. The parameter is an average; what stands for the gradient, the new value."""
    return (toward(p, g, numbers[0], flags[0], numbers[1]),)


AVERAGE = Rule("average", (), ("weight", "1 - weight"), _average)


def _scale(p: Tensor, g: Tensor, slots: Tensors, numbers: Tensors, flags: Flags) -> Tensors:
    """Gradients, in the parameters' place, times a number."""
    return (mul(p, numbers[0]),)


SCALE = Rule("scale", (), ("factor",), _scale)
