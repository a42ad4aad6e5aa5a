"""Optimizers: their formulas, groups, state dicts and hooks."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import diptych.torch as torch
from diptych.torch import nn, optim


def quadratic(make, steps: int = 5):
    """The path of a parameter down (x - 1)^2, and the optimizer."""
    param = nn.Parameter(torch.tensor([3.0, -2.0]))
    optimizer = make([param])
    path = []
    for _ in range(steps):
        optimizer.zero_grad()
        (param - 1).pow(2).sum().backward()
        optimizer.step()
        path.append(param.detach().tolist())
    return np.array(path), optimizer


def test_sgd_with_momentum_is_its_formula() -> None:
    path, _ = quadratic(lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01))
    x, held = np.array([3.0, -2.0]), 0.0
    for step, found in enumerate(path):
        gradient = 2 * (x - 1) + 0.01 * x
        held = gradient if step == 0 else 0.9 * held + gradient
        x = x - 0.1 * held
        np.testing.assert_allclose(found, x, rtol=1e-5)


@pytest.mark.parametrize("decoupled", [False, True])
def test_adam_is_its_formula(decoupled: bool) -> None:
    kind = optim.AdamW if decoupled else optim.Adam
    path, optimizer = quadratic(lambda p: kind(p, lr=0.1, weight_decay=0.1))
    x, m, v = np.array([3.0, -2.0]), 0.0, 0.0
    for step, found in enumerate(path, 1):
        gradient = 2 * (x - 1)
        if decoupled:
            x = x * (1 - 0.1 * 0.1)
        else:
            gradient = gradient + 0.1 * x
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        x = x - 0.1 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        np.testing.assert_allclose(found, x, rtol=1e-5)
    assert optimizer.state_dict()["state"][0]["step"].item() == 5


def test_parameters_that_join_later_have_counts_of_their_own() -> None:
    early, late = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = optim.Adam([early, late], lr=0.1)
    early.grad = torch.ones(2)
    optimizer.step()
    late.grad = torch.ones(2)
    optimizer.step()
    state = optimizer.state
    assert state[early]["step"].item() == 2 and state[late]["step"].item() == 1
    assert late.tolist() == pytest.approx([0.9, 0.9])  # a first step is lr, whatever the gradient


def test_a_step_count_changed_from_outside_is_believed() -> None:
    param, twin = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer, other = optim.Adam([param], lr=0.1), optim.Adam([twin], lr=0.1)
    for p, o in ((param, optimizer), (twin, other)):
        p.grad = torch.ones(2)
        o.step()
        p.grad.mul_(0.5)
    optimizer.state[param]["step"].fill_(1000.0)
    other.state[twin]["step"] = torch.tensor(1000.0)
    optimizer.step()
    other.step()
    assert torch.equal(param, twin)
    assert param[0].item() == pytest.approx(0.58491, abs=1e-5)  # as PyTorch
    assert optimizer.state[param]["step"].item() == 1001


def test_the_learning_rate_may_change_and_groups_differ() -> None:
    a, b = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimizer = optim.SGD([{"params": [a]}, {"params": [b], "lr": 10.0}], lr=1.0)
    a.grad = b.grad = torch.ones(1)
    optimizer.step()
    assert (a.item(), b.item()) == (-1.0, -10.0)
    optimizer.param_groups[0]["lr"] = 0.5
    optimizer.step()
    assert (a.item(), b.item()) == (-1.5, -20.0)


def test_a_state_dict_carries_on() -> None:
    _, optimizer = quadratic(lambda p: optim.Adam(p, lr=0.1, amsgrad=True), 3)
    saved = copy.deepcopy(optimizer.state_dict())
    param = optimizer.param_groups[0]["params"][0]
    twin = nn.Parameter(param.detach().clone())
    other = optim.Adam([twin], lr=9.0)
    other.load_state_dict(saved)
    assert other.param_groups[0]["lr"] == 0.1
    for p, o in ((param, optimizer), (twin, other)):
        p.grad = torch.ones(2)
        o.step()
    assert torch.equal(param, twin)
    with pytest.raises(ValueError, match="different number of parameter groups"):
        other.load_state_dict({"state": {}, "param_groups": []})


def test_steps_count_as_changes_in_place() -> None:
    param = nn.Parameter(torch.ones(2))
    loss = (param * param).sum()
    param.grad = torch.ones(2)
    optim.SGD([param], lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_hooks_and_closures_run_around_the_step() -> None:
    param = nn.Parameter(torch.ones(1))
    optimizer, seen = optim.SGD([param], lr=0.1), []
    optimizer.register_step_pre_hook(lambda *_: seen.append("before"))
    optimizer.register_step_post_hook(lambda *_: seen.append("after"))

    def closure():
        seen.append("closure")
        loss = param.sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 1.0
    assert seen == ["before", "closure", "after"]


def test_refusals() -> None:
    param = nn.Parameter(torch.ones(1))
    with pytest.raises(ValueError, match="Invalid learning rate: -1"):
        optim.Adam([param], lr=-1)
    with pytest.raises(ValueError, match="empty parameter list"):
        optim.SGD([], lr=1)
    with pytest.raises(TypeError, match="should be an iterable of Tensors"):
        optim.SGD(param, lr=1)
    with pytest.raises(ValueError, match="can't optimize a non-leaf"):
        optim.SGD([param * 2], lr=1)
    with pytest.raises(ValueError, match="more than one parameter group"):
        optim.SGD([{"params": [param]}, {"params": [param]}], lr=1)
    with pytest.raises(NotImplementedError, match="differentiable=True"):
        optim.NAdam([param], differentiable=True)
    with pytest.raises(RuntimeError, match="`fused` and `foreach`"):
        optim.SGD([param], fused=True, foreach=True)
    sparse = optim.SparseAdam([param])
    param.grad = torch.ones_like(param)
    with pytest.raises(RuntimeError, match="does not support dense gradients"):
        sparse.step()
    with pytest.raises(AssertionError, match="capturable=True"):
        optim.RAdam([param], capturable=True).step()
    with pytest.raises(ValueError, match="Muon only supports 2D"):
        optim.Muon([torch.nn.Parameter(torch.ones(3))])
    with pytest.raises(RuntimeError, match="only 'strong_wolfe'"):
        optim.LBFGS([param], line_search_fn="x").step(lambda: (param * 1).sum())


def test_an_optimizer_of_ones_own() -> None:
    class Sign(optim.Optimizer):
        def __init__(self, params, lr=0.1):
            super().__init__(params, {"lr": lr})

        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    p.add_(p.grad.sign(), alpha=-group["lr"])

    path, _ = quadratic(Sign, 2)
    np.testing.assert_allclose(path[-1], [2.8, -1.8], rtol=1e-6)


def test_complex_parameters_are_pairs_of_numbers() -> None:
    param = nn.Parameter(torch.tensor([1 + 2j, -1j]))
    optimizer = optim.Adam([param], lr=0.1)
    param.grad = torch.tensor([1 - 1j, 2j])
    optimizer.step()
    found = [complex(value) for value in param.tolist()]
    assert found[0] == pytest.approx(0.9 + 2.1j, abs=1e-6)
    assert found[1] == pytest.approx(-1.1j, abs=1e-6)
