"""Optimizers and schedules against real PyTorch: step by step, and states that change sides."""

from __future__ import annotations

import itertools
import math
import warnings
from typing import Any

import numpy as np
import pytest

import diptych.torch as ours

theirs = pytest.importorskip("torch")

pytestmark = pytest.mark.oracle

SHAPES = [(5, 3), (3,), (2, 2, 3), ()]
OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.5, "dampening": 0.1, "maximize": True}),
    ("Adam", {"lr": 0.05, "betas": (0.4, 0.9)}),
    ("Adam", {"lr": 0.05, "amsgrad": True, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.05, "decoupled_weight_decay": True, "weight_decay": 0.1, "fused": True}),
    ("AdamW", {"lr": 0.05, "maximize": True, "foreach": True}),
    ("RMSprop", {"lr": 0.01}),
    ("RMSprop", {"lr": 0.01, "momentum": 0.9, "centered": True, "weight_decay": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.5}),
    ("Adadelta", {"lr": 0.5, "rho": 0.8, "weight_decay": 0.1}),
    ("Adamax", {"lr": 0.05, "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {"lr": 0.05}),
    ("NAdam", {"lr": 0.05, "weight_decay": 0.1, "momentum_decay": 0.1, "betas": (0.3, 0.9)}),
    ("NAdam", {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("RAdam", {"lr": 0.05}),
    ("RAdam", {"lr": 0.05, "weight_decay": 0.1, "betas": (0.3, 0.9)}),
    ("RAdam", {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("ASGD", {"lr": 0.1}),
    ("ASGD", {"lr": 0.1, "t0": 5, "weight_decay": 0.1, "lambd": 0.1, "maximize": True}),
    ("Rprop", {"lr": 0.05}),
    ("Rprop", {"lr": 0.05, "etas": (0.4, 1.5), "step_sizes": (0.01, 0.2), "maximize": True}),
    ("Adafactor", {"lr": 0.05}),
    ("Adafactor", {"lr": 0.5, "weight_decay": 0.1, "d": 2.0, "eps": (1e-6, 0.1), "maximize": True}),
]  # fmt: skip


def side(
    torch: Any, name: str, options: dict[str, Any], shapes: Any = SHAPES, seed: int = 0
) -> Any:
    draw = np.random.default_rng(seed)
    params = [
        torch.nn.Parameter(torch.tensor(draw.normal(size=shape).astype(np.float32)))
        for shape in shapes
    ]
    return params, getattr(torch.optim, name)(params, **options)


def descend(torch: Any, params: Any, optimizer: Any, steps: int, seed: int = 1) -> list[Any]:
    """Steps down a bowl whose gradient is disturbed, and where the parameters were after each."""
    draw, path = np.random.default_rng(seed), []
    for step in range(steps):
        for index, p in enumerate(params):
            noise = draw.normal(size=tuple(p.shape)).astype(np.float32)
            if index == 1 and step < 3:  # a parameter that joins later
                p.grad = None
                continue
            p.grad = (p.detach() * 0.5 + torch.tensor(noise)).detach()
        optimizer.step()
        path.append([p.detach().numpy().copy() for p in params])
    return path


def agree(a: Any, b: Any, rtol: float = 2e-5, atol: float = 2e-6) -> None:
    for step, (mine, real) in enumerate(zip(a, b, strict=True)):
        for x, y in zip(mine, real, strict=True):
            np.testing.assert_allclose(x, y, rtol=rtol, atol=atol, err_msg=f"after step {step}")


def plain(value: Any) -> Any:
    """A state dict with tensors as arrays and their dtypes."""
    if hasattr(value, "detach"):
        return (str(value.dtype), value.detach().numpy())
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(v) for v in value)
    return value


def same(a: Any, b: Any, where: str = "") -> None:
    assert type(a) is type(b), (where, a, b)
    if isinstance(a, dict):
        assert list(a) == list(b), (where, list(a), list(b))
        for key in a:
            same(a[key], b[key], f"{where}[{key!r}]")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), (where, a, b)
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            same(x, y, f"{where}[{i}]")
    elif isinstance(a, (np.ndarray, float)):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6, err_msg=where)
    else:
        assert a == b, where


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_the_path_and_the_state_are_pytorchs(name: str, options: dict[str, Any]) -> None:
    mine, real = side(ours, name, dict(options)), side(theirs, name, dict(options))
    agree(descend(ours, *mine, 24), descend(theirs, *real, 24))
    same(plain(mine[1].state_dict()), plain(real[1].state_dict()))


def convert(torch: Any, value: Any) -> Any:
    """A state dict with its tensors made anew on the other side."""
    if hasattr(value, "detach"):
        array = value.detach().numpy().copy()
        return torch.tensor(array)
    if isinstance(value, dict):
        return {k: convert(torch, v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(convert(torch, v) for v in value)
    return value


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS[1::2])
def test_states_change_sides_and_carry_on(name: str, options: dict[str, Any]) -> None:
    real = side(theirs, name, dict(options))
    descend(theirs, *real, 10)
    mine = side(ours, name, {"lr": 1.0})
    mine[1].load_state_dict(convert(ours, real[1].state_dict()))
    for p, q in zip(mine[0], real[0], strict=True):
        p.data = ours.tensor(q.detach().numpy().copy())
    agree(descend(ours, *mine, 6, seed=5), descend(theirs, *real, 6, seed=5))
    back = side(theirs, name, {"lr": 1.0})
    back[1].load_state_dict(convert(theirs, mine[1].state_dict()))
    for p, q in zip(back[0], mine[0], strict=True):
        p.data = theirs.tensor(q.detach().numpy().copy())
    agree(descend(ours, *mine, 6, seed=6), descend(theirs, *back, 6, seed=6))


@pytest.mark.parametrize(
    "options",
    [{}, {"nesterov": False, "adjust_lr_fn": "match_rms_adamw", "lr": 0.02}, {"momentum": 0.3}],
)
def test_muon(options: dict[str, Any]) -> None:
    shapes = [(6, 4), (3, 8)]
    mine = side(ours, "Muon", dict(options), shapes)
    real = side(theirs, "Muon", dict(options), shapes)
    # The iterations run in bfloat16, whose products PyTorch and we round at other places.
    agree(descend(ours, *mine, 20), descend(theirs, *real, 20), rtol=2e-2, atol=5e-3)
    same(list(plain(mine[1].state_dict())), list(plain(real[1].state_dict())))


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.5}, {"line_search_fn": "strong_wolfe"},
        {"line_search_fn": "strong_wolfe", "history_size": 3, "max_iter": 7, "lr": 0.01},
        {"history_size": 2, "max_iter": 3, "lr": 0.3},
    ],
)  # fmt: skip
def test_lbfgs(options: dict[str, Any]) -> None:
    paths, states = [], []
    for torch in (ours, theirs):
        starts, _ = side(torch, "SGD", {"lr": 0.1}, [(4,), (2, 3)])
        params = [torch.nn.Parameter(p.detach().double()) for p in starts]
        optimizer = torch.optim.LBFGS(params, **options)
        path = []

        def closure(params: Any = params, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            x, y = params
            loss = (1 - x).pow(2).sum() + 3 * (x[1:] - x[:-1].pow(2)).pow(2).sum()
            loss = loss + (y * y * 0.5).cosh().sum() + (y.sum() - x.sum()).pow(2)
            loss.backward()
            return loss

        for _ in range(20):
            loss = optimizer.step(closure)
            path.append([np.float64(loss.item()), *[p.detach().numpy().copy() for p in params]])
        paths.append(path)
        states.append(optimizer.state_dict())
    agree(paths[0], paths[1], rtol=1e-6, atol=1e-7)
    assert list(states[0]["state"][0]) == list(states[1]["state"][0])
    assert [type(v) is float for v in states[0]["state"][0].values()] == [
        type(v) is float for v in states[1]["state"][0].values()
    ]
    assert states[0]["param_groups"] == states[1]["param_groups"]


# ---- schedules

SCHEDULES: dict[str, Any] = {
    "LambdaLR": lambda m, o: m.LambdaLR(o, [lambda e: 0.9**e, lambda e: 1 / (e + 1)]),
    "MultiplicativeLR": lambda m, o: m.MultiplicativeLR(o, lambda e: 0.95),
    "StepLR": lambda m, o: m.StepLR(o, 3, 0.5),
    "MultiStepLR": lambda m, o: m.MultiStepLR(o, [2, 5, 5, 9], 0.5),
    "ConstantLR": lambda m, o: m.ConstantLR(o, 0.25, 4),
    "LinearLR": lambda m, o: m.LinearLR(o, 0.2, 0.8, 6),
    "ExponentialLR": lambda m, o: m.ExponentialLR(o, 0.8),
    "PolynomialLR": lambda m, o: m.PolynomialLR(o, 8, 2.0),
    "CosineAnnealingLR": lambda m, o: m.CosineAnnealingLR(o, 6, 0.01),
    "CosineAnnealingWarmRestarts": lambda m, o: m.CosineAnnealingWarmRestarts(o, 3, 2, 0.01),
    "CyclicLR": lambda m, o: m.CyclicLR(o, 0.01, [0.1, 0.2], 3, 5),
    "CyclicLR triangular2": lambda m, o: m.CyclicLR(o, 0.01, 0.1, 3, mode="triangular2"),
    "CyclicLR exp_range": lambda m, o: m.CyclicLR(o, 0.01, 0.1, 3, mode="exp_range", gamma=0.9),
    "CyclicLR scale_fn": lambda m, o: m.CyclicLR(
        o, 0.01, 0.1, 3, scale_fn=lambda x: 1 / x, cycle_momentum=False
    ),
    "OneCycleLR": lambda m, o: m.OneCycleLR(o, [0.1, 0.3], epochs=5, steps_per_epoch=5),
    "OneCycleLR phases": lambda m, o: m.OneCycleLR(
        o, 0.1, 30, three_phase=True, anneal_strategy="linear"
    ),
    "SequentialLR": lambda m, o: m.SequentialLR(
        o,
        [m.ConstantLR(o, 0.5), m.ExponentialLR(o, 0.8), m.CosineAnnealingWarmRestarts(o, 2)],
        [4, 9],
    ),
    "SequentialLR linear cosine": lambda m, o: m.SequentialLR(
        o, [m.LinearLR(o, 0.1, total_iters=5), m.CosineAnnealingLR(o, 15)], [5]
    ),
    "ChainedScheduler": lambda m, o: m.ChainedScheduler(
        [m.LinearLR(o, 0.5), m.ExponentialLR(o, 0.9)]
    ),
    "SWALR": lambda m, o: m.SWALR(o, [0.05, 0.01], 5, "linear"),
    "SWALR at once": lambda m, o: m.SWALR(o, 0.05, 0),
}


def scheduled(torch: Any, name: str, kind: str = "SGD") -> Any:
    params = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    options = {"momentum": 0.9} if kind == "SGD" else {}
    optimizer = getattr(torch.optim, kind)(
        [{"params": params[:1]}, {"params": params[1:], "lr": 0.02}], lr=0.1, **options
    )
    module = torch.optim.swa_utils if name.startswith("SWALR") else torch.optim.lr_scheduler
    return optimizer, SCHEDULES[name](module, optimizer)


def run(optimizer: Any, schedule: Any, steps: int) -> list[Any]:
    rows = []
    for _ in range(steps):
        optimizer.step()
        schedule.step()
        options = [
            (g["lr"], g.get("momentum", 0), g.get("betas", (0,))[0]) for g in optimizer.param_groups
        ]
        rows.append([*itertools.chain(*options), *schedule.get_last_lr()])
    return rows


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_are_pytorchs(name: str, kind: str) -> None:
    mine, real = scheduled(ours, name, kind), scheduled(theirs, name, kind)
    same(plain(mine[1].state_dict()), plain(real[1].state_dict()))
    rows = [run(*mine, 12), run(*real, 12)]
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-12)
    held = [mine[1].state_dict(), real[1].state_dict()]
    same(plain(held[0]), plain(held[1]))
    fresh = [scheduled(ours, name, kind), scheduled(theirs, name, kind)]
    for (optimizer, schedule), old, state in zip(fresh, (mine, real), held[::-1], strict=True):
        optimizer.load_state_dict(old[0].state_dict())
        schedule.load_state_dict(state)  # each takes over the other's
    np.testing.assert_allclose(run(*fresh[0], 10), run(*fresh[1], 10), rtol=1e-12)


CLOSED = [
    "StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR",
    "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "LambdaLR",
]  # fmt: skip


@pytest.mark.parametrize("name", CLOSED)
def test_epochs_given_and_training_resumed(name: str) -> None:
    rows = []
    for torch in (ours, theirs):
        optimizer, schedule = scheduled(torch, name)
        row = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for epoch in (3, 4, 1, 7):
                schedule.step(epoch)
                row += schedule.get_last_lr()
        rows.append(row)
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda m, o: m.StepLR(o, 3, 0.5, last_epoch=5),
        lambda m, o: m.MultiStepLR(o, [6, 8], 0.5, last_epoch=5),
        lambda m, o: m.ConstantLR(o, 0.5, 7, last_epoch=5),
        lambda m, o: m.LinearLR(o, 0.5, 1.0, 9, last_epoch=5),
        lambda m, o: m.ExponentialLR(o, 0.5, last_epoch=5),
        lambda m, o: m.PolynomialLR(o, 9, last_epoch=5),
        lambda m, o: m.CosineAnnealingLR(o, 9, last_epoch=5),
        lambda m, o: m.LambdaLR(o, lambda e: 0.5**e, last_epoch=5),
        lambda m, o: m.MultiplicativeLR(o, lambda e: 0.5, last_epoch=5),
    ],
)
def test_schedules_that_start_late(make: Any) -> None:
    rows = []
    for torch in (ours, theirs):
        params = [torch.nn.Parameter(torch.ones(2))]
        optimizer = torch.optim.SGD([{"params": params, "initial_lr": 0.1}], lr=0.07)
        schedule = make(torch.optim.lr_scheduler, optimizer)
        rows.append(schedule.get_last_lr() + sum(run(optimizer, schedule, 6), []))
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-12)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_plateaus(mode: str, threshold_mode: str) -> None:
    measures = [5, 4, 4, 4, 4.2, 3, 3, 3, 3, 3, 3, 6, 7, 7, 7, 7, 7, math.nan, 1, 1, 1, 1]
    rows, states = [], []
    for torch in (ours, theirs):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=1.0)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, mode, 0.5, 2, threshold=0.1, threshold_mode=threshold_mode, cooldown=1,
            min_lr=0.01,
        )  # fmt: skip
        row = []
        for value in measures:
            schedule.step(torch.tensor(value))
            row += schedule.get_last_lr()
        rows.append(row)
        states.append(schedule.state_dict())
    assert rows[0] == rows[1]
    same(states[0], states[1])


# ---- averages


@pytest.mark.parametrize("way", ["swa", "ema", "swa_multi", "ema_multi", "default"])
def test_averaged_models(way: str) -> None:
    results = []
    for torch in (ours, theirs):
        utils = torch.optim.swa_utils
        options: dict[str, Any] = {
            "swa": lambda u: {"avg_fn": u.get_swa_avg_fn()},
            "ema": lambda u: {"avg_fn": u.get_ema_avg_fn(0.9)},
            "swa_multi": lambda u: {"multi_avg_fn": u.get_swa_multi_avg_fn()},
            "ema_multi": lambda u: {
                "multi_avg_fn": u.get_ema_multi_avg_fn(0.4),
                "use_buffers": True,
            },
            "default": lambda u: {},
        }[way](utils)
        model = torch.nn.Linear(3, 2)
        model.register_buffer("scale", torch.ones(1))
        averaged = utils.AveragedModel(model, **options)
        for step in range(5):
            with torch.no_grad():
                model.weight.copy_(torch.tensor(np.arange(6.0).reshape(2, 3) * step))
                model.bias.fill_(step**2)
                model.scale.fill_(step)
            averaged.update_parameters(model)
        results.append(plain(dict(averaged.state_dict())))
    same(results[0], results[1])
