"""One program for both engines: layers, losses, init, autograd; writes what it computed as JSON.

python nn_cases.py OUT.json            (PyTorch)
diptych run nn_cases.py OUT.json       (diptych)
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


def case(name, function, *inputs):
    """The outputs of a call and, where an input wants one, the gradients of a weighted sum."""
    torch.manual_seed(11)
    given = [
        x.detach().clone().requires_grad_(x.requires_grad) if isinstance(x, torch.Tensor) else x
        for x in inputs
    ]
    try:
        out = function(*given)
        result = {"out": plain(out)}
        wanted = [x for x in given if isinstance(x, torch.Tensor) and x.requires_grad]
        if wanted and isinstance(out, torch.Tensor) and out.requires_grad:
            weights = torch.linspace(0.5, 1.5, out.numel()).reshape(out.shape).to(out.dtype)
            (out * weights).sum().backward()
            result["grads"] = [None if x.grad is None else plain(x.grad) for x in wanted]
    except Exception as error:
        classes = [kind.__name__ for kind in type(error).__mro__]
        result = {"error": classes, "text": str(error)[:60]}
    OUT[name] = result


def rand(*shape, grad=True, low=-3.0, high=3.0):
    return torch.rand(shape).mul(high - low).add(low).requires_grad_(grad)


def activations():
    x = rand(4, 6)
    for name in (
        "relu relu6 silu mish hardswish hardsigmoid selu elu celu leaky_relu hardtanh gelu softplus "
        "logsigmoid softsign tanhshrink softshrink hardshrink tanh sigmoid glu"
    ).split():
        case(name, getattr(F, name), x)
    case("gelu_tanh", lambda x: F.gelu(x, approximate="tanh"), x)
    case("elu_2", lambda x: F.elu(x, 2.0), x)
    case("celu_2", lambda x: F.celu(x, 2.0), x)
    case("leaky_3", lambda x: F.leaky_relu(x, 0.3), x)
    case("hardtanh_2", lambda x: F.hardtanh(x, -2.0, 0.5), x)
    case("threshold", lambda x: F.threshold(x, 0.1, 20.0), x)
    case("softplus_2", lambda x: F.softplus(x, 2.0, 1.0), x)
    case("prelu", lambda x, w: F.prelu(x, w), x, rand(6))
    case("prelu_1", lambda x, w: F.prelu(x, w), x, rand(1))
    case("rrelu", lambda x: F.rrelu(x, training=True), x)
    case("rrelu_eval", lambda x: F.rrelu(x), x)
    for name in ("relu", "elu", "silu", "hardtanh", "leaky_relu", "selu", "relu6", "mish"):
        case(name + "_in_place", lambda x, f=getattr(F, name): f(x * 1.0, inplace=True), x)
    for dim in (0, 1, -1, None):
        case(f"softmax_{dim}", lambda x, dim=dim: F.softmax(x, dim), x)
        case(f"log_softmax_{dim}", lambda x, dim=dim: F.log_softmax(x, dim), x)
        case(f"softmin_{dim}", lambda x, dim=dim: F.softmin(x, dim), x)
    case("softmax_dtype", lambda x: F.softmax(x, 1, dtype=torch.float64), x)
    case("softmax_scalar", lambda x: F.softmax(x, 0), rand())
    case("gumbel", lambda x: F.gumbel_softmax(x, 0.5), x)
    case("gumbel_hard", lambda x: F.gumbel_softmax(x, 0.5, hard=True), x)
    case("softmax_int", lambda: F.softmax(torch.arange(3), 0))
    case("softmax_bad_dim", lambda: F.softmax(torch.ones(3), 2))


def dropouts():
    x, y, z = rand(40, 7), rand(3, 5, 4), rand(2, 3, 2, 4)
    for p in (0.1, 0.5, 0.0, 1.0):
        case(f"dropout_{p}", lambda x, p=p: F.dropout(x, p), x)
        case(f"alpha_dropout_{p}", lambda x, p=p: F.alpha_dropout(x, p, True), x)
    case("dropout_off", lambda x: F.dropout(x, 0.5, False), x)
    case("dropout_in_place", lambda x: F.dropout(x * 1, 0.5, True, True), x)
    case("dropout_double", lambda x: F.dropout(x, 0.3), x.detach().double().requires_grad_())
    case("dropout1d", lambda x: F.dropout1d(x, 0.5), y)
    case("dropout1d_single", lambda x: F.dropout1d(x, 0.5), x)
    case("dropout2d", lambda x: F.dropout2d(x, 0.5), z)
    case("dropout3d", lambda x: F.dropout3d(x, 0.5), z)
    case("feature_alpha", lambda x: F.feature_alpha_dropout(x, 0.5, True), z)
    case("dropout_bad", lambda x: F.dropout(x, 1.5), x)


def layers():
    x = rand(5, 4)
    case("linear", F.linear, x, rand(3, 4), rand(3))
    case("linear_no_bias", F.linear, rand(2, 3, 4), rand(3, 4))
    case("linear_vector", F.linear, rand(4), rand(3, 4), rand(3))
    case("linear_bad", F.linear, rand(2, 5), rand(3, 4))
    case("bilinear", F.bilinear, x, rand(5, 2), rand(3, 4, 2), rand(3))
    case("bilinear_3d", F.bilinear, rand(2, 5, 4), rand(2, 5, 2), rand(3, 4, 2))
    case("layer_norm", lambda x, w, b: F.layer_norm(x, (4,), w, b), x, rand(4), rand(4))
    case("layer_norm_2", lambda x: F.layer_norm(x, (3, 4)), rand(2, 3, 4))
    case("layer_norm_bias", lambda x, b: F.layer_norm(x, (4,), None, b), x, rand(4))
    case("layer_norm_bad", lambda x: F.layer_norm(x, (5,)), x)
    case("rms_norm", lambda x, w: F.rms_norm(x, (4,), w), x, rand(4))
    case("rms_norm_eps", lambda x: F.rms_norm(x, (3, 4), eps=0.1), rand(2, 3, 4))
    case("normalize", F.normalize, x)
    case("normalize_1", lambda x: F.normalize(x, p=1, dim=0), x)
    index = torch.tensor([[1, 2, 2], [0, 4, 2]])
    weight = rand(5, 3)
    case("embedding", F.embedding, index, weight)
    case("embedding_padding", lambda i, w: F.embedding(i, w, padding_idx=2), index, weight)
    case("embedding_freq", lambda i, w: F.embedding(i, w, scale_grad_by_freq=True), index, weight)
    case("embedding_norm", lambda i, w: F.embedding(i, w, max_norm=1.0), index, weight)
    case("embedding_bad", F.embedding, torch.tensor([7]), weight)
    case("embedding_float", F.embedding, torch.tensor([1.0]), weight)
    case("cosine", F.cosine_similarity, rand(5, 4), rand(5, 4))
    case("cosine_0", lambda a, b: F.cosine_similarity(a, b, dim=0), rand(5, 4), rand(5, 4))
    case("pairwise", F.pairwise_distance, rand(5, 4), rand(5, 4))
    case("pairwise_1", lambda a, b: F.pairwise_distance(a, b, p=1, keepdim=True), x, rand(5, 4))
    case("one_hot", F.one_hot, torch.tensor([[0, 2], [1, 1]]))
    case("one_hot_5", lambda x: F.one_hot(x, 5), torch.tensor([0, 2]))
    case("one_hot_bad", lambda x: F.one_hot(x, 2), torch.tensor([0, 2]))
    case("pad", lambda x: F.pad(x, (1, 2)), x)
    case("pad_2", lambda x: F.pad(x, (1, -1, -2, 3), value=2.0), x)
    case("flatten", nn.Flatten(), rand(2, 3, 4))
    case("unflatten", nn.Unflatten(1, (2, 2)), x)


def losses():
    x, target = rand(6, 5), torch.tensor([0, 4, 2, 2, 1, 3])
    ignored = torch.tensor([0, -100, 2, 2, -100, 3])
    weight = torch.tensor([0.5, 2.0, 1.0, 0.1, 1.5])
    share = torch.softmax(rand(6, 5, grad=False), 1)
    image, pixels = rand(2, 5, 3, 2), torch.randint(0, 5, (2, 3, 2))
    for how in ("mean", "sum", "none"):
        for name, kw in {
            "": {}, "_w": {"weight": weight}, "_s": {"label_smoothing": 0.2},
            "_ws": {"weight": weight, "label_smoothing": 0.2}, "_i": {"ignore_index": 2},
            "_wi": {"weight": weight, "ignore_index": 2, "label_smoothing": 0.1},
        }.items():  # fmt: skip

            def ce(x, t, kw=kw, how=how):
                return F.cross_entropy(x, t, reduction=how, **kw)

            case(f"ce{name}_{how}", ce, x, target)
            case(f"ce_image{name}_{how}", ce, image, pixels)
            case(f"ce_ignored{name}_{how}", ce, x, ignored if "_i" not in name else target)
            case(f"ce_single{name}_{how}", ce, rand(5), torch.tensor(3))
            if "ignore_index" not in kw:
                case(f"ce_share{name}_{how}", ce, x, share)
        case(f"nll_{how}", lambda x, t, how=how: F.nll_loss(x, t, weight, reduction=how), x, target)
        case(
            f"nll_image_{how}", lambda x, t, how=how: F.nll_loss(x, t, reduction=how), image, pixels
        )
        y, z = rand(4, 3), rand(4, 3)
        sign = torch.tensor([1.0, -1.0, 1.0, -1.0])
        for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"):
            case(
                f"{name}_{how}",
                lambda a, b, f=getattr(F, name), how=how: f(a, b, reduction=how),
                y,
                z,
            )
        case(
            f"mse_w_{how}",
            lambda a, b, how=how: F.mse_loss(a, b, reduction=how, weight=b.detach().abs()),
            y,
            z,
        )
        case(
            f"smooth_beta_{how}",
            lambda a, b, how=how: F.smooth_l1_loss(a, b, reduction=how, beta=2.0),
            y,
            z,
        )
        case(
            f"huber_{how}", lambda a, b, how=how: F.huber_loss(a, b, reduction=how, delta=0.5), y, z
        )
        p, q = rand(4, 3, low=0.0, high=1.0), rand(4, 3, low=0.0, high=1.0)
        edges = torch.tensor([0.0, 1.0, 0.5, 1.0], requires_grad=True)
        case(f"bce_{how}", lambda a, b, how=how: F.binary_cross_entropy(a, b, reduction=how), p, q)
        case(
            f"bce_edges_{how}",
            lambda a, how=how: F.binary_cross_entropy(
                a, torch.tensor([0.0, 0.0, 1.0, 1.0]), reduction=how
            ),
            edges,
        )
        case(
            f"bcel_{how}",
            lambda a, b, how=how: F.binary_cross_entropy_with_logits(a, b, reduction=how),
            y,
            q,
        )
        case(
            f"bcel_pw_{how}",
            lambda a, b, how=how: F.binary_cross_entropy_with_logits(
                a,
                b,
                reduction=how,
                weight=torch.tensor([1.0, 2.0, 3.0]),
                pos_weight=torch.tensor([2.0, 0.5, 1.0]),
            ),
            y,
            q,
        )
        case(f"kl_{how}", lambda a, b, how=how: F.kl_div(a, b, reduction=how), y, q)
        case(
            f"kl_log_{how}",
            lambda a, b, how=how: F.kl_div(a, b, reduction=how, log_target=True),
            y,
            z,
        )
        case(
            f"poisson_{how}",
            lambda a, b, how=how: F.poisson_nll_loss(a, b, full=True, reduction=how),
            y,
            rand(4, 3, low=0.0, high=5.0, grad=False),
        )
        case(
            f"poisson_raw_{how}",
            lambda a, b, how=how: F.poisson_nll_loss(a, b, log_input=False, reduction=how),
            p,
            q,
        )
        case(
            f"gaussian_{how}",
            lambda a, b, v, how=how: F.gaussian_nll_loss(a, b, v, full=True, reduction=how),
            y,
            z,
            q,
        )
        case(
            f"hinge_{how}",
            lambda a, how=how: F.hinge_embedding_loss(a, sign, reduction=how),
            rand(4),
        )
        case(
            f"ranking_{how}",
            lambda a, b, how=how: F.margin_ranking_loss(a, b, sign, 0.2, reduction=how),
            rand(4),
            rand(4),
        )
        case(
            f"cosemb_{how}",
            lambda a, b, how=how: F.cosine_embedding_loss(a, b, sign, 0.1, reduction=how),
            y,
            z,
        )
        case(
            f"triplet_{how}",
            lambda a, b, c, how=how: F.triplet_margin_loss(a, b, c, reduction=how),
            y,
            z,
            rand(4, 3),
        )
        case(
            f"triplet_swap_{how}",
            lambda a, b, c, how=how: F.triplet_margin_loss(a, b, c, swap=True, p=1, reduction=how),
            y,
            z,
            rand(4, 3),
        )
        case(
            f"softmargin_{how}",
            lambda a, how=how: F.soft_margin_loss(a, sign, reduction=how),
            rand(4),
        )
        case(
            f"multimargin_{how}",
            lambda a, t, how=how: F.multi_margin_loss(a, t, reduction=how),
            x,
            target,
        )
        case(
            f"multimargin_w_{how}",
            lambda a, t, how=how: F.multi_margin_loss(a, t, 2, 0.7, weight, reduction=how),
            x,
            target,
        )
        case(
            f"multilabel_{how}",
            lambda a, how=how: F.multilabel_margin_loss(
                a, torch.tensor([[3, 0, -1, 1], [1, -1, 2, 0]]), reduction=how
            ),
            rand(2, 4),
        )
        case(
            f"multilabelsoft_{how}",
            lambda a, how=how: F.multilabel_soft_margin_loss(
                a, (a.detach() > 0.3).float(), torch.tensor([0.5, 1.0, 2.0]), reduction=how
            ),
            y,
        )
    case(
        "kl_batchmean",
        lambda a, b: F.kl_div(a, b, reduction="batchmean"),
        rand(4, 3),
        rand(4, 3, low=0.0, high=1.0),
    )
    case("ce_bad_class", F.cross_entropy, x, torch.tensor([0, 9, 0, 0, 0, 0]))
    case("ce_bad_batch", F.cross_entropy, x, torch.tensor([0, 1]))
    case("ce_bad_how", lambda: F.cross_entropy(x, target, reduction="x"))
    case("mse_broadcast", F.mse_loss, rand(4, 1), rand(4))
    case("bce_bad", F.binary_cross_entropy, rand(3), rand(3))
    case("ce_all_ignored", F.cross_entropy, x, torch.full((6,), -100))


def initial_values():
    for name in (
        "uniform_ normal_ trunc_normal_ ones_ zeros_ eye_ xavier_uniform_ xavier_normal_ "
        "kaiming_uniform_ kaiming_normal_ orthogonal_"
    ).split():
        case("init_" + name, lambda f=getattr(nn.init, name): f(torch.empty(7, 5)))
    case("init_trunc_tail", lambda: nn.init.trunc_normal_(torch.empty(9, 5), 0.0, 1.0, 2.0, 3.0))
    case("init_sparse", lambda: nn.init.sparse_(torch.empty(7, 5), 0.3))
    case("init_dirac", lambda: nn.init.dirac_(torch.empty(4, 3, 3), 2))
    case("init_orthogonal_wide", lambda: nn.init.orthogonal_(torch.empty(3, 8), 2.0))
    case(
        "init_gain",
        lambda: [nn.init.calculate_gain(n) for n in ("tanh", "relu", "selu", "leaky_relu")],
    )
    for name, make in {
        "linear": lambda: nn.Linear(5, 3), "bilinear": lambda: nn.Bilinear(2, 3, 4),
        "embedding": lambda: nn.Embedding(6, 3, padding_idx=2), "prelu": lambda: nn.PReLU(3),
        "layer_norm": lambda: nn.LayerNorm((2, 3)), "rms": lambda: nn.RMSNorm(4),
    }.items():  # fmt: skip
        case("init_" + name, lambda make=make: list(make().state_dict().values()))


REPRS = """nn.Linear(2, 3)|nn.Bilinear(1, 2, 3)|nn.Dropout(0.2, True)|nn.AlphaDropout()|nn.LayerNorm((2, 3))
nn.Embedding(5, 2, padding_idx=1, max_norm=1.0, norm_type=3.0, scale_grad_by_freq=True)|nn.Embedding(3, 2)
nn.LayerNorm(2, bias=False)|nn.RMSNorm(2)|nn.Flatten()|nn.Unflatten(1, (2, 3))|nn.CELU()|nn.ELU(1.0, True)
nn.GELU()|nn.GELU("tanh")|nn.GLU()|nn.Hardshrink()|nn.Hardsigmoid(True)|nn.Hardswish()|nn.Hardtanh()
nn.Hardtanh(-2.0, 2.0, True)|nn.LeakyReLU()|nn.LeakyReLU(0.1, True)|nn.LogSigmoid()|nn.LogSoftmax(1)
nn.Mish()|nn.Mish(True)|nn.PReLU(3)|nn.RReLU()|nn.ReLU(True)|nn.ReLU()|nn.ReLU6()|nn.ReLU6(True)|nn.SELU(True)
nn.SiLU(True)|nn.Sigmoid()|nn.Softmax(1)|nn.Softmax2d()|nn.Softmin()|nn.Softplus()|nn.Softshrink()
nn.Softsign()|nn.Tanh()|nn.Tanhshrink()|nn.Threshold(1, 2)|nn.Threshold(1, 2, True)|nn.MSELoss()
nn.CrossEntropyLoss()|nn.CosineSimilarity()|nn.TripletMarginWithDistanceLoss()|nn.Identity(3)|nn.Module()
nn.ParameterList([nn.Parameter(torch.ones(2)), torch.ones(3), 1])|nn.ModuleDict({"a": nn.ReLU()})
nn.ParameterDict({"a": nn.Parameter(torch.ones(2)), "b": torch.ones(3)})|nn.ModuleList()|nn.Sequential()
nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1), nn.ReLU()])|nn.Sequential(nn.Sequential(nn.ReLU()))
nn.Parameter(torch.ones(2))|torch.optim.Adam([torch.ones(2)], lr=0.1)|torch.optim.SGD([torch.ones(2)], lr=1)"""


def derivatives():
    x = rand(3)
    functional = torch.autograd.functional
    case("jacobian", lambda x: functional.jacobian(lambda y: y.exp() * y.sum(), x), x)
    case("hessian", lambda x: functional.hessian(lambda y: (y**3).sum() * y[0], x), x)
    case("vjp", lambda x: functional.vjp(lambda y: y * y[0], x, torch.ones(3)), x)
    case("jvp", lambda x: functional.jvp(lambda y: y * y[0], x, torch.ones(3)), x)
    case("hvp", lambda x: functional.hvp(lambda y: (y**3).sum(), x, torch.ones(3)), x)
    pair = (rand(2), rand(3))
    case("jacobian_2", lambda a, b: functional.jacobian(lambda a, b: a.sum() * b, (a, b)), *pair)
    case(
        "hessian_2",
        lambda a, b: functional.hessian(lambda a, b: (a.sum() * b).prod(), (a, b)),
        *pair,
    )

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 3 * x * x * g

    case("cube", Cube.apply, x)

    def second(x):
        (g,) = torch.autograd.grad(Cube.apply(x).sum(), x, create_graph=True)
        return torch.autograd.grad(g.sum(), x)[0]

    case("cube_second", second, x)
    case(
        "grad_fn", lambda x: [Cube.apply(x).grad_fn.name(), type(Cube.apply(x).grad_fn).__name__], x
    )
    case("unused", lambda x: torch.autograd.grad(x.sum(), [x, rand(2)]), x)
    case("unused_ok", lambda x: torch.autograd.grad(x.sum(), [x, rand(2)], allow_unused=True), x)
    case(
        "materialize",
        lambda x: torch.autograd.grad(x.sum(), [x, rand(2)], materialize_grads=True),
        x,
    )
    case(
        "gradcheck",
        lambda: torch.autograd.gradcheck(Cube.apply, (rand(3).detach().double().requires_grad_(),)),
    )
    case(
        "gradgradcheck",
        lambda: torch.autograd.gradgradcheck(
            Cube.apply, (rand(3).detach().double().requires_grad_(),)
        ),
    )
    case("clip", clipped, 1.0, 2.0)
    case("clip_inf", clipped, 0.5, float("inf"))
    case("clip_1", clipped, 0.5, 1.0)


def clipped(limit, kind):
    m = nn.Linear(3, 2)
    m(torch.ones(4, 3)).pow(2).sum().backward()
    total = nn.utils.clip_grad_norm_(m.parameters(), limit, kind)
    return [total, m.weight.grad, m.bias.grad, nn.utils.parameters_to_vector(m.parameters())]


if __name__ == "__main__":
    torch.manual_seed(5)
    for part in (activations, dropouts, layers, losses, initial_values, derivatives):
        part()
    for text in REPRS.replace("\n", "|").split("|"):
        case("repr " + text, lambda text=text: repr(eval(text)))
    with open(sys.argv[1], "w") as file:
        json.dump(OUT, file)
