"""Orthogonal polynomials of a degree per element: Chebyshev, Hermite, Laguerre, Legendre."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from diptych.core.dtypes import FLOATS
from diptych.core.operation import NotDifferentiable, Primitive, Tolerance
from diptych.errors import ArgumentError
from diptych.ops.arithmetic import quiet
from diptych.ops.families import Call, binary_call, elementwise

Array = np.ndarray[Any, Any]
Step = Callable[[int, Array, Array, Array], Array]
LARGEST_DEGREE = 1 << 16  # each degree costs a pass over the operands that have no closed form
_TOLERANCE = Tolerance({"float32": 2e-5, "float64": 1e-10, "float16": 5e-3, "bfloat16": 4e-2})
_NO_RULE = NotDifferentiable("PyTorch has no derivative of it, and no other face asks for one")


def recurrence(x: Array, n: Array, first: Array, step: Step, name: str) -> Array:
    """p_n(x) from p_0 = 1, p_1 = ``first`` and p_(k+1) = step(k, x, p_(k-1), p_k); 0 below 0."""
    result = np.where(n == 0, 1.0, np.where(n == 1, first, 0.0))
    top = int(n.max(initial=0))
    if top > LARGEST_DEGREE:
        raise ArgumentError(
            op=name, argument="n", got=top, expected=f"a degree of at most {LARGEST_DEGREE}"
        )
    before, now = np.ones_like(x), first
    for k in range(1, top):
        before, now = now, step(k, x, before, now)
        result = np.where(n == k + 1, now, result)
    return result


def _polynomial(
    name: str, first: Callable[[Array], Array], step: Step, ends: Any = None, closed: Any = None,
    limits: dict[str, int] | None = None, shifted: bool = False,
) -> Primitive:  # fmt: skip
    """Declare a family: values at +-1 by ``ends(x, n, even)``, within them by ``closed(angle, n)``.

    ``limits`` gives per dtype the degree above which PyTorch answers NaN.
    """

    def reference(given: Array, degree: Array) -> Array:
        x, degree = np.broadcast_arrays(np.asarray(given, np.float64), degree)
        n = np.trunc(np.nan_to_num(degree)).astype(np.int64)
        if shifted:
            x = x + x - 1.0
        even = n % 2 == 0
        inside = (np.abs(x) < 1) & (n > 8) if closed is not None else np.zeros(x.shape, bool)
        at_end = np.abs(x) == 1 if ends is not None else np.zeros(x.shape, bool)
        beyond = np.zeros(x.shape, bool)
        if limits is not None:
            beyond = n > limits.get(given.dtype.name, 128)
        left = np.where(inside | at_end | beyond, 0, n)
        result = recurrence(x, left, first(x), step, name)
        if closed is not None:
            angle = np.arccos(np.where(inside, x, 0.0))
            result = np.where(inside, closed(angle, n), result)
        if ends is not None:
            result = np.where(at_end, ends(x, n, even), result)
        result = np.where(n < 0, 0.0, np.where(beyond, np.nan, result))
        return np.asarray(np.where(np.isnan(x), np.nan, result), given.dtype)

    return elementwise(
        name, 2, accepts=FLOATS, reference=quiet(reference), lower=name, vjp=_NO_RULE,
        domain=(-0.9, 3.9), tolerance=_TOLERANCE,
    )  # fmt: skip


def _doubling(k: int, x: Array, before: Array, now: Array) -> Array:
    return 2 * x * now - before


def _t_ends(x: Array, n: Array, even: Array) -> Array:
    return np.where((x > 0) | even, 1.0, -1.0)


def _u_ends(x: Array, n: Array, even: Array) -> Array:
    return np.where((x > 0) | even, 1.0, -1.0) * (n + 1)


def _v_ends(x: Array, n: Array, even: Array) -> Array:
    return np.where(x > 0, 1.0, np.where(even, 1.0, -1.0) * (2 * n + 1))


def _w_ends(x: Array, n: Array, even: Array) -> Array:
    return np.where(x > 0, 2 * n + 1, np.where(even, 1.0, -1.0))


_CHEBYSHEV: tuple[tuple[str, Any, Any, Any], ...] = (
    ("t", lambda x: x, _t_ends, lambda a, n: np.cos(n * a)),
    ("u", lambda x: 2 * x, _u_ends, lambda a, n: np.sin((n + 1) * a) / np.sin(a)),
    ("v", lambda x: 2 * x - 1, _v_ends, lambda a, n: np.cos((n + 0.5) * a) / np.cos(a / 2)),
    ("w", lambda x: 2 * x + 1, _w_ends, lambda a, n: np.sin((n + 0.5) * a) / np.sin(a / 2)),
)
_HERMITE = {"float32": 128, "float64": 512}

POLYNOMIALS: dict[str, Primitive] = {}
for _kind, _first, _ends, _closed in _CHEBYSHEV:
    for _prefix in ("", "shifted_"):
        _name = f"{_prefix}chebyshev_polynomial_{_kind}"
        POLYNOMIALS[_name] = _polynomial(
            _name, _first, _doubling, _ends, _closed, shifted=bool(_prefix)
        )
POLYNOMIALS["hermite_polynomial_h"] = _polynomial(
    "hermite_polynomial_h", lambda x: 2 * x,
    lambda k, x, before, now: 2 * x * now - 2 * k * before, limits=_HERMITE,
)  # fmt: skip
POLYNOMIALS["hermite_polynomial_he"] = _polynomial(
    "hermite_polynomial_he", lambda x: x, lambda k, x, before, now: x * now - k * before,
    limits=_HERMITE,
)  # fmt: skip
POLYNOMIALS["laguerre_polynomial_l"] = _polynomial(
    "laguerre_polynomial_l", lambda x: 1 - x,
    lambda k, x, before, now: ((2 * k + 1 - x) * now - k * before) / (k + 1),
)  # fmt: skip
POLYNOMIALS["legendre_polynomial_p"] = _polynomial(
    "legendre_polynomial_p", lambda x: x,
    lambda k, x, before, now: ((2 * k + 1) * x * now - k * before) / (k + 1), ends=_t_ends,
)  # fmt: skip

FUNCTIONS: dict[str, Call] = {name: binary_call(op) for name, op in POLYNOMIALS.items()}
