"""Schedules: their rates by formula, states, combinations, and what they refuse."""

from __future__ import annotations

import math

import pytest

import diptych.torch as torch
from diptych.torch.optim import lr_scheduler as schedules


def sgd(rate: float = 1.0, **options):
    return torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=rate, momentum=0.9, **options)


def rates(schedule, steps: int) -> list[float]:
    found = schedule.get_last_lr()
    for _ in range(steps):
        schedule.optimizer.step()
        schedule.step()
        found += schedule.get_last_lr()
    return found


def test_step_lr_falls_at_its_steps() -> None:
    assert rates(schedules.StepLR(sgd(), 2, 0.5), 4) == [1, 1, 0.5, 0.5, 0.25]


def test_a_cosine_comes_down_and_warm_restarts_start_again() -> None:
    found = rates(schedules.CosineAnnealingLR(sgd(), 4), 4)
    assert found == pytest.approx([(1 + math.cos(math.pi * k / 4)) / 2 for k in range(5)])
    found = rates(schedules.CosineAnnealingWarmRestarts(sgd(), 2, 2), 6)
    assert found[0] == found[2] == found[6] == 1


def test_one_cycle_moves_rate_and_momentum_against_each_other() -> None:
    optimizer = sgd()
    schedule = schedules.OneCycleLR(optimizer, 1.0, total_steps=10)
    found = rates(schedule, 9)
    assert max(found) == pytest.approx(1.0) and found[-1] == pytest.approx(4e-6)
    assert optimizer.param_groups[0]["momentum"] == pytest.approx(0.95)
    with pytest.raises(ValueError, match="Tried to step 11 times"):
        rates(schedule, 2)


def test_a_rate_that_is_a_tensor_stays_the_same_tensor() -> None:
    rate = torch.tensor(1.0)
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))], lr=rate)
    schedule = schedules.ExponentialLR(optimizer, 0.5)
    rates(schedule, 2)
    assert optimizer.param_groups[0]["lr"] is rate and rate.item() == 0.25
    assert schedule.base_lrs[0].item() == 1.0


def test_plateau_waits_and_reduces() -> None:
    schedule = schedules.ReduceLROnPlateau(sgd(), patience=1, factor=0.5)
    for loss in (1.0, 1.0, 1.0):
        schedule.step(loss)
    assert schedule.get_last_lr() == [0.5]


def test_a_state_carries_on_and_objects_keep_their_attributes() -> None:
    class Fall:
        by = 0.5

        def __init__(self, by: float) -> None:
            self.by = by

        def __call__(self, epoch: int) -> float:
            return self.by**epoch

    first = schedules.LambdaLR(sgd(), Fall(0.25))
    rates(first, 2)
    second = schedules.LambdaLR(sgd(), Fall(0.5))
    second.load_state_dict(first.state_dict())
    assert second.last_epoch == 2 and second.lr_lambdas[0].by == 0.25


def test_an_order_of_calls_that_loses_the_first_rate_is_told() -> None:
    schedule = schedules.StepLR(sgd(), 2)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        schedule.step()


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda o: schedules.StepLR(3, 1), TypeError, "int is not an Optimizer"),
        (lambda o: schedules.StepLR(o, 1, last_epoch=3), KeyError, "initial_lr"),
        (lambda o: schedules.LambdaLR(o, [len, len]), ValueError, "Expected 1 lr_lambdas"),
        (lambda o: schedules.ConstantLR(o, 2), ValueError, "between 0 and 1"),
        (lambda o: schedules.LinearLR(o, 0), ValueError, "greater than 0"),
        (lambda o: schedules.CosineAnnealingWarmRestarts(o, 0), ValueError, "positive integer T_0"),
        (lambda o: schedules.CyclicLR(o, [1, 2], 3), ValueError, "same length"),
        (lambda o: schedules.OneCycleLR(o, 1), ValueError, "must define either"),
        (lambda o: schedules.OneCycleLR(o, 1, 3, pct_start=2), ValueError, "between 0 and 1"),
        (lambda o: schedules.ReduceLROnPlateau(o, factor=1), ValueError, "should be < 1"),
        (lambda o: schedules.SequentialLR(o, [], []), ValueError, "at least one"),
        (lambda o: schedules.ChainedScheduler([]), ValueError, "at least one"),
        (lambda o: torch.optim.swa_utils.SWALR(o, 1, -1), ValueError, "anneal_epochs"),
    ],
)
def test_refusals(make, error, match) -> None:
    with pytest.raises(error, match=match):
        make(sgd())


def test_averages_of_a_model_follow_it() -> None:
    model = torch.nn.Linear(2, 1)
    averaged = torch.optim.swa_utils.AveragedModel(model)
    seen = []
    for value in (1.0, 2.0, 6.0):
        with torch.no_grad():
            model.weight.fill_(value)
        averaged.update_parameters(model)
        seen.append(averaged.module.weight[0, 0].item())
    assert seen == [1.0, 1.5, 3.0] and averaged.n_averaged.item() == 3
