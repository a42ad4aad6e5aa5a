"""gradcheck: gradients against finite differences, first and second order."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from diptych.core import tape
from diptych.core.tensor import copy_array
from diptych.torch.autograd.engine import grad
from diptych.torch.creation import zeros_like
from diptych.torch.tensor import Tensor


class GradcheckError(RuntimeError):
    """A gradient that differs from the finite differences."""


def _tuple(values: Any) -> tuple[Any, ...]:
    return tuple(values) if isinstance(values, (tuple, list)) else (values,)


def _differentiable(values: tuple[Any, ...]) -> list[Any]:
    return [v for v in values if isinstance(v, Tensor) and v.requires_grad]


def _check_inputs(inputs: tuple[Any, ...]) -> list[Any]:
    found = _differentiable(inputs)
    if not found:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them "
            "have requires_grad=True."
        )
    for index, value in enumerate(found):
        if value.is_complex():
            raise NotImplementedError(
                "torch.autograd.gradcheck: complex inputs are not supported yet"
            )
        if value.layout.dtype.name != "float64":
            warnings.warn(
                f"Input #{index} requires gradient and is not a double precision floating point or "
                "complex. This check will likely fail if all the inputs are not of double "
                "precision floating point or complex. ",
                stacklevel=3,
            )
    return found


def numerical(func: Callable[..., Any], inputs: Any, x: Any, eps: float) -> list[Any]:
    """The Jacobian of every output with respect to ``x`` by central differences."""
    values = x.detach().array()
    columns: list[list[Any]] = []
    with tape.recording(False):
        for place in np.ndindex(*values.shape):
            held = values[place]
            moved = []
            for step in (eps, -eps):
                values[place] = held + step
                outputs = _tuple(func(*inputs))
                moved.append([np.array(o.values(), np.float64) for o in outputs])
            values[place] = held
            columns.append([(a - b).ravel() / (2 * eps) for a, b in zip(*moved, strict=True)])
    if not columns:
        return []
    return [np.array(rows).reshape(len(columns), -1) for rows in zip(*columns, strict=True)]


def analytical(output: Any, x: Any) -> Any:
    """The Jacobian of one output with respect to ``x`` by one backward pass for each element."""
    shape = tuple(output.shape)
    jacobian = np.zeros((x.numel(), output.numel()))
    for column, place in enumerate(np.ndindex(*shape)):
        start = np.zeros(shape)
        start[place] = 1.0
        seed = copy_array(start, Tensor, output.layout.dtype)
        (found,) = grad(output, x, seed, retain_graph=True, allow_unused=True)
        if found is not None:
            jacobian[:, column] = np.asarray(found.values(), np.float64).ravel()
    return jacobian


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether the gradients of ``func`` agree with finite differences; raises if they do not."""
    for name, asked in (
        ("check_batched_grad", check_batched_grad), ("check_forward_ad", check_forward_ad),
        ("check_batched_forward_grad", check_batched_forward_grad),
    ):  # fmt: skip
        if asked:
            raise NotImplementedError(f"torch.autograd.gradcheck: {name}=True is not supported yet")
    given = _tuple(inputs)
    try:
        _check(func, given, _check_inputs(given), eps, atol, rtol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _check(
    func: Callable[..., Any], inputs: Any, wanted: list[Any], eps: float, atol: float, rtol: float
) -> None:
    outputs = _tuple(func(*inputs))
    for input_index, x in enumerate(wanted):
        expected = numerical(func, inputs, x, eps)
        for index, output in enumerate(outputs):
            if not isinstance(output, Tensor):
                raise ValueError("Expected outputs of gradcheck's function to be tensors")
            if not expected:
                continue
            if not output.requires_grad:
                if np.abs(expected[index]).max(initial=0.0) > atol:
                    raise GradcheckError(
                        f"Numerical gradient for function expected to be zero: output {index} does "
                        "not require a gradient"
                    )
                continue
            actual = analytical(output, x)
            if not np.allclose(actual, expected[index], rtol=rtol, atol=atol):
                raise GradcheckError(
                    f"Jacobian mismatch for output {index} with respect to input {input_index},\n"
                    f"numerical:{expected[index]}\nanalytical:{actual}\n"
                )


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """gradcheck of the gradients themselves."""
    given = _tuple(inputs)
    if grad_outputs is None:
        generator = np.random.default_rng(0)
        outputs = [o for o in _tuple(func(*given)) if isinstance(o, Tensor) and o.requires_grad]
        starts = []
        for output in outputs:
            drawn = generator.uniform(-1, 1, tuple(output.shape))
            starts.append(copy_array(drawn, Tensor, output.layout.dtype).requires_grad_())
    else:
        starts = list(_tuple(grad_outputs))
    count = len(starts)

    def first_order(*args: Any) -> Any:
        own, cotangents = args[:-count], args[-count:]
        with tape.recording(True):
            wanted = _differentiable(own)
            outputs = [o for o in _tuple(func(*own)) if isinstance(o, Tensor) and o.requires_grad]
            found = grad(outputs, wanted, cotangents, create_graph=True, allow_unused=True)
        return tuple(zeros_like(x) if g is None else g for g, x in zip(found, wanted, strict=True))

    return gradcheck(
        first_order, (*given, *starts), eps=eps, atol=atol, rtol=rtol,
        raise_exception=raise_exception, nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad, check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad, fast_mode=fast_mode, masked=masked,
    )  # fmt: skip
