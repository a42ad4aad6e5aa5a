"""vmap and derivatives as functions."""

from __future__ import annotations

import pytest

import diptych.torch as torch
from diptych.torch.func import (
    functional_call,
    grad,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    stack_module_state,
    vjp,
    vmap,
)

F = torch.nn.functional


def close(a: object, b: object) -> bool:
    return bool(torch.allclose(a, b, rtol=1e-4, atol=1e-5))


def test_samples_axes_and_trees() -> None:
    x, y = torch.randn(5, 3), torch.randn(3)
    assert close(vmap(torch.dot, (0, None))(x, y), x @ y)
    assert close(vmap(lambda d: d["a"] * 2, 1, 1)({"a": x}), x * 2)
    assert close(vmap(lambda a: a.sum(), chunk_size=2)(x), x.sum(1))
    assert close(vmap(vmap(torch.mul))(x, x), x * x)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda x: vmap(lambda a: a, in_dims=3)(x), ValueError, "dimensionality 2"),
        (lambda x: vmap(lambda a: a, in_dims=(0, 0))(x), ValueError, "not compatible"),
        (lambda x: vmap(lambda: 1)(), ValueError, "no inputs"),
        (lambda x: vmap(torch.dot)(x, x[:2]), ValueError, "same size"),
        (lambda x: vmap(lambda a: 3)(x), ValueError, "must only return Tensors"),
        (lambda x: vmap(lambda a: a.item())(x[:, 0]), RuntimeError, "vmap: it looks like"),
        (lambda x: vmap(lambda a: a + torch.rand(3))(x), RuntimeError, "randomness error mode"),
        (lambda x: vmap(lambda a: torch.zeros(3).add_(a))(x), RuntimeError, "no room"),
        (lambda x: grad(lambda a: a * 2)(x), RuntimeError, "scalar tensor"),
        (lambda x: grad(lambda a: a.sum(), argnums=2)(x), RuntimeError, "argnum=2"),
    ],
)
def test_misuse_is_said(call: object, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call(torch.randn(5, 3))  # type: ignore[operator]


def test_derivatives_do_not_confuse_their_variables() -> None:
    one = torch.tensor(1.0)
    assert grad(lambda x: x * grad(lambda y: x + y)(one))(one).item() == 1.0
    assert grad(grad(grad(lambda x: x**4)))(torch.tensor(2.0)).item() == pytest.approx(48.0)
    assert not grad(lambda x: x**2)(one).requires_grad


def test_gradients_of_a_gradient_reach_outside() -> None:
    w = torch.randn(3, requires_grad=True)
    x = torch.randn(3)
    grad(lambda a: (a * w).pow(2).sum())(x).sum().backward()
    assert close(w.grad, 4 * x * w.detach())


def test_jacobians_agree() -> None:
    w, x, v = torch.randn(3, 3), torch.randn(3), torch.randn(3)
    f = lambda a: torch.tanh(w @ a)  # noqa: E731
    j = jacrev(f)(x)
    assert close(j, jacfwd(f)(x))
    assert close(jvp(f, (x,), (v,))[1], j @ v)
    assert close(vjp(f, x)[1](v)[0], v @ j)
    h = lambda a: f(a).pow(2).sum()  # noqa: E731
    assert close(hessian(h)(x), jacrev(jacrev(h))(x))


def test_per_sample_gradients() -> None:
    nn = torch.nn
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
    x, y = torch.randn(4, 1, 4, 4), torch.tensor([0, 1, 2, 0])
    p = {name: value.detach() for name, value in model.named_parameters()}

    def loss(p: object, x: object, y: object) -> object:
        return F.cross_entropy(functional_call(model, p, (x[None],)), y[None])  # type: ignore[index]

    each = vmap(grad(loss), (None, 0, 0))(p, x, y)
    for k in range(4):
        alone = torch.autograd.grad(
            F.cross_entropy(model(x[k : k + 1]), y[k : k + 1]), model.parameters()
        )
        assert all(close(each[name][k], g) for name, g in zip(p, alone, strict=True))


def test_ensembles() -> None:
    models = [torch.nn.Linear(3, 2) for _ in range(3)]
    params, buffers = stack_module_state(models)
    x = torch.randn(5, 3)
    made = vmap(lambda p, b: functional_call(models[0], (p, b), (x,)))(params, buffers)
    assert close(made, torch.stack([model(x) for model in models]))
    made.sum().backward()
    assert params["weight"].grad.shape == (3, 2, 3)


def test_samples_draw_alike_or_apart() -> None:
    x = torch.zeros(4, 3)
    same = vmap(lambda a: a + torch.rand(3), randomness="same")(x)
    apart = vmap(lambda a: a + torch.rand(3), randomness="different")(x)
    assert bool((same[0] == same[3]).all())
    assert not bool((apart[0] == apart[3]).all())


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)  # type: ignore[attr-defined]
        return x * x

    @staticmethod
    def backward(ctx: object, g: torch.Tensor) -> torch.Tensor:
        return 2 * g * ctx.saved_tensors[0]  # type: ignore[attr-defined]


def test_a_function_of_ones_own_loses_no_gradient() -> None:
    x = torch.randn(4, 3)
    assert close(vmap(grad(lambda a: Square.apply(a).sum()))(x), 2 * x)
    with pytest.raises(NotImplementedError, match="Square"):
        grad(lambda a: vmap(Square.apply)(a).sum())(x)
