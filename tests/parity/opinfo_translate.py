"""Turns calls of PyTorch's OpInfo entries into calls of the face: functions, samples, values."""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import torch as real

import diptych.torch as ours

# Where a public function is looked for, in the order in which names are preferred.
PLACES = (
    "", "Tensor", "nn.functional", "linalg", "fft", "special", "signal.windows", "masked", "sparse",
    "random",
)  # fmt: skip


class Untranslatable(NotImplementedError):
    """A function or value of PyTorch that has no public name to look for."""


def follow(root: Any, path: str) -> Any:
    """The attribute of ``root`` at a dotted path ("" is the root itself)."""
    for part in path.split(".") if path else ():
        root = getattr(root, part)
    return root


@functools.cache
def public_names() -> dict[int, list[str]]:
    """The identity of every public function of PyTorch -> the paths it is found at."""
    found: dict[int, list[str]] = {}
    for place in PLACES:
        holder = follow(real, place)
        for name in dir(holder):
            value = getattr(holder, name, None)
            if callable(value) and not isinstance(value, type):
                found.setdefault(id(value), []).append(f"{place}.{name}".lstrip("."))
    return found


def function(name: str, op: Any) -> Callable[..., Any]:
    """The face's function for an entry's name and PyTorch's function; AttributeError if none."""
    paths = public_names().get(id(op), [])
    for path in sorted(paths, key=lambda path: path != name):
        return follow(ours, path)  # type: ignore[no-any-return]
    if isinstance(op, types.FunctionType) and "testing" in op.__module__:
        return rebuilt(op)
    for place in ("", "Tensor"):
        if hasattr(follow(real, place), name):
            return follow(ours, f"{place}.{name}".lstrip("."))  # type: ignore[no-any-return]
    raise Untranslatable(f"{name} has no public function")


def seeded(op: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What PyTorch's ``wrapper_set_seed`` does: a call from a fixed seed."""
    ours.manual_seed(42)
    return op(*args, **kwargs)


@functools.cache
def rebuilt(function: types.FunctionType) -> Callable[..., Any]:
    """A function of PyTorch's testing package with the face in place of PyTorch."""
    if function.__name__ == "wrapper_set_seed":
        return seeded
    names = names_of(function.__code__)
    scope = {
        name: translated(function.__globals__[name])
        for name in names
        if name in function.__globals__
    }
    closure = None
    if function.__closure__ is not None:
        closure = tuple(types.CellType(translated(c.cell_contents)) for c in function.__closure__)
    defaults = function.__defaults__ and tuple(translated(d) for d in function.__defaults__)
    made = types.FunctionType(
        function.__code__, {"__builtins__": __builtins__, **scope}, function.__name__, defaults,
        closure,
    )  # fmt: skip
    if function.__kwdefaults__:
        made.__kwdefaults__ = {k: translated(v) for k, v in function.__kwdefaults__.items()}
    return made


def names_of(code: types.CodeType) -> set[str]:
    """The global names that code, and the code inside it, may ask for."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= names_of(constant)
    return names


def translated(value: Any) -> Any:
    """A value of PyTorch's as the face has it; everything else as it is."""
    if isinstance(value, real.Tensor):
        return tensor(value)
    if isinstance(value, real.dtype):
        return getattr(ours, str(value).removeprefix("torch."))
    if isinstance(value, (real.memory_format, real.layout)):
        return getattr(ours, str(value).removeprefix("torch."))
    if isinstance(value, real.device):
        return ours.device(str(value))
    if isinstance(value, real.Size):
        return ours.Size(value)
    if isinstance(value, types.ModuleType):
        if value.__name__.partition(".")[0] == "torch" and "testing" not in value.__name__:
            return follow(ours, value.__name__.partition(".")[2])
        return value
    if isinstance(value, real.nn.Module):
        made = getattr(ours.nn, type(value).__name__)()
        for name, attribute in vars(value).items():
            if isinstance(attribute, (int, float, bool)):
                setattr(made, name, attribute)
        return made
    if isinstance(value, type):
        paths = {real.Tensor: "Tensor"}
        return follow(ours, paths[value]) if value in paths else value
    if isinstance(value, functools.partial):
        return functools.partial(
            translated(value.func), *translated(value.args), **translated(value.keywords)
        )
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*[translated(v) for v in value])
    if isinstance(value, (tuple, list)):
        return type(value)(translated(v) for v in value)
    if isinstance(value, dict):
        return {k: translated(v) for k, v in value.items()}
    if isinstance(value, slice):
        return slice(*(translated(v) for v in (value.start, value.stop, value.step)))
    if isinstance(value, types.FunctionType) and "testing" in (value.__module__ or ""):
        return rebuilt(value)
    if callable(value) and id(value) in public_names():
        return follow(ours, public_names()[id(value)][0])
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return value
    return value


def array_of(x: Any) -> np.ndarray[Any, Any]:
    """The values of a tensor, of either side, as NumPy's (bfloat16 as float32)."""
    x = x.detach()
    if isinstance(x, real.Tensor):
        if x.layout is not real.strided:
            x = x.to_dense()
        x = x.clone().resolve_conj().resolve_neg()  # the clone of a ZeroTensor has memory
    if str(x.dtype) == "torch.bfloat16":
        x = x.float()
    return np.asarray(x.numpy())


def tensor(x: Any) -> Any:
    """A tensor of the face with the values, dtype, strides and leaf-ness of PyTorch's.

    One that shows a part of its memory, or shows it in another order, gets the whole of it.
    """
    if x.layout is not real.strided:
        raise Untranslatable(f"there are no tensors of layout {x.layout}")
    plain = x.detach().resolve_conj().resolve_neg()
    whole = plain
    if not plain.is_contiguous() or plain.untyped_storage().nbytes() != plain.nbytes:
        whole = real.empty(0, dtype=plain.dtype).set_(plain.untyped_storage())
    made = ours.from_numpy(np.copy(array_of(whole)))
    dtype = getattr(ours, str(x.dtype).removeprefix("torch."))
    if made.dtype != dtype:
        made = made.to(dtype)
    if whole is not plain:
        made = made.as_strided(tuple(plain.shape), plain.stride(), plain.storage_offset())
        made = made.detach()
    if x.requires_grad:
        made.requires_grad_()
    return made


def leaves(value: Any) -> list[Any]:
    """All tensors in nested tuples, lists and dictionaries, in order."""
    if isinstance(value, (real.Tensor, ours.Tensor)):
        return [value]
    if isinstance(value, dict):
        return [x for v in value.values() for x in leaves(v)]
    if isinstance(value, (tuple, list)):
        return [x for v in value for x in leaves(v)]
    return []
