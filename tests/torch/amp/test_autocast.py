"""autocast: what is cast, nesting, decorators, gradients, and that nothing is left behind."""

from __future__ import annotations

import threading

import pytest

import diptych.torch as torch
import diptych.torch.nn.functional as F  # noqa: N812
from diptych.torch.amp.policies import exchange


def lower(x) -> bool:
    return x.dtype is torch.bfloat16


def test_products_are_lower_losses_are_not_and_the_rest_follows() -> None:
    layer, x = torch.nn.Linear(4, 3), torch.randn(5, 4)
    held = F.linear  # reached by another name, taken before the block
    with torch.autocast("cpu"):
        y = layer(x)
        assert lower(y) and lower(x @ x.T) and lower(torch.mm(x, x.T)) and lower(x.matmul(x.T))
        assert lower(held(x, layer.weight)) and lower(F.relu(y))
        assert F.cross_entropy(y, torch.tensor([0, 1, 2, 0, 1])).dtype is torch.float32
        assert torch.cat([y, x], 1).dtype is torch.float32
        assert torch.dot(x[0], x[0]).dtype is torch.float32
        assert x.double().matmul(x.double().T).dtype is torch.float64
    assert not lower(layer(x)) and not lower(x @ x.T)


def test_a_convolution_and_its_gradient() -> None:
    layer, x = torch.nn.Conv2d(1, 2, 3), torch.randn(1, 1, 5, 5)
    with torch.autocast("cpu"):
        y = layer(x)
        assert lower(y)
        loss = y.sum()
    loss.backward()
    assert layer.weight.grad.dtype is torch.float32


def test_attention_is_lower_and_recurrent_layers_take_what_comes() -> None:
    x = torch.randn(3, 2, 4)
    with torch.autocast("cpu"):
        assert lower(torch.nn.MultiheadAttention(4, 2)(x, x, x)[0])
        assert torch.nn.GRU(4, 5)(x.bfloat16())[0].dtype is torch.float32


def test_a_parameter_is_cast_once_in_a_block() -> None:
    weight, x = torch.ones(2, 2, requires_grad=True), torch.ones(2, 2)
    with torch.autocast("cpu"):
        first, second = torch.mm(x, weight), torch.mm(x, weight)
        (first + second).sum().backward()
    assert weight.grad.tolist() == [[4, 4], [4, 4]]
    with torch.autocast("cpu"):
        with torch.no_grad():
            weight.fill_(3.0)
        assert torch.mm(x, weight)[0, 0].item() == 6


def test_blocks_nest_and_functions_are_decorated() -> None:
    x = torch.ones(2, 2)
    with torch.autocast("cpu"):
        with torch.autocast("cpu", enabled=False):
            assert not lower(x @ x) and not torch.is_autocast_enabled("cpu")
        with torch.autocast("cpu", dtype=torch.float16):
            assert (x @ x).dtype is torch.float16
        assert lower(x @ x) and torch.is_autocast_enabled("cpu")

    @torch.autocast("cpu")
    def product(a):
        return a @ a

    assert lower(product(x)) and not lower(x @ x)


def test_an_error_inside_leaves_nothing_behind() -> None:
    x, plain = torch.ones(2, 2), F.linear.__code__
    with pytest.raises(ZeroDivisionError), torch.autocast("cpu"):
        assert F.linear.__code__ is not plain
        raise ZeroDivisionError
    assert F.linear.__code__ is plain and exchange.entered == 0 and not lower(x @ x)


def test_other_threads_are_not_in_the_block() -> None:
    seen = []
    with torch.autocast("cpu"):
        thread = threading.Thread(target=lambda: seen.append(torch.ones(2, 2) @ torch.ones(2, 2)))
        thread.start()
        thread.join()
    assert not lower(seen[0])


def test_every_function_of_the_lists_is_found() -> None:
    exchange.rows or exchange.find()
    found = {function.__name__ for function, _, _ in exchange.rows}
    assert {
        "linear",
        "matmul",
        "conv2d",
        "cross_entropy",
        "mse_loss",
        "cat",
        "prod",
        "fft",
    } <= found


def test_other_devices_and_dtypes_are_refused_or_disabled() -> None:
    with pytest.warns(UserWarning, match="CUDA is not available"):
        assert not torch.autocast("cuda")._enabled
    with pytest.warns(UserWarning, match="target dtype is not supported"):
        assert not torch.autocast("cpu", dtype=torch.float32)._enabled
    with pytest.raises(ValueError, match="Expected `device_type` of type `str`"):
        torch.autocast(3)
    with pytest.raises(RuntimeError, match="Expected one of cpu, cuda"):
        torch.autocast("nowhere")


def test_custom_functions_say_what_they_are_given() -> None:
    class Square(torch.autograd.Function):
        @staticmethod
        @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
        def forward(ctx, x):
            ctx.save_for_backward(x)
            assert x.dtype is torch.float32 and not torch.is_autocast_enabled("cpu")
            return x * x

        @staticmethod
        @torch.amp.custom_bwd(device_type="cpu")
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return 2 * x * grad

    x = torch.ones(2, dtype=torch.bfloat16, requires_grad=True)
    with torch.autocast("cpu"):
        y = Square.apply(x)
    assert y.dtype is torch.float32
    y.sum().backward()
    assert x.grad.float().tolist() == [2, 2]
