"""Modules: members, calls, hooks, state dicts, conversion, copies."""

from __future__ import annotations

import copy
import pickle

import pytest

import diptych.torch as torch
from diptych.torch import nn


class Twice(nn.Module):
    """One linear layer under two names, a parameter and buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.second = self.first
        self.weight = nn.Parameter(torch.ones(3))
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("scratch", torch.zeros(1), persistent=False)

    def forward(self, x, scale=1.0):
        return self.first(x) * self.weight * scale


def test_members_come_once_and_in_order() -> None:
    module = Twice()
    assert [name for name, _ in module.named_parameters()] == [
        "weight", "first.weight", "first.bias",
    ]  # fmt: skip
    assert len(list(module.named_parameters(remove_duplicate=False))) == 5
    assert [name for name, _ in module.named_buffers()] == ["mean", "scratch"]
    assert [name for name, _ in module.named_modules()] == ["", "first"]
    assert list(module.state_dict()) == [
        "weight", "mean", "first.weight", "first.bias", "second.weight", "second.bias",
    ]  # fmt: skip


def test_assignment_registers_replaces_and_refuses() -> None:
    module = Twice()
    with pytest.raises(TypeError, match="cannot assign 'torch.FloatTensor' as parameter 'weight'"):
        module.weight = torch.ones(3)
    with pytest.raises(TypeError, match="as child module 'first'"):
        module.first = torch.ones(3)
    module.weight = None
    assert "weight" not in dict(module.named_parameters())
    module.first = nn.Identity()
    assert isinstance(module.first, nn.Identity) and "first" not in module.__dict__
    del module.first
    with pytest.raises(AttributeError, match="'Twice' object has no attribute 'first'"):
        _ = module.first
    with pytest.raises(KeyError, match="already exists"):
        module.register_buffer("forward", torch.ones(1))


def test_a_module_must_be_initialised_first() -> None:
    class Hasty(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match=r"cannot assign module before Module.__init__\(\)"):
        Hasty()


def test_forward_hooks_see_and_change_what_passes() -> None:
    module, seen = nn.Linear(2, 2), []
    first = module.register_forward_pre_hook(lambda m, args: (args[0] * 0,))
    second = module.register_forward_hook(lambda m, args, out: seen.append(args[0]) or out + 1)
    out = module(torch.ones(1, 2))
    assert torch.equal(out, module.bias.reshape(1, 2) + 1)
    assert seen[0].abs().sum().item() == 0
    first.remove()
    second.remove()
    assert not module._forward_hooks
    assert torch.equal(module(torch.zeros(1, 2)), module.bias.reshape(1, 2))


def test_full_backward_hooks_get_both_gradients_and_may_change_one() -> None:
    module, seen = nn.Linear(2, 3, bias=False), []
    x = torch.ones(1, 2, requires_grad=True)

    def hook(m, grad_input, grad_output):
        seen.append((tuple(grad_input[0].shape), grad_output[0].tolist()))
        return (grad_input[0] * 10,)

    module.register_full_backward_hook(hook)
    module(x).sum().backward()
    assert seen == [((1, 2), [[1.0, 1.0, 1.0]])]
    worst = (x.grad - 10 * module.weight.sum(0)).abs().max().item()
    assert worst < 1e-5


def test_loading_says_all_that_is_wrong() -> None:
    module = nn.Linear(2, 2)
    with pytest.raises(RuntimeError) as caught:
        module.load_state_dict({"weight": torch.ones(3, 2), "other": torch.ones(1)})
    text = str(caught.value)
    assert 'Missing key(s) in state_dict: "bias"' in text
    assert 'Unexpected key(s) in state_dict: "other"' in text
    assert "size mismatch for weight: copying a param with shape torch.Size([3, 2])" in text
    found = module.load_state_dict({"weight": torch.full((2, 2), 7.0)}, strict=False)
    assert found.missing_keys == ["bias"] and module.weight.tolist() == [[7.0, 7.0]] * 2


def test_loading_by_assignment_takes_the_tensor_itself() -> None:
    module, given = nn.Linear(1, 1, bias=False), torch.ones(1, 1)
    module.load_state_dict({"weight": given}, assign=True)
    assert module.weight.data_ptr() == given.data_ptr()
    assert isinstance(module.weight, nn.Parameter) and module.weight.requires_grad


def test_conversion_keeps_the_parameter_and_converts_its_gradient() -> None:
    module = nn.Linear(2, 1)
    weight = module.weight
    module(torch.ones(1, 2)).sum().backward()
    module.double()
    assert module.weight is weight and weight.dtype == torch.float64
    assert weight.grad.dtype == torch.float64
    assert module.to(torch.float16).bias.dtype == torch.float16
    with pytest.raises(TypeError, match="only accepts floating point"):
        module.to(torch.int64)
    with pytest.raises(AssertionError, match="not compiled with CUDA"):
        module.cuda()


def test_copies_share_what_the_original_shares() -> None:
    module = Twice()
    copied = copy.deepcopy(module)
    assert copied.first is copied.second
    assert torch.equal(copied.first.weight, module.first.weight)
    with torch.no_grad():
        copied.first.weight.zero_()
    assert module.first.weight.abs().sum().item() > 0
    again = pickle.loads(pickle.dumps(nn.Linear(2, 2)))
    assert isinstance(again.weight, nn.Parameter) and again.weight.requires_grad


def test_zero_grad_forgets_or_zeroes() -> None:
    module = nn.Linear(2, 1)
    module(torch.ones(1, 2)).sum().backward()
    module.zero_grad(set_to_none=False)
    assert module.weight.grad.tolist() == [[0.0, 0.0]]
    module.zero_grad()
    assert module.weight.grad is None


def test_data_parallel_without_a_gpu_is_the_module() -> None:
    module = nn.Linear(2, 3)
    wrapped = nn.DataParallel(module)
    assert list(wrapped.state_dict()) == ["module.weight", "module.bias"]
    assert torch.equal(wrapped(torch.ones(1, 2)), module(torch.ones(1, 2)))


def test_a_name_that_pytorch_lacks_too_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError):
        _ = nn.NoSuchLayer


def test_backward_hooks_of_both_kinds_do_not_mix() -> None:
    module = nn.Linear(1, 1)
    module.register_backward_hook(lambda *_: None)
    with pytest.raises(RuntimeError, match="Cannot use both"):
        module.register_full_backward_hook(lambda *_: None)
