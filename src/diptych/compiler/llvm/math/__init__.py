"""Elementary functions in IR: polynomials in vectors where we have them, else libm per lane.

``emit`` works on float and double, scalars and vectors. In float every function is polynomial code
within 2 ulp; the less common ones compute in double inside. In double exp, expm1, log, log1p, tanh,
sigmoid, sinh and cosh are, within 3 ulp; the rest call libm.
"""

from __future__ import annotations

from collections.abc import Callable

from diptych.compiler.llvm.math import error, exponential, logarithm, trigonometric
from diptych.compiler.llvm.math.libm import FUNCTIONS, per_lane
from diptych.compiler.llvm.math.polynomial import in_double
from diptych.compiler.llvm.writer import Function, Value, is_float
from diptych.compiler.target import Target

Emitter = Callable[..., Value]

FLOAT: dict[str, Emitter] = {
    "exp": exponential.exp, "exp2": exponential.exp2, "expm1": exponential.expm1,
    "sigmoid": exponential.sigmoid, "tanh": exponential.tanh,
    "sinh": in_double(exponential.sinh), "cosh": in_double(exponential.cosh),
    "log": logarithm.log, "log2": logarithm.log2, "log10": logarithm.log10,
    "log1p": logarithm.log1p_float, "pow": logarithm.power, "cbrt": logarithm.cbrt,
    "asinh": logarithm.asinh, "acosh": logarithm.acosh, "atanh": logarithm.atanh,
    "sin": trigonometric.sin, "cos": trigonometric.cos, "tan": trigonometric.tan,
    "atan": trigonometric.atan, "asin": trigonometric.asin, "acos": trigonometric.acos,
    "atan2": trigonometric.atan2, "erf": error.erf, "erfc": error.erfc,
}  # fmt: skip
DOUBLE: dict[str, Emitter] = {
    "exp": exponential.exp, "expm1": exponential.expm1, "sigmoid": exponential.sigmoid,
    "tanh": exponential.tanh, "sinh": exponential.sinh, "cosh": exponential.cosh,
    "log": logarithm.log, "log1p": logarithm.log1p_double,
}  # fmt: skip
OPS = frozenset(FLOAT) | frozenset(FUNCTIONS)


def emit(w: Function, target: Target, op: str, args: list[Value]) -> Value:
    """The value of ``op`` on float or double scalars or vectors."""
    type_ = args[0].type
    assert is_float(type_), f"{op} of {type_}"
    found = (DOUBLE if "double" in type_ else FLOAT).get(op)
    return found(w, target, *args) if found else per_lane(w, op, args)
