"""Good calls of training programs: states, optimizers, schedules, distributions, utilities."""

from __future__ import annotations

import collections
import inspect
import tempfile
from collections.abc import Callable
from typing import Any

import diptych.torch as torch
from diptych.core import dtypes
from diptych.torch import distributions, nn, optim
from tests.fuzz.bending import Recipe, bent
from tests.fuzz.draw import Drawer

F32 = dtypes.float32


def model(d: Drawer) -> Any:
    return d.choice((
        lambda: nn.Linear(3, 2),
        lambda: nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.Flatten()),
        lambda: nn.LSTM(3, 2, 2, bidirectional=True),
        lambda: nn.ModuleDict({"a": nn.Embedding(4, 2), "b": nn.MultiheadAttention(4, 2)}),
    ))()  # fmt: skip


def trained(d: Drawer, count: int = 2) -> list[Any]:
    """Parameters with gradients."""
    made = []
    for _ in range(count):
        x = nn.Parameter(torch.ones(d.choice((1, 2, 5)), 3))
        x.grad = torch.full_like(x, 0.5)
        made.append(x)
    return made


def deep_bend(d: Drawer, value: Any, depth: int = 4) -> Any:
    """A nested state with one place in it bent, dropped or added."""
    if isinstance(value, dict) and value and depth and d.chance(0.9):
        made = collections.OrderedDict(value) if isinstance(value, dict) else dict(value)
        key = d.choice(list(made))
        kind = d.rng.randrange(6)
        if kind == 0:
            del made[key]
        elif kind == 1:
            made[d.choice(("extra", 7, None, key))] = made[key]
        else:
            made[key] = deep_bend(d, made[key], depth - 1)
        return made
    if isinstance(value, list) and value and depth and d.chance(0.7):
        made_list = list(value)
        place = d.rng.randrange(len(made_list))
        if d.chance(0.2):
            made_list.pop(place)
        else:
            made_list[place] = deep_bend(d, made_list[place], depth - 1)
        return made_list
    return bent(d, value)


# ---- states


def module_state(d: Drawer) -> Recipe:
    module, state = model(d), model(d).state_dict()
    for _ in range(d.choice((0, 1, 1, 2))):
        state = deep_bend(d, state)
    options = {"strict": d.chance(0.6), "assign": d.chance(0.3)}

    def load(state: Any, **options: Any) -> Any:
        module.load_state_dict(state, **options)
        if not options.get("assign"):
            return list(module.parameters())
        return None

    return Recipe(f"{type(module).__name__}.load_state_dict", load, [state], options)


def stepper(d: Drawer) -> tuple[type, dict[str, Any]]:
    name = d.choice((
        "SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam",
        "ASGD", "Rprop", "Adafactor",
    ))  # fmt: skip
    options: dict[str, Any] = {"lr": d.choice((0.1, 1e-3, 0.0))}
    if d.chance(0.4):
        options["weight_decay" if name != "Rprop" else "foreach"] = d.choice((0, False))
    if d.chance(0.4) and name in ("SGD", "RMSprop"):
        options["momentum"] = d.choice((0.0, 0.9))
    if d.chance(0.3) and name in ("Adam", "AdamW"):
        options |= {"amsgrad": True, "betas": (0.9, 0.99)}
    return getattr(optim, name), options


def groups(d: Drawer) -> Recipe:
    cls, options = stepper(d)
    kinds = d.rng.randrange(3)
    given: Any = trained(d)
    if kinds == 1:
        given = [{"params": [p], "lr": 0.1 * k} for k, p in enumerate(given)]
    elif kinds == 2:
        given = [(f"p{k}", p) for k, p in enumerate(given)]
    if d.chance(0.4):
        given = deep_bend(d, given)

    def call(given: Any, **options: Any) -> None:
        made = cls(given, **options)
        made.step()
        made.add_param_group({"params": trained(d, 1)})
        made.step(lambda: 1.0)
        made.zero_grad()
        repr(made)

    return Recipe(f"optim.{cls.__name__}", call, [given], options)


def optimizer_state(d: Drawer) -> Recipe:
    cls, options = stepper(d)
    made = cls(trained(d), **options)
    made.step()
    state = made.state_dict()
    for _ in range(d.choice((0, 1, 1, 2))):
        state = deep_bend(d, state)

    def load(state: Any) -> None:
        made.load_state_dict(state)
        made.step()

    return Recipe(f"optim.{cls.__name__}.load_state_dict", load, [state])


SCHEDULES: dict[str, Callable[[Drawer], dict[str, Any]]] = {
    "StepLR": lambda d: {"step_size": d.choice((1, 3)), "gamma": 0.5},
    "MultiStepLR": lambda d: {"milestones": [1, 3], "gamma": 0.5},
    "ConstantLR": lambda d: {"factor": 0.5, "total_iters": 3},
    "LinearLR": lambda d: {"start_factor": 0.5, "end_factor": 1.0, "total_iters": 3},
    "ExponentialLR": lambda d: {"gamma": 0.5},
    "PolynomialLR": lambda d: {"total_iters": 3, "power": 2.0},
    "CosineAnnealingLR": lambda d: {"T_max": 3, "eta_min": 0.0},
    "CosineAnnealingWarmRestarts": lambda d: {"T_0": 2, "T_mult": d.choice((1, 2))},
    "CyclicLR": lambda d: {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 2,
                           "cycle_momentum": False, "mode": d.choice(("triangular", "exp_range"))},
    "OneCycleLR": lambda d: {"max_lr": 0.1, "total_steps": d.choice((5, 9)),
                             "cycle_momentum": d.chance(0.5)},
    "LambdaLR": lambda d: {"lr_lambda": lambda epoch: 0.9**epoch},
    "MultiplicativeLR": lambda d: {"lr_lambda": lambda epoch: 0.9},
    "ReduceLROnPlateau": lambda d: {"factor": 0.1, "patience": 0,
                                    "mode": d.choice(("min", "max"))},
}  # fmt: skip


def schedule(d: Drawer) -> Recipe:
    name = d.choice(sorted(SCHEDULES))
    cls = getattr(optim.lr_scheduler, name)
    options = SCHEDULES[name](d)
    inner = optim.SGD(trained(d), lr=0.1, momentum=0.9)
    inner.step()
    state_bent = d.chance(0.3)

    def call(optimizer: Any, **options: Any) -> None:
        made = cls(optimizer, **options)
        args = (1.0,) if name == "ReduceLROnPlateau" else ()
        for _ in range(4):
            made.step(*args)
        state = made.state_dict()
        made.load_state_dict(deep_bend(d, state) if state_bent else state)
        made.step(*args)
        made.get_last_lr()

    return Recipe(f"lr_scheduler.{name}", call, [inner], options)


# ---- utilities


def packed(d: Drawer) -> Recipe:
    rnn = nn.utils.rnn
    steps, n = d.choice((1, 3, 5)), d.choice((1, 2, 4))
    first, ordered = d.chance(0.5), d.chance(0.4)
    x = d.tensor(shape=(n, steps, 2) if first else (steps, n, 2), dtype=F32)
    lengths: Any = [d.rng.randrange(1, steps + 1) for _ in range(n)]
    if ordered:
        lengths = sorted(lengths, reverse=True)
    if d.chance(0.4):
        lengths = torch.tensor(lengths)
    kind = d.rng.randrange(4)
    if kind == 0:
        rows = [d.tensor(shape=(d.choice((1, 3)), 2), dtype=F32) for _ in range(n)]
        side = d.choice(("left", "right"))
        return Recipe("rnn.pad_sequence", rnn.pad_sequence, [rows, first, 0.0, side])
    if kind == 1:
        rows = [d.tensor(shape=(d.choice((1, 3)), 2), dtype=F32) for _ in range(n)]
        return Recipe("rnn.pack_sequence", rnn.pack_sequence, [rows, False])

    def call(x: Any, lengths: Any, first: Any, ordered: Any, total: Any) -> Any:
        made = rnn.pack_padded_sequence(x, lengths, first, ordered)
        return rnn.pad_packed_sequence(made, first, 0.0, total)

    total = d.choice((None, steps))
    return Recipe("rnn.pack_padded_sequence", call, [x, lengths, first, ordered, total])


def packed_by_hand(d: Drawer) -> Recipe:
    """A PackedSequence of numbers that need not fit, given to a layer or unpacked."""
    rnn = nn.utils.rnn
    sizes = sorted((d.choice((1, 2, 3)) for _ in range(3)), reverse=True)
    data = d.tensor(shape=(sum(sizes), 2), dtype=F32)
    order = d.rng.sample(range(sizes[0]), sizes[0])
    args: list[Any] = [data, torch.tensor(sizes)]
    if d.chance(0.5):
        args.append(torch.tensor(order))
    layer = nn.GRU(2, 3) if d.chance(0.6) else None

    def call(*args: Any) -> Any:
        made = rnn.PackedSequence(*args)
        if layer is not None:
            made = layer(made)[0]
        return rnn.pad_packed_sequence(made)

    return Recipe("rnn.PackedSequence", call, args)


def clipped(d: Drawer) -> Recipe:
    parameters = trained(d)
    name = d.choice(("clip_grad_norm_", "clip_grad_value_", "get_total_norm"))
    args: list[Any] = [parameters, d.choice((1.0, 0.1, 2))]
    if name == "clip_grad_norm_" and d.chance(0.5):
        args.append(d.choice((1.0, 2.0, float("inf"))))
    return Recipe(f"nn.utils.{name}", getattr(nn.utils, name), args)


def pruned(d: Drawer) -> Recipe:
    prune = nn.utils.prune
    name = d.choice(("l1_unstructured", "random_unstructured", "ln_structured",
                     "random_structured", "custom_from_mask", "identity"))  # fmt: skip
    options: dict[str, Any] = {"name": d.choice(("weight", "weight", "bias"))}
    if name == "custom_from_mask":
        options = {"name": "weight", "mask": torch.ones(2, 3)}
    elif name != "identity":
        options["amount"] = d.choice((0.3, 1, 0.0, 1.0))
    if "_structured" in name:
        options |= {"name": "weight", "dim": d.choice((0, 1, -1))}
    if name == "ln_structured":
        options["n"] = d.choice((1, 2, float("inf")))
    x = torch.ones(2, 3)

    def call(module: Any, **options: Any) -> Any:
        getattr(prune, name)(module, **options)
        result = module(x)
        prune.remove(module, options.get("name", "weight"))
        return result

    return Recipe(f"prune.{name}", call, [nn.Linear(3, 2)], options)


def parametrized(d: Drawer) -> Recipe:
    name = d.choice(("weight_norm", "spectral_norm", "orthogonal"))
    kind = d.rng.randrange(2)
    module = nn.Linear(3, 3) if kind else nn.Conv2d(2, 4, 3)
    x = torch.ones(2, 3) if kind else torch.ones(1, 2, 4, 4)

    def call(module: Any, *args: Any, **options: Any) -> Any:
        few = [v for v in args if not isinstance(v, int) or v < 100]  # power iterations are done
        getattr(nn.utils.parametrizations, name)(module, *few, **options)
        state = module.state_dict()
        module.load_state_dict(state)
        result = module(x)
        nn.utils.parametrize.remove_parametrizations(module, "weight")
        return result

    return Recipe(f"parametrizations.{name}", call, [module, "weight"])


def called(d: Drawer) -> Recipe:
    module = nn.Linear(3, 2)
    values = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    if d.chance(0.4):
        values = deep_bend(d, values)
    args: list[Any] = [module, values, (torch.ones(1, 3),)]
    return Recipe("torch.func.functional_call", torch.func.functional_call, args)


# ---- distributions

_POSITIVE = ("scale", "concentration", "rate", "df", "df1", "df2", "alpha", "concentration0",
             "concentration1", "temperature")  # fmt: skip
_UNIT = ("probs",)


def distribution(d: Drawer) -> Recipe:
    classes = [
        cls for cls in vars(distributions).values()
        if inspect.isclass(cls) and issubclass(cls, distributions.Distribution)
    ]  # fmt: skip
    cls = d.choice(sorted(set(classes), key=lambda c: c.__name__))
    options: dict[str, Any] = {}
    shape = d.choice(((), (2,), (2, 3), (0,), (1, 3)))
    for parameter in inspect.signature(cls).parameters.values():
        name = parameter.name
        if name == "validate_args":
            if d.chance(0.3):
                options[name] = d.chance(0.5)
        elif parameter.default is not parameter.empty and d.chance(0.6) and name != "probs":
            continue
        elif name == "logits":
            continue
        elif name in _UNIT:
            values = d.tensor(shape=shape, dtype=F32).detach().sigmoid()
            options[name] = values.softmax(-1) if "ategorical" in cls.__name__ else values
        elif name in _POSITIVE:
            options[name] = d.tensor(shape=shape, dtype=F32).detach().abs() + 0.1
        elif name in ("covariance_matrix", "scale_tril", "precision_matrix"):
            if not options.keys() & {"covariance_matrix", "scale_tril", "precision_matrix"}:
                options[name] = torch.eye(2)
        elif name in ("total_count", "dim"):
            options[name] = d.choice((1, 2, 5))
        elif name == "base_distribution" or name == "component_distribution":
            options[name] = distributions.Normal(torch.zeros(2), torch.ones(2))
        elif name == "mixture_distribution":
            options[name] = distributions.Categorical(torch.ones(2))
        elif name == "transforms":
            options[name] = [distributions.ExpTransform()]
        elif name == "reinterpreted_batch_ndims":
            options[name] = d.choice((0, 1))
        elif name == "cov_factor":
            options[name] = torch.ones(2, 1)
        elif name == "cov_diag" or name == "loc" and "Multivariate" in cls.__name__:
            options[name] = torch.ones(2)
        else:
            options[name] = d.tensor(shape=shape, dtype=F32).detach()
    size = d.choice(((), (1,), (2, 2), (0,)))
    asked = d.choice(("log_prob", "cdf", "entropy", "mean", "variance", "icdf", "mode", "support",
                      "enumerate_support", "expand", "perplexity"))  # fmt: skip

    def call(size: Any, value: Any, **options: Any) -> Any:
        made = cls(**options)
        drawn = made.sample(size)
        if asked in ("log_prob", "cdf", "icdf"):
            getattr(made, asked)(drawn if value is None else value)
        elif asked == "expand":
            made.expand((2, *made.batch_shape)).sample(size)
        else:
            found = getattr(made, asked)
            if callable(found) and not isinstance(found, distributions.constraints.Constraint):
                found()
        return drawn

    value = d.choice((None, None, d.tensor(), 0.5))
    return Recipe(f"distributions.{cls.__name__}.{asked}", call, [size, value], options)


# ---- a writer of TensorBoard's files


def logged(d: Drawer) -> Recipe:
    from diptych.torch.utils.tensorboard import SummaryWriter

    name, args = d.choice((
        ("add_scalar", ["a", 1.0, 1]),
        ("add_scalars", ["a", {"x": 1.0, "y": torch.tensor(2.0)}, 1]),
        ("add_histogram", ["a", d.tensor(), 1, d.choice(("tensorflow", "auto", 5))]),
        ("add_histogram_raw", ["a", 0.0, 1.0, 2, 1.0, 1.0, [0.5, 1.0], [1, 1]]),
        ("add_text", ["a", "text", 1]),
        ("add_image", ["a", d.tensor(shape=(3, 4, 5), dtype=d.choice((F32, dtypes.uint8))), 1]),
        ("add_images", ["a", d.tensor(shape=(2, 3, 4, 5), dtype=F32), 1]),
        ("add_tensor", ["a", d.tensor(), 1]),
        ("add_hparams", [{"lr": 0.1, "b": True, "c": "x"}, {"acc": 1.0}]),
        ("add_pr_curve", ["a", torch.tensor([0, 1, 1]), torch.tensor([0.1, 0.5, 0.9]), 1]),
        ("add_embedding", [d.tensor(shape=(3, 2), dtype=F32), ["a", "b", "c"]]),
        ("add_mesh", ["a", d.tensor(shape=(1, 4, 3), dtype=F32)]),
        ("add_custom_scalars", [{"a": {"b": ["Multiline", ["c"]]}}]),
        ("add_video", ["a", d.tensor(shape=(1, 2, 3, 4, 5), dtype=dtypes.uint8)]),
        ("add_audio", ["a", d.tensor(shape=(1, 20), dtype=F32)]),
    ))  # fmt: skip

    def call(*args: Any) -> None:
        with tempfile.TemporaryDirectory() as folder, SummaryWriter(folder) as writer:
            getattr(writer, name)(*args)

    return Recipe(f"SummaryWriter.{name}", call, args)


RECIPES: tuple[Callable[[Drawer], Recipe], ...] = (
    module_state, module_state, groups, groups, optimizer_state, optimizer_state, schedule,
    schedule, packed, packed_by_hand, packed_by_hand, clipped, pruned, parametrized, called,
    distribution, distribution, distribution, distribution, logged, logged,
)  # fmt: skip
