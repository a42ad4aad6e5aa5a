"""Derivatives of functions: Jacobians, Hessians and their products with vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from diptych.core import tape
from diptych.torch.autograd.engine import grad
from diptych.torch.creation import zeros_like
from diptych.torch.dynamic import concatenate
from diptych.torch.tensor import Tensor, is_tensor


def _tuple(values: Any, what: str, function: str) -> tuple[tuple[Any, ...], bool]:
    several = isinstance(values, tuple)
    given = values if several else (values,)
    for index, value in enumerate(given):
        if not isinstance(value, Tensor):
            where = f" ({index})" if several else ""
            raise TypeError(
                f"The {what} given to {function} must be either a Tensor or a tuple of Tensors but "
                f"the value at index{where} has type {type(value)}."
            )
    return given, several


def _prepared(inputs: tuple[Any, ...], create_graph: bool) -> tuple[Any, ...]:
    """The inputs as fresh variables; with ``create_graph`` still joined to where they came from."""
    out = []
    for x in inputs:
        if create_graph and x.requires_grad:
            out.append(x.view_as(x))
        else:
            out.append(x.detach().requires_grad_())
    return tuple(out)


def _run(
    func: Callable[..., Any], inputs: Any, create_graph: bool, name: str
) -> tuple[tuple[Any, ...], bool, tuple[Any, ...], bool]:
    given, several = _tuple(inputs, "inputs", name)
    fresh = _prepared(given, create_graph)
    outputs, many = _tuple(func(*fresh), "outputs of the user-provided function", name)
    return fresh, several, outputs, many


def _grads(
    outputs: Any, inputs: Any, seeds: Any, create_graph: bool, strict: bool
) -> tuple[Any, ...]:
    pairs = [
        (o, None if seeds is None else s)
        for o, s in zip(outputs, seeds or [None] * len(outputs), strict=True)
        if o.requires_grad
    ]
    if not pairs:
        found: tuple[Any, ...] = (None,) * len(inputs)
    else:
        found = grad(
            [o for o, _ in pairs], inputs, [s for _, s in pairs],
            create_graph=create_graph, retain_graph=True, allow_unused=True,
        )  # fmt: skip
    if strict and any(g is None for g in found):
        raise RuntimeError(
            "The output of the user-provided function is independent of one of the inputs. This "
            "is not allowed in strict mode."
        )
    return tuple(zeros_like(x) if g is None else g for g, x in zip(found, inputs, strict=True))


def _done(values: Any, create_graph: bool) -> Any:
    return values if create_graph else tuple(v.detach() for v in values)


def _vector(v: Any, like: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(
                f"The vector v can only be None if the user-provided function returns a single "
                f"Tensor with a single element ({name})."
            )
        return (like[0].detach().new_ones(like[0].shape),)
    given, _ = _tuple(v, "v", name)
    if len(given) != len(like):
        raise RuntimeError(
            f"v is a tuple of invalid length: should be {len(like)} but got {len(given)}."
        )
    for index, (a, b) in enumerate(zip(given, like, strict=True)):
        if a.shape != b.shape:
            raise RuntimeError(
                f"Entry {index} in v has invalid size: should be {b.shape} but got {a.shape}."
            )
    return given


def _single(values: tuple[Any, ...], several: bool) -> Any:
    return values if several else values[0]


def vjp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> Any:
    """The function's output, and the product of a vector with its Jacobian."""
    with tape.recording(True):
        fresh, several, outputs, many = _run(func, inputs, create_graph, "vjp")
        seeds = _vector(v, outputs, "vjp")
        found = _grads(outputs, fresh, seeds, create_graph, strict)
    return (
        _single(_done(outputs, create_graph), many),
        _single(_done(found, create_graph), several),
    )


def jvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> Any:
    """The function's output, and the product of its Jacobian with a vector (two passes back)."""
    with tape.recording(True):
        fresh, _, outputs, many = _run(func, inputs, create_graph, "jvp")
        seeds = _vector(v, fresh, "jvp")
        probes = tuple(zeros_like(o).requires_grad_() for o in outputs)
        back = _grads(outputs, fresh, probes, True, strict)
        found = _grads(back, probes, seeds, create_graph, strict)
    return _single(_done(outputs, create_graph), many), _single(_done(found, create_graph), many)


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The Jacobian: for each output and input, of the output's shape followed by the input's."""
    if strategy not in ("reverse-mode", "forward-mode"):
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your '
            'function has more outputs than inputs, "forward-mode" tends to be more performant.'
        )
    with tape.recording(True):
        fresh, several, outputs, many = _run(func, inputs, create_graph, "jacobian")
        out = []
        for output in outputs:
            flat = output.reshape(-1)
            rows = [
                _grads((flat[k],), fresh, None, create_graph, strict) for k in range(flat.numel())
            ]
            blocks = []
            for index, x in enumerate(fresh):
                shape = tuple(output.shape) + tuple(x.shape)
                blocks.append(_stacked([row[index] for row in rows], x, shape))
            out.append(_done(tuple(blocks), create_graph))
    if many:
        return tuple(_single(blocks, several) for blocks in out)
    return _single(out[0], several)


def _stacked(rows: list[Any], like: Any, shape: tuple[int, ...]) -> Any:
    if not rows:
        return like.detach().new_zeros(shape)
    wide = [row.reshape(1, -1) for row in rows]
    return concatenate(wide, 0).reshape(shape)


def _scalar_output(values: Any, name: str) -> Any:
    if isinstance(values, tuple):
        if len(values) != 1:
            raise RuntimeError(f"The function given to {name} should return a single Tensor")
        values = values[0]
    if not is_tensor(values):
        raise TypeError(f"The function given to {name} should return a Tensor")
    if values.numel() != 1:
        raise RuntimeError(
            f"The Tensor returned by the function given to {name} should contain a single element"
        )
    return values.reshape(())


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The matrix of second derivatives of a function that gives one number."""
    given, several = _tuple(inputs, "inputs", "hessian")

    def slope(*x: Any) -> Any:
        value = _scalar_output(func(*x), "hessian")
        return _grads((value,), x, None, True, strict)

    found = jacobian(slope, given, create_graph=create_graph, strict=strict)
    return found if several else found[0][0]


def vhp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> Any:
    """The function's value, and the product of a vector with its Hessian."""
    with tape.recording(True):
        given, several = _tuple(inputs, "inputs", "vhp")
        fresh = _prepared(given, create_graph)
        seeds = _vector(v, fresh, "vhp")
        value = _scalar_output(func(*fresh), "vhp")
        slopes = _grads((value,), fresh, None, True, strict)
        found = _grads(slopes, fresh, seeds, create_graph, strict)
    return _done((value,), create_graph)[0], _single(_done(found, create_graph), several)


def hvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> Any:
    """The function's value, and the product of its Hessian with a vector."""
    return vhp(func, inputs, v, create_graph, strict)  # the Hessian is symmetric
