"""torch.special: the special functions, under the names they have there."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from diptych.core import call
from diptych.core.tensor import Tensor as CoreTensor
from diptych.ops import arithmetic, bessel, comparison, orthogonal, select, transcendental
from diptych.torch import binary, elementwise, namespace, outputs, promotion, reductions
from diptych.torch.dtypes import scalar_name
from diptych.torch.elementwise import FUNCTIONS as _UNARY
from diptych.torch.elementwise import public
from diptych.torch.operators import FRACTIONS, number
from diptych.torch.promotion import PARAMS
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


def _one(name: str, op: Any) -> Callable[..., Any]:
    """A function of one operand, of which whole numbers become floats."""

    def function(input: Any, *, out: Any = None) -> Any:
        x = face(input, name)
        result = call.current.apply1(op, x, PARAMS[FRACTIONS[x.layout.dtype][0]])
        return result if out is None else outputs.write(out, result, name)

    return public(function, name)


i0 = _one("i0", bessel.I0)
i0e = _one("i0e", bessel.I0E)
i1 = _one("i1", bessel.I1)
i1e = _one("i1e", bessel.I1E)
bessel_j0 = _one("bessel_j0", bessel.J0)
bessel_j1 = _one("bessel_j1", bessel.J1)
bessel_y0 = _one("bessel_y0", bessel.Y0)
bessel_y1 = _one("bessel_y1", bessel.Y1)
modified_bessel_k0 = _one("modified_bessel_k0", bessel.K0)
modified_bessel_k1 = _one("modified_bessel_k1", bessel.K1)
scaled_modified_bessel_k0 = _one("scaled_modified_bessel_k0", bessel.K0E)
scaled_modified_bessel_k1 = _one("scaled_modified_bessel_k1", bessel.K1E)
spherical_bessel_j0 = _one("spherical_bessel_j0", bessel.SPHERICAL_J0)
airy_ai = _one("airy_ai", bessel.AIRY)
erfcx = _one("erfcx", bessel.ERFCX)
log_ndtr = _one("log_ndtr", bessel.LOG_NDTR)


def _without_gradient(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose result PyTorch gives no gradient, under a name of its own."""

    def detached(input: Any, *, out: Any = None) -> Any:
        return function(face(input, name).detach(), out=out)

    return public(detached, name)


modified_bessel_i0 = _without_gradient("modified_bessel_i0", i0)
modified_bessel_i1 = _without_gradient("modified_bessel_i1", i1)


def _two(name: str, op: Any) -> Callable[..., Any]:
    """A function of two operands, one of which may be a number."""

    def function(input: Any, other: Any, *, out: Any = None) -> Any:
        if not isinstance(input, CoreTensor) and not isinstance(other, CoreTensor):
            face(input, name)
        dtype = promotion.fractional(promotion.of_operands(input, other))
        a, b = (
            x if isinstance(x, CoreTensor) else number(x, name, "other", 2) for x in (input, other)
        )
        result = call.current.apply2(
            op, binary.tensor_of(a, dtype), binary.tensor_of(b, dtype), PARAMS[dtype]
        )
        return result if out is None else outputs.write(out, result, name)

    return public(function, name)


def _tensors_only(name: str, kernel: str, op: Any) -> Callable[..., Any]:
    """A function of two tensors of floats."""
    two = _two(name, op)

    def function(input: Any, other: Any, *, out: Any = None) -> Any:
        a, b = face(input, f"special_{name}"), face(other, f"special_{name}", "other", 2)
        dtype = promotion.of_layouts(a.layout, b.layout)
        if not dtype.is_float:
            raise NotImplementedError(f"\"{kernel}\" not implemented for '{scalar_name(dtype)}'")
        return two(a, b, out=out)

    return public(function, name)


zeta = _two("zeta", transcendental.ZETA)
gammainc = _tensors_only("gammainc", "igamma_cpu", transcendental.IGAMMA)
gammaincc = _tensors_only("gammaincc", "igammac_cpu", transcendental.IGAMMAC)
POLYNOMIALS = {name: _two(name, op) for name, op in orthogonal.POLYNOMIALS.items()}
globals().update(POLYNOMIALS)


def polygamma(n: Any, input: Any, *, out: Any = None) -> Any:
    """The n-th derivative of digamma."""
    if isinstance(n, CoreTensor):  # as a method: x.polygamma(n)
        n, input = input, n
    if isinstance(n, bool) or not isinstance(n, int):
        raise TypeError(
            f"polygamma(): argument 'n' (position 1) must be int, not {type(n).__name__}"
        )
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    x = _real(input, "polygamma")
    if n == 0:
        result = transcendental.digamma(x)
    elif n == 1:
        result = transcendental.trigamma(x)
    else:
        factor = (1.0 if n % 2 else -1.0) * (math.factorial(n) if n <= 170 else math.inf)
        result = arithmetic.mul(transcendental.zeta(n + 1.0, x), factor)
    return outputs.finish(face(result, "polygamma"), out, "polygamma")


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


# What the torch namespace, Tensor and Tensor's in-place methods have of these.
NAMESPACE: dict[str, Any] = {
    "i0": i0, "polygamma": polygamma, "mvlgamma": multigammaln, "igamma": gammainc,
    "igammac": gammaincc,
}  # fmt: skip
