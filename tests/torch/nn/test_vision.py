"""Resampling, sampling at points, pixels and channels, blocks as columns."""

from __future__ import annotations

import numpy as np
import pytest

import diptych.torch as torch

nn, F = torch.nn, torch.nn.functional


def image(*shape: int) -> torch.Tensor:
    values = np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)
    return torch.from_numpy(values)


def test_known_values_of_interpolation() -> None:
    line = torch.arange(4.0).reshape(1, 1, 4)
    by_size = F.interpolate(line, 7, mode="linear").flatten().tolist()
    assert by_size == pytest.approx([0, 0.3571429, 0.9285714, 1.5, 2.0714288, 2.6428573, 3])
    by_factor = F.interpolate(line, scale_factor=1.7, mode="linear").flatten().tolist()
    assert by_factor[:4] == pytest.approx([0, 0.382353, 0.9705883, 1.5588236])
    row = torch.arange(5.0).reshape(1, 1, 1, 5)
    smooth = F.interpolate(row, (1, 3), mode="bicubic", antialias=True)
    assert smooth.flatten().tolist() == pytest.approx([0.35384622, 2.0, 3.6461535])


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic", "area"])
def test_the_same_size_is_the_same_image(mode) -> None:
    x = image(2, 3, 5, 17)
    np.testing.assert_allclose(F.interpolate(x, (5, 17), mode=mode).numpy(), x.numpy(), 1e-6)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(3, 40), (11, 5)])
def test_the_gradient_is_the_adjoint(mode, size) -> None:
    x, y = image(1, 2, 7, 19).requires_grad_(), image(1, 2, *size)
    made = F.interpolate(x, size, mode=mode)
    (made * y).sum().backward()
    assert torch.allclose((x * x.grad).sum(), (made * y).sum(), 1e-4, 1e-4)


def test_wholes_of_eight_bits_are_rounded() -> None:
    x = torch.tensor([[[[0, 255], [255, 0]]]], dtype=torch.uint8)
    assert F.interpolate(x, 4).dtype is torch.uint8
    made = F.interpolate(x, 4, mode="bilinear")
    assert made.dtype is torch.uint8 and made.max() == 255 and made.min() == 0


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: F.interpolate(x), ValueError, "either size or scale_factor"),
        (lambda x: F.interpolate(x, 3, 2), ValueError, "only one of size or scale_factor"),
        (lambda x: F.interpolate(x, (1, 2, 3)), ValueError, "same number of spatial dimensions"),
        (lambda x: F.interpolate(x, 0), RuntimeError, "sizes should be greater than 0"),
        (lambda x: F.interpolate(x, 2, mode="linear"), NotImplementedError, "needs 3D input"),
        (lambda x: F.interpolate(x, 2, align_corners=True), ValueError, "align_corners option"),
        (lambda x: F.interpolate(x, 2, antialias=True), ValueError, "Anti-alias option"),
        (lambda x: F.pixel_shuffle(x, 2), RuntimeError, "not divisible by 4"),
        (lambda x: F.pixel_unshuffle(x, 3), RuntimeError, "not divisible by 3"),
        (lambda x: F.channel_shuffle(x, 2), RuntimeError, "must be divisible by groups"),
        (lambda x: F.unfold(x, 9), RuntimeError, "components must be at least one"),
        (lambda x: F.fold(x[0, :, :7], (4, 4), 2), RuntimeError, "to be divisible by the product"),
        (lambda x: F.grid_sample(x, x[:1], align_corners=True), RuntimeError, "same batch size"),
        (lambda x: F.grid_sample(x, x, "cubic"), ValueError, "mode to be"),
    ],
)
def test_bad_calls(call, error, text) -> None:
    with pytest.raises(error, match=text):
        call(image(2, 3, 8, 8))


def test_an_identity_grid_gives_the_image_back() -> None:
    x = image(2, 3, 5, 7)
    theta = torch.tensor([[1.0, 0, 0], [0, 1, 0]]).expand(2, 2, 3)
    for aligned, mode in ((False, "bilinear"), (True, "nearest"), (False, "bicubic")):
        grid = F.affine_grid(theta, (2, 3, 5, 7), aligned)
        made = F.grid_sample(x, grid, mode, align_corners=aligned)
        np.testing.assert_allclose(made.numpy(), x.numpy(), 1e-4, 1e-5)


def test_points_far_outside_and_nan_read_nothing_outside() -> None:
    x = image(1, 1, 4, 4)
    grid = torch.tensor([[[[1e30, 0.0], [float("-inf"), 0.0], [float("nan"), 0.0]]]])
    for mode in ("bilinear", "nearest"):
        assert F.grid_sample(x, grid, mode, align_corners=False)[0, 0, 0, :2].tolist()[0] in (
            0, pytest.approx(float("nan"), nan_ok=True),
        )  # fmt: skip
        border = F.grid_sample(x, grid[:, :, :1], mode, "border", align_corners=True)
        assert border.isfinite().all()


def test_pixels_and_channels_come_back() -> None:
    x = image(2, 8, 3, 5)
    assert torch.equal(F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2), x)
    assert torch.equal(F.channel_shuffle(F.channel_shuffle(x, 2), 4), x)
    assert F.pixel_shuffle(x, 2)[0, 0, :2, :2].flatten().tolist() == x[0, :4, 0, 0].tolist()


def test_folding_counts_how_often_each_pixel_is_read() -> None:
    x = image(1, 2, 5, 6).requires_grad_()
    columns = F.unfold(x, 3, padding=1)
    assert columns.shape == (1, 18, 30)
    counts = F.fold(F.unfold(torch.ones(1, 2, 5, 6), 3, padding=1), (5, 6), 3, padding=1)
    assert torch.allclose(F.fold(columns, (5, 6), 3, padding=1), x * counts)
    columns.sum().backward()
    assert torch.equal(x.grad, counts)
