"""Recorded calls: a replay does what the eager call does, whatever the program is made of."""

from __future__ import annotations

import gc
import random
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import diptych.torch as torch
import diptych.torch.nn.functional as F
from diptych.core import buffer as buffers
from diptych.staging.compiled import CaptureError, Compiled, compile
from diptych.torch import nn


def recorded(function: Compiled) -> int:
    return sum(map(len, function.variants.values()))


def batches(*shape: int, classes: int = 4) -> list[Any]:
    rng = np.random.default_rng(0)
    return [
        (
            torch.from_numpy(rng.standard_normal(shape).astype(np.float32)),
            torch.from_numpy(rng.integers(0, classes, shape[0])),
        )
        for _ in range(3)
    ]


class Reader(nn.Module):
    """An LSTM whose last state is classified."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(6, 9, batch_first=True)
        self.out = nn.Linear(9, 4)

    def forward(self, x: Any) -> Any:
        return self.out(self.lstm(x)[0][:, -1])


class Block(nn.Module):
    """Attention and a feed-forward network: half of a GPT."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.joined = nn.LayerNorm(8), nn.Linear(8, 24)
        self.feed = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Dropout(0.1), nn.Linear(16, 8))
        self.out = nn.Linear(8, 4)

    def forward(self, x: Any) -> Any:
        batch, length, width = x.shape
        joined = self.joined(self.norm(x)).view(batch, length, 3, 2, -1).permute(2, 0, 3, 1, 4)
        query, key, value = joined
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + seen.transpose(1, 2).reshape(batch, length, width)
        return self.out((x + self.feed(x)).mean(1))


def mlp() -> Any:
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 4))


def cnn() -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.Flatten(), nn.Linear(200, 4),
    )  # fmt: skip


def adam(parameters: Any) -> Any:
    return torch.optim.Adam(parameters, lr=0.01)


def momentum(parameters: Any) -> Any:
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)


def adamw(parameters: Any) -> Any:
    return torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.1)


PROGRAMS = {
    "mlp": (mlp, adam, (32, 16), False),
    "cnn": (cnn, momentum, (8, 1, 12, 12), False),
    "lstm": (Reader, adam, (8, 7, 6), True),
    "gpt": (Block, adamw, (4, 5, 8), True),
}


def train(
    program: str, steps: int, wrap: Callable[[Any], Any], switch: bool = False
) -> tuple[list[float], dict[str, Any], Any]:
    """Losses, the final state, and the (compiled) step."""
    build, rule, shape, scheduled = PROGRAMS[program]
    data = batches(*shape)
    torch.manual_seed(0)
    model = build()
    optimizer = rule(model.parameters())
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: 1 / (1 + n / 10))

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        if scheduled:
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if scheduled:
            schedule.step()
        return loss

    compiled = wrap(step)
    losses = []
    for number in range(steps):
        run = step if switch and number % 3 == 2 else compiled
        losses.append(run(*data[number % 3]).item())
    state = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    for index, entry in optimizer.state_dict()["state"].items():
        state.update(
            (f"{index}.{name}", v.numpy().copy()) for name, v in entry.items() if v is not None
        )
    return losses, state, compiled


@pytest.mark.parametrize("switch", [False, True], ids=["compiled", "switching"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_training_steps(program: str, switch: bool) -> None:
    steps = 30 if not switch else 10
    expected, state, _ = train(program, steps, lambda step: step)
    losses, found, step = train(program, steps, compile, switch)
    assert recorded(step) == 2 and not step.eager  # with and without gradients at entry
    np.testing.assert_allclose(losses, expected, rtol=2e-5, atol=2e-6)
    for name, value in state.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-4, err_msg=name)


def check(function: Callable[..., Any], *arguments: Any, calls: int = 3) -> Compiled:
    """Compare three compiled calls with eager ones, on copies of the arguments."""
    compiled = compile(function)
    for number in range(calls):
        ours = [x.clone() + number if torch.is_tensor(x) else x for x in arguments]
        theirs = [x.clone() + number if torch.is_tensor(x) else x for x in arguments]
        torch.manual_seed(number)
        got = compiled(*ours)
        torch.manual_seed(number)
        expected = function(*theirs)
        for a, b in zip(flat(got) + flat(ours), flat(expected) + flat(theirs), strict=True):
            if torch.is_tensor(a):
                assert a.shape == b.shape and a.dtype == b.dtype and a.stride() == b.stride()
                np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-6)
            else:
                assert a == b
    assert recorded(compiled) == 1 and not compiled.eager
    return compiled


def flat(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return [item for part in value for item in flat(part)]
    if isinstance(value, dict):
        return [item for part in value.values() for item in flat(part)]
    return [value]


def halves(x: Any) -> Any:
    x[:, 0] = 5
    part = x[1:]
    part.mul_(2)
    return x.sum(0), part


def through_views(x: Any) -> Any:
    y = x * 2
    seen = y.view(-1)
    y.add_(1)
    seen[0] = -1
    return y, seen + 0, y.t()


def constants(x: Any) -> Any:
    mask = torch.zeros(4, 3)
    mask[0] = 1
    return x * mask + torch.tensor([1.0, 2.0, 3.0]), torch.arange(3)


def random_numbers(x: Any) -> Any:
    noise = torch.empty(4, 3).uniform_(-1, 1)
    return x + torch.randn(4, 3), torch.rand_like(x), noise, F.dropout(x, 0.5), torch.randperm(4)


def gradients(x: Any) -> Any:
    w = x.detach().requires_grad_()
    (w * w).sum().backward()
    return w.grad


def second_order(x: Any) -> Any:
    w = x.detach().requires_grad_()
    (first,) = torch.autograd.grad((w**3).sum(), w, create_graph=True)
    return torch.autograd.grad(first.sum(), w)[0]


def nested(x: Any) -> Any:
    return {"a": [x + 1, (x, 3)], "b": None}


CASES = [halves, through_views, constants, random_numbers, gradients, second_order, nested]


@pytest.mark.parametrize("function", CASES, ids=lambda function: function.__name__)
def test_functions(function: Callable[..., Any]) -> None:
    check(function, torch.arange(12.0).reshape(4, 3))


def test_an_argument_is_returned_itself() -> None:
    x = torch.ones(3)
    same = compile(lambda x: (x, x.mul_(2)))
    for _ in range(3):
        first, second = same(x)
        assert first is x and second is x
    assert x.tolist() == [8.0] * 3 and x._version == 3


def test_a_swap_of_state() -> None:
    a, b = torch.ones(3), torch.zeros(3)

    def step() -> None:
        old = a.clone()
        a.copy_(b + 1)
        b.copy_(old)

    swap = compile(step)
    for _ in range(4):
        swap()
    assert (a.tolist(), b.tolist()) == ([3.0] * 3, [2.0] * 3) and recorded(swap) == 1


def test_gradients_that_add_up() -> None:
    w = torch.ones(3, requires_grad=True)
    step = compile(lambda x: (w * x).sum().backward())
    for _ in range(4):
        step(torch.full((3,), 2.0))
    assert w.grad.tolist() == [8.0] * 3 and recorded(step) == 2


def test_a_spent_graph_says_so() -> None:
    w = torch.ones(3, requires_grad=True)

    def step() -> Any:
        w.grad = None
        loss = (w * w).sum()
        loss.backward()
        return loss

    compiled = compile(step)
    for _ in range(4):
        loss = compiled()
    assert loss.requires_grad
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


# ---- what cannot be recorded runs eagerly


class Counter:
    count = 0
    items: list[Any] = []


counter = Counter()


def reads_item(x: Any) -> Any:
    return x * x.sum().item()


def branches(x: Any) -> Any:
    return x if x.sum() > 20 else -x


def prints(x: Any) -> Any:
    print(x)
    return x * 2


def data_dependent(x: Any) -> Any:
    return x[x > 3] * 2


def counts(x: Any) -> Any:
    counter.count += 1
    return x * counter.count


def collects(x: Any) -> Any:
    counter.items.append(x.sum())
    return x * len(counter.items)


def draws(x: Any) -> Any:
    return x * random.random()


def through_numpy(x: Any) -> Any:
    return torch.from_numpy(x.numpy() * 2)


UNFIT = [reads_item, branches, prints, data_dependent, counts, collects, draws, through_numpy]


@pytest.mark.parametrize("function", UNFIT, ids=lambda function: function.__name__)
def test_what_cannot_be_recorded(function: Callable[..., Any], capsys: Any) -> None:
    compiled = compile(function)
    results = []
    for run in (function, compiled):
        counter.count, counter.items = 0, []
        random.seed(0)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            results.append([run(torch.arange(6.0) + n).tolist() for n in range(4)])
        if run is compiled:
            told = [str(w.message) for w in caught]
            assert len(told) == 1 and "runs eagerly" in told[0]
    assert results[0] == results[1] and recorded(compiled) == 0


def test_the_warning_names_the_line() -> None:
    with pytest.warns(UserWarning, match=r"read from Python \(.*test_compiled.py:\d+\)"):
        compile(reads_item)(torch.ones(3))
    with pytest.raises(CaptureError, match="read from Python"):
        compile(reads_item, whole=True)(torch.ones(3))


# ---- guards


def test_attributes_and_modes_are_watched() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5))
    forward = compile(lambda x: model(x).detach())
    x = torch.ones(2, 4)
    for training in (True, False, True, False):
        model.train(training)
        torch.manual_seed(1)
        found = forward(x)
        torch.manual_seed(1)
        np.testing.assert_allclose(found.numpy(), model(x).detach().numpy(), rtol=1e-6)
    assert recorded(forward) == 2
    model[0].weight = nn.Parameter(torch.zeros(4, 4))
    assert forward(x).tolist() == model(x).detach().tolist()


def test_closures_globals_and_objects_are_watched() -> None:
    factor = 2.0
    tensor = torch.ones(3)

    def step(x: Any) -> Any:
        return x * factor * counter.count + tensor

    compiled = compile(step)
    x = torch.ones(3)
    for number in range(5):
        factor, counter.count = float(number), number + 1
        tensor = torch.full((3,), float(number))
        assert compiled(x).tolist() == step(x).tolist()
        assert compiled(x).tolist() == step(x).tolist()
    tensor.add_(1)  # its content is read anew
    assert compiled(x).tolist() == step(x).tolist()
    assert recorded(compiled) == 5


def test_variants_are_bounded() -> None:
    compiled = compile(lambda x, n: x * n)
    compiled.limit = 2
    with pytest.warns(UserWarning, match="recorded 2 times"):
        assert [compiled(torch.ones(1), n).item() for n in range(5)] == [0, 1, 2, 3, 4]
    assert recorded(compiled) == 2


def test_arguments_that_share_memory() -> None:
    def step(x: Any, y: Any) -> Any:
        x.add_(1)
        return y * 2

    compiled = compile(step)
    x = torch.zeros(4)
    with pytest.warns(UserWarning, match="share memory"):
        assert compiled(x, x[1:]).tolist() == [2.0] * 3
    assert compiled(x, torch.ones(3)).tolist() == [2.0] * 3
    assert compiled(x, torch.ones(3)).tolist() == [2.0] * 3
    assert compiled(x, x[1:]).tolist() == [8.0] * 3


def test_errors_pass_through() -> None:
    compiled = compile(lambda x: x @ x)
    with pytest.raises(RuntimeError):
        compiled(torch.ones(2, 3))
    assert compiled(torch.ones(2, 2)).tolist() == [[2.0, 2.0], [2.0, 2.0]]


def adversaries(wrap: Callable[[Any], Any]) -> tuple[list[float], Any]:
    """Two networks, two optimizers, four stretches: what one step changes the next one reads."""
    torch.manual_seed(0)
    maker, judge = nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1))
    first = torch.optim.Adam(judge.parameters(), lr=0.05)
    second = torch.optim.Adam(maker.parameters(), lr=0.05)

    def step(real: Any) -> Any:
        fake = maker(torch.randn(6, 3))
        first.zero_grad()
        loss = F.softplus(judge(fake.detach())).mean() + F.softplus(-judge(real)).mean()
        loss.backward()
        first.step()
        second.zero_grad()
        other = F.softplus(-judge(fake)).mean()
        other.backward()
        second.step()
        return loss.detach() + other.detach(), maker.weight.sum().detach()

    run = wrap(step)
    return [v.item() for n in range(8) for v in run(torch.full((6, 4), n / 4.0))], run


def test_two_optimizers_in_one_step() -> None:
    expected, _ = adversaries(lambda step: step)
    found, run = adversaries(compile)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert not run.eager and recorded(run) == 2


def test_accumulated_and_averaged() -> None:
    def train(wrap: Callable[[Any], Any]) -> tuple[list[float], Any]:
        torch.manual_seed(0)
        model, mean = nn.Linear(4, 4), nn.Linear(4, 4)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

        def micro(x: Any) -> Any:
            loss = (model(x) ** 2).mean() / 2
            loss.backward()
            return loss.detach()

        def update() -> None:
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
            with torch.no_grad():
                for a, b in zip(mean.parameters(), model.parameters(), strict=True):
                    a.mul_(0.9).add_(b, alpha=0.1)

        one, two = wrap(micro), wrap(update)
        losses = []
        for number in range(6):
            losses += [one(torch.randn(3, 4) + number).item() for _ in range(2)]
            two()
        return [*losses, *mean.weight.flatten().tolist()], (one, two)

    expected, _ = train(lambda function: function)
    found, runs = train(compile)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert not any(run.eager for run in runs)


def test_a_replay_leaves_nothing_behind() -> None:
    allocator: Any = buffers.installed
    if not hasattr(allocator, "current"):
        pytest.skip("the reference has no allocator of its own")
    model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 64), nn.Dropout(0.5))
    optimizer = torch.optim.Adam(model.parameters())

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    compiled, x = compile(step), torch.randn(128, 64)
    for _ in range(3):
        compiled(x)
    before = allocator.current
    for _ in range(3):
        compiled(x)
    assert allocator.current == before


def test_a_collection_during_the_recording_is_not_part_of_the_call() -> None:
    """Libraries hook the collector (hypothesis times it); what they call is not the user's."""
    weight = torch.ones(3)

    def collected(phase: str, info: dict[str, int]) -> None:
        time.perf_counter()

    def function(x: Any) -> Any:
        for _ in range(3):
            [[] for _ in range(1000)]
            x = x * weight
        return x

    compiled = compile(function)
    before = gc.get_threshold()
    gc.callbacks.append(collected)
    gc.set_threshold(50)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for _ in range(3):
                assert compiled(torch.full((3,), 2.0)).tolist() == [2.0, 2.0, 2.0]
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(collected)
    assert gc.isenabled()
