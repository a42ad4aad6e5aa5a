"""torch.compile and torch.compiler, as programs use them."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import diptych.torch as torch
import diptych.torch._dynamo  # noqa: F401
from diptych.core import call
from diptych.engine import NativeBackend
from diptych.torch import nn


def test_a_module_keeps_its_face() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    compiled = torch.compile(model)
    assert type(compiled).__name__ == "OptimizedModule" and compiled._orig_mod is model
    assert list(compiled.state_dict()) == ["_orig_mod.0.weight", "_orig_mod.0.bias"]
    assert [name for name, _ in compiled.named_parameters()] == list(compiled.state_dict())
    compiled.eval()
    assert not model.training and not compiled.training
    compiled.extra = 3
    assert model.extra == 3 and compiled.extra == 3
    other = copy.deepcopy(compiled)
    assert other._orig_mod is not model
    other.load_state_dict(compiled.state_dict())


def test_gradients_flow_through_a_module() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2))
    plain = copy.deepcopy(model)
    compiled = torch.compile(model)
    for number in range(4):
        x = torch.randn(6, 4) + number
        given = [x.clone().requires_grad_() for _ in range(2)]
        outputs = [(compiled, given[0]), (plain, given[1])]
        results = [run(value * 2) for run, value in outputs]
        for result in results:
            (result**2).sum().backward()
        np.testing.assert_allclose(*[r.detach().numpy() for r in results], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(*[v.grad.numpy() for v in given], rtol=1e-4, atol=1e-5)
        for a, b in zip(model.parameters(), plain.parameters(), strict=True):
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-4, atol=1e-4)
    assert model[1].num_batches_tracked.item() == 4
    np.testing.assert_allclose(
        model[1].running_var.numpy(), plain[1].running_var.numpy(), rtol=1e-5
    )


def test_the_tape_of_a_replay() -> None:
    w = torch.ones(3, requires_grad=True)
    f = torch.compile(lambda x: ((x * w * w).exp(), x.detach() * 2))
    for _ in range(2):
        y, z = f(torch.ones(3))
        assert y.requires_grad and not z.requires_grad
    y.sum().backward(retain_graph=True)
    y.sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), 4 * np.exp(np.ones(3)), rtol=1e-6)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        y.sum().backward()
    y, _ = f(torch.ones(3))
    with pytest.raises(NotImplementedError, match="gradients of gradients"):
        torch.autograd.grad(y.sum(), w, create_graph=True)
    y, _ = f(torch.ones(3))
    with torch.no_grad():
        w.add_(1)
    if isinstance(call.current.backend, NativeBackend):  # the reference saves copies
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()
    with torch.no_grad():
        assert not f(torch.ones(3))[0].requires_grad


def test_decorators_and_options() -> None:
    @torch.compile
    def double(x: Any) -> Any:
        return x * 2

    @torch.compile(fullgraph=True, dynamic=False, mode="max-autotune")
    def reads(x: Any) -> Any:
        return x * x.sum().item()

    class Holder:
        @torch.compile(backend="eager")
        def method(self, x: Any) -> Any:
            return x + 1

    x = torch.ones(2)
    assert double(x).tolist() == double(x).tolist() == [2.0, 2.0] and double.__name__ == "double"
    assert Holder().method(x).tolist() == [2.0, 2.0]
    with pytest.raises(RuntimeError, match="read from Python"):
        reads(x)
    with pytest.raises(RuntimeError, match="Unrecognized mode=x"):
        torch.compile(double, mode="x")
    with pytest.raises(torch._dynamo.exc.InvalidBackend, match="Invalid backend: 'nope'"):
        torch.compile(double, backend="nope")
    with pytest.raises(RuntimeError, match="Either mode or options"):
        torch.compile(double, mode="default", options={"a": 1})


def test_compiling_disabling_forgetting() -> None:
    seen = []

    @torch.compile
    def asks(x: Any) -> Any:
        return x + 1 if torch.compiler.is_compiling() else x + 2

    @torch.compiler.disable
    def outside(x: Any) -> Any:
        seen.append(len(seen))
        return x

    assert not torch.compiler.is_compiling()
    assert asks(torch.zeros(1)).item() == asks(torch.zeros(1)).item() == 1
    with pytest.warns(UserWarning, match="outside is marked by torch.compiler.disable"):
        torch.compile(lambda x: outside(x) * 2)(torch.ones(1))
    with torch.compiler.set_stance("force_eager"):
        assert asks(torch.zeros(1)).item() == 2
    assert asks(torch.zeros(1)).item() == 1
    torch._dynamo.reset()
    assert not asks.compiled.variants


def test_surroundings_are_watched() -> None:
    layer = nn.Linear(3, 3)
    f = torch.compile(lambda x: layer(x).detach())
    x = torch.ones(2, 3)
    assert f(x).dtype == f(x).dtype == torch.float32
    with torch.autocast("cpu"):
        assert f(x).dtype == f(x).dtype == torch.bfloat16
    layer.requires_grad_(False)
    assert f(x).tolist() == layer(x).tolist()
