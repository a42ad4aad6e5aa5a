"""torch.special: the special functions, under the names they have there."""

from __future__ import annotations

import math
from typing import Any

from diptych.ops import arithmetic, comparison, select, transcendental
from diptych.torch import binary, elementwise, namespace, outputs, reductions
from diptych.torch.elementwise import FUNCTIONS as _UNARY
from diptych.torch.operators import FRACTIONS
from diptych.torch.tensor import face

digamma = psi = _UNARY["digamma"]
erf = _UNARY["erf"]
erfc = _UNARY["erfc"]
erfinv = _UNARY["erfinv"]
exp2 = _UNARY["exp2"]
expit = _UNARY["sigmoid"]
expm1 = _UNARY["expm1"]
gammaln = _UNARY["lgamma"]
log1p = _UNARY["log1p"]
logit = elementwise.logit
log_softmax = namespace.log_softmax
logsumexp = reductions.logsumexp
round = elementwise.round
sinc = elementwise.sinc
softmax = namespace.softmax
xlogy = binary.xlogy


def _real(input: Any, name: str) -> Any:
    x = face(input, name)
    return face(select.cast(x, FRACTIONS[x.layout.dtype][0]), name)


def entr(input: Any, *, out: Any = None) -> Any:
    """-x log x; 0 at 0, -inf below."""
    x = _real(input, "entr")
    inner = arithmetic.neg(arithmetic.mul(x, transcendental.log(x)))
    result = select.where(comparison.eq(x, 0.0), 0.0, inner)
    return outputs.finish(select.where(comparison.lt(x, 0.0), -math.inf, result), out, "entr")


def ndtr(input: Any, *, out: Any = None) -> Any:
    """The normal distribution function."""
    x = _real(input, "ndtr")
    result = arithmetic.mul(transcendental.erfc(arithmetic.mul(x, -math.sqrt(0.5))), 0.5)
    return outputs.finish(result, out, "ndtr")


def ndtri(input: Any, *, out: Any = None) -> Any:
    """The inverse of the normal distribution function."""
    x = _real(input, "ndtri")
    inner = transcendental.erfinv(arithmetic.sub(arithmetic.mul(x, 2.0), 1.0))
    return outputs.finish(arithmetic.mul(inner, math.sqrt(2.0)), out, "ndtri")


def xlog1py(input: Any, other: Any, *, out: Any = None) -> Any:
    """input * log1p(other), zero where input is zero."""
    return xlogy(input, face(other, "xlog1py", "other", 2) + 1, out=out)  # type: ignore[operator]


_MOST_DIMENSIONS = 1 << 16  # each costs a pass over the input


def multigammaln(input: Any, p: int, *, out: Any = None) -> Any:
    """The logarithm of the multivariate gamma function."""
    x = _real(input, "multigammaln")
    if not isinstance(p, int) or not 1 <= p <= _MOST_DIMENSIONS:
        raise RuntimeError(f"multigammaln: p must be from 1 to {_MOST_DIMENSIONS}, got {p}")
    total: Any = None
    for k in range(p):
        term = transcendental.lgamma(arithmetic.sub(x, k / 2))
        total = term if total is None else arithmetic.add(total, term)
    result = arithmetic.add(total, p * (p - 1) / 4 * math.log(math.pi))
    return outputs.finish(result, out, "multigammaln")


_ABSENT = (
    "airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 erfcx gammainc gammaincc i0 i0e i1 i1e "
    "log_ndtr modified_bessel_i0 modified_bessel_i1 modified_bessel_k0 modified_bessel_k1 "
    "polygamma scaled_modified_bessel_k0 scaled_modified_bessel_k1 spherical_bessel_j0 zeta"
).split()


def __getattr__(name: str) -> Any:
    if name in _ABSENT:

        def function(*args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError(f"torch.special.{name} is not implemented in diptych")

        return function
    raise AttributeError(f"module 'torch.special' has no attribute '{name}'")
