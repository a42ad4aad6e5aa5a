"""Derives the polynomial coefficients of compiler/llvm/math by Remez's exchange.

    python tools/polynomials.py > src/diptych/compiler/llvm/math/coefficients.py

Works in NumPy's long double, so it wants a platform where that is wider than double (x86-64). SciPy
gives the error function. Each line of TABLE is one function on one interval: what is approximated
is the smooth remainder after the leading terms were split off, weighted so that the error is
relative to the function itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import special

Real = np.longdouble
Function = Callable[[np.ndarray], np.ndarray]


def solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Gaussian elimination with pivoting, in long double (NumPy's own is double only)."""
    a = np.column_stack([matrix, right]).astype(Real)
    n = len(a)
    for k in range(n):
        pivot = k + int(np.argmax(np.abs(a[k:, k])))
        a[[k, pivot]] = a[[pivot, k]]
        a[k + 1 :] -= np.outer(a[k + 1 :, k] / a[k, k], a[k])
    for k in reversed(range(n)):
        a[k, -1] = (a[k, -1] - a[k, k + 1 : n] @ a[k + 1 :, -1]) / a[k, k]
    return a[:, -1]


def remez(
    function: Function, weight: Function, low: float, high: float, degree: int
) -> tuple[np.ndarray, float]:
    """The polynomial p of ``degree`` with the least max |weight * (p - function)|, and that."""
    count = degree + 2
    angles = np.arange(count, dtype=Real) * Real(np.pi) / (count - 1)
    middle, half = (Real(high) + Real(low)) / 2, (Real(high) - Real(low)) / 2
    nodes = middle - half * np.cos(angles)
    grid = middle - half * np.cos(np.linspace(0, np.pi, 8001, dtype=Real))
    values, weights = function(grid), weight(grid)
    best: tuple[np.ndarray, float] = (np.zeros(degree + 1, dtype=Real), np.inf)
    for _ in range(20):
        signs = (-1.0) ** np.arange(count)
        matrix = np.column_stack([np.vander(nodes, degree + 1, True), signs / weight(nodes)])
        coefficients = solve(matrix, function(nodes))[:-1]
        error = weights * (np.polynomial.polynomial.polyval(grid, coefficients) - values)
        if np.max(np.abs(error)) < best[1]:  # near long double's own precision it may grow again
            best = coefficients, float(np.max(np.abs(error)))
        # One extremum for each run of one sign.
        edges = np.flatnonzero(np.diff(np.sign(error)) != 0) + 1
        runs = np.split(np.arange(len(grid)), edges)
        peaks = [run[np.argmax(np.abs(error[run]))] for run in runs]
        while len(peaks) > count:
            peaks.pop(0 if abs(error[peaks[0]]) < abs(error[peaks[-1]]) else -1)
        if len(peaks) < count:
            break
        nodes = grid[peaks]
    return best


def series(term: Callable[[int], Real], count: int = 40) -> Function:
    """A power series, for remainders that cancel near 0."""

    def evaluate(x: np.ndarray) -> np.ndarray:
        total = np.zeros_like(x)
        for k in reversed(range(count)):
            total = total * x + term(k)
        return total

    return evaluate


def factorial(n: int) -> Real:
    return np.prod(np.arange(1, n + 1, dtype=Real)) if n else Real(1)


def asin_term(k: int) -> Real:
    """The coefficient of x**(2k+1) in asin."""
    return factorial(2 * k) / (Real(4) ** k * factorial(k) ** 2 * (2 * k + 1))


def tanh_term(k: int) -> Real:
    """The coefficient of x**(2k+1) in tanh: from the product of its series with cosh's."""
    terms: list[Real] = []
    for n in range(k + 1):
        known = sum((terms[i] / factorial(2 * (n - i)) for i in range(n)), Real(0))
        terms.append(1 / factorial(2 * n + 1) - known)
    return terms[k]


def one(x: np.ndarray) -> np.ndarray:
    return np.ones_like(x)


LN2 = np.log(Real(2))
exp_tail = series(lambda k: 1 / factorial(k + 2))  # (exp(r) - 1 - r) / r**2
exp2_tail = series(lambda k: LN2 ** (k + 1) / factorial(k + 1))  # (2**r - 1) / r
log_tail = series(lambda k: Real(-1) ** k / (k + 3), 160)  # (log(1+f) - f + f*f/2) / f**3
log_ratio = series(
    lambda k: Real(2) / (2 * k + 3), 60
)  # (log((1+s)/(1-s)) / s - 2) / s**2, in s**2
sin_tail = series(lambda k: Real(-1) ** (k + 1) / factorial(2 * k + 3))  # (sin(r)/r - 1) / r**2
cos_tail = series(lambda k: Real(-1) ** k / factorial(2 * k + 4))  # (cos(r) - 1 + z/2) / z**2
atan_tail = series(lambda k: Real(-1) ** (k + 1) / (2 * k + 3), 200)
asin_tail = series(lambda k: asin_term(k + 1), 60)
erf_series = series(
    lambda k: 2 / np.sqrt(Real(np.pi)) * Real(-1) ** k / (factorial(k) * (2 * k + 1)) - (k == 0), 50
)  # erf(x) / x - 1


def log_erfc(x: np.ndarray) -> np.ndarray:
    """log(erfc(x)), of which erf is 1 - exp."""
    return np.log(special.erfcx(x.astype(float))) - x.astype(float) ** 2


def erfcx_of(t: np.ndarray) -> np.ndarray:
    """(1 + 2 x) * exp(x*x) * erfc(x) where t = (x - 4) / (x + 4)."""
    x = 4 * (1 + t.astype(float)) / (1 - t.astype(float))
    return (1 + 2 * x) * special.erfcx(x)


def atan_over(z: np.ndarray) -> np.ndarray:
    """(atan(t)/t - 1) / z where z = t*t."""
    t = np.sqrt(np.maximum(z, Real(1e-30)))
    return np.where(z < 0.1, atan_tail(z), (np.arctan(t) / t - 1) / np.maximum(z, Real(0.01)))


tanh_tail = series(lambda k: tanh_term(k + 1), 30)  # (tanh(x)/x - 1) / z
ATAN_NEAR = 0.6562**2  # trigonometric.NEAR, squared
TABLE: list[tuple[str, Function, Function, float, float, int]] = [
    # name, function, weight, low, high, degree
    ("EXP_F32", exp_tail, lambda r: r * r, -0.3470, 0.3470, 4),
    ("EXP_F64", exp_tail, lambda r: r * r, -0.3470, 0.3470, 9),
    ("EXP2_F32", exp2_tail, lambda r: r, -0.5001, 0.5001, 5),
    ("EXPM1_F32", exp_tail, lambda r: r, -0.3470, 0.3470, 5),
    ("EXPM1_F64", exp_tail, lambda r: r, -0.3470, 0.3470, 10),
    ("TANH_F32", tanh_tail, lambda z: z, 0.0, 0.3026, 5),
    ("LOG_F32", log_tail, lambda f: f * f, -1 / 3, 1 / 3, 8),
    ("LOG_F64", log_ratio, lambda z: z, 0.0, 0.0295, 6),
    ("SIN_F32", sin_tail, lambda z: z, 0.0, 0.6170, 2),
    ("COS_F32", cos_tail, lambda z: z * z, 0.0, 0.6170, 2),
    ("SIN_WIDE", sin_tail, lambda z: z, 0.0, 0.6170, 4),
    ("COS_WIDE", cos_tail, lambda z: z * z, 0.0, 0.6170, 4),
    ("ATAN_F32", atan_over, lambda z: z, 0.0, ATAN_NEAR, 6),
    ("ATAN_WIDE", atan_over, lambda z: z, 0.0, 1.0, 10),
    ("ASIN_F32", asin_tail, lambda z: z, 0.0, 0.2501, 5),
    ("ERF_F32", erf_series, one, 0.0, 0.8465, 6),
    ("LOG_ERFC_F32", log_erfc, lambda x: special.erfc(x.astype(float)), 0.92, 4.0, 8),
    ("ERFCX_WIDE", erfcx_of, one, -1.0, 0.45, 13),
]


def in_long_double(function: Function) -> Function:
    return lambda x: np.asarray(function(x), dtype=Real)


def positive(weight: Function, low: float, high: float) -> Function:
    """The weight's size, kept away from 0, where the exchange would fail."""
    wide = in_long_double(weight)
    floor = np.max(np.abs(wide(np.array([low, high], dtype=Real)))) / 50
    return lambda x: np.maximum(np.abs(wide(x)), floor)


def erf_pieces() -> tuple[np.ndarray, np.ndarray]:
    """erf on [0, 4) in 16 pieces of 1/4: the centres, and the coefficients by degree, 16 each.

    The first piece is centred at 0 and has no constant, so that its error is relative. The slope is
    given less 1, which is added apart.
    """
    centres = np.array([0.0] + [(k + 0.5) / 4 for k in range(1, 16)])
    rows = []
    for k, centre in enumerate(centres):
        if k == 0:
            pieces, _ = remez(in_long_double(lambda t: erf_series(t * t) + 1), one, 0, 0.25, 5)
            rows.append([0.0, *pieces])
        else:
            shifted = in_long_double(lambda t, c=centre: special.erf(t.astype(float) + c))
            rows.append(list(remez(shifted, one, -0.125, 0.125, 6)[0]))
    by_degree = np.array(rows, dtype=Real).T
    by_degree[1] -= 1
    return centres, by_degree.astype(float)


def main() -> None:
    print('"""Polynomial coefficients, lowest first; made by tools/polynomials.py."""\n')
    for name, function, weight, low, high, degree in TABLE:
        coefficients, error = remez(
            in_long_double(function), positive(weight, low, high), low, high, degree
        )
        print(f"{name} = (  # max error {error:.1e} on [{low:.4g}, {high:.4g}]")
        for c in coefficients:
            print(f"    {float(c)!r},")
        print(")")
    centres, by_degree = erf_pieces()
    print("ERF_CENTRES = (")
    print("".join(f"    {c!r},\n" for c in centres.tolist()) + ")")
    print("ERF_PIECES = (  # by degree, then by piece")
    for row in by_degree.tolist():
        print("    (\n" + "".join(f"        {c!r},\n" for c in row) + "    ),")
    print(")")


if __name__ == "__main__":
    main()
