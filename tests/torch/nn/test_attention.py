"""Attention and transformers through the face."""

from __future__ import annotations

import numpy as np
import pytest

import diptych.torch as torch
import diptych.torch.nn.functional as F
from diptych.torch import nn
from diptych.torch.nn.attention import SDPBackend, sdpa_kernel
from diptych.torch.nn.attention.bias import causal_lower_right


def by_hand(q, k, v, mask=None, causal=False):
    q, k, v = (x.detach().numpy().astype(np.float64) for x in (q, k, v))
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores + mask.numpy()
    if causal:
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ v


@pytest.mark.parametrize("causal", [False, True])
def test_the_function_is_its_formula(causal):
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 3, 9, 8), torch.randn(2, 3, 7, 8), torch.randn(2, 3, 7, 5)
    got = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    np.testing.assert_allclose(got.numpy(), by_hand(q, k, v, causal=causal), atol=1e-6)
    mask = torch.randn(9, 7)
    got = F.scaled_dot_product_attention(q, k, v, mask)
    np.testing.assert_allclose(got.numpy(), by_hand(q, k, v, mask), atol=1e-6)


def test_a_query_that_sees_nothing_gives_zeros():
    x = torch.randn(1, 1, 3, 4)
    seen = torch.tensor([[True, False, True], [False] * 3, [True] * 3])
    out = F.scaled_dot_product_attention(x, x, x, seen)
    assert (out[0, 0, 1] == 0).all() and torch.isfinite(out).all()


def test_joining_the_heads_costs_no_copy():
    x = torch.randn(2, 6, 3 * 8)
    q, k, v = (y.view(2, 6, 2, 4).transpose(1, 2) for y in x.split(8, dim=2))
    out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    joined = out.transpose(1, 2)
    assert joined.is_contiguous()
    assert joined.reshape(2, 6, 8).data_ptr() == out.data_ptr()


def test_gradients_of_gradients():
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, 2, 4, 3, dtype=torch.float64).requires_grad_() for _ in range(3))
    mask = torch.randn(4, 4, dtype=torch.float64).requires_grad_()

    def function(*operands):
        return F.scaled_dot_product_attention(*operands)

    assert torch.autograd.gradcheck(function, (q, k, v, mask))
    assert torch.autograd.gradgradcheck(function, (q, k, v, mask))


def test_choosing_how_it_is_computed():
    torch.manual_seed(0)
    x = torch.randn(1, 2, 5, 4)
    flash = F.scaled_dot_product_attention(x, x, x, is_causal=True)
    with sdpa_kernel(SDPBackend.MATH):
        assert torch.allclose(F.scaled_dot_product_attention(x, x, x, is_causal=True), flash)
    with sdpa_kernel([SDPBackend.EFFICIENT_ATTENTION]), pytest.raises(RuntimeError, match="viable"):
        F.scaled_dot_product_attention(x, x, x)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION), pytest.raises(RuntimeError, match="Aborting"):
        F.scaled_dot_product_attention(x, x, x, dropout_p=0.5)


def test_a_bias_at_the_lower_right_corner():
    torch.manual_seed(0)
    q, k = torch.randn(1, 1, 2, 4), torch.randn(1, 1, 5, 4)
    bias = causal_lower_right(2, 5)
    assert bias.tolist() == [[True] * 4 + [False], [True] * 5]
    got = F.scaled_dot_product_attention(q, k, k, bias)
    plain = F.scaled_dot_product_attention(q, k, k, bias._materialize())
    assert torch.allclose(got, plain)


@pytest.mark.parametrize(
    ("shapes", "text"),
    [
        ([(4,), (2, 4), (2, 4)], "at least 2 dimensional"),
        ([(2, 4), (2, 3), (2, 3)], "last dimension"),
        ([(2, 4), (3, 4), (2, 4)], "one length"),
        ([(1, 6, 2, 4), (1, 2, 3, 4), (1, 2, 3, 4)], "tensor a .6. must match"),
    ],
)  # fmt: skip
def test_operands_that_do_not_fit(shapes, text):
    with pytest.raises(RuntimeError, match=text):
        F.scaled_dot_product_attention(*[torch.ones(*shape) for shape in shapes])


def test_layers_attend_over_what_they_may_see():
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    x = torch.randn(2, 5, 8)
    padding = torch.tensor([[False] * 5, [False, False, True, True, True]])
    out, weights = layer(x, x, x, key_padding_mask=padding)
    assert (weights[1, :, 2:] == 0).all() and torch.allclose(weights.sum(-1), torch.ones(2, 5))
    other = x.clone()
    other[1, 3] += 1
    again, _ = layer(x, other, other, key_padding_mask=padding, need_weights=False)
    assert torch.allclose(out, again, atol=1e-6)


def test_a_causal_encoder_sees_no_later_position():
    torch.manual_seed(0)
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)
    encoder.eval()
    mask = nn.Transformer.generate_square_subsequent_mask(6)
    x = torch.randn(2, 6, 8)
    later = x.clone()
    later[:, 4:] += 1
    assert torch.allclose(encoder(x, mask)[:, :4], encoder(later, mask)[:, :4], atol=1e-6)
    assert torch.allclose(encoder(x, mask), encoder(x, mask, is_causal=False), atol=1e-5)


def test_sections_have_one_gradient():
    x = torch.randn(4, 6).requires_grad_()
    first, _, last = x.split(2, dim=1)
    (first * 2 + last * 3).sum().backward()
    assert x.grad[0].tolist() == [2.0, 2.0, 0.0, 0.0, 3.0, 3.0]
    assert first.grad_fn is not None and first.grad_fn == last.grad_fn
    x.grad = None
    rows = x.unbind(0)
    (rows[1] * rows[3]).sum().backward()
    assert torch.equal(x.grad, x.detach()[[0, 3, 2, 1]] * torch.tensor([[0.0], [1], [0], [1]]))
    (second,) = torch.autograd.grad((x.chunk(2)[1] ** 3).sum(), x, create_graph=True)
    (third,) = torch.autograd.grad(second.sum(), x)
    assert torch.allclose(third[2:], 6 * x[2:]) and (third[:2] == 0).all()
