"""Activation functions, as composites whose gradient is that of the operations they are made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from diptych.core import call
from diptych.core.dtypes import FLOATS
from diptych.core.operation import BadCall, Composite, NoBatching, Params, Sample, Tolerance
from diptych.core.tensor import Tensor
from diptych.errors import DTypeError
from diptych.ops.arithmetic import add, div, maximum, minimum, mul, neg, relu, square, sub
from diptych.ops.comparison import ge, gt, lt
from diptych.ops.families import draw
from diptych.ops.select import where
from diptych.ops.transcendental import erf, exp, expm1, log1p, sigmoid, tanh

SMOOTH = Tolerance({"float32": 2e-5})


def _activation(
    name: str, forward: Callable[..., Any], params: Params = (), names: Any = ()
) -> Composite:
    """Declare a composite of one float operand; ``params`` are those of its samples."""

    def checked(x: Tensor, *given: Any) -> Any:
        if x.layout.dtype not in FLOATS:
            raise DTypeError(f"\"{name}\" not implemented for '{x.layout.dtype}'", op=name)
        return forward(x, *given)

    def samples() -> Iterable[Sample]:
        for dtype in FLOATS[2:]:
            generator = np.random.default_rng(dtype.index)
            for shape in [(), (0,), (37,), (3, 70)]:
                yield Sample((draw(generator, shape, dtype, (-6.0, 6.0)),), params)

    return Composite(
        name, forward=checked, params=names, samples=samples, tolerance=SMOOTH,
        errors=lambda: [BadCall((np.ones(3, np.int32),), DTypeError, "not implemented", params)],
        batch=NoBatching("it is batched through the operations it is made of"),
    )  # fmt: skip


_ROOT_HALF = math.sqrt(0.5)
_ROOT_2_OVER_PI = math.sqrt(2.0 / math.pi)


def _gelu(x: Tensor) -> Any:
    return mul(mul(x, 0.5), add(erf(mul(x, _ROOT_HALF)), 1.0))


def _gelu_tanh(x: Tensor) -> Any:
    inner = mul(add(x, mul(mul(square(x), x), 0.044715)), _ROOT_2_OVER_PI)
    return mul(mul(x, 0.5), add(tanh(inner), 1.0))


def _softplus(x: Tensor, beta: float, threshold: float) -> Any:
    scaled = mul(x, beta)
    # log1p(exp(s)) = max(s, 0) + log1p(exp(-|s|)) does not overflow
    soft = add(relu(scaled), log1p(exp(minimum(scaled, neg(scaled)))))
    return where(gt(scaled, threshold), x, div(soft, beta))


def _elu(x: Tensor, alpha: float, scale: float, input_scale: float) -> Any:
    below = mul(expm1(mul(minimum(x, 0.0), input_scale)), alpha * scale)
    return where(gt(x, 0.0), mul(x, scale), below)


GELU = _activation("gelu", _gelu)
GELU_TANH = _activation("gelu_tanh", _gelu_tanh)
SILU = _activation("silu", lambda x: mul(x, sigmoid(x)))
MISH = _activation("mish", lambda x: mul(x, tanh(_softplus(x, 1.0, 20.0))))
SOFTPLUS = _activation("softplus", _softplus, (1.0, 20.0), ("beta", "threshold"))
LOG_SIGMOID = _activation(
    "log_sigmoid", lambda x: sub(minimum(x, 0.0), log1p(exp(minimum(x, neg(x)))))
)
ELU = _activation("elu", _elu, (1.0, 1.0, 1.0), ("alpha", "scale", "input_scale"))
LEAKY_RELU = _activation(
    "leaky_relu", lambda x, slope: where(gt(x, 0.0), x, mul(x, slope)), (0.01,), ("slope",)
)
HARDTANH = _activation(
    "hardtanh", lambda x, low, high: where(lt(x, low), low, where(gt(x, high), high, x)),
    (-1.0, 1.0), ("low", "high"),
)  # fmt: skip
HARDSIGMOID = _activation(
    "hardsigmoid", lambda x: div(minimum(maximum(add(x, 3.0), 0.0), 6.0), 6.0)
)
HARDSWISH = _activation(
    "hardswish",
    lambda x: where(ge(x, 3.0), x, where(lt(x, -3.0), 0.0, div(mul(x, add(x, 3.0)), 6.0))),
)
SOFTSIGN = _activation("softsign", lambda x: div(x, add(maximum(x, neg(x)), 1.0)))


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """x times the normal distribution function at x (Hendrycks, Gimpel, arXiv 1606.08415)."""
    return call.current.apply1(GELU_TANH if approximate == "tanh" else GELU, x, ())


def silu(x: Tensor) -> Tensor:
    """x times sigmoid(x)."""
    return call.current.apply1(SILU, x, ())


def mish(x: Tensor) -> Tensor:
    """x times tanh(softplus(x)) (Misra, arXiv 1908.08681)."""
    return call.current.apply1(MISH, x, ())


def softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta x)) / beta; x itself where beta x exceeds the threshold."""
    return call.current.apply1(SOFTPLUS, x, (float(beta), float(threshold)))


def log_sigmoid(x: Tensor) -> Tensor:
    """The logarithm of sigmoid(x), without overflow."""
    return call.current.apply1(LOG_SIGMOID, x, ())


def elu(x: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    """scale * (x above zero, alpha * (exp(input_scale x) - 1) below)."""
    return call.current.apply1(ELU, x, (float(alpha), float(scale), float(input_scale)))


def leaky_relu(x: Tensor, slope: float = 0.01) -> Tensor:
    """x above zero, slope * x below."""
    return call.current.apply1(LEAKY_RELU, x, (float(slope),))


def hardtanh(x: Tensor, low: float = -1.0, high: float = 1.0) -> Tensor:
    """x held between two bounds; no gradient outside them."""
    return call.current.apply1(HARDTANH, x, (float(low), float(high)))


def hardsigmoid(x: Tensor) -> Tensor:
    """(x + 3) / 6 held between 0 and 1."""
    return call.current.apply1(HARDSIGMOID, x, ())


def hardswish(x: Tensor) -> Tensor:
    """x times hardsigmoid(x) (Howard et al., arXiv 1905.02244)."""
    return call.current.apply1(HARDSWISH, x, ())


def softsign(x: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return call.current.apply1(SOFTSIGN, x, ())
