"""A module called with other tensors in the place of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from diptych.torch.tensor import Tensor

_NOTHING = object()


def _holder(module: Any, name: str) -> tuple[Any, str]:
    """The submodule that has a tensor, and the tensor's name in it."""
    path, _, last = name.rpartition(".")
    return (module.get_submodule(path) if path else module), last


def _tied(module: Any) -> dict[str, list[str]]:
    """name -> all names of the same parameter or buffer."""
    groups: dict[int, list[str]] = {}
    for name, value in [
        *module.named_parameters(remove_duplicate=False),
        *module.named_buffers(remove_duplicate=False),
    ]:
        groups.setdefault(id(value), []).append(name)
    return {name: names for names in groups.values() for name in names}


def _complete(module: Any, given: dict[str, Any]) -> dict[str, Any]:
    """The given tensors under all names of what they replace."""
    tied = _tied(module)
    full = dict(given)
    for name, value in given.items():
        for other in tied.get(name, ()):
            if other not in given:
                full[other] = value
            elif given[other] is not value:
                names = sorted(key for key in tied[name] if key in given)
                raise ValueError(
                    f"functional_call got multiple values for keys {names}, which are tied. "
                    "Consider using tie_weights=False"
                )
    return full


def _check_names(module: Any, given: dict[str, Any]) -> None:
    known = {
        *(name for name, _ in module.named_parameters(remove_duplicate=False)),
        *(name for name, _ in module.named_buffers(remove_duplicate=False)),
    }
    for what, names in (
        ("Unexpected", sorted(set(given) - known)), ("Missing", sorted(known - set(given))),
    ):  # fmt: skip
        if names:
            listed = ", ".join(f"'{name}'" for name in names)
            name = type(module).__name__
            raise RuntimeError(
                f"Error(s) in reparametrizing for {name}:\n\t{what} key(s): {listed}."
            )


@contextmanager
def _reparametrize_module(
    module: Any, given: dict[str, Any], tie_weights: bool = False, strict: bool = False
) -> Iterator[None]:
    """Inside, the module holds the given tensors."""
    full = _complete(module, given) if tie_weights else dict(given)
    if strict:
        _check_names(module, full)
    before: list[tuple[dict[str, Any], str, Any]] = []
    try:
        for name, value in full.items():
            owner, last = _holder(module, name)
            members = owner._parameters if last in owner._parameters else owner._buffers
            if last not in members:  # a name that the module has not: it has it meanwhile
                members = owner._parameters
            if not isinstance(value, Tensor):
                raise TypeError(f"{value} is not an instance of torch.Tensor")
            before.append((members, last, members.get(last, _NOTHING)))
            members[last] = value
        yield
    finally:
        for members, last, value in reversed(before):
            changed = members[last]
            if not any(changed is given_value for given_value in full.values()):
                _give_back(given, full, module, members, last, changed)  # it was replaced
            if value is _NOTHING:
                del members[last]
            else:
                members[last] = value


def _give_back(
    given: dict[str, Any], full: dict[str, Any], module: Any, members: Any, last: str, new: Any
) -> None:
    for name in full:
        owner, end = _holder(module, name)
        if end == last and (owner._parameters is members or owner._buffers is members):
            if name in given:
                given[name] = new


def functional_call(
    module: Any,
    parameters_and_buffers: dict[str, Any],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """What the module computes with these tensors instead of its own."""
    if args is None:
        args = ()
    elif not isinstance(args, tuple):
        args = (args,)
    with _reparametrize_module(module, parameters_and_buffers, tie_weights, strict):
        return module(*args, **(kwargs or {}))
