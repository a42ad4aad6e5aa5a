"""The tape from PyTorch's side: hooks, modes, in-place changes, retained gradients."""

from __future__ import annotations

from typing import Any

import pytest

import diptych.torch as torch


def leaf(*values: float) -> Any:
    return torch.tensor(values, requires_grad=True)


def test_hooks_change_and_leave() -> None:
    x = leaf(1.0, 2.0)
    handle = x.register_hook(lambda grad: grad * 10)
    (x * 2).sum().backward()
    assert x.grad.tolist() == [20.0, 20.0]
    handle.remove()
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    y = x * 3
    seen: list[Any] = []
    y.register_hook(seen.append)
    y.retain_grad()
    y.sum().backward()
    assert seen[0].tolist() == [1.0, 1.0] and y.grad.tolist() == [1.0, 1.0] and y.retains_grad
    after: list[Any] = []
    x.register_post_accumulate_grad_hook(lambda tensor: after.append(tensor.grad.clone()))
    x.grad = None
    (x * 4).sum().backward()
    assert after[0].tolist() == [4.0, 4.0]


def test_modes_as_contexts_decorators_and_calls() -> None:
    x = leaf(1.0)

    @torch.no_grad()
    def quiet() -> Any:
        return x * 2

    @torch.no_grad
    def plain() -> Any:
        return x * 2

    assert not quiet().requires_grad and not plain().requires_grad
    with torch.no_grad():
        assert not torch.is_grad_enabled()
        with torch.enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad
    with torch.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    torch.set_grad_enabled(False)
    assert not torch.is_grad_enabled()
    torch.set_grad_enabled(True)
    with torch.inference_mode():
        assert torch.is_inference_mode_enabled() and not (x * 2).requires_grad
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()

    @torch.no_grad()
    def steps() -> Any:
        yield torch.is_grad_enabled()
        yield torch.is_grad_enabled()

    running = steps()
    assert next(running) is False and torch.is_grad_enabled() and next(running) is False


def test_in_place_changes_and_leaves() -> None:
    x = leaf(1.0, 2.0)
    for change in (lambda: x.add_(1), lambda: x.__setitem__(0, 5), lambda: x[0].mul_(2)):
        with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
            change()
    with torch.no_grad():
        x.add_(1)
    assert x.tolist() == [2.0, 3.0]
    y = x.exp()
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_assignment_carries_gradients() -> None:
    a, b = leaf(1.0, 2.0, 3.0), leaf(5.0)
    x = a * 2
    x[1] = b[0] * 3
    x[x > 100] = 0
    x.sum().backward()
    assert a.grad.tolist() == [2.0, 0.0, 2.0] and b.grad.tolist() == [3.0]
    table = torch.zeros(2, 2)
    c = leaf(1.0, 1.0)
    table[0] = c
    table[:, 1] += c * 2
    assert table.requires_grad
    table.sum().backward()
    assert c.grad.tolist() == [3.0, 3.0]
    e = leaf(1.0, 2.0)
    spread = torch.zeros(3).scatter_add_(0, torch.tensor([2, 2]), e * 2)
    (spread * 3).sum().backward()
    assert e.grad.tolist() == [6.0, 6.0]
    f = leaf(1.0, 2.0)
    taken = f * 1
    picked = taken[torch.tensor([1, 1])]
    taken.add_(1)  # the gradient of a selection does not need what it selected from
    picked.sum().backward()
    assert f.grad.tolist() == [0.0, 2.0]
    d = leaf(1.0, 2.0)
    rows = torch.zeros(3)
    rows[torch.tensor([0, 2])] = d
    (rows * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert d.grad.tolist() == [1.0, 3.0]


def test_backward_arguments() -> None:
    x, y = leaf(1.0), leaf(2.0)
    (x * y).backward(inputs=[x])
    assert x.grad.tolist() == [2.0] and y.grad is None
    z = (x * x).sum()
    z.backward(retain_graph=True)
    z.backward()
    with pytest.raises(RuntimeError, match="second time"):
        z.backward()
    x.grad = None
    (g,) = torch.autograd.grad((x**3).sum(), [x], create_graph=True)
    g.sum().backward()
    assert x.grad.tolist() == [6.0]
    with pytest.raises(RuntimeError, match="scalar outputs"):
        leaf(1.0, 2.0).mul(2).backward()


def test_grad_fn_is_one_object_and_walks_back() -> None:
    x = leaf(1.0)
    y = (x * 2).sum()
    assert y.grad_fn is y.grad_fn and y.grad_fn.name() == "SumBackward0"
    product, _ = y.grad_fn.next_functions[0]
    assert type(product).__name__ == "MulBackward0" and repr(product).startswith("<MulBackward0")
    accumulate = product.next_functions[0][0]
    assert accumulate.variable is x and product.next_functions[1] == (None, 0)


@pytest.mark.parametrize(
    ("gradient", "error", "match"),
    [
        (lambda: torch.zeros(4), RuntimeError, r"size '\[4\]' to a tensor of size '\[3\]'"),
        (lambda: torch.zeros(3, dtype=torch.float64), RuntimeError, "with dtype 'Double'"),
        (lambda: 3, TypeError, "to be a Tensor or None but got grad of type int"),
    ],
)
def test_a_gradient_that_does_not_fit_is_refused_when_it_is_assigned(
    gradient, error, match
) -> None:
    x = torch.zeros(3, requires_grad=True)
    with pytest.raises(error, match=match):
        x.grad = gradient()
    with pytest.raises(RuntimeError, match="as its own grad"):
        x.grad = x
    x.grad = torch.ones(3)
    del x.grad
    assert x.grad is None
