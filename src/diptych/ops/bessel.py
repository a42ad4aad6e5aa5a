"""Bessel and Airy functions, erfcx and log_ndtr: elementwise, on the host."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diptych.core.dtypes import FLOATS
from diptych.core.operation import NotDifferentiable, Primitive, Tolerance
from diptych.ops import special
from diptych.ops.arithmetic import add, div, mul, quiet, reciprocal, sign, sub
from diptych.ops.comparison import eq
from diptych.ops.families import Call, elementwise, ulp, unary_call
from diptych.ops.select import where

_CLOSE = Tolerance({"float32": 2e-6, "float64": 1e-11, "float16": 2e-3, "bfloat16": 2e-2})
_NO_RULE = NotDifferentiable("PyTorch has no derivative of it, and no other face asks for one")


def _function(name: str, reference: Any, slope: Any, domain: tuple[float, float]) -> Primitive:
    """Declare a function by its slope (of the operand), or none."""

    def vjp(ctx: Any, ct: Any) -> Any:
        return mul(ct, slope(ctx.x[0]))

    return elementwise(
        name, 1, accepts=FLOATS, reference=quiet(reference), lower=name,
        vjp=vjp if slope is not None else _NO_RULE, saves="0" if slope is not None else "",
        domain=domain, tolerance=_CLOSE, special=(0.0, 1.0, np.nan),
    )  # fmt: skip


def _over(x: Any, value: Any, at_zero: float) -> Any:
    """``value`` with the limit where x is zero."""
    return where(eq(x, 0.0), at_zero, value)


# ---- modified functions of the first kind, plain and times exp(-|x|)


def _i1_slope(x: Any) -> Any:
    safe = where(eq(x, 0.0), 1.0, x)
    return _over(x, sub(i0(x), div(i1(x), safe)), 0.5)


def _i1e_slope(x: Any) -> Any:
    safe = where(eq(x, 0.0), 1.0, x)
    return _over(x, sub(i0e(x), mul(i1e(x), add(sign(x), reciprocal(safe)))), 0.5)


I0 = _function("i0", special.i0, lambda x: i1(x), (-4.0, 4.0))
I1 = _function("i1", special.i1, _i1_slope, (-4.0, 4.0))
I0E = _function("i0e", special.i0e, lambda x: sub(i1e(x), mul(sign(x), i0e(x))), (0.2, 6.0))
I1E = _function("i1e", special.i1e, _i1e_slope, (0.2, 6.0))

# ---- the rest of the family

J0 = _function("bessel_j0", special.j0, None, (-3.0, 3.0))
J1 = _function("bessel_j1", special.j1, None, (-3.0, 3.0))
Y0 = _function("bessel_y0", special.y0, None, (1.0, 3.0))
Y1 = _function("bessel_y1", special.y1, None, (0.5, 2.0))
K0 = _function("bessel_k0", special.k0, None, (0.2, 6.0))
K1 = _function("bessel_k1", special.k1, None, (0.2, 6.0))
K0E = _function("bessel_k0e", special.k0e, None, (0.2, 6.0))
K1E = _function("bessel_k1e", special.k1e, None, (0.2, 6.0))
AIRY = _function("airy_ai", special.airy_ai, None, (-2.0, 3.0))
SPHERICAL_J0 = _function("spherical_bessel_j0", special.spherical_j0, None, (-2.0, 2.0))

# ---- the normal distribution's tail

ERFCX = _function(
    "erfcx", special.erfcx,
    lambda x: sub(mul(mul(x, erfcx(x)), 2.0), 2.0 / math.sqrt(math.pi)), (-2.0, 4.0),
)  # fmt: skip
LOG_NDTR = elementwise(
    "log_ndtr", 1, accepts=FLOATS, reference=quiet(special.log_ndtr), lower="log_ndtr", saves="0",
    vjp=lambda ctx, ct: mul(
        ct, div(math.sqrt(2 / math.pi), erfcx(mul(ctx.x[0], -math.sqrt(0.5))))
    ),
    domain=(-6.0, 1.0), tolerance=ulp(64), special=(0.0, 1.0, np.nan),
)  # fmt: skip


i0: Call = unary_call(I0)
i1: Call = unary_call(I1)
i0e: Call = unary_call(I0E)
i1e: Call = unary_call(I1E)
erfcx: Call = unary_call(ERFCX)
log_ndtr: Call = unary_call(LOG_NDTR)
