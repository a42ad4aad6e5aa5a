"""Custom functions, grad, backward, checks and anomaly detection."""

from __future__ import annotations

import gc
import weakref

import pytest

import diptych.torch as torch
from diptych.torch import autograd
from diptych.torch.autograd import Function
from diptych.torch.autograd.function import once_differentiable


class Cube(Function):
    @staticmethod
    def forward(ctx, x, scale=1.0):
        ctx.save_for_backward(x)
        ctx.scale = scale
        return x**3 * scale

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return 3 * x * x * grad * ctx.scale, None


class Split(Function):
    """setup_context style, two outputs, one without a gradient."""

    @staticmethod
    def forward(x):
        return x * 2, x > 0

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx, grad, none):
        assert none is None
        return grad * 2


def leaf(*values: float):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def test_a_function_and_its_second_derivative() -> None:
    x = leaf(1.0, 2.0)
    y = Cube.apply(x, 2.0)
    assert y.grad_fn.name() == "CubeBackward" and type(y.grad_fn).__name__ == "CubeBackward"
    (slope,) = autograd.grad(y.sum(), x, create_graph=True)
    assert slope.tolist() == [6.0, 24.0]
    assert autograd.grad(slope.sum(), x)[0].tolist() == [12.0, 24.0]
    assert autograd.gradcheck(Cube.apply, (leaf(0.5, -1.0),))
    assert autograd.gradgradcheck(Cube.apply, (leaf(0.5, -1.0),))


def test_setup_context_and_outputs_without_gradient() -> None:
    x = leaf(1.0, -1.0)
    twice, positive = Split.apply(x)
    assert positive.tolist() == [True, False] and not positive.requires_grad
    twice.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_nothing_is_recorded_where_nothing_wants_a_gradient() -> None:
    assert Cube.apply(torch.ones(2)).grad_fn is None
    with torch.no_grad():
        assert Cube.apply(leaf(1.0)).grad_fn is None


def test_what_was_saved_goes_with_the_output() -> None:
    held = torch.ones(3, requires_grad=True)
    kept = held * 2
    reference = weakref.ref(kept.buffer)
    gc.disable()
    try:
        out = Cube.apply(kept)
        del kept, out
        assert reference() is None  # no cycle holds it
    finally:
        gc.enable()


def test_a_saved_output_does_not_hold_itself() -> None:
    class Exponential(Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, grad):
            (y,) = ctx.saved_tensors
            return grad * y

    x = leaf(0.5)
    assert autograd.gradgradcheck(Exponential.apply, (x,))
    gc.disable()
    try:
        out = Exponential.apply(x)
        reference = weakref.ref(out.buffer)
        del out
        assert reference() is None
    finally:
        gc.enable()


def test_a_saved_value_changed_in_place_is_noticed() -> None:
    x = leaf(1.0) * 1
    y = Cube.apply(x)
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_a_second_backward_needs_the_graph_kept() -> None:
    y = Cube.apply(leaf(1.0))
    y.backward()
    with pytest.raises(RuntimeError, match="a second time"):
        y.backward()


def test_wrong_gradients_are_refused() -> None:
    class Short(Function):
        @staticmethod
        def forward(ctx, x, y):
            return x + y

        @staticmethod
        def backward(ctx, grad):
            return grad

    with pytest.raises(RuntimeError, match=r"incorrect number of gradients \(expected 2, got 1\)"):
        Short.apply(leaf(1.0), leaf(1.0)).backward()

    class Wide(Function):
        @staticmethod
        def forward(ctx, x):
            return x.sum()

        @staticmethod
        def backward(ctx, grad):
            return torch.ones(7)

    with pytest.raises(RuntimeError, match="invalid gradient at index 0"):
        Wide.apply(leaf(1.0, 2.0)).backward()
    assert not autograd.gradcheck(Wrong.apply, (leaf(1.0, 2.0),), raise_exception=False)
    with pytest.raises(RuntimeError, match="Jacobian mismatch for output 0"):
        autograd.gradcheck(Wrong.apply, (leaf(1.0, 2.0),))


class Wrong(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        return grad * 3


def test_once_differentiable_says_so_the_second_time() -> None:
    class Once(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        @once_differentiable
        def backward(ctx, grad):
            return grad * 2

    x = leaf(1.0)
    (slope,) = autograd.grad(Once.apply(x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def test_changing_an_input_in_place() -> None:
    class Doubled(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            x.mul_(2)
            return x

        @staticmethod
        def backward(ctx, grad):
            return grad * 2

    x = leaf(1.0, 2.0)
    y = x * 1
    out = Doubled.apply(y)
    assert out is y
    out.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_grad_of_unused_inputs() -> None:
    x, y = leaf(1.0), leaf(1.0)
    with pytest.raises(RuntimeError, match="at index 1 appears to not have been used"):
        autograd.grad(x.sum(), [x, y])
    found = autograd.grad(x.sum(), [x, y], allow_unused=True)
    assert found[0].item() == 1.0 and found[1] is None
    found = autograd.grad(x.sum(), [x, y, x], materialize_grads=True)
    assert [g.item() for g in found] == [1.0, 0.0, 1.0]
    with pytest.raises(RuntimeError, match="does not require grad"):
        autograd.grad(x.sum(), torch.ones(1))


def test_backward_of_several_roots_into_chosen_inputs() -> None:
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    autograd.backward([(x * y).sum(), x * 2], [None, torch.ones(2).double()], inputs=[x])
    assert x.grad.tolist() == [5.0, 6.0] and y.grad is None


def test_derivatives_of_functions() -> None:
    x = leaf(1.0, 2.0)
    jacobian = autograd.functional.jacobian(lambda a: a * a.sum(), x)
    assert jacobian.tolist() == [[4.0, 1.0], [2.0, 5.0]]
    hessian = autograd.functional.hessian(lambda a: (a**3).sum(), x)
    assert hessian.tolist() == [[6.0, 0.0], [0.0, 12.0]]
    value, product = autograd.functional.jvp(lambda a: a * a, x, torch.ones(2).double())
    assert product.tolist() == [2.0, 4.0]
    value, product = autograd.functional.vhp(lambda a: (a**3).sum(), x, torch.ones(2).double())
    assert value.item() == 9.0 and product.tolist() == [6.0, 12.0]


def test_anomaly_detection_leaves_rules_that_are_traced_alone() -> None:
    x = torch.tensor([0.9], requires_grad=True)
    with torch.autograd.set_detect_anomaly(True):
        torch.nn.functional.mish(x).backward()  # its gradient is found while it is traced
    assert x.grad is not None and x.grad.item() > 0


def test_anomaly_detection_names_the_call() -> None:
    with pytest.warns(UserWarning, match="Anomaly Detection"):
        mode = autograd.detect_anomaly()
    with mode:
        x = leaf(-1.0)
        with pytest.raises(RuntimeError, match="returned nan values"):
            x.sqrt().sum().backward()
    assert not autograd.anomaly_mode.is_anomaly_enabled()
