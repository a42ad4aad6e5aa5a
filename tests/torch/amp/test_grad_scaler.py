"""GradScaler: scaling, skipped steps, growth, state, and the disabled one."""

from __future__ import annotations

import pickle

import pytest

import diptych.torch as torch


def trained(scaler, factors):
    """A parameter after steps whose gradients are these factors, and the scales seen."""
    p = torch.nn.Parameter(torch.zeros(2))
    optimizer, scales = torch.optim.SGD([p], lr=1.0), []
    for factor in factors:
        optimizer.zero_grad()
        scaler.scale((p * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
    return p.tolist(), scales


def test_overflow_skips_a_step_and_shrinks_the_scale() -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
    found, scales = trained(scaler, [1.0, 1.0, float("inf"), 1.0])
    assert found == [-3.0, -3.0]
    assert scales == [8.0, 16.0, 8.0, 8.0]
    assert scaler.state_dict() == {
        "scale": 8.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2,
        "_growth_tracker": 1,
    }  # fmt: skip
    other = torch.amp.GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    assert other.get_scale() == 8.0 and trained(other, [1.0])[1] == [16.0]
    assert pickle.loads(pickle.dumps(scaler)).get_scale() == 8.0


def test_gradients_may_be_unscaled_to_be_looked_at() -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    p = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([p], lr=1.0)
    scaler.scale((p * 3).sum()).backward()
    assert p.grad.tolist() == [24.0, 24.0]
    scaler.unscale_(optimizer)
    assert p.grad.tolist() == [3.0, 3.0]
    with pytest.raises(RuntimeError, match=r"unscale_\(\) has already been called"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    assert p.tolist() == [-3.0, -3.0]
    with pytest.raises(RuntimeError, match=r"step\(\) has already been called"):
        scaler.step(optimizer)


def test_calls_in_a_wrong_order_are_told() -> None:
    scaler = torch.amp.GradScaler("cpu")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=1.0)
    with pytest.raises(AssertionError, match="_scale is None"):
        scaler.step(optimizer)
    scaler.scale(torch.ones(1))
    with pytest.raises(AssertionError, match="No inf checks"):
        scaler.step(optimizer)
    with pytest.raises(AssertionError, match="growth factor"):
        torch.amp.GradScaler("cpu", growth_factor=1.0)


def test_for_cuda_it_is_disabled() -> None:
    with pytest.warns(UserWarning, match="CUDA is not available"):
        scaler = torch.amp.GradScaler()
    loss = torch.ones(1)
    assert scaler.scale(loss) is loss and scaler.state_dict() == {} and scaler.get_scale() == 1.0
    with pytest.warns(FutureWarning, match="is deprecated"):
        torch.cuda.amp.GradScaler(enabled=False)
