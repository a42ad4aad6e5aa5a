"""backward and grad: pulling gradients from several roots at once."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

from diptych.core import tape
from diptych.core.tensor import Tensor as CoreTensor
from diptych.ops import arithmetic
from diptych.torch.creation import zeros_like
from diptych.torch.gradients import first_cotangent
from diptych.torch.tensor import Tensor


class GradientEdge(NamedTuple):
    """One output of a node of the backward graph."""

    node: Any
    output_nr: int
    ownership_token: Any = None


def as_tuple(values: Any) -> tuple[Any, ...]:
    """One tensor or several, as a tuple."""
    if isinstance(values, (CoreTensor, GradientEdge)):
        return (values,)
    if isinstance(values, dict):
        return tuple(values.values())
    return tuple(values)


def place_of(value: Any) -> tuple[Any, int] | None:
    """The tape's (node, output) of a tensor or gradient edge; None where no gradient is wanted."""
    if isinstance(value, GradientEdge):
        return value.node.node, value.output_nr
    return None if value.node is None else (value.node, value.output)


def roots_of(tensors: tuple[Any, ...], grads: Any) -> list[tuple[Any, int, Any]]:
    """The starts of a backward pass: (node, output, cotangent) each."""
    given = (None,) * len(tensors) if grads is None else as_tuple(grads)
    if len(given) != len(tensors):
        raise RuntimeError(f"got {len(tensors)} tensors and {len(given)} gradients")
    roots = []
    for index, (tensor, grad) in enumerate(zip(tensors, given, strict=True)):
        place = place_of(tensor)
        if place is None:
            raise RuntimeError(
                f"element {index} of tensors does not require grad and does not have a grad_fn"
            )
        if isinstance(tensor, GradientEdge):
            if grad is None:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            cotangent = grad
        else:
            cotangent = first_cotangent(tensor, grad)
        roots.append((*place, cotangent))
    return roots


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Add the gradients of ``tensors`` to ``.grad`` of the leaves (or of ``inputs`` alone)."""
    if grad_variables is not None:
        warnings.warn(
            "`grad_variables` is deprecated. Use `grad_tensors` instead.",
            FutureWarning,
            stacklevel=2,
        )
        if grad_tensors is not None:
            raise RuntimeError(
                "`grad_tensors` and `grad_variables` (deprecated) arguments both passed to "
                "`backward()`. Please only use `grad_tensors`."
            )
        grad_tensors = grad_variables
    roots = roots_of(as_tuple(tensors), grad_tensors)
    if inputs is None:
        tape.backward(roots, retain_graph=retain_graph, create_graph=create_graph)
        return
    wanted = as_tuple(inputs)
    if not wanted:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    found = pulled(roots, wanted, retain_graph, create_graph)
    for tensor, grad in zip(wanted, found, strict=True):
        if grad is not None:
            grad = tape.in_class_of(grad, tensor)
            tensor.grad = grad if tensor.grad is None else arithmetic.add(tensor.grad, grad)


def pulled(
    roots: Any, inputs: tuple[Any, ...], retain_graph: bool | None, create_graph: bool
) -> list[Any]:
    """The gradients that arrive at the inputs; None where none does."""
    places = []
    for value in inputs:
        place = place_of(value)
        if place is None:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
        places.append(place)
    # One place may be asked for twice: the tape knows each place once.
    unique = list(dict.fromkeys((id(node), output) for node, output in places))
    first = {(id(node), output): (node, output) for node, output in places}
    found = tape.backward(
        roots,
        [first[key] for key in unique],
        retain_graph=retain_graph,
        create_graph=create_graph,
        accumulate=False,
    )
    by_place = dict(zip(unique, found, strict=True))
    return [by_place[(id(node), output)] for node, output in places]


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> Any:
    """The gradients of ``outputs`` with respect to ``inputs``, as a tuple."""
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
            "allow_unused=False."
        )
    if is_grads_batched:
        raise NotImplementedError(
            "torch.autograd.grad: is_grads_batched=True is not supported yet; call grad once for "
            "each gradient"
        )
    if not only_inputs:
        warnings.warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To "
            "accumulate gradient for other parts of the graph, please use torch.autograd.backward.",
            FutureWarning,
            stacklevel=2,
        )
    named = list(inputs) if isinstance(inputs, dict) else None
    wanted = as_tuple(inputs)
    if not wanted:
        raise ValueError("grad requires non-empty inputs.")
    found = pulled(roots_of(as_tuple(outputs), grad_outputs), wanted, retain_graph, create_graph)
    out = []
    for index, (value, gradient) in enumerate(zip(wanted, found, strict=True)):
        if gradient is None:
            if materialize_grads:
                gradient = zeros_like(value, requires_grad=create_graph)
            elif not allow_unused:
                raise RuntimeError(
                    f"The differentiated Tensor at index {index} appears to not have been used in "
                    "the graph. Set allow_unused=True if this is the desired behavior."
                )
        else:
            gradient = tape.in_class_of(gradient, value if isinstance(value, CoreTensor) else _LIKE)
        out.append(gradient)
    return dict(zip(named, out, strict=True)) if named is not None else tuple(out)


_LIKE = object.__new__(Tensor)  # only its class is asked for
