"""Where Python hands memory to native code: indices, strides, foreign arrays, threads, forks."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

import diptych.torch as torch
import diptych.torch.nn.functional as F
from diptych.core import buffer as buffers
from diptych.core.buffer import PooledBuffer
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import from_array

BAD_INDICES = (-7, -1, 3, 4, 2**31, 2**62, -(2**63), 2**63 - 1)
REFUSED = (IndexError, RuntimeError)


def within(x: CoreTensor) -> bool:
    """Whether a tensor stays inside its buffer."""
    itemsize = x.layout.dtype.itemsize
    first = x.address + x.layout.lowest * itemsize
    last = first + x.layout.span * itemsize
    return x.buffer.address <= first and last <= x.buffer.address + x.buffer.nbytes


# ---- indices


@pytest.mark.parametrize("bad", BAD_INDICES)
def test_an_index_out_of_range_reads_and_writes_nothing(bad: int) -> None:
    x = torch.arange(12.0).reshape(3, 4)
    before = x.clone()
    index = torch.tensor([0, bad])
    grid = torch.tensor([[0, bad, 0, 0]])
    calls: dict[str, Any] = {
        "gather": lambda: x.gather(0, grid),
        "index_select": lambda: x.index_select(0, index),
        "take": lambda: x.take(torch.tensor([0, bad * 4 if abs(bad) < 9 else bad])),
        "scatter_": lambda: x.scatter_(0, grid, 5.0),
        "scatter_add_": lambda: x.scatter_add_(0, grid, torch.ones(1, 4)),
        "scatter_reduce_": lambda: x.scatter_reduce_(0, grid, torch.ones(1, 4), "amax"),
        "index_add_": lambda: x.index_add_(0, index, torch.ones(2, 4)),
        "index_copy_": lambda: x.index_copy_(0, index, torch.ones(2, 4)),
        "index_fill_": lambda: x.index_fill_(0, index, 9.0),
        "embedding": lambda: F.embedding(index, x),
    }  # fmt: skip
    counted_from_the_end = {"take", "index_fill_"}  # PyTorch takes -1 there
    for name, call in calls.items():
        if bad == -1 and name in counted_from_the_end:
            continue
        with pytest.raises(REFUSED):
            call()
        assert torch.equal(x, before), name


@pytest.mark.parametrize("bad", [b for b in BAD_INDICES if b != -1])
def test_brackets_refuse_what_is_out_of_range(bad: int) -> None:
    x = torch.zeros(3, 4)
    with pytest.raises(IndexError):
        x[bad]
    with pytest.raises(IndexError):
        x[torch.tensor([0, bad])]
    with pytest.raises(IndexError):
        x[torch.tensor([0, bad])] = 1.0
    with pytest.raises(IndexError):
        x.index_put_((torch.tensor([bad]),), torch.ones(()), accumulate=True)
    assert not x.any()


@pytest.mark.parametrize("bad", BAD_INDICES)
def test_a_class_out_of_range_is_refused(bad: int) -> None:
    scores = torch.randn(2, 3, requires_grad=True)
    target = torch.tensor([0, bad])
    with pytest.raises(REFUSED):
        F.cross_entropy(scores, target)
    with pytest.raises(REFUSED):
        F.nll_loss(scores, target)
    with pytest.raises(REFUSED):
        F.cross_entropy(scores, target, weight=torch.ones(3))
    assert F.cross_entropy(scores, target, ignore_index=bad).item() > 0
    with pytest.raises(REFUSED):
        F.one_hot(target, 3)


def test_an_embedding_row_out_of_range_is_refused_in_its_gradient_too() -> None:
    weight = torch.zeros(3, 2, requires_grad=True)
    index = torch.tensor([0, 2])
    out = F.embedding(index, weight)
    index.fill_(7)  # after the forward pass: its gradient would write there
    with pytest.raises(REFUSED):
        out.sum().backward()


# ---- strides


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [
        ((3,), (3,), 0), ((7,), (1,), 0), ((2, 2), (4, 2), 0), ((1,), (1,), 6), ((1,), (1,), -1),
        ((2,), (-1,), 0), ((2,), (2**62,), 0), ((2**40,), (1,), 0), ((2,), (2**63,), 0),
        ((2, 2), (2**61, 2**61), 0), ((1,), (1,), 2**62), ((-1,), (1,), 0), ((3,), (1, 1), 0),
    ],
)  # fmt: skip
def test_as_strided_stays_inside_the_memory(size: Any, stride: Any, offset: Any) -> None:
    with pytest.raises((RuntimeError, ValueError, OverflowError)):
        torch.arange(6.0).as_strided(size, stride, offset)


def test_as_strided_of_nothing_and_of_one() -> None:
    assert torch.arange(6.0).as_strided((0,), (2**40,), 0).numel() == 0
    assert torch.arange(6.0).as_strided((1,), (2**40,), 5).tolist() == [5.0]
    assert torch.arange(6.0).as_strided((2**40,), (0,), 5)[2**39].item() == 5.0


def test_views_of_views_stay_inside() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        x: Any = torch.arange(60.0).reshape(3, 4, 5)
        for _ in range(4):
            kind = rng.integers(6)
            axis = int(rng.integers(x.ndim)) if x.ndim else 0
            if kind == 0:
                x = x.transpose(0, -1) if x.ndim else x
            elif kind == 1 and x.ndim and x.shape[axis] > 1:
                x = x.narrow(axis, 1, x.shape[axis] - 1)
            elif kind == 2:
                x = x.unsqueeze(axis).expand(*x.shape[:axis], 2, *x.shape[axis:])
            elif kind == 3 and x.ndim:
                x = x[(slice(None),) * axis + (slice(None, None, 2),)]
            elif kind == 4 and x.ndim and x.shape[axis] >= 2:
                x = x.unfold(axis, 2, 1)
            elif kind == 5 and x.ndim:
                x = x.diagonal(0, 0, -1) if x.ndim > 1 else x
        assert within(x)
        np.testing.assert_array_equal(x.clone().numpy(), x.numpy())


# ---- foreign arrays


def test_odd_arrays_share_memory_or_are_refused() -> None:
    frozen = np.arange(3.0)
    frozen.flags.writeable = False
    x = from_array(frozen, torch.Tensor)
    with pytest.raises(RuntimeError, match="read-only"):
        x.add_(1)
    assert (x + 1).tolist() == [1, 2, 3]

    with pytest.raises((TypeError, ValueError)):
        torch.from_numpy(np.arange(3, dtype=">i4"))
    with pytest.raises((TypeError, ValueError)):
        torch.from_numpy(np.array(["a"]))
    with pytest.raises((TypeError, ValueError)):
        torch.from_numpy(np.array([None]))

    raw = np.zeros(33, np.uint8)
    misaligned = raw[1:].view(np.float32)
    misaligned[:] = 2.0
    assert (from_array(misaligned, torch.Tensor) * 2).tolist() == [4.0] * 8

    fields = np.zeros(3, [("a", "i4"), ("b", "f8")])
    with pytest.raises((RuntimeError, ValueError)):  # strides of no whole number of elements
        from_array(fields["b"], torch.Tensor)

    for shape in ((0,), (0, 3), (3, 0, 2)):
        empty = torch.from_numpy(np.zeros(shape, np.float32))
        assert (empty + 1).shape == shape and empty.sum().item() == 0
    huge = torch.from_numpy(np.zeros((0, 2**40), np.float32))
    assert huge.t().shape == (2**40, 0)


def test_reversed_arrays_are_read_and_written_in_place() -> None:
    array = np.arange(6.0).reshape(2, 3)
    x = from_array(array[::-1, ::-1], torch.Tensor)
    assert within(x)
    x.mul_(torch.tensor([1.0, 10.0, 100.0]))
    assert array.tolist() == [[0, 10, 2], [300, 40, 5]]


def test_dlpack_keeps_the_memory_alive() -> None:
    array = np.from_dlpack(torch.arange(1000))
    gc.collect()
    torch.zeros(1000, dtype=torch.int64)
    assert array.sum() == 499500
    back = torch.from_dlpack(np.arange(5))
    gc.collect()
    assert back.tolist() == [0, 1, 2, 3, 4]
    taken = torch.arange(100.0).numpy()[10:20]
    gc.collect()
    assert (torch.zeros(100) == 0).all() and taken.tolist() == list(range(10, 20))


# ---- sizes


def test_resize_never_shows_memory_of_others() -> None:
    x = torch.ones(4)
    x.resize_(2, 3)
    assert within(x) and x.shape == (2, 3)
    x.resize_(0)
    assert within(x)
    for bad in ((-1,), (2**62,), (2**31, 2**31), (2**63,)):
        with pytest.raises((RuntimeError, MemoryError, OverflowError, ValueError)):
            x.resize_(*bad)
    assert x.shape == (0,)
    x.set_(torch.ones(2, 2))
    assert within(x) and x.tolist() == [[1, 1], [1, 1]]


@pytest.mark.parametrize("make", [torch.zeros, torch.empty, torch.ones, torch.randn, torch.rand])
@pytest.mark.parametrize("shape", [(2**40,), (2**62,), (2**31, 2**31), (2**63,), (2**80,), (-1,)])
def test_absurd_sizes_are_refused_at_once(make: Any, shape: Any) -> None:
    with pytest.raises((RuntimeError, MemoryError, OverflowError, ValueError, TypeError)):
        make(*shape)


def test_results_of_absurd_size_are_refused_before_memory_is_touched() -> None:
    row = torch.zeros(1).expand(2**40)
    with pytest.raises((RuntimeError, MemoryError)):
        row + 1
    with pytest.raises((RuntimeError, MemoryError)):
        row.clone()
    with pytest.raises((RuntimeError, MemoryError)):
        torch.zeros(2**21, 1) + torch.zeros(2**21)
    with pytest.raises((RuntimeError, MemoryError)):
        torch.zeros(3).repeat(2**40)
    assert repr(row).startswith("tensor([0., 0., 0.,")


def test_a_buffer_of_no_bytes() -> None:
    made = [PooledBuffer(0) for _ in range(50)]
    assert all(b.address % 64 == 0 and b.nbytes == 0 for b in made)
    del made
    assert torch.empty(0).sum().item() == 0
    assert (torch.empty(0, 3) @ torch.empty(3, 0)).shape == (0, 0)
    assert (torch.empty(2, 0) @ torch.empty(0, 3)).tolist() == [[0] * 3] * 2


def test_an_update_broadcast_past_its_target_is_refused() -> None:
    """What corrupted the heap when the fuzzer first met it."""
    whole = torch.zeros(8)
    x = whole[:2].view(1, 2)
    for call in (
        lambda: F.threshold_(x, 0.0, torch.ones(3, 2)),
        lambda: x.add_(torch.ones(3, 2)),
        lambda: x.copy_(torch.ones(3, 2)),
        lambda: x.masked_fill_(torch.ones(3, 2, dtype=torch.bool), 1.0),
        lambda: x.lerp_(torch.ones(3, 2), 0.5),
        lambda: x.addcmul_(torch.ones(3, 2), torch.ones(3, 2)),
    ):
        with pytest.raises((RuntimeError, TypeError, NotImplementedError)):
            call()
        assert not whole.any()


# ---- threads, forks, memory


@pytest.mark.parametrize("count", [0, -1, -(2**63), 1.5, None, "2"])
def test_a_thread_count_that_is_none_is_refused(count: Any) -> None:
    before = torch.get_num_threads()
    with pytest.raises((RuntimeError, TypeError)):
        torch.set_num_threads(count)
    assert torch.get_num_threads() == before


def test_more_threads_than_there_can_be() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2**63)
        x = torch.ones(300, 300)
        assert (x @ x).sum().item() == 300**3
    finally:
        torch.set_num_threads(before)


def test_a_damaged_generator_state_is_refused() -> None:
    state = torch.get_rng_state()
    for at in range(0, 24, 4):
        damaged = state.clone()
        damaged[at : at + 4] = 255
        try:
            torch.set_rng_state(damaged)
            torch.randn(2000)
        except (RuntimeError, ValueError):
            pass
        finally:
            torch.set_rng_state(state)
    for bad in (torch.zeros(5056, dtype=torch.uint8), state[:-1], state.float()):
        with pytest.raises((RuntimeError, ValueError, TypeError)):
            torch.set_rng_state(bad)
    assert torch.equal(torch.get_rng_state(), state)


def test_threads_calling_at_once_get_their_own_results() -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(97, 130 + n)).astype(np.float32) for n in range(4)]
    failures: list[str] = []

    def work(number: int) -> None:
        try:
            array = arrays[number]
            x = torch.from_numpy(array)
            product = array.T @ array
            for turn in range(12):
                np.testing.assert_allclose((x.t() @ x).numpy(), product, rtol=1e-3, atol=1e-3)
                np.testing.assert_allclose(
                    x.sum(turn % 2).numpy(), array.sum(turn % 2), rtol=1e-3, atol=1e-3
                )
                leaf = torch.from_numpy(array[: 10 + turn].copy()).requires_grad_()
                (leaf * leaf + number).sum().backward()
                np.testing.assert_allclose(leaf.grad.numpy(), 2 * array[: 10 + turn], rtol=1e-5)
                np.testing.assert_array_equal(torch.sort(x, 0)[0].numpy(), np.sort(array, 0))
        except BaseException as error:  # noqa: BLE001 (the main thread tells of it)
            failures.append(f"thread {number}: {error!r:.500}")

    threads = [threading.Thread(target=work, args=(n % 4,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failures and not any(thread.is_alive() for thread in threads)


FORKING = """
import os, sys
import diptych.torch as torch
x = torch.randn(300, 300)
expected = (x @ x).sum().item()
for turn in range(3):
    child = os.fork()
    if child == 0:
        same = (x @ x).sum().item() == expected and torch.randn(2000, 50).sum(0).shape == (50,)
        grand = os.fork()
        if grand == 0:
            os._exit(0 if (x @ x).sum().item() == expected else 1)
        os._exit(0 if same and os.waitpid(grand, 0)[1] == 0 else 1)
    assert (x @ x).sum().item() == expected
    if os.waitpid(child, 0)[1]:
        sys.exit("the child failed")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_while_the_pool_lives() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKING], check=True, timeout=120, env=environment
    )


def test_many_small_tensors_give_their_memory_back() -> None:
    allocator: Any = buffers.installed
    if not hasattr(allocator, "current"):
        pytest.skip("the reference evaluator keeps no account")
    gc.collect()
    before = allocator.current
    many = [torch.full((n % 50,), 1.0) for n in range(20_000)]
    assert sum(x.sum().item() for x in many[:100]) == sum(n % 50 for n in range(100))
    del many
    ring = torch.ones(1000, requires_grad=True)
    for _ in range(200):  # values on the tape that refer to one another
        y = ring * 2
        y.register_hook(lambda g, y=y: g)
        (y * y).sum().backward()
    del ring, y
    gc.collect()
    buffers.flush()
    assert allocator.current - before < 1 << 20
