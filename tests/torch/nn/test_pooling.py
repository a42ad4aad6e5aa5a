"""Pooling: what users see of it without an oracle at hand."""

from __future__ import annotations

import numpy as np
import pytest

import diptych.torch as torch

nn, F = torch.nn, torch.nn.functional


def image(*shape: int) -> torch.Tensor:
    values = np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)
    return torch.from_numpy(values)


def windows(x: np.ndarray, kernel: int, stride: int) -> np.ndarray:
    seen = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), (2, 3))
    return seen[:, :, ::stride, ::stride].reshape(*seen[:, :, ::stride, ::stride].shape[:4], -1)


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 1), (3, 2), (2, 3)])
def test_maxima_and_means_are_those_of_the_windows(kernel, stride) -> None:
    x = image(2, 3, 9, 20)
    seen = windows(x.numpy(), kernel, stride)
    np.testing.assert_array_equal(F.max_pool2d(x, kernel, stride).numpy(), seen.max(-1))
    np.testing.assert_allclose(F.avg_pool2d(x, kernel, stride).numpy(), seen.mean(-1), 1e-5, 1e-6)


def test_ceil_mode_takes_a_last_window_that_starts_inside() -> None:
    x = torch.arange(5.0).reshape(1, 1, 5)
    assert F.max_pool1d(x, 2, ceil_mode=True).tolist() == [[[1, 3, 4]]]
    assert F.avg_pool1d(x, 2, ceil_mode=True).tolist() == [[[0.5, 2.5, 4]]]
    padded = F.avg_pool1d(x, 3, 3, 1, ceil_mode=True)
    assert padded.tolist() == [[[pytest.approx(1 / 3), 3.0]]]
    bare = F.avg_pool1d(x, 3, 3, 1, ceil_mode=True, count_include_pad=False)
    assert bare.tolist() == [[[0.5, 3.0]]]


def test_a_tie_sends_its_gradient_to_the_first() -> None:
    x = torch.ones(1, 1, 4, 4).requires_grad_()
    F.max_pool2d(x, 2).sum().backward()
    assert x.grad[0, 0].tolist() == [[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]


def test_nan_propagates_and_minus_infinity_keeps_the_first_place() -> None:
    x = torch.tensor([[[1.0, float("nan"), -float("inf"), -float("inf")]]])
    values, index = F.max_pool1d(x, 2, return_indices=True)
    assert values[0, 0, 0].isnan() and values[0, 0, 1] == -float("inf")
    assert index.tolist() == [[[1, 2]]] and index.dtype is torch.int64


def test_channels_last_memory_gives_the_same_and_keeps_its_order() -> None:
    x = image(2, 8, 6, 5).permute(0, 3, 1, 2)  # channels lie together
    plain = x.contiguous()
    for pool in (lambda x: F.max_pool2d(x, 3, 2, 1), lambda x: F.avg_pool2d(x, 2),
                 lambda x: F.adaptive_avg_pool2d(x, (3, 2)),
                 lambda x: F.interpolate(x, scale_factor=2, mode="bilinear")):  # fmt: skip
        last, first = pool(x), pool(plain)
        np.testing.assert_allclose(last.numpy(), first.numpy(), 1e-6, 1e-6)
        assert last.stride(1) == 1 and first.is_contiguous()


def test_adaptive_parts_cover_the_axis_and_overlap() -> None:
    x = torch.arange(10.0).reshape(1, 1, 10)
    assert F.adaptive_avg_pool1d(x, 4).tolist() == [[[1.0, 3.0, 6.0, 8.0]]]
    assert F.adaptive_max_pool1d(x, 4).tolist() == [[[2.0, 4.0, 7.0, 9.0]]]
    values, index = torch.adaptive_max_pool1d(x, 2)
    assert values.tolist() == [[[4, 9]]] and index.tolist() == [[[4, 9]]]


def test_random_windows_are_those_of_the_seed() -> None:
    x = torch.arange(64.0).reshape(1, 1, 8, 8)
    torch.manual_seed(5)
    _, index = F.fractional_max_pool2d(x, 2, 3, return_indices=True)
    assert index.tolist() == [[[[9, 12, 15], [33, 36, 39], [57, 60, 63]]]]
    F.fractional_max_pool2d(x, 2, output_ratio=(0.5, 0.5))
    volume = torch.arange(216.0).reshape(1, 1, 6, 6, 6)
    _, index = F.fractional_max_pool3d(volume, 2, (2, 3, 2), return_indices=True)
    assert index.flatten().tolist()[:4] == [43, 47, 55, 59]
    assert torch.rand(2).tolist() == pytest.approx([0.7379193902015686, 0.0332646369934082])


def test_unpooling_undoes_pooling() -> None:
    x = image(2, 3, 6, 8).abs().requires_grad_()
    values, index = F.max_pool2d(x, 2, return_indices=True)
    back = F.max_unpool2d(values, index, 2)
    assert (back == x).sum() == values.numel() and back.sum() == values.sum()
    back.sum().backward()
    assert torch.equal(x.grad, (back != 0).float())
    with pytest.raises(RuntimeError, match="invalid max index: 99 .output volumes are of size 6x8"):
        F.max_unpool2d(values, index * 0 + 99, 2)


def test_gradients_of_gradients() -> None:
    x = image(1, 2, 4, 4).double().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: F.avg_pool2d(x * x, 3, 1, 1), x)
    assert torch.autograd.gradgradcheck(lambda x: F.max_pool2d(x * x, 2), x)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: F.max_pool2d(x, 2, padding=2), RuntimeError, "at most half of effective kernel"),
        (
            lambda x: F.max_pool2d(x, 9),
            RuntimeError,
            "Calculated output size: .3x0x0.. Output size",
        ),
        (lambda x: F.max_pool2d(x, 0), RuntimeError, "stride should not be zero"),
        (lambda x: F.max_pool2d(x, -1, 1), RuntimeError, "kernel size should be greater than zero"),
        (lambda x: F.max_pool2d(x, 2, dilation=0), RuntimeError, "dilation should be greater"),
        (lambda x: F.max_pool2d(x, 2.5), TypeError, "must be tuple of ints, not float"),
        (lambda x: F.max_pool2d(x > 0, 2), NotImplementedError, "not implemented for 'Bool'"),
        (lambda x: F.avg_pool2d(x, 2, divisor_override=0), RuntimeError, "must be not zero"),
        (lambda x: F.adaptive_avg_pool2d(x, -1), RuntimeError, "greater than or equal to 0"),
        (lambda x: nn.FractionalMaxPool2d(2), ValueError, "output size, or a pooling ratio"),
    ],
)
def test_bad_calls(call, error, text) -> None:
    with pytest.raises(error, match=text):
        call(image(2, 3, 8, 8))


def test_an_empty_batch_is_pooled_to_an_empty_batch() -> None:
    x = image(0, 3, 8, 8).requires_grad_()
    for pool in (nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(4), nn.Upsample(4)):
        assert pool(x).shape == (0, 3, 4, 4)
    F.max_pool2d(x, 2).sum().backward()
    assert x.grad.shape == x.shape


def test_layers_print_as_pytorch_does() -> None:
    assert repr(nn.MaxPool2d(2)) == (
        "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)"
    )
    assert repr(nn.AvgPool1d(2)) == "AvgPool1d(kernel_size=(2,), stride=(2,), padding=(0,))"
    assert repr(nn.Upsample(scale_factor=2)) == "Upsample(scale_factor=2.0, mode='nearest')"
    assert repr(nn.Fold(4, 2)) == (
        "Fold(output_size=4, kernel_size=2, dilation=1, padding=0, stride=1)"
    )
