"""One program for both engines: normalizations, losses, bags, lazy layers; writes JSON.

python layer_cases.py OUT.json            (PyTorch)
diptych run layer_cases.py OUT.json       (diptych)
"""

# ruff: noqa: B008, B023, E501 (a table of calls, one a line)

from __future__ import annotations

import json
import sys
import warnings

import torch
import torch.nn as nn
import torch.nn.functional as F

warnings.simplefilter("ignore")
OUT: dict[str, object] = {}


def plain(value):
    if isinstance(value, torch.Tensor):
        value = value.detach()
        return (value.float() if value.dtype == torch.bfloat16 else value).tolist()
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    return value


def weighted(out):
    """A scalar whose gradient is different everywhere."""
    total = 0
    for value in out if isinstance(out, (tuple, list)) else [out]:
        if isinstance(value, torch.Tensor) and value.requires_grad:
            steps = torch.arange(1, value.numel() + 1, dtype=value.dtype).reshape(value.shape)
            total = total + (value * (0.5 + 0.1 * steps.sin())).sum()
    return total


def case(name, function, *inputs):
    """The outputs of a call and the gradients of a weighted sum of them."""
    torch.manual_seed(11)
    given = [
        x.detach().clone().requires_grad_(x.requires_grad) if isinstance(x, torch.Tensor) else x
        for x in inputs
    ]
    try:
        out = function(*given)
        total = weighted(out)
        if isinstance(total, torch.Tensor):
            total.backward()
        grads = [x.grad for x in given if isinstance(x, torch.Tensor) and x.requires_grad]
        OUT[name] = {"out": plain(out), "grads": [plain(g) for g in grads]}
    except Exception as error:
        kind = [c.__name__ for c in type(error).__mro__ if c.__module__ == "builtins"][0]
        OUT[name] = {"error": [kind], "text": str(error)}


def layer(name, module, *inputs, steps=2):
    """A module called some times, then in evaluation: outputs, gradients, text, state."""
    torch.manual_seed(7)
    try:
        made = module()
        for index, parameter in enumerate(made.parameters()):
            with torch.no_grad():
                parameter.copy_(
                    0.5
                    + 0.1 * torch.arange(parameter.numel()).reshape(parameter.shape)
                    - 0.05 * index
                )
    except Exception as error:
        OUT[name] = {"error": [type(error).__name__], "text": str(error)}
        return
    OUT[name + " text"] = [repr(made), list(made.state_dict())]
    for step in range(steps):
        case(f"{name} step {step}", made, *inputs)
        OUT[f"{name} parameters {step}"] = [
            plain(p.grad) for p in made.parameters() if p.grad is not None
        ]
        made.zero_grad()
    OUT[name + " state"] = {key: plain(value) for key, value in made.state_dict().items()}
    made.eval()
    case(name + " evaluation", made, *inputs)


def floats(*shape, low=-2.0, high=2.0, grad=True):
    count = 1
    for extent in shape:
        count *= extent
    values = [(k * 2654435761 + count * 97) % 4099 / 4099 for k in range(count)]
    numbers = torch.tensor([low + (high - low) * value for value in values], dtype=torch.float32)
    return numbers.reshape(shape).requires_grad_(grad)


# ---- normalizations
for size in [(4, 3), (4, 3, 5), (2, 3, 16)]:
    for arguments in [
        {},
        {"affine": False},
        {"momentum": None},
        {"track_running_stats": False},
        {"momentum": 0.3, "eps": 1e-2},
        {"bias": False},
    ]:
        layer(
            f"BatchNorm1d {size} {arguments}",
            lambda: nn.BatchNorm1d(3, **arguments),
            floats(*size),
            steps=3,
        )
layer("BatchNorm2d", lambda: nn.BatchNorm2d(3), floats(2, 3, 4, 5))
layer("BatchNorm2d one pixel", lambda: nn.BatchNorm2d(3), floats(4, 3, 1, 1))
layer("BatchNorm2d one example", lambda: nn.BatchNorm2d(3), floats(1, 3, 4, 4))
layer("BatchNorm2d large mean", lambda: nn.BatchNorm2d(3), floats(2, 3, 6, 6, low=9.0, high=11.0))
layer(
    "BatchNorm2d permuted",
    lambda: nn.BatchNorm2d(3),
    floats(2, 4, 5, 3).permute(0, 3, 1, 2).detach().requires_grad_(),
)
layer("BatchNorm3d", lambda: nn.BatchNorm3d(2), floats(2, 2, 2, 3, 4))
layer("SyncBatchNorm", lambda: nn.SyncBatchNorm(3), floats(4, 3, 2))
layer(
    "converted",
    lambda: nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.BatchNorm1d(3), nn.ReLU())),
    floats(4, 3),
)
layer(
    "BatchNorm1d double",
    lambda: nn.BatchNorm1d(3).double(),
    floats(4, 3).detach().double().requires_grad_(),
)
for number, size in (
    (1, (2, 3, 7)),
    (2, (2, 3, 4, 4)),
    (3, (2, 3, 2, 2, 3)),
    (1, (3, 7)),
    (2, (3, 4, 4)),
):
    cls = getattr(nn, f"InstanceNorm{number}d")
    for arguments in [
        {},
        {"affine": True},
        {"track_running_stats": True},
        {"affine": True, "track_running_stats": True, "momentum": 0.4},
    ]:
        layer(f"InstanceNorm {size} {arguments}", lambda: cls(3, **arguments), floats(*size))
for groups, size in ((1, (2, 4)), (2, (2, 4, 3)), (4, (2, 4, 3, 2)), (2, (1, 4, 2, 2, 2))):
    layer(f"GroupNorm {groups} {size}", lambda: nn.GroupNorm(groups, 4), floats(*size), steps=1)
    layer(
        f"GroupNorm plain {groups} {size}",
        lambda: nn.GroupNorm(groups, 4, affine=False),
        floats(*size),
        steps=1,
    )
layer("GroupNorm no bias", lambda: nn.GroupNorm(2, 4, bias=False), floats(2, 4, 3), steps=1)
for size in (1, 2, 3, 5):
    layer(
        f"LocalResponseNorm {size}",
        lambda: nn.LocalResponseNorm(size, 0.1, 0.6, 2.0),
        floats(2, 5, 3),
        steps=1,
    )
layer(
    "CrossMapLRN2d",
    lambda: nn.CrossMapLRN2d(3, 0.1, 0.6, 2.0),
    floats(2, 2, 3, 2, grad=False),
    steps=1,
)
layer("LayerNorm", lambda: nn.LayerNorm((3, 4)), floats(2, 3, 4), steps=1)
layer("RMSNorm", lambda: nn.RMSNorm(4), floats(2, 3, 4), steps=1)
case(
    "batch_norm fixed",
    lambda x, m, v, w, b: F.batch_norm(x, m, v, w, b),
    floats(2, 3, 4),
    floats(3, grad=False),
    floats(3, low=0.5, grad=False),
    floats(3),
    floats(3),
)
case(
    "batch_norm training without statistics",
    lambda x, w: F.batch_norm(x, None, None, w, training=True),
    floats(4, 3),
    floats(3),
)
case(
    "instance_norm fixed",
    lambda x, m, v: F.instance_norm(x, m, v, use_input_stats=False),
    floats(2, 3, 4),
    floats(3, grad=False),
    floats(3, low=0.5, grad=False),
)
for bad in [(1, 3), (2, 4), (3,), (2, 3, 4, 5)]:
    case(f"BatchNorm1d of {bad}", nn.BatchNorm1d(3), floats(*bad))
case("no statistics", lambda x: F.batch_norm(x, None, None), floats(2, 3))
case(
    "whole numbers",
    lambda x: F.batch_norm(x, None, None, training=True),
    torch.zeros(2, 3, dtype=torch.int32),
)
case("other dtype", nn.BatchNorm1d(3).double(), floats(2, 3))


def twice(x):
    """The gradient of a gradient."""
    y = F.batch_norm(x, None, None, training=True)
    (g,) = torch.autograd.grad((y * y * y).sum(), x, create_graph=True)
    return g


case("batch_norm twice", twice, floats(4, 3, 2))
case(
    "group_norm twice",
    lambda x: torch.autograd.grad((F.group_norm(x, 2) ** 3).sum(), x, create_graph=True)[0],
    floats(2, 4, 3),
)

# ---- lazy layers
layer("lazy", lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), floats(5, 3))
for name, cls, size in (
    ("LazyLinear", lambda: nn.LazyLinear(2), (3, 4)),
    ("LazyBatchNorm1d", nn.LazyBatchNorm1d, (3, 4)),
    ("LazyBatchNorm2d", nn.LazyBatchNorm2d, (2, 4, 2, 2)),
    ("LazyInstanceNorm1d", nn.LazyInstanceNorm1d, (2, 4, 3)),
):
    torch.manual_seed(0)
    made = cls()
    OUT[name] = [
        repr(made),
        list(made.state_dict()),
        [repr(p) for p in made.parameters()],
        made.has_uninitialized_params(),
    ]
    case(name + " call", made, floats(*size))
    OUT[name + " after"] = [
        repr(made),
        type(made).__name__,
        {k: plain(v) for k, v in made.state_dict().items()},
    ]
    fresh = cls()
    fresh.load_state_dict(made.state_dict())
    OUT[name + " loaded"] = {k: plain(v) for k, v in fresh.state_dict().items()}
case("shape of nothing", lambda: nn.LazyLinear(2).weight.shape)
case("use of nothing", lambda: nn.LazyLinear(2).weight + 1)

# ---- losses
logits, classes = floats(4, 5), torch.tensor([0, 4, 2, 1])
for reduction in ("mean", "sum", "none"):
    for smoothing in (0.0, 0.2):
        for ignored in (-100, 2):
            case(
                f"cross_entropy {reduction} {smoothing} {ignored}",
                lambda x: F.cross_entropy(
                    x, classes, reduction=reduction, label_smoothing=smoothing, ignore_index=ignored
                ),
                logits,
            )
            case(
                f"cross_entropy weighted {reduction} {smoothing} {ignored}",
                lambda x, w: F.cross_entropy(
                    x,
                    classes,
                    w,
                    reduction=reduction,
                    label_smoothing=smoothing,
                    ignore_index=ignored,
                ),
                logits,
                floats(5, low=0.1, grad=False),
            )
        case(
            f"cross_entropy of probabilities {reduction} {smoothing}",
            lambda x, t: F.cross_entropy(
                x, t.softmax(1), reduction=reduction, label_smoothing=smoothing
            ),
            logits,
            floats(4, 5),
        )
        case(
            f"linear_cross_entropy {reduction} {smoothing}",
            lambda x, w, b: F.linear_cross_entropy(
                x, w, classes, linear_bias=b, reduction=reduction, label_smoothing=smoothing
            ),
            floats(4, 3),
            floats(5, 3),
            floats(5),
        )
    case(
        f"cross_entropy images {reduction}",
        lambda x: F.cross_entropy(x, torch.tensor([[[0, 1]], [[2, 1]]]), reduction=reduction),
        floats(2, 3, 1, 2),
    )
    case(
        f"linear_cross_entropy K {reduction}",
        lambda x, w: F.linear_cross_entropy(
            x, w, torch.tensor([[0, 1], [3, 2]]), reduction=reduction
        ),
        floats(2, 3),
        floats(4, 2, 3),
    )
    pair = (floats(4, 5), floats(4, 5, low=-1.0, high=3.0))
    positive = floats(4, 5, low=0.05, high=0.95)
    signs = torch.tensor([1.0, -1.0, 1.0, -1.0])
    for name in ("l1_loss", "mse_loss", "smooth_l1_loss", "huber_loss", "poisson_nll_loss"):
        case(f"{name} {reduction}", lambda a, b: getattr(F, name)(a, b, reduction=reduction), *pair)
    case(
        f"huber delta {reduction}",
        lambda a, b: F.huber_loss(a, b, reduction=reduction, delta=0.3),
        *pair,
    )
    case(
        f"smooth_l1 beta {reduction}",
        lambda a, b: F.smooth_l1_loss(a, b, reduction=reduction, beta=0.0),
        *pair,
    )
    case(
        f"mse weighted {reduction}",
        lambda a, b, w: F.mse_loss(a, b, reduction=reduction, weight=w),
        *pair,
        positive,
    )
    case(
        f"poisson full {reduction}",
        lambda a, b: F.poisson_nll_loss(
            a.abs(), b.abs(), log_input=False, full=True, reduction=reduction
        ),
        *pair,
    )
    case(
        f"gaussian {reduction}",
        lambda a, b, v: F.gaussian_nll_loss(a, b, v, full=True, reduction=reduction),
        *pair,
        positive,
    )
    case(
        f"bce {reduction}",
        lambda a, b, w: F.binary_cross_entropy(a, b, w, reduction=reduction),
        positive,
        floats(4, 5, low=0.0, high=1.0, grad=False),
        floats(5, low=0.1, grad=False),
    )
    case(
        f"bce logits {reduction}",
        lambda a, b, w: F.binary_cross_entropy_with_logits(
            a, b, w, reduction=reduction, pos_weight=w
        ),
        floats(4, 5),
        floats(4, 5, low=0.0, high=1.0),
        floats(5, low=0.1, grad=False),
    )
    for log_target in (False, True):
        case(
            f"kl_div {reduction} {log_target}",
            lambda a, b: F.kl_div(
                a.log_softmax(1),
                b.log_softmax(1) if log_target else b.softmax(1),
                reduction=reduction,
                log_target=log_target,
            ),
            *pair,
        )
    case(
        f"hinge_embedding {reduction}",
        lambda a: F.hinge_embedding_loss(a, signs.unsqueeze(1), reduction=reduction),
        floats(4, 5),
    )
    case(
        f"cosine_embedding {reduction}",
        lambda a, b: F.cosine_embedding_loss(a, b, signs, margin=0.2, reduction=reduction),
        *pair,
    )
    case(
        f"margin_ranking {reduction}",
        lambda a, b: F.margin_ranking_loss(
            a[:, 0], b[:, 0], signs, margin=0.2, reduction=reduction
        ),
        *pair,
    )
    case(
        f"soft_margin {reduction}",
        lambda a: F.soft_margin_loss(a, signs.unsqueeze(1).expand(4, 5), reduction=reduction),
        floats(4, 5),
    )
    for p in (1, 2):
        case(
            f"multi_margin {reduction} {p}",
            lambda a, w: F.multi_margin_loss(
                a, classes, p=p, weight=w, margin=0.7, reduction=reduction
            ),
            logits,
            floats(5, low=0.1, grad=False),
        )
    case(
        f"multilabel_margin {reduction}",
        lambda a: F.multilabel_margin_loss(
            a,
            torch.tensor([[1, 3, -1, 0, 0], [0, -1, 2, 2, 2], [4, 3, 2, 1, 0], [-1, 0, 0, 0, 0]]),
            reduction=reduction,
        ),
        logits,
    )
    case(
        f"multilabel_soft_margin {reduction}",
        lambda a, w: F.multilabel_soft_margin_loss(
            a, (floats(4, 5) > 0).float(), w, reduction=reduction
        ),
        logits,
        floats(5, low=0.1, grad=False),
    )
    for swap in (False, True):
        case(
            f"triplet {reduction} {swap}",
            lambda a, b, c: F.triplet_margin_loss(a, b, c, swap=swap, p=2.0, reduction=reduction),
            *pair,
            positive,
        )
    case(
        f"triplet distance {reduction}",
        lambda a, b, c: F.triplet_margin_with_distance_loss(
            a, b, c, distance_function=lambda x, y: (x - y).abs().sum(1), reduction=reduction
        ),
        *pair,
        positive,
    )
    case(
        f"nll {reduction}",
        lambda a, w: F.nll_loss(a.log_softmax(1), classes, w, ignore_index=4, reduction=reduction),
        logits,
        floats(5, low=0.1, grad=False),
    )
    for infinite in (False, True):
        case(
            f"ctc {reduction} {infinite}",
            lambda x: F.ctc_loss(
                x.log_softmax(2),
                torch.tensor([[1, 2, 2], [3, 1, 1], [1, 1, 1]]),
                (7, 6, 7),
                (3, 2, 0),
                reduction=reduction,
                zero_infinity=infinite,
            ),
            floats(7, 3, 4),
        )
        case(
            f"ctc flat {reduction} {infinite}",
            lambda x: F.ctc_loss(
                x,
                torch.tensor([1, 2, 2, 3, 1]),
                torch.tensor([7, 6, 5]),
                torch.tensor([3, 2, 0]),
                reduction=reduction,
                zero_infinity=infinite,
            ),
            floats(7, 3, 4, low=-3.0, high=-0.1),
        )
case(
    "ctc impossible",
    lambda x: F.ctc_loss(
        x.log_softmax(2), torch.tensor([[1, 1], [2, 1]]), (2, 4), (2, 2), zero_infinity=True
    ),
    floats(4, 2, 4),
)
case(
    "ctc one",
    lambda x: F.ctc_loss(x.log_softmax(1), torch.tensor([1, 2]), (4,), (2,), blank=3),
    floats(4, 4),
)
layer(
    "CTCLoss",
    lambda: nn.CTCLoss(zero_infinity=True),
    floats(7, 2, 4),
    torch.tensor([[1, 2], [3, 1]]),
    (7, 6),
    (2, 2),
    steps=1,
)
layer(
    "LinearCrossEntropyLoss",
    lambda: nn.LinearCrossEntropyLoss(3, 5, bias=True),
    floats(4, 3),
    classes,
    steps=1,
)
layer(
    "LinearCrossEntropyLoss K",
    lambda: nn.LinearCrossEntropyLoss(3, 5, out_features=(2,), bias=True),
    floats(4, 3),
    torch.tensor([[0, 1], [4, 2], [3, 3], [1, 0]]),
    steps=1,
)
layer(
    "AdaptiveLogSoftmaxWithLoss",
    lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 7], div_value=2.0, head_bias=True),
    floats(5, 8),
    torch.tensor([0, 11, 4, 2, 8]),
    steps=1,
)
for name in (
    "L1Loss",
    "MSELoss",
    "SmoothL1Loss",
    "HuberLoss",
    "PoissonNLLLoss",
    "SoftMarginLoss",
    "KLDivLoss",
    "BCEWithLogitsLoss",
):
    layer(
        name,
        lambda: getattr(nn, name)(),
        floats(4, 5),
        floats(4, 5, low=0.0, high=1.0, grad=False),
        steps=1,
    )
torch.manual_seed(0)
adaptive = nn.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 7], div_value=2.0)
OUT["adaptive drawn"] = {k: plain(v) for k, v in adaptive.state_dict().items()}
case("adaptive log_prob", adaptive.log_prob, floats(3, 8))
case("adaptive predict", adaptive.predict, floats(3, 8, grad=False))

# ---- bags, distances
table = floats(6, 3)
for mode in ("sum", "mean", "max"):
    for padding in (None, 2):
        case(
            f"embedding_bag {mode} {padding}",
            lambda w: F.embedding_bag(
                torch.tensor([1, 2, 2, 5, 0, 4]),
                w,
                torch.tensor([0, 2, 2, 5]),
                mode=mode,
                padding_idx=padding,
            ),
            table,
        )
        case(
            f"embedding_bag rows {mode} {padding}",
            lambda w: F.embedding_bag(
                torch.tensor([[1, 2, 2], [5, 0, 4]]), w, mode=mode, padding_idx=padding
            ),
            table,
        )
    case(
        f"embedding_bag last {mode}",
        lambda w: F.embedding_bag(
            torch.tensor([1, 2, 2, 5]),
            w,
            torch.tensor([0, 3, 4]),
            mode=mode,
            include_last_offset=True,
        ),
        table,
    )
    layer(
        f"EmbeddingBag {mode}",
        lambda: nn.EmbeddingBag(6, 3, mode=mode, padding_idx=1, max_norm=2.0),
        torch.tensor([[1, 2, 2], [5, 0, 4]]),
        steps=1,
    )
case(
    "embedding_bag scaled",
    lambda w, s: F.embedding_bag(
        torch.tensor([1, 2, 2, 5]), w, torch.tensor([0, 3]), mode="sum", per_sample_weights=s
    ),
    table,
    floats(4),
)
case(
    "embedding_bag scaled rows",
    lambda w, s: F.embedding_bag(
        torch.tensor([[1, 2], [2, 5]]), w, mode="sum", per_sample_weights=s, padding_idx=5
    ),
    table,
    floats(2, 2),
)
case(
    "embedding_bag frequency",
    lambda w: F.embedding_bag(
        torch.tensor([[1, 2], [2, 2]]), w, mode="sum", scale_grad_by_freq=True
    ),
    table,
)
for p in (1.0, 2.0, float("inf")):
    case(f"pdist {p}", lambda x: F.pdist(x * x, p), floats(4, 3))
case(
    "Bilinear",
    lambda a, b, w, c: F.bilinear(a, b, w, c),
    floats(4, 3),
    floats(4, 2),
    floats(5, 3, 2),
    floats(5),
)
for p in (1.0, 2.0, 3.0):
    case(
        f"pairwise_distance {p}",
        lambda a, b: F.pairwise_distance(a, b, p),
        floats(4, 3),
        floats(4, 3, low=0.0),
    )
case(
    "cosine_similarity",
    lambda a, b: F.cosine_similarity(a, b, 1),
    floats(4, 3),
    floats(4, 3, low=0.0),
)

# ---- activations and dropout: the same random numbers
x = floats(4, 6)
for name in (
    "GELU",
    "SiLU",
    "Mish",
    "Hardswish",
    "Hardsigmoid",
    "Hardtanh",
    "Hardshrink",
    "Softshrink",
    "Tanhshrink",
    "Softsign",
    "Softplus",
    "ELU",
    "CELU",
    "SELU",
    "LeakyReLU",
    "LogSigmoid",
    "ReLU6",
    "GLU",
    "PReLU",
    "Softmin",
    "RReLU",
    "Dropout",
    "AlphaDropout",
    "FeatureAlphaDropout",
):
    layer(name, lambda: getattr(nn, name)(), x, steps=1)
layer("Threshold", lambda: nn.Threshold(0.1, 20.0), x, steps=1)
layer("Softmax2d", lambda: nn.Softmax2d(), floats(2, 3, 2, 2), steps=1)
layer("PReLU channels", lambda: nn.PReLU(6), x, steps=1)
for name, size in (
    ("Dropout1d", (3, 4, 5)),
    ("Dropout2d", (3, 4, 2, 2)),
    ("Dropout3d", (2, 3, 2, 2, 2)),
    ("FeatureAlphaDropout", (3, 4, 5)),
):
    layer(f"{name} {size}", lambda: getattr(nn, name)(0.3), floats(*size), steps=1)
for hard in (False, True):
    case(f"gumbel_softmax {hard}", lambda x: F.gumbel_softmax(x, tau=0.7, hard=hard), x)

with open(sys.argv[1], "w") as out:
    json.dump(OUT, out)
