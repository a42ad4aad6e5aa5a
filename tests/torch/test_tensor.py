"""What a tensor is: aliasing, versions, conversion, copies, subclasses, foreign faces."""

from __future__ import annotations

import copy
import gc
import pickle
from typing import Any

import numpy as np
import pytest

import diptych.torch as torch
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import copy_array


def test_views_share_memory_and_versions() -> None:
    x = torch.arange(12.0).reshape(3, 4).clone()
    views = [x[1], x.t(), x[:, 1:3], x.view(2, 6), x.unsqueeze(0), x.expand(2, 3, 4), x.detach()]
    before = x._version
    x[1, 2] = 100
    assert x._version > before
    for view in views:
        assert 100.0 in view.reshape(-1).tolist() and view._version == x._version
    assert x.reshape(-1).data_ptr() == x.data_ptr()
    assert x.t().reshape(-1).data_ptr() != x.data_ptr()
    assert x[1:]._base is x and x[1:][0]._base is x and x._base is None
    assert x[1:].storage_offset() == 4 and x[1:, 1].stride() == (4,)


def test_data_and_detach() -> None:
    x = torch.ones(2, requires_grad=True)
    version = x._version
    x.data.mul_(3)
    assert x.tolist() == [3.0, 3.0] and x._version == version
    x.data = torch.zeros(4)
    assert x.shape == (4,) and x.requires_grad and x.is_leaf
    assert x.detach().data_ptr() == x.data_ptr() and not x.detach().requires_grad


def test_numpy_both_ways_shares_memory() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    x = torch.from_numpy(array)
    x[0, 0] = 7
    assert array[0, 0] == 7 and x.numpy() is not None
    y = torch.ones(3)
    view = y.numpy()
    del y
    gc.collect()
    view[0] = 5  # the array keeps the memory alive
    assert view.tolist() == [5.0, 1.0, 1.0]
    assert np.add(x, 1).__class__ is torch.Tensor
    assert torch.from_numpy(array[:, ::2]).stride() == (3, 2)
    with pytest.raises(ValueError, match="negative"):
        torch.from_numpy(array[::-1])


def test_dlpack_both_ways_shares_memory() -> None:
    x = torch.arange(3.0)
    array = np.from_dlpack(x)
    x[0] = 9
    assert array[0] == 9
    back = torch.from_dlpack(array)
    assert back.data_ptr() == x.data_ptr()


def test_out_and_resizing() -> None:
    out = torch.empty(0)
    assert torch.add(torch.ones(2), 1, out=out) is out and out.tolist() == [2.0, 2.0]
    with pytest.warns(UserWarning, match="resized"):
        torch.add(torch.ones(3), 1, out=torch.ones(2))
    with pytest.raises(RuntimeError, match="can't be cast"):
        torch.add(torch.ones(2), 1.5, out=torch.zeros(2, dtype=torch.int64))
    with pytest.raises(RuntimeError, match="automatic differentiation"):
        torch.exp(torch.ones(2, requires_grad=True), out=torch.empty(2))


def test_deepcopy_and_pickle() -> None:
    x = torch.randn(3, requires_grad=True)
    x.grad = torch.ones(3)
    shared = {"a": x, "b": x}
    made = copy.deepcopy(shared)
    assert made["a"] is made["b"] and made["a"] is not x
    assert made["a"].requires_grad and made["a"].grad.tolist() == [1.0] * 3
    for value in (x.detach(), x, torch.ones(2, dtype=torch.bfloat16), torch.tensor(True)):
        back = pickle.loads(pickle.dumps(value))
        assert torch.equal(back, value.detach()) and back.dtype is value.dtype
        assert back.requires_grad == value.requires_grad
    for value in (torch.float32, torch.Size([2]), torch.device("cpu"), torch.strided):
        assert pickle.loads(pickle.dumps(value)) == value
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(x * 2)


class Marked(torch.Tensor):
    """A subclass without a word of its own."""

    mark = "here"


def test_subclasses_stay() -> None:
    x = torch.ones(2).as_subclass(Marked)
    assert type(x + 1) is Marked and (x * 2).sum().mark == "here"
    assert repr(x) == "Marked([1., 1.])"
    made = torch.Tensor._make_subclass(Marked, torch.zeros(2), True)
    assert type(made) is Marked and made.requires_grad


class Counting(torch.Tensor):
    """Counts the functions it is given to."""

    seen: list[str] = []

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        cls.seen.append(func.__name__)
        return super().__torch_function__(func, types, args, kwargs or {})


def test_torch_function() -> None:
    Counting.seen.clear()
    x = torch.ones(2).as_subclass(Counting)
    y = torch.add(x, 1)
    z = torch.ones(2) * x
    assert isinstance(y, Counting) and isinstance(z, Counting)
    assert x.exp().tolist() == pytest.approx([np.e, np.e], rel=1e-6)
    assert {"add", "mul", "exp"} <= {name.strip("_") for name in Counting.seen}


class Foreign(CoreTensor):
    """Another face's tensor."""


Foreign.result_type = Foreign


def test_foreign_tensors_are_welcome() -> None:
    other = copy_array(np.array([1.0, 2.0], np.float32), Foreign)
    x = torch.ones(2, requires_grad=True)
    assert type(x + other) is torch.Tensor and type(torch.exp(other)) is torch.Tensor
    assert type(torch.add(other, x)) is torch.Tensor and type(torch.cat([other, x])) is torch.Tensor
    (torch.mul(other, x)).sum().backward()
    assert x.grad.tolist() == [1.0, 2.0] and type(x.grad) is torch.Tensor


def test_default_dtype_moves_promotion() -> None:
    try:
        torch.set_default_dtype(torch.float64)
        assert (torch.tensor([1]) / 2).dtype is torch.float64
        assert (torch.tensor([1]) * 2.5).dtype is torch.float64
        assert (torch.tensor([1]) < 1.5).dtype is torch.bool
        assert (
            torch.zeros(1).dtype is torch.float64
            and torch.exp(torch.tensor(1)).dtype is torch.float64
        )
    finally:
        torch.set_default_dtype(torch.float32)
    assert (torch.tensor([1]) / 2).dtype is torch.float32
    with pytest.raises(TypeError, match="floating-point"):
        torch.set_default_dtype(torch.int32)


def test_names_absent_say_so_when_called() -> None:
    with pytest.raises(NotImplementedError, match=r"torch\.lobpcg"):
        torch.lobpcg(torch.ones(4))
    with pytest.raises(NotImplementedError, match=r"torch\.Tensor\.coalesce"):
        torch.ones(4).coalesce()
    assert not hasattr(torch, "no_such_name") and not hasattr(torch.ones(1), "no_such_name")
    with pytest.raises(NotImplementedError, match="float8"):
        torch.zeros(2, dtype=torch.float8_e5m2)


def test_no_accelerator() -> None:
    assert not torch.cuda.is_available() and torch.cuda.device_count() == 0
    assert torch.device("cuda:1").index == 1 and str(torch.device("cuda:1")) == "cuda:1"
    for attempt in (lambda: torch.ones(1).cuda(), lambda: torch.ones(1, device="cuda")):
        with pytest.raises(AssertionError, match="CUDA"):
            attempt()
    assert torch.ones(1).to("cpu").device == torch.device("cpu")
    assert not torch.backends.mps.is_available()


def test_assert_close() -> None:
    torch.testing.assert_close(torch.ones(2), torch.ones(2) + 1e-7)
    with pytest.raises(AssertionError, match="Mismatched elements: 1 / 2"):
        torch.testing.assert_close(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.1]))
    with pytest.raises(AssertionError, match="shape"):
        torch.testing.assert_close(torch.ones(2), torch.ones(3))
    with pytest.raises(AssertionError, match="dtype"):
        torch.testing.assert_close(torch.ones(2), torch.ones(2, dtype=torch.float64))
