"""Gradients of parts of one tensor add up in one place, and are those of the sum."""

from __future__ import annotations

import numpy as np

import diptych.torch as torch
from diptych.core import tape


def test_parts_of_a_permuted_tensor():
    torch.manual_seed(0)

    def function(x):
        q, k, v = x.reshape(2, 5, 3, 2, 4).permute(2, 0, 3, 1, 4)[0:3].unbind(0)
        y = x * 2
        return ((q * k).sum(-1, keepdim=True) * v).sum() + (y[0] * y[1]).sum() + y.sum()

    x = torch.randn(2, 5, 24, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(function, (x,))
    assert torch.autograd.gradgradcheck(function, (x,))


def test_a_whole_s_gradient_is_laid_out_as_the_whole_is():
    x = torch.randn(2, 5, 3, 4).requires_grad_()
    seen = []
    moved = x.permute(2, 0, 1, 3)
    moved.register_hook(lambda g: seen.append(g.stride()))
    (moved[0] * moved[1] + moved[2]).sum().backward()
    assert seen == [moved.stride()]
    want = np.ones((2, 5, 3, 4), np.float32)
    want[:, :, 0], want[:, :, 1] = x.detach().numpy()[:, :, 1], x.detach().numpy()[:, :, 0]
    assert np.array_equal(x.grad.numpy(), want)


def test_overlapping_and_reversed_parts():
    x = torch.arange(6.0).requires_grad_()
    y = x * 1
    (y[1:4] * 2 + y[::2] * 3 + y.flip(0)[:3] * 5).sum().backward()
    assert x.grad.tolist() == [3.0, 2.0, 5.0, 7.0, 8.0, 5.0]


def test_hooks_see_sums_and_repeated_passes_agree():
    x = torch.ones(4, 3).requires_grad_()
    y = x * 2
    seen = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    loss = y[0].sum() + y[2].sum() * 3 + y.sum()
    loss.backward(retain_graph=True)
    first = x.grad.clone()
    loss.backward()
    assert seen[0] == seen[1] == [[2.0] * 3, [1.0] * 3, [4.0] * 3, [1.0] * 3]
    assert torch.equal(x.grad, first * 2)


def test_nothing_that_others_hold_is_added_to():
    x = torch.ones(3).requires_grad_()
    y = x * 1
    given = torch.full((3,), 7.0)
    kept = []
    z = y * 1
    z.register_hook(lambda g: kept.append(g))
    torch.autograd.backward([z, y, y[0:2] * 1], [given, given, torch.ones(2)])
    assert given.tolist() == [7.0] * 3 and kept[0].tolist() == [7.0] * 3
    assert x.grad.tolist() == [15.0, 15.0, 14.0]
    assert tape.adders
