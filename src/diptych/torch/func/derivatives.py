"""Derivatives of functions as functions: grad, vjp, jvp, Jacobians and Hessians.

Each derivative starts from fresh variables of its own, joined to where the arguments come from, so
derivatives nest to any depth and one never takes another's variables for its own. Forward mode is
two passes back: the pullback is linear in its cotangent, and its own pullback is the pushforward.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from diptych import transforms
from diptych.core import tape
from diptych.core.samples import attached, is_sample
from diptych.core.tape import Gate, Leaf, Node
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import alias
from diptych.torch.creation import ones_like, zeros_like
from diptych.torch.func import trees
from diptych.torch.func.vectorized import in_face, vmap
from diptych.torch.tensor import Tensor


class Frame:
    """One derivative being taken: its variables, and whether the outside records."""

    def __init__(self) -> None:
        self.outside = tape.mode.enabled
        self.own: set[Node] = set()

    def variable(self, x: Any) -> Any:
        """``x`` as a variable of this derivative."""
        level = transforms.innermost()
        base = x if level is None else level.lift(x)
        fresh: Any = alias(base, Tensor)
        if base.node is not None and self.outside:
            fresh.node = Gate(((base.node, base.output),))
        else:
            fresh.node = Leaf(fresh)
        self.own.add(fresh.node)
        return fresh

    def leads_out(self, values: Sequence[Any]) -> bool:
        """Whether a gradient could flow from values to what is no variable of this derivative."""
        if not self.outside:
            return False
        seen: set[Node] = set()
        stack = [x.node for x in values if isinstance(x, CoreTensor) and x.node is not None]
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            if node in self.own:
                if node.__class__ is Gate:
                    return True
            elif node.__class__ is Leaf:
                return True
            stack += [edge[0] for edge in node.edges if edge is not None]
        return False

    def recorded(self, *groups: Sequence[Any]) -> bool:
        """Whether the backward pass must itself be recorded, for somebody outside."""
        if not self.outside:
            return False
        return transforms.outside_recorded() or any(self.leads_out(group) for group in groups)

    def result(self, x: Any) -> Any:
        """A result without what only this derivative recorded."""
        if not isinstance(x, CoreTensor):
            return x
        x = in_face(x)
        if x.node is None or self.leads_out((x,)):
            return x
        return alias(x, Tensor)

    def results(self, tree: Any) -> Any:
        return trees.mapped(self.result, tree)


def _pull(
    outputs: Sequence[Any], variables: Sequence[Any], cotangents: Sequence[Any], create: bool
) -> list[Any]:
    """What arrives at the variables; zeros where nothing does."""
    roots = [
        (y.node, y.output, ct)
        for y, ct in zip(outputs, cotangents, strict=True)
        if isinstance(y, CoreTensor) and y.node is not None
    ]
    targets = [(x.node, x.output) for x in variables]
    found = tape.backward(roots, targets, retain_graph=True, create_graph=create, accumulate=False)
    return [
        zeros_like(x.detach()) if g is None else in_face(g)
        for g, x in zip(found, variables, strict=True)
    ]


def _checked_primal(x: Any, name: str) -> None:
    if not isinstance(x, CoreTensor):
        raise ValueError(
            f"{name}: Expected all inputs to be Tensors, found type {type(x).__name__}"
        )


def _variables(frame: Frame, tree: Any, name: str) -> tuple[Any, list[Any]]:
    """The tree with variables for its tensors, and these; integers stay as they are."""
    leaves, structure = trees.flatten(tree)
    made, variables = [], []
    for x in leaves:
        _checked_primal(x, name)
        if x.layout.dtype.is_inexact:
            x = frame.variable(x)
            variables.append(x)
        elif name in ("grad", "grad_and_value", "jacrev", "jacfwd", "hessian"):
            raise RuntimeError(
                f"{name}: only Tensors of floating point and complex dtype can require gradients, "
                f"got {x.layout.dtype}"
            )
        made.append(x)
    return trees.unflatten(structure, made), variables


def _positions(argnums: Any, count: int, name: str) -> tuple[int, ...]:
    if isinstance(argnums, bool) or not isinstance(argnums, (int, tuple)):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums).__name__}")
    given = argnums if isinstance(argnums, tuple) else (argnums,)
    if not given:
        raise RuntimeError("argnums must be non-empty")
    out = []
    for number in given:
        if not -count <= number < count:
            raise RuntimeError(f"{name}: Got argnum={number}, but only {count} positional inputs")
        out.append(number % count)
    if len(set(out)) != len(out):
        raise RuntimeError(f"argnums elements must be unique, got {argnums}")
    return tuple(out)


def _with_aux(output: Any, has_aux: bool, name: str) -> tuple[Any, Any]:
    if not has_aux:
        return output, None
    if not (isinstance(output, tuple) and len(output) == 2):
        raise RuntimeError(
            f"{name}: output of function f should be a tuple: (output, aux) if has_aux is True"
        )
    return output


def _tensors(output: Any, name: str) -> tuple[list[Any], Any]:
    leaves, structure = trees.flatten(output)
    if not leaves:
        raise RuntimeError(f"{name}: Expected f to be a function that has non-empty output")
    for y in leaves:
        if not isinstance(y, CoreTensor):
            raise RuntimeError(
                f"{name}: Expected f to return only tensors, got unsupported type "
                f"{type(y).__name__}"
            )
    return leaves, structure


# ---- grad


def _grad_and_value(
    func: Callable[..., Any], argnums: Any, has_aux: bool, name: str
) -> Callable[..., tuple[Any, Any, Any]]:
    def derivative(*args: Any, **kwargs: Any) -> tuple[Any, Any, Any]:
        frame = Frame()
        places = _positions(argnums, len(args), name)
        with tape.recording(True):
            chosen, variables = _variables(frame, [args[place] for place in places], name)
            given = list(args)
            for place, x in zip(places, chosen, strict=True):
                given[place] = x
            output, aux = _with_aux(func(*given, **kwargs), has_aux, name)
            if not isinstance(output, Tensor):
                raise RuntimeError(
                    "Expected the given function to return a tensor, or (with has_aux) a tensor "
                    f"and anything else, got {type(output).__name__}"
                )
            if output.layout.ndim != 0:
                raise RuntimeError(
                    "Expected the given function to return a scalar tensor, got tensor with "
                    f"{output.layout.ndim} dims. Maybe you wanted to use the vjp or jacrev APIs "
                    "instead?"
                )
            found = _pull(
                [output], variables, [ones_like(output.detach())], frame.recorded((output,))
            )
        found = [frame.result(g) for g in found]
        grads = trees.unflatten(trees.flatten(chosen)[1], found)
        several = isinstance(argnums, tuple)
        return (
            tuple(grads) if several else grads[0],
            frame.result(output),
            frame.results(aux) if has_aux else None,
        )

    return derivative


def grad(func: Callable[..., Any], argnums: Any = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that gives the gradients of ``func`` (of one number) in the arguments chosen."""
    derivative = _grad_and_value(func, argnums, has_aux, "grad")

    @functools.wraps(func, updated=())
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        grads, _, aux = derivative(*args, **kwargs)
        return (grads, aux) if has_aux else grads

    return wrapped


def grad_and_value(
    func: Callable[..., Any], argnums: Any = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Like :func:`grad`, with the value of ``func`` beside it."""
    derivative = _grad_and_value(func, argnums, has_aux, "grad_and_value")

    @functools.wraps(func, updated=())
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        grads, value, aux = derivative(*args, **kwargs)
        return (grads, (value, aux)) if has_aux else (grads, value)

    return wrapped


# ---- products with the Jacobian


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value of ``func``, and the function that pulls cotangents back to its arguments."""
    frame = Frame()
    with tape.recording(True):
        given, variables = _variables(frame, primals, "vjp")
        output, aux = _with_aux(func(*given), has_aux, "vjp")
        outputs, structure = _tensors(output, "vjp")
    leaves, inside = trees.flatten(given)
    single = len(primals) == 1

    def pulled(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        seeds, shape = trees.flatten(cotangents)
        if shape != structure:
            raise RuntimeError(
                f"Expected pytree structure of cotangents to be the same as pytree structure of "
                f"outputs to the function. cotangents: {shape}, primal output: {structure}"
            )
        for y, seed in zip(outputs, seeds, strict=True):
            _same_shape(y, seed, "vjp")
        create = tape.mode.enabled and (frame.recorded(outputs) or any(attached(s) for s in seeds))
        with tape.recording(create):
            found = iter(_pull(outputs, variables, seeds, create))
        made = [
            frame.result(next(found)) if any(x is v for v in variables) else zeros_like(x)
            for x in leaves
        ]
        tree = trees.unflatten(inside, made)
        return (tree[0],) if single else tree

    value = frame.results(output)
    return (value, pulled, frame.results(aux)) if has_aux else (value, pulled)


def _same_shape(like: Any, given: Any, name: str) -> None:
    if not isinstance(given, CoreTensor):
        raise RuntimeError(f"{name}: Expected tensors, got {type(given).__name__}")
    if given.layout.shape != like.layout.shape:
        raise RuntimeError(
            f"{name}: Expected a tensor of shape {list(like.layout.shape)}, got "
            f"{list(given.layout.shape)}"
        )


def _linear(
    func: Callable[..., Any], primals: tuple[Any, ...], has_aux: bool, name: str
) -> tuple[Any, Callable[..., Any], Any]:
    """The value, the function that pushes tangents forward, and aux."""
    frame = Frame()
    with tape.recording(True):
        given, variables = _variables(frame, primals, name)
        output, aux = _with_aux(func(*given), has_aux, name)
        outputs, structure = _tensors(output, name)
        probes = [
            frame.variable(zeros_like(y.detach())) if y.layout.dtype.is_inexact else None
            for y in outputs
        ]
        used = [(y, p) for y, p in zip(outputs, probes, strict=True) if p is not None]
        back = _pull([y for y, _ in used], variables, [p for _, p in used], True)
    leaves, inside = trees.flatten(given)

    def pushed(tangents: tuple[Any, ...]) -> Any:
        given_tangents, shape = trees.flatten(tangents)
        if shape != inside:
            raise RuntimeError(
                f"{name}(f, primals, tangents): Expected primals and tangents to have the same "
                f"python structure, got {inside} and {shape}"
            )
        for x, t in zip(leaves, given_tangents, strict=True):
            _same_shape(x, t, name)
        seeds = [
            t for x, t in zip(leaves, given_tangents, strict=True) if any(x is v for v in variables)
        ]
        create = tape.mode.enabled and (
            frame.recorded(outputs, back) or any(attached(t) for t in seeds)
        )
        with tape.recording(create):
            found = iter(_pull(back, [p for _, p in used], seeds, create))
        made = [
            zeros_like(y.detach()) if p is None else frame.result(next(found))
            for y, p in zip(outputs, probes, strict=True)
        ]
        return trees.unflatten(structure, made)

    return frame.results(output), pushed, frame.results(aux) if has_aux else None


def jvp(
    func: Callable[..., Any],
    primals: Any,
    tangents: Any,
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> Any:
    """The value of ``func`` at ``primals``, and its derivative along ``tangents``."""
    if not isinstance(primals, tuple) or not primals:
        raise RuntimeError("jvp(f, primals, tangents): Expected primals to be a non-empty tuple.")
    if not isinstance(tangents, tuple):
        raise RuntimeError("jvp(f, primals, tangents): Expected tangents to be a tuple.")
    value, pushed, aux = _linear(func, primals, has_aux, "jvp")
    made = pushed(tangents)
    return (value, made, aux) if has_aux else (value, made)


def linearize(func: Callable[..., Any], *primals: Any) -> Any:
    """The value of ``func``, and its derivative at ``primals`` as a function of tangents."""
    value, pushed, _ = _linear(func, primals, False, "linearize")
    return value, lambda *tangents: pushed(tangents)


# ---- Jacobians


def _basis(leaves: Sequence[Any]) -> list[Any]:
    """For each tensor its part of the standard basis of all of them together."""
    sizes = [x.layout.size for x in leaves]
    total = sum(sizes)
    made = []
    start = 0
    for x, size in zip(leaves, sizes, strict=True):
        part = zeros_like(x.detach()).new_zeros((total, size))
        if size:
            part.diagonal(-start).fill_(1)
        made.append(part.view((total, *x.layout.shape)))
        start += size
    return made


def _plain(x: Any) -> Any:
    """A tensor of the same shape and dtype that is no sample of any level."""
    return zeros_like(x.detach()) if not is_sample(x) else x.new_zeros(x.shape)


def _pieces(x: Any, leaves: Sequence[Any], axis: int) -> list[Any]:
    """``x`` cut along the basis' axis, which takes each tensor's shape."""
    shape = list(x.shape)
    out = []
    start = 0
    for like in leaves:
        size = like.layout.size
        piece = x.narrow(axis, start, size)
        out.append(piece.reshape((*shape[:axis], *like.layout.shape, *shape[axis + 1 :])))
        start += size
    return out


def jacrev(
    func: Callable[..., Any],
    argnums: Any = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable[..., Any]:
    """A function that gives the Jacobian by pulling back one cotangent per output element."""
    if not (chunk_size is None or chunk_size > 0):
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @functools.wraps(func, updated=())
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        places = _positions(argnums, len(args), "jacrev")
        chosen = [args[place] for place in places]

        def of_chosen(*values: Any) -> Any:
            given = list(args)
            for place, x in zip(places, values, strict=True):
                given[place] = x
            return func(*given, **kwargs)

        value, pulled, *rest = vjp(of_chosen, *chosen, has_aux=has_aux)
        outputs, structure = trees.flatten(value)
        inputs, inside = trees.flatten(tuple(chosen))

        def rows(*seeds: Any) -> Any:
            return tuple(trees.flatten(pulled(trees.unflatten(structure, seeds)))[0])

        found = vmap(rows, chunk_size=chunk_size)(*_basis([_plain(y) for y in outputs]))
        cut = [_pieces(g, outputs, 0) for g in found]  # by input, then by output
        made = []
        for place in range(len(outputs)):
            tree = trees.unflatten(inside, [cut[k][place] for k in range(len(inputs))])
            made.append(tree if isinstance(argnums, tuple) else tree[0])
        result = trees.unflatten(structure, made)
        return (result, rest[0]) if has_aux else result

    return wrapped


def jacfwd(
    func: Callable[..., Any], argnums: Any = 0, has_aux: bool = False, *, randomness: str = "error"
) -> Callable[..., Any]:
    """A function that gives the Jacobian by pushing one tangent per input element forward."""

    @functools.wraps(func, updated=())
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        places = _positions(argnums, len(args), "jacfwd")
        chosen = tuple([args[place] for place in places])

        def of_chosen(*values: Any) -> Any:
            given = list(args)
            for place, x in zip(places, values, strict=True):
                given[place] = x
            return func(*given, **kwargs)

        value, pushed, aux = _linear(of_chosen, chosen, has_aux, "jacfwd")
        outputs, structure = trees.flatten(value)
        inputs, inside = trees.flatten(chosen)

        def columns(*tangents: Any) -> Any:
            return tuple(trees.flatten(pushed(trees.unflatten(inside, tangents)))[0])

        found = vmap(columns, out_dims=-1, randomness=randomness)(
            *_basis([_plain(x) for x in inputs])
        )
        made = []
        for y in found:
            tree = trees.unflatten(inside, _pieces(y, inputs, y.dim() - 1))
            made.append(tree if isinstance(argnums, tuple) else tree[0])
        result = trees.unflatten(structure, made)
        return (result, aux) if has_aux else result

    return wrapped


def hessian(func: Callable[..., Any], argnums: Any = 0) -> Callable[..., Any]:
    """A function that gives the Hessian: the forward Jacobian of the reverse one."""
    return jacfwd(jacrev(func, argnums), argnums)
