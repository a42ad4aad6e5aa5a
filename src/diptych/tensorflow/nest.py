"""``tf.nest``: nested lists, tuples and dicts flattened, packed and mapped over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["assert_same_structure", "flatten", "is_nested", "map_structure", "pack_sequence_as"]


def is_nested(structure: Any) -> bool:
    """Whether a value is a list, tuple or mapping."""
    return isinstance(structure, (list, tuple, Mapping))


def flatten(structure: Any, expand_composites: bool = False) -> list[Any]:
    """The leaves, in order; a mapping's by its sorted keys. A leaf alone is a list of one."""
    out: list[Any] = []
    _flatten(structure, out)
    return out


def _flatten(structure: Any, out: list[Any]) -> None:
    if isinstance(structure, Mapping):
        for key in _keys(structure):
            _flatten(structure[key], out)
    elif isinstance(structure, (list, tuple)):
        for item in structure:
            _flatten(item, out)
    else:
        out.append(structure)


def _keys(structure: Mapping[Any, Any]) -> list[Any]:
    try:
        return sorted(structure)
    except TypeError:
        raise TypeError("nest only supports dicts with sortable keys.") from None


def pack_sequence_as(structure: Any, flat_sequence: Any, expand_composites: bool = False) -> Any:
    """A flat sequence in the form of a structure."""
    flat = list(flat_sequence)
    if not is_nested(structure):
        if len(flat) != 1:
            raise ValueError(
                f"The target structure is of type `{type(structure)}`\n  {structure}\nHowever the "
                f"input is a sequence ({type(flat_sequence)}) of length {len(flat)}.\n  "
                f"{flat_sequence}\nnest cannot guarantee that it is safe to map one to the other."
            )
        return flat[0]
    count = len(flatten(structure))
    if count != len(flat):
        raise ValueError(
            "Could not pack sequence. "
            f"Structure had {count} atoms, but flat_sequence had {len(flat)} items.  "
            f"Structure: {structure}, flat_sequence: {flat}."
        )
    return _packed(structure, iter(flat))


def _packed(structure: Any, leaves: Any) -> Any:
    if isinstance(structure, Mapping):
        made = {key: _packed(structure[key], leaves) for key in _keys(structure)}
        ordered = {key: made[key] for key in structure}
        return ordered if type(structure) is dict else _like(structure, ordered)
    if isinstance(structure, (list, tuple)):
        items = [_packed(item, leaves) for item in structure]
        if hasattr(structure, "_fields"):
            return type(structure)(*items)
        return type(structure)(items)
    return next(leaves)


def _like(structure: Any, made: dict[Any, Any]) -> Any:
    if hasattr(structure, "default_factory"):
        return type(structure)(structure.default_factory, made)
    return type(structure)(made)


def map_structure(func: Any, *structure: Any, **kwargs: Any) -> Any:
    """A function applied to corresponding leaves of structures of one form."""
    if not callable(func):
        raise TypeError(f"`func` must be callable. Received: func={func}")
    if not structure:
        raise ValueError("Must provide at least one structure")
    for other in structure[1:]:
        assert_same_structure(structure[0], other, kwargs.get("check_types", True))
    flat = [flatten(one) for one in structure]
    return pack_sequence_as(structure[0], [func(*items) for items in zip(*flat, strict=True)])


def assert_same_structure(
    nest1: Any, nest2: Any, check_types: bool = True, expand_composites: bool = False
) -> None:
    """ValueError or TypeError unless two structures have the same form."""
    if is_nested(nest1) != is_nested(nest2):
        raise ValueError(
            "The two structures don't have the same nested structure.\n\n"
            f"First structure: {nest1}\n\nSecond structure: {nest2}"
        )
    if not is_nested(nest1):
        return
    if check_types and type(nest1) is not type(nest2):
        raise TypeError(
            "The two structures don't have the same sequence type. Input structure has type "
            f"{type(nest1)}, while shallow structure has type {type(nest2)}."
        )
    if len(nest1) != len(nest2) or (isinstance(nest1, Mapping) and set(nest1) != set(nest2)):
        raise ValueError(
            "The two structures don't have the same number of elements.\n\n"
            f"First structure: {nest1}\n\nSecond structure: {nest2}"
        )
    keys = _keys(nest1) if isinstance(nest1, Mapping) else range(len(nest1))
    for key in keys:
        assert_same_structure(nest1[key], nest2[key], check_types)
