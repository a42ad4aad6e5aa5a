"""torch.return_types: the named results of functions that return several tensors."""

from __future__ import annotations

from typing import Any


class NamedResult(tuple):
    """A tuple whose entries have names; prints as PyTorch's do."""

    __slots__ = ()
    fields: tuple[str, ...] = ()

    def __repr__(self) -> str:
        rows = ",\n".join(f"{n}={v!r}" for n, v in zip(self.fields, self, strict=True))
        return f"torch.return_types.{type(self).__name__}(\n{rows})"

    def __reduce__(self) -> tuple[Any, ...]:
        return (make, (type(self).__name__, tuple(self)))


def _entry(position: int) -> property:
    return property(lambda self: tuple.__getitem__(self, position))


def result(name: str, *fields: str) -> type[NamedResult]:
    """A class of results with these names."""
    body: dict[str, Any] = {name: _entry(position) for position, name in enumerate(fields)}
    body |= {"fields": fields, "__slots__": (), "__module__": "torch.return_types",
             "n_fields": len(fields), "n_sequence_fields": len(fields)}  # fmt: skip
    return type(name, (NamedResult,), body)


_VALUES = ("values", "indices")
TYPES: dict[str, type[NamedResult]] = {
    name: result(name, *_VALUES)
    for name in ("max", "min", "sort", "topk", "median", "nanmedian", "mode", "kthvalue", "cummax",
                 "cummin")
}  # fmt: skip
TYPES["aminmax"] = result("aminmax", "min", "max")
TYPES["frexp"] = result("frexp", "mantissa", "exponent")
TYPES.update({
    f"linalg_{name}": result(f"linalg_{name}", *fields)
    for name, *fields in (
        ("svd", "U", "S", "Vh"), ("eigh", "eigenvalues", "eigenvectors"),
        ("eig", "eigenvalues", "eigenvectors"), ("qr", "Q", "R"), ("slogdet", "sign", "logabsdet"),
        ("lstsq", "solution", "residuals", "rank", "singular_values"), ("lu", "P", "L", "U"),
        ("inv_ex", "inverse", "info"), ("cholesky_ex", "L", "info"),
        ("solve_ex", "result", "info"), ("lu_factor", "LU", "pivots"),
        ("lu_factor_ex", "LU", "pivots", "info"), ("ldl_factor", "LD", "pivots"),
        ("ldl_factor_ex", "LD", "pivots", "info"),
    )
})  # fmt: skip
TYPES["geqrf"] = result("geqrf", "a", "tau")
TYPES["lu_unpack"] = result("lu_unpack", "P", "L", "U")
TYPES["triangular_solve"] = result("triangular_solve", "solution", "cloned_coefficient")
TYPES["histogram"] = result("histogram", "hist", "bin_edges")
TYPES["histogramdd"] = result("histogramdd", "hist", "bin_edges")
TYPES["svd"] = result("svd", "U", "S", "V")
TYPES["qr"] = result("qr", "Q", "R")
TYPES["slogdet"] = result("slogdet", "sign", "logabsdet")
globals().update(TYPES)


def make(name: str, values: Any) -> Any:
    """A named result of these entries."""
    return TYPES[name](values)
