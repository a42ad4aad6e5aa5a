"""Convolutions, their layers and padding, as PyTorch's users meet them."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import diptych.torch as torch
import diptych.torch.nn as nn
import diptych.torch.nn.functional as F


def ones(*shape, **rest):
    return torch.ones(*shape, **rest)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: F.conv2d(ones(3, 4), ones(4, 3, 3, 3)), RuntimeError,
         r"Expected 3D \(unbatched\) or 4D \(batched\) input to conv2d, but got input of size: "),
        (lambda: F.conv2d(ones(1, 2, 8, 8), ones(4, 3, 3, 3)), RuntimeError,
         r"expected input\[1, 2, 8, 8\] to have 3 channels, but got 2 channels instead"),
        (lambda: F.conv2d(ones(1, 3, 8, 8), ones(4, 3, 3, 3), ones(5)), RuntimeError,
         "expected bias to be 1-dimensional with 4 elements"),
        (lambda: F.conv2d(ones(1, 3, 2, 2), ones(4, 3, 3, 3)), RuntimeError,
         r"padded input size per channel: \(2 x 2\). Kernel size: \(3 x 3\)"),
        (lambda: F.conv2d(ones(1, 3, 8, 8).double(), ones(4, 3, 3, 3)), RuntimeError,
         "expected scalar type Double but found Float"),
        (lambda: F.conv2d(ones(1, 3, 8, 8).bool(), ones(4, 3, 3, 3).bool()), NotImplementedError,
         "not implemented for 'Bool'"),
        (lambda: F.conv2d(ones(1, 4, 8, 8), ones(4, 4, 3, 3), stride=0), RuntimeError,
         "non-positive stride"),
        (lambda: F.conv2d(ones(1, 4, 8, 8), ones(4, 4, 3, 3), padding=-1), RuntimeError,
         "negative padding"),
        (lambda: F.conv2d(ones(1, 4, 8, 8), ones(4, 4, 3, 3), stride=(1, 2, 3)), RuntimeError,
         "single integer value or a list of 2 values"),
        (lambda: F.conv2d(ones(1, 4, 8, 8), ones(4, 4, 3, 3), padding="same", stride=2),
         RuntimeError, "not supported for strided"),
        (lambda: F.conv2d(ones(1, 4, 8, 8), 3), TypeError, "must be Tensor, not int"),
        (lambda: F.conv2d(ones(1, 4, 8, 8), ones(4, 4, 3, 3), None, 1.5), TypeError, "stride=1.5"),
        (lambda: F.conv_transpose2d(ones(1, 3, 8, 8), ones(4, 3, 3, 3)), RuntimeError,
         "Given transposed=1"),
        (lambda: F.conv_transpose2d(ones(1, 3, 8, 8), ones(3, 4, 3, 3), output_padding=1),
         RuntimeError, "output padding must be smaller than either stride or dilation"),
        (lambda: F.conv_transpose2d(ones(1, 4, 1, 1), ones(4, 2, 1, 1), padding=1), RuntimeError,
         "Output size is too small"),
        (lambda: nn.Conv2d(4, 5, 3, groups=3), ValueError, "in_channels must be divisible"),
        (lambda: nn.Conv2d(4, 5, 3, padding_mode="mirror"), ValueError, "padding_mode must be"),
        (lambda: nn.ConvTranspose2d(4, 6, 3, padding_mode="reflect"), ValueError, 'Only "zeros"'),
        (lambda: F.pad(ones(1, 2, 3), (3, 1), "reflect"), RuntimeError, "should be less than"),
        (lambda: F.pad(ones(1, 2, 3), (4, 1), "circular"), RuntimeError, "more than once"),
        (lambda: F.pad(ones(1, 2, 3), (1, 1), "mirror"), NotImplementedError, "Unrecognised"),
        (lambda: F.pad(ones(3), (1, 1), "reflect"), NotImplementedError, "is not supported for 1D"),
        (lambda: F.pad(ones(1, 2, 3), (1, 1), "reflect", 1.0), RuntimeError, "doesn't take in"),
        (lambda: ones(2, 3).to(memory_format=torch.channels_last), RuntimeError, "rank 4"),
    ],
)  # fmt: skip
def test_bad_calls_are_refused_in_pytorchs_words(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_a_kernel_of_one_tap_picks_and_mixes_channels():
    x = torch.arange(24.0).reshape(1, 2, 3, 4)
    weight = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]]).reshape(3, 2, 1, 1)
    y = F.conv2d(x, weight, torch.tensor([0.0, 10.0, 0.0]))
    assert torch.equal(y[0, 0], x[0, 0])
    assert torch.equal(y[0, 1], x[0, 1] + 10)
    assert torch.equal(y[0, 2], x[0, 0] - x[0, 1])


@pytest.mark.parametrize("window", [{}, {"stride": 2, "padding": 1}, {"dilation": 2, "groups": 2}])
def test_transposed_is_the_gradient_of_the_input(window):
    x = torch.randn(2, 4, 9, 9, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, 4 // window.get("groups", 1), 3, 3, dtype=torch.float64)
    y = F.conv2d(x, weight, **window)
    (slope,) = torch.autograd.grad(y, x, y.detach())
    back = F.conv_transpose2d(y.detach(), weight, **window)
    assert torch.allclose(slope, back)


@pytest.mark.parametrize("name", ["conv1d", "conv2d", "conv_transpose2d"])
def test_gradients_to_second_order(name):
    axes = 1 if name == "conv1d" else 2
    operands = [
        torch.randn(*shape, dtype=torch.float64, requires_grad=True)
        for shape in ((2, 2, *[4] * axes), (2, 2, *[3] * axes), (2,))
    ]
    function = getattr(F, name)
    assert torch.autograd.gradcheck(lambda *xs: function(*xs, 2, 1), operands)
    assert torch.autograd.gradgradcheck(lambda *xs: function(*xs, 2, 1), operands)


def test_padding_modes():
    x = torch.arange(1.0, 6.0).reshape(1, 1, 5)
    assert F.pad(x, (2, 1), "reflect").flatten().tolist() == [3, 2, 1, 2, 3, 4, 5, 4]
    assert F.pad(x, (2, 1), "replicate").flatten().tolist() == [1, 1, 1, 2, 3, 4, 5, 5]
    assert F.pad(x, (2, 1), "circular").flatten().tolist() == [4, 5, 1, 2, 3, 4, 5, 1]
    assert F.pad(x, (-1, 2), "reflect").flatten().tolist() == [2, 3, 4, 5, 4, 3]
    for mode in ("reflect", "replicate", "circular"):
        y = x.double().requires_grad_()
        assert torch.autograd.gradcheck(lambda y, mode=mode: F.pad(y, (2, 1), mode), [y])
        layer = nn.Conv1d(1, 1, 3, padding=1, padding_mode=mode)
        wanted = F.conv1d(F.pad(x, (1, 1), mode), layer.weight, layer.bias)
        assert torch.equal(layer(x), wanted)


def test_layers_print_copy_and_load():
    layer = nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2, bias=False, padding_mode="reflect")
    assert repr(layer) == (
        "Conv2d(4, 6, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), groups=2, bias=False, "
        "padding_mode=reflect)"
    )
    x = torch.randn(1, 4, 7, 7)
    assert torch.equal(copy.deepcopy(layer)(x), layer(x))
    other = nn.Conv2d(4, 6, 3, 2, 1, groups=2, bias=False, padding_mode="reflect")
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(x), layer(x))


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_lazy_layers_become_plain_ones():
    layer = nn.LazyConv2d(4, 3, padding=1, groups=2)
    assert layer(torch.randn(2, 6, 5, 5)).shape == (2, 4, 5, 5)
    assert type(layer) is nn.Conv2d
    assert layer.weight.shape == (4, 3, 3, 3)
    with pytest.raises(RuntimeError, match="to LazyConv1d, but got input of size"):
        nn.LazyConv1d(4, 3)(torch.randn(5))


def test_channels_last():
    x = torch.randn(2, 3, 6, 7).to(memory_format=torch.channels_last)
    assert x.stride() == (126, 1, 21, 3)
    assert x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    layer = nn.Conv2d(3, 5, 3, padding=1)
    y = layer(x)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(y, layer(x.contiguous()), atol=1e-6)
    layer.to(memory_format=torch.channels_last)
    assert layer.weight.stride() == (27, 1, 9, 3) and layer.bias.stride() == (1,)
    assert torch.allclose(layer(x.contiguous()), y, atol=1e-6)
    assert layer(x.contiguous()).is_contiguous(memory_format=torch.channels_last)


def test_inside_a_larger_graph():
    """A convolution between other operations, in one backward pass, against finite differences."""
    net = nn.Sequential(nn.Conv1d(2, 3, 3, padding=1), nn.Tanh(), nn.ConvTranspose1d(3, 1, 2, 2))
    net = net.double()
    x = torch.randn(2, 2, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(net, [x])
    assert net(x).shape == (2, 1, 10)
    assert np.isfinite(net(x).detach().numpy()).all()
