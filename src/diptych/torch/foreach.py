"""``torch._foreach_*``: one operation on every tensor of a list, as optimizers use it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from diptych.torch.absent import FOREACH_BINARY, FOREACH_UNARY
from diptych.torch.tensor import Tensor

Many = Sequence[Any]
_LIMITS = {"maximum": "min", "clamp_min": "min", "minimum": "max", "clamp_max": "max"}


def _listed(value: Any, name: str, argument: str = "self") -> Many:
    """A list of tensors; TypeError for anything else, RuntimeError for an empty one."""
    if not isinstance(value, (list, tuple)):
        raise TypeError(
            f"{name}() received an invalid combination of arguments: '{argument}' must be a tuple "
            f"of Tensors, not {type(value).__name__}"
        )
    if not value:
        raise RuntimeError("Tensor list must have at least one tensor.")
    for index, item in enumerate(value):
        if not isinstance(item, Tensor):
            raise TypeError(
                f"{name}(): argument '{argument}' must be tuple of Tensors, but found element of "
                f"type {type(item).__name__} at pos {index}"
            )
    return value


def _paired(many: Many, other: Any, name: str, argument: str = "other") -> Many:
    """Another list, as long as the first."""
    made = _listed(other, name, argument)
    if len(made) != len(many):
        raise RuntimeError(
            f"Tensor lists must have the same number of tensors, got {len(many)} and {len(made)}"
        )
    return made


def _each(many: Many, given: Any, name: str) -> Sequence[Any]:
    """One number, or tensor, for each tensor: from one for all, or from a list of them."""
    value = given
    if value is None:
        raise TypeError(f"{name}() received an invalid combination of arguments: None")
    if isinstance(given, Tensor) and given.layout.ndim == 1:
        value = value.unbind()
    if not isinstance(value, (list, tuple)):
        return [value] * len(many)
    if value and isinstance(value[0], Tensor):
        return _paired(many, value, name)
    if len(value) != len(many):
        raise RuntimeError("Tensor list must have same number of elements as scalar list.")
    return value


def _done(many: Many, made: list[Any], place: bool) -> Any:
    """The results; for an operation in place the list that was given."""
    return many if place else tuple(made)


def _unary(name: str, place: bool) -> Callable[..., Any]:
    public, method = f"_foreach_{name}{'_' * place}", getattr(Tensor, name + "_" * place)

    def function(self: Any) -> Any:
        many = _listed(self, public)
        return _done(many, [method(x) for x in many], place)

    return _named(function, public, f"``{name}`` of every tensor.")


def _binary(name: str, place: bool) -> Callable[..., Any]:
    public = f"_foreach_{name}{'_' * place}"
    limit = _LIMITS.get(name)
    method = getattr(Tensor, ("clamp" if limit else name) + "_" * place)

    def plain(self: Any, other: Any) -> Any:
        many = _listed(self, public)
        values = _each(many, other, public)
        if limit:
            return _done(
                many, [method(x, **{limit: y}) for x, y in zip(many, values, strict=True)], place
            )
        return _done(many, [method(x, y) for x, y in zip(many, values, strict=True)], place)

    def scaled(self: Any, other: Any, *, alpha: Any = 1) -> Any:
        if alpha == 1:
            return plain(self, other)
        many = _listed(self, public)
        first = other[0] if isinstance(other, (list, tuple)) and other else other
        if not isinstance(first, Tensor):
            raise TypeError(
                f"{public}() received an invalid combination of arguments: alpha goes with tensors"
            )
        values = _each(many, other, public)
        made = [method(x, y, alpha=alpha) for x, y in zip(many, values, strict=True)]
        return _done(many, made, place)

    function = scaled if name in ("add", "sub") else plain
    return _named(function, public, f"``{name}`` of every tensor and a number or its partner.")


def _power(self: Any, exponent: Any) -> Any:
    if isinstance(self, (list, tuple)):
        return _POW(self, exponent)
    many = _listed(exponent, "_foreach_pow", "exponent")
    return tuple([x.__rpow__(self) for x in many])


def _product(name: str, place: bool) -> Callable[..., Any]:
    public, method = f"_foreach_{name}{'_' * place}", getattr(Tensor, name + "_" * place)

    def function(
        self: Any, tensor1: Any, tensor2: Any, scalars: Any = 1, *, value: Any = None
    ) -> Any:
        many = _listed(self, public)
        first = _paired(many, tensor1, public, "tensor1")
        second = _paired(many, tensor2, public, "tensor2")
        factors = _each(many, scalars if value is None else value, public)
        made = [
            method(x, a, b, value=v.item() if isinstance(v, Tensor) else v)
            for x, a, b, v in zip(many, first, second, factors, strict=True)
        ]
        return _done(many, made, place)

    return _named(function, public, f"``{name}`` of every tensor and its two partners.")


def _lerp(place: bool) -> Callable[..., Any]:
    public, method = f"_foreach_lerp{'_' * place}", getattr(Tensor, "lerp" + "_" * place)

    def function(self: Any, tensors1: Any, weight: Any) -> Any:
        many = _listed(self, public)
        ends = _paired(many, tensors1, public, "tensors1")
        weights = _each(many, weight, public)
        made = [method(x, end, w) for x, end, w in zip(many, ends, weights, strict=True)]
        return _done(many, made, place)

    return _named(function, public, "Every tensor moved towards its partner.")


def _foreach_norm(self: Any, ord: Any = 2, dtype: Any = None) -> Any:
    """The vector norm of every tensor."""
    return tuple([x.norm(ord, dtype=dtype) for x in _listed(self, "_foreach_norm")])


def _foreach_powsum(self: Any, ord: Any = 2, dtype: Any = None) -> Any:
    """The sum of powers of every tensor's magnitudes."""
    many = _listed(self, "_foreach_powsum")
    return tuple([(x if dtype is None else x.to(dtype)).abs().pow(ord).sum() for x in many])


def _foreach_max(self: Any) -> Any:
    """The largest element of every tensor."""
    return tuple([x.max() for x in _listed(self, "_foreach_max")])


def _foreach_clone(self: Any, *, memory_format: Any = None) -> Any:
    """A copy of every tensor."""
    options = {} if memory_format is None else {"memory_format": memory_format}
    return tuple([x.clone(**options) for x in _listed(self, "_foreach_clone")])


def _foreach_copy_(self: Any, src: Any, non_blocking: bool = False) -> Any:
    """Every tensor overwritten by its partner."""
    many = _listed(self, "_foreach_copy_")
    for x, y in zip(many, _paired(many, src, "_foreach_copy_", "src"), strict=True):
        x.copy_(y, non_blocking)
    return many


def _foreach_zero_(self: Any) -> Any:
    """Every tensor filled with zeros."""
    many = _listed(self, "_foreach_zero_")
    for x in many:
        x.zero_()
    return many


def _foreach_mm(self: Any, mat2: Any) -> Any:
    """The matrix product of every tensor and its partner."""
    many = _listed(self, "_foreach_mm")
    return tuple(
        [x.mm(y) for x, y in zip(many, _paired(many, mat2, "_foreach_mm", "mat2"), strict=True)]
    )


def _named(function: Callable[..., Any], name: str, doc: str) -> Callable[..., Any]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


for _place in (False, True):
    for _name in FOREACH_UNARY:
        globals()[f"_foreach_{_name}{'_' * _place}"] = _unary(_name, _place)
    for _name in FOREACH_BINARY:
        globals()[f"_foreach_{_name}{'_' * _place}"] = _binary(_name, _place)
    for _name in ("addcdiv", "addcmul"):
        globals()[f"_foreach_{_name}{'_' * _place}"] = _product(_name, _place)
    globals()[f"_foreach_lerp{'_' * _place}"] = _lerp(_place)
_POW = globals()["_foreach_pow"]
_foreach_pow = _named(_power, "_foreach_pow", "Powers of every tensor, or of a number by them.")
