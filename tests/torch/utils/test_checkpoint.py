"""checkpoint: the same gradients, from values that were not kept."""

from __future__ import annotations

import weakref

import pytest

import diptych.torch as torch
from diptych.torch.autograd.graph import disable_saved_tensors_hooks, saved_tensors_hooks
from diptych.torch.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential

nn = torch.nn


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        *[nn.Sequential(nn.Linear(4, 4), nn.GELU(), nn.Dropout(0.4)) for _ in range(4)]
    )


def nested(model: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
    for part in model:
        x = checkpoint(lambda a, layer: layer(a), x, layer=part, use_reentrant=False)
    return x


@pytest.mark.parametrize(
    "run",
    [
        lambda m, x: checkpoint(m, x, use_reentrant=False),
        lambda m, x: checkpoint(m, x, use_reentrant=True),
        lambda m, x: checkpoint_sequential(m, 2, x, use_reentrant=False),
        lambda m, x: checkpoint_sequential(m, 2, x, use_reentrant=True),
        lambda m, x: checkpoint(lambda a: nested(m, a), x, use_reentrant=False),
    ],
)
def test_gradients_are_the_same(run: object) -> None:
    model = network()
    x = torch.randn(3, 4)
    found = []
    for forward in (lambda m, a: m(a), run):
        model.zero_grad()
        a = x.clone().requires_grad_()
        torch.manual_seed(7)
        forward(model, a).pow(2).sum().backward()  # type: ignore[operator]
        found.append([a.grad, *[p.grad for p in model.parameters()]])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_values_between_are_not_kept() -> None:
    held = []

    def f(x: torch.Tensor) -> torch.Tensor:
        y = x.exp()
        held.append(weakref.ref(y.buffer))
        return y.sin()

    x = torch.randn(4, requires_grad=True)
    y = checkpoint(f, x, use_reentrant=False)
    assert held[0]() is None
    (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    e = x.detach().exp()
    assert torch.allclose(g, e * e.cos())
    (h,) = torch.autograd.grad(g.sum(), x)
    assert torch.allclose(h, e * e.cos() - e * e * e.sin(), atol=1e-4)


def test_another_computation_is_noticed() -> None:
    calls = []

    def f(x: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return x.exp().sin() if len(calls) == 1 else x

    y = checkpoint(f, torch.randn(3, requires_grad=True), use_reentrant=False)
    with pytest.raises(CheckpointError, match="different number of tensors"):
        y.sum().backward()


def test_hooks_see_what_is_saved() -> None:
    packed = []
    x = torch.randn(3, requires_grad=True)
    with saved_tensors_hooks(lambda t: packed.append(t) or len(packed) - 1, packed.__getitem__):
        y = (x.exp() * x).sum()
    assert len(packed) == 3
    y.backward()
    assert torch.allclose(x.grad, x.detach().exp() * (1 + x.detach()))
    with disable_saved_tensors_hooks("not here"), pytest.raises(RuntimeError, match="not here"):
        saved_tensors_hooks(lambda t: t, lambda t: t).__enter__()


def test_hooks_that_misbehave_are_refused() -> None:
    x = torch.randn(3, requires_grad=True)
    with saved_tensors_hooks(lambda t: t, lambda t: 3):
        y = x.exp().sum()
    with pytest.raises(TypeError, match="unpack_hook"):
        y.backward()
    with (
        saved_tensors_hooks(lambda t: t.detach().add_(1), lambda t: t),
        pytest.raises(RuntimeError, match="in place"),
    ):
        x.exp()
