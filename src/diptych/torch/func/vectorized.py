"""vmap: a function of one sample, called for many samples at once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from diptych import transforms
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import cast_class
from diptych.ops.batching import to_front
from diptych.ops.movement import concatenate, move_axis, narrow
from diptych.torch.func import trees
from diptych.torch.tensor import Tensor


def _named(func: Any) -> str:
    return getattr(func, "__name__", None) or repr(func)


def _in_axes(in_dims: Any, args: tuple[Any, ...], func: Any) -> tuple[list[Any], Any, list[Any]]:
    """The values of the arguments, their structure, and the axis each is mapped over."""
    name = _named(func)
    if not isinstance(in_dims, (int, tuple, list)):
        raise ValueError(
            f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): expected `in_dims` to be int or a "
            f"(potentially nested) tuple matching the structure of inputs, got: {type(in_dims)}."
        )
    if not args:
        raise ValueError(
            f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are "
            "trying to vmap over a function with no inputs. The latter is unsupported."
        )
    values, structure = trees.flatten(args)
    axes = trees.spread(tuple(in_dims) if isinstance(in_dims, list) else in_dims, structure)
    if axes is None:
        raise ValueError(
            f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): in_dims is not compatible with the "
            f"structure of inputs. in_dims has structure {trees.flatten(in_dims)[1]} but inputs "
            f"has structure {structure}."
        )
    for place, (value, axis) in enumerate(zip(values, axes, strict=True)):
        head = f"vmap({name}, in_dims={in_dims}, ...)(<inputs>): Got in_dim={axis} for an input "
        if axis is None:
            continue
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise ValueError(f"{head}but in_dim must be either an integer dimension or None.")
        if not isinstance(value, CoreTensor):
            raise ValueError(
                f"{head}but the input is of type {type(value)}. We cannot vmap over non-Tensor "
                "arguments, please use None as the respective in_dim"
            )
        ndim = value.layout.ndim
        if not -ndim <= axis < ndim:
            raise ValueError(
                f"{head}but that input is a Tensor of dimensionality {ndim} so expected in_dim to "
                f"satisfy -{ndim} <= in_dim < {ndim}."
            )
        axes[place] = axis % ndim
    return values, structure, axes


def _size(values: list[Any], axes: list[Any], func: Any) -> int:
    sizes = [
        value.layout.shape[axis]
        for value, axis in zip(values, axes, strict=True)
        if axis is not None
    ]
    if not sizes:
        raise ValueError(
            f"vmap({_named(func)}, ...): at least one of the inputs must be mapped: every in_dim "
            "is None"
        )
    if any(size != sizes[0] for size in sizes):
        raise ValueError(
            f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
            f"{sizes} for the mapped dimension"
        )
    return int(sizes[0])


def _out_axes(out_dims: Any, structure: Any, func: Any) -> list[Any]:
    single = isinstance(structure, trees.Leaf)
    given = out_dims
    if single and isinstance(out_dims, tuple) and len(out_dims) == 1:
        given = out_dims[0]
    axes = trees.spread(given, structure)
    if axes is None:
        raise ValueError(
            f"vmap({_named(func)}, ..., out_dims={out_dims})(<inputs>): out_dims is not "
            f"compatible with the structure of `outputs`. out_dims has structure "
            f"{trees.flatten(out_dims)[1]} but outputs has structure {structure}."
        )
    return axes


def _out(level: transforms.Level, x: Any, axis: Any, func: Any) -> Any:
    """One output: the value of all samples, with their axis where it is wanted."""
    name = _named(func)
    if not isinstance(x, CoreTensor):
        if axis is None:
            return x
        raise ValueError(
            f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(x)}. Did you "
            "mean to set out_dims= to None for output?"
        )
    value, place = level.value(x)
    if axis is None:
        if place is not None:
            raise ValueError(
                f"vmap({name}, ...): `{name}` returned a batched tensor for an output whose "
                "out_dim is None: its values differ between samples"
            )
        return in_face(value)
    ndim = x.layout.ndim + 1
    if isinstance(axis, bool) or not isinstance(axis, int):
        raise ValueError(
            f"vmap({name}, ...): `out_dims` must be an int, None, or a structure of them, got "
            f"{axis!r}"
        )
    if not -ndim <= axis < ndim:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], but got "
            f"{axis})"
        )
    if place is None:
        value, place = to_front(value, None, level.size), 0
    return in_face(move_axis(value, place, axis % ndim))


def in_face(x: Any) -> Any:
    """A value as this face's tensor."""
    if isinstance(x, Tensor):
        return x
    return cast_class(x, Tensor)


def _mapped(
    func: Callable[..., Any], values: Sequence[Any], structure: Any, axes: list[Any], size: int,
    randomness: str, kwargs: dict[str, Any],
) -> tuple[transforms.Level, list[Any], Any]:  # fmt: skip
    with transforms.mapping(size, randomness) as level:
        samples = [
            value if axis is None else level.sample(value, axis, value.result_type)
            for value, axis in zip(values, axes, strict=True)
        ]
        outputs, made = trees.flatten(func(*trees.unflatten(structure, samples), **kwargs))
    return level, outputs, made


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """A function that calls ``func`` for each sample along ``in_dims``, all at once.

    ``in_dims`` and ``out_dims`` name the samples' axis of each argument and result (None: one for
    all). ``chunk_size`` bounds how many samples are computed at a time. ``randomness`` says what
    random functions do: "error", the "same" for all samples, or "different" for each.
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(
            "Only allowed values for randomness are 'error', 'different', or 'same'. Got "
            f"{randomness}"
        )
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func, updated=())
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        values, structure, axes = _in_axes(in_dims, args, func)
        size = _size(values, axes, func)
        step = min(chunk_size or size, size)
        parts: list[list[Any]] = []
        for start in range(0, size, step) if size else (0,):
            count = min(step, size - start)
            taken = values
            if count != size:
                taken = [
                    v if axis is None else narrow(v, axis, start, count)
                    for v, axis in zip(values, axes, strict=True)
                ]
            level, outputs, made = _mapped(func, taken, structure, axes, count, randomness, kwargs)
            places = _out_axes(out_dims, made, func)
            parts.append([_out(level, x, a, func) for x, a in zip(outputs, places, strict=True)])
        if len(parts) == 1:
            return trees.unflatten(made, parts[0])
        joined = [
            group[0] if a is None else concatenate(group, a % group[0].layout.ndim)
            for group, a in zip(zip(*parts, strict=True), places, strict=True)
        ]
        return trees.unflatten(made, joined)

    return wrapped
