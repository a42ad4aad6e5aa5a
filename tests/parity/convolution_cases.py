"""One program for both engines: convolutions, padding and their layers; writes JSON.

python convolution_cases.py OUT.json            (PyTorch)
diptych run convolution_cases.py OUT.json       (diptych)
"""

# ruff: noqa: B023, E501 (a table of calls, one a line)

from __future__ import annotations

import copy
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
        if value.is_complex():
            value = torch.view_as_real(value)
        return (value.float() if value.dtype == torch.bfloat16 else value).tolist()
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    return value


def case(name, function, *inputs, twice=False):
    """The outputs, the gradients of a weighted sum, and those of a sum over the gradients."""
    if twice:  # sums of sums: in float64, so that rounding does not matter
        inputs = [x.detach().double().requires_grad_() for x in inputs]
    try:
        out = function(*inputs)
        result = {"out": plain(out), "shape": list(out.shape)}
        wanted = [x for x in inputs if isinstance(x, torch.Tensor) and x.requires_grad]
        if wanted:
            weights = torch.linspace(0.5, 1.5, out.numel()).reshape(out.shape).to(out.dtype)
            loss = (out * weights * (out if twice else 1)).sum()
            loss = loss.abs() if loss.is_complex() else loss
            first = torch.autograd.grad(loss, wanted, create_graph=twice)
            result["grads"] = plain(list(first))
            if twice:
                total = sum((g * g).sum() for g in first)
                result["second"] = plain(list(torch.autograd.grad(total, wanted)))
    except Exception as error:
        classes = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"]
        result = {"error": classes[0], "text": str(error)[:60]}
    OUT[name] = result


def rand(*shape, dtype=torch.float32):
    return torch.rand(shape, dtype=torch.float64).sub(0.5).to(dtype).requires_grad_()


def functions():
    torch.manual_seed(1)
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.complex64):
        case(
            f"conv2d {dtype}",
            lambda x, w, b: F.conv2d(x, w, b, padding=1),
            rand(2, 3, 6, 7, dtype=dtype),
            rand(4, 3, 3, 3, dtype=dtype),
            rand(4, dtype=dtype),
        )
    windows = [
        {},
        {"stride": 2},
        {"padding": 1},
        {"stride": (2, 1), "padding": (0, 2)},
        {"dilation": 2},
        {"stride": 3, "dilation": (1, 2), "padding": 2},
        {"padding": "same"},
        {"padding": "same", "dilation": (2, 1)},
        {"padding": "valid"},
    ]
    for window in windows:
        for groups in (1, 2):
            case(
                f"conv2d {window} {groups}",
                lambda x, w, b: F.conv2d(x, w, b, groups=groups, **window),
                rand(2, 4, 9, 8),
                rand(6, 4 // groups, 3, 2),
                rand(6),
                twice=True,
            )
    case(
        "conv1d",
        lambda x, w, b: F.conv1d(x, w, b, 2, 1),
        rand(2, 3, 11),
        rand(4, 3, 3),
        rand(4),
        twice=True,
    )
    case("conv1d unbatched", lambda x, w, b: F.conv1d(x, w, b), rand(3, 11), rand(4, 3, 3), rand(4))
    case("conv2d unbatched", lambda x, w: F.conv2d(x, w), rand(3, 6, 5), rand(4, 3, 3, 3))
    case(
        "conv3d",
        lambda x, w, b: F.conv3d(x, w, b, (1, 2, 1), 1),
        rand(1, 2, 4, 5, 6),
        rand(3, 2, 3, 3, 3),
        rand(3),
        twice=True,
    )
    case(
        "depthwise",
        lambda x, w: F.conv2d(x, w, None, 2, 1, groups=6),
        rand(2, 6, 9, 9),
        rand(6, 1, 3, 3),
        twice=True,
    )
    case(
        "integers",
        lambda x, w: F.conv2d(x, w),
        torch.arange(32).reshape(1, 2, 4, 4),
        torch.arange(16).reshape(2, 2, 2, 2),
    )
    case("no images", lambda x, w: F.conv2d(x, w), rand(0, 3, 6, 5), rand(4, 3, 3, 3))
    case(
        "strided view",
        lambda x, w: F.conv2d(x[:, :, ::2, 1:], w.transpose(0, 1)),
        rand(2, 3, 9, 9),
        rand(3, 4, 3, 3),
    )
    transposed = [
        {},
        {"stride": 2},
        {"stride": 2, "padding": 1, "output_padding": 1},
        {"dilation": 2, "output_padding": 1},
        {"stride": (3, 1), "padding": (1, 0), "dilation": (1, 2)},
    ]
    for window in transposed:
        for groups in (1, 2):
            case(
                f"conv_transpose2d {window} {groups}",
                lambda x, w, b: F.conv_transpose2d(x, w, b, groups=groups, **window),
                rand(2, 4, 5, 4),
                rand(4, 6 // groups, 3, 2),
                rand(6),
                twice=True,
            )
    case(
        "conv_transpose1d",
        lambda x, w, b: F.conv_transpose1d(x, w, b, 2),
        rand(2, 3, 5),
        rand(3, 4, 3),
        rand(4),
    )
    case(
        "conv_transpose3d",
        lambda x, w: F.conv_transpose3d(x, w, None, 2, 1, 1),
        rand(1, 2, 3, 3, 3),
        rand(2, 3, 3, 3, 3),
    )
    case(
        "torch.convolution",
        lambda x, w: torch.convolution(x, w, None, [2, 2], [1, 1], [1, 1], True, [1, 1], 1),
        rand(1, 2, 4, 4),
        rand(2, 3, 3, 3),
    )
    case("conv_tbc", lambda x, w, b: F.conv_tbc(x, w, b, 1), rand(7, 2, 3), rand(3, 3, 4), rand(4))


def padding():
    torch.manual_seed(2)
    for mode in ("reflect", "replicate", "circular", "constant"):
        for shape, widths in [
            ((2, 3, 5), (2, 1)),
            ((2, 3, 4, 5), (1, 2, 3, 0)),
            ((1, 2, 4, 4, 4), (1, 1, 2, 1, 0, 3)),
            ((3, 5), (1, 2)),
            ((2, 3, 5), (-1, 2)),
            ((2, 3, 5), (2, -2)),
            ((2, 3, 5), (5, 0)),
            ((2, 3, 5), (6, 0)),
            ((0, 3, 5), (1, 1)),
            ((2, 3, 5), (-3, -3)),
            ((3,), (1, 1)),
        ]:
            if (mode, widths) == ("constant", (-3, -3)):
                continue  # both refuse it; our words are plainer
            case(
                f"pad {mode} {shape} {widths}",
                lambda x: F.pad(x, widths, mode),
                rand(*shape),
                twice=True,
            )
        case(
            f"pad {mode} of integers",
            lambda x: F.pad(x, (1, 1), mode),
            torch.arange(6).reshape(1, 2, 3),
        )


def layers():
    made = {}
    torch.manual_seed(3)
    for name, layer, shape in [
        ("Conv1d", lambda: nn.Conv1d(3, 4, 5, 2, 1, 2), (2, 3, 20)),
        ("Conv2d", lambda: nn.Conv2d(4, 6, 3, padding=1), (2, 4, 5, 5)),
        (
            "Conv2d groups",
            lambda: nn.Conv2d(4, 6, (3, 2), (1, 2), groups=2, bias=False),
            (2, 4, 7, 7),
        ),
        (
            "Conv2d same",
            lambda: nn.Conv2d(2, 3, (4, 3), padding="same", dilation=(1, 2)),
            (2, 2, 7, 7),
        ),
        ("Conv3d", lambda: nn.Conv3d(2, 3, 3), (1, 2, 4, 5, 4)),
        ("ConvTranspose1d", lambda: nn.ConvTranspose1d(3, 4, 3, 2, 1, 1), (2, 3, 5)),
        ("ConvTranspose2d", lambda: nn.ConvTranspose2d(4, 6, 3, 2, groups=2), (2, 4, 4, 4)),
        ("ConvTranspose3d", lambda: nn.ConvTranspose3d(2, 3, 2), (1, 2, 3, 3, 3)),
        ("Conv2d double", lambda: nn.Conv2d(2, 3, 3, dtype=torch.float64), (1, 2, 4, 4)),
        ("LazyConv2d", lambda: nn.LazyConv2d(4, 3, 2, groups=2), (1, 2, 6, 6)),
        ("LazyConvTranspose1d", lambda: nn.LazyConvTranspose1d(4, 3), (1, 2, 6)),
        ("ReflectionPad2d", lambda: nn.ReflectionPad2d((1, 2, 0, 1)), (1, 2, 3, 4)),
        ("ConstantPad1d", lambda: nn.ConstantPad1d(2, 3.5), (1, 2, 3)),
        ("ZeroPad3d", lambda: nn.ZeroPad3d(1), (1, 1, 2, 2, 2)),
        ("CircularPad2d", lambda: nn.CircularPad2d(1), (1, 1, 3, 3)),
        ("ReplicationPad1d", lambda: nn.ReplicationPad1d((2, 0)), (1, 1, 3)),
    ] + [
        (
            f"Conv2d {mode}",
            lambda mode=mode: nn.Conv2d(2, 3, 3, padding=(2, 1), padding_mode=mode),
            (1, 2, 5, 6),
        )
        for mode in ("reflect", "replicate", "circular")
    ]:
        module = layer()
        before = repr(module)
        x = (
            torch.rand(shape, dtype=torch.float64)
            .to(torch.float64 if "double" in name else torch.float32)
            .requires_grad_()
        )
        out = module(x)
        out.square().sum().backward()
        made[name] = {
            "repr": [before, repr(module), type(module).__name__], "keys": list(module.state_dict()),
            "init": [plain(p) for p in module.parameters()], "out": plain(out), "x": plain(x.grad),
            "grads": [plain(p.grad) for p in module.parameters()],
            "again": plain(copy.deepcopy(module)(x.detach())),
        }  # fmt: skip
    OUT["layers"] = made
    layer = nn.ConvTranspose2d(2, 3, 3, stride=2)
    case("output_size", lambda x: layer(x, output_size=(1, 3, 10, 9)), rand(1, 2, 4, 4))
    case("output_size wrong", lambda x: layer(x, output_size=(11, 9)), rand(1, 2, 4, 4))
    x = torch.rand(2, 3, 8, 8).to(memory_format=torch.channels_last)
    layer = nn.Conv2d(3, 4, 3, padding=1)
    case("channels last", layer, x.requires_grad_())
    case(
        "channels last weight", layer.to(memory_format=torch.channels_last), torch.rand(2, 3, 5, 5)
    )
    OUT["strides"] = [
        list(t.stride())
        for t in (x, layer(x), layer.weight, layer.bias, layer(x.detach().contiguous()))
    ]
    OUT["formats"] = [
        layer(x).is_contiguous(memory_format=torch.channels_last),
        x.is_contiguous(),
        x.contiguous(memory_format=torch.channels_last).stride(),
    ]


def training():
    """Twenty steps of a small network, plain and with a strided and a depthwise layer."""
    torch.manual_seed(4)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.Conv2d(16, 8, 1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 49, 10),
    )  # fmt: skip
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    x, y = torch.rand(16, 1, 14, 14), torch.randint(0, 10, (16,))
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    OUT["training"] = losses


functions()
padding()
layers()
training()
json.dump(OUT, open(sys.argv[1], "w"))  # noqa: SIM115
