"""DataLoader's worker processes: PyTorch's numbers, errors that name the sample, no leaks."""

from __future__ import annotations

import gc
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import diptych.torch as torch
from diptych.torch.utils.data import (
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    TensorDataset,
    get_worker_info,
    processes,
)

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3] / "src")}

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="worker processes need fork")


class Numbers(Dataset):
    """``length`` samples made by a function of the index."""

    def __init__(self, length: int, make: Any = lambda index: index) -> None:
        self.length, self.make = length, make

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        return self.make(index)


class Share(IterableDataset):
    """Each worker's share of a range."""

    def __init__(self, stop: int) -> None:
        self.stop = stop

    def __iter__(self) -> Any:
        info = get_worker_info()
        return iter(range(info.id, self.stop, info.num_workers))


def flat(batches: Any) -> list[Any]:
    return [value for batch in batches for value in batch.tolist()]


# ---- what comes, and in which order


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_are_those_of_one_process(workers: int) -> None:
    def make(index: int) -> Any:
        picture = torch.full((2, 3), float(index))
        return {"x": picture, "t": picture.t(), "n": np.full(2000, index), "i": index, "s": "a"}

    torch.manual_seed(0)
    single = list(DataLoader(Numbers(11, make), 3, shuffle=True))
    after = torch.get_rng_state().tolist()
    torch.manual_seed(0)
    several = list(DataLoader(Numbers(11, make), 3, shuffle=True, num_workers=workers))
    assert torch.get_rng_state().tolist() == after
    assert len(single) == len(several) == 4
    for a, b in zip(single, several, strict=True):
        assert a["s"] == b["s"] and a["i"].tolist() == b["i"].tolist()
        for key in ("x", "t", "n"):
            assert a[key].dtype is b[key].dtype and a[key].tolist() == b[key].tolist()
        assert b["x"].is_shared() and not a["x"].is_shared()


def test_seeds_are_pytorchs() -> None:
    def make(index: int) -> Any:
        info = get_worker_info()
        return torch.rand(1).item(), random.random(), np.random.rand(), info.seed, info.id

    def drawn(loader: Any) -> list[tuple[Any, ...]]:
        found = [batch for batch in loader]
        return [tuple(round(float(column[0]), 4) for column in batch[:3]) for batch in found] + [
            tuple(int(value) for value in found[1][3])
        ]

    before = random.getstate(), np.random.get_state()[1].tolist()
    torch.manual_seed(3)
    loader = DataLoader(Numbers(8, make), 2, num_workers=2)
    # Written down from PyTorch 2.13.
    assert drawn(loader) == [
        (0.2876, 0.2179, 0.8795), (0.7470, 0.0905, 0.1355), (0.6020, 0.3314, 0.9929),
        (0.6825, 0.9842, 0.6097), (937055941807507097, 937055941807507097),
    ]  # fmt: skip
    assert drawn(loader)[0] == (0.0975, 0.4374, 0.5275)
    kept = DataLoader(Numbers(8, make), 2, num_workers=2, persistent_workers=True)
    assert drawn(kept)[0] == (0.9488, 0.7560, 0.3512)
    assert drawn(kept)[0] == (0.6077, 0.5772, 0.4369)  # its generators went on
    assert before == (random.getstate(), np.random.get_state()[1].tolist())


def test_streams_are_shared_out() -> None:
    assert [b.tolist() for b in DataLoader(Share(11), 2, num_workers=2)] == [
        [0, 2], [1, 3], [4, 6], [5, 7], [8, 10], [9],
    ]  # fmt: skip
    dropped = DataLoader(Share(11), 2, num_workers=2, drop_last=True)
    assert len(flat(dropped)) == 10
    kept = DataLoader(Share(7), None, num_workers=2, persistent_workers=True)
    for _ in range(3):
        assert sorted(kept) == list(range(7))


def test_a_stream_longer_than_it_says_warns() -> None:
    class Wrong(Share):
        def __len__(self) -> int:
            return 2

    loader = DataLoader(Wrong(6), None, num_workers=2)
    assert len(loader) == 2
    with pytest.warns(UserWarning, match=r"was reported to be 2.*but \d samples have been fetched"):
        list(loader)


def test_settings_reach_the_workers() -> None:
    def init(worker: int) -> None:
        info = get_worker_info()
        info.dataset.length = 100 + worker

    def make(index: int) -> int:
        return 10 * get_worker_info().dataset.length + torch.get_num_threads()

    loader = DataLoader(
        Numbers(4, make), 1, num_workers=2, worker_init_fn=init, prefetch_factor=1,
        collate_fn=lambda batch: batch[0],
    )  # fmt: skip
    assert list(loader) == [1001, 1011, 1001, 1011]
    assert get_worker_info() is None
    info = (
        f"{list(DataLoader([0], 1, num_workers=1, collate_fn=lambda b: repr(get_worker_info())))}"
    )
    assert "WorkerInfo(id=0, num_workers=1, seed=" in info
    with pytest.raises(ValueError, match="valid start method"):
        DataLoader([1], num_workers=1, multiprocessing_context="thread")
    with pytest.raises(ValueError, match="multi-process loading"):
        DataLoader([1], multiprocessing_context="fork")
    with pytest.raises(ValueError, match="prefetch_factor option should be non-negative"):
        DataLoader([1], num_workers=1, prefetch_factor=-1)


def test_out_of_order_a_slow_worker_holds_up_none() -> None:
    def make(index: int) -> int:
        time.sleep(0.2 if index == 0 else 0)
        return index

    found = flat(DataLoader(Numbers(8, make), 1, num_workers=2, in_order=False))
    assert sorted(found) == list(range(8)) and found[0] != 0
    assert flat(DataLoader(Numbers(8, make), 1, num_workers=2)) == list(range(8))


def test_memory_is_used_again_and_only_when_free() -> None:
    loader = DataLoader(Numbers(64, lambda i: torch.full((1000,), float(i))), 4, num_workers=1)
    places = {batch.data_ptr() for batch in loader}
    assert len(places) < 8
    kept = list(loader)
    assert [batch[0, 0].item() for batch in kept] == [4.0 * k for k in range(16)]
    kept[0] += 1.0  # writable, and nobody else's
    part = kept[1][2:]
    del kept
    gc.collect()
    assert part[0, 0].item() == 6.0
    views = DataLoader([torch.arange(6.0)], None, num_workers=1, collate_fn=lambda x: (x, x[2:]))
    whole, tail = next(iter(views))
    assert whole.tolist()[2:] == tail.tolist()


def test_a_workers_cache_is_not_overwritten() -> None:
    cache: dict[int, Any] = {}

    def collate(batch: list[int]) -> Any:
        key = batch[0] % 2
        if key not in cache:
            cache[key] = torch.utils.data.default_collate([torch.full((500,), float(key))] * 3)
        return cache[key]

    loader = DataLoader(range(12), 1, num_workers=1, collate_fn=collate)
    assert [batch[0, 0].item() for batch in loader] == [0.0, 1.0] * 6


def test_large_payloads_beside_tensors_do_not_lock_up() -> None:
    loader = DataLoader(
        Numbers(6, lambda i: "x" * 300_000), 1, num_workers=2, collate_fn=lambda b: b[0]
    )
    assert [len(value) for value in loader] == [300_000] * 6
    sampler = [list(range(100_000))] * 4  # tasks larger than a pipe
    assert [len(b) for b in DataLoader(range(100_000), batch_sampler=sampler, num_workers=2)] == [
        100_000
    ] * 4


def test_tensors_that_want_gradients() -> None:
    leaf = DataLoader(
        [1.0], None, num_workers=1, collate_fn=lambda x: torch.ones(2, requires_grad=True)
    )
    assert next(iter(leaf)).requires_grad
    made = DataLoader(
        [1.0], None, num_workers=1, collate_fn=lambda x: torch.ones(2, requires_grad=True) * 2
    )
    with pytest.raises(RuntimeError, match="Cowardly refusing to serialize non-leaf tensor"):
        next(iter(made))


def test_distributed_sampler_is_pytorchs() -> None:
    shares = [list(DistributedSampler(range(10), 3, rank, seed=1)) for rank in range(3)]
    assert shares == SHARES
    sampler = DistributedSampler(range(10), 3, 0, shuffle=False, drop_last=True)
    assert list(sampler) == [0, 3, 6] and len(sampler) == 3
    assert list(DistributedSampler(range(2), 5, 4, shuffle=False)) == [0]
    with pytest.raises(ValueError, match="Invalid rank 3"):
        DistributedSampler(range(10), 3, 3)


SHARES = [[5, 2, 9, 4], [6, 0, 3, 5], [1, 8, 7, 6]]  # written down from PyTorch 2.13


# ---- what goes wrong


def test_an_error_names_its_sample_and_the_rest_goes_on() -> None:
    def make(index: int) -> int:
        if index == 6:
            raise KeyError(f"bad {index}")
        return index

    loader = iter(DataLoader(Numbers(12, make), 4, num_workers=2))
    assert next(loader).tolist() == [0, 1, 2, 3]
    with pytest.raises(KeyError) as caught:
        next(loader)
    text = str(caught.value)
    assert text.startswith("Caught KeyError in DataLoader worker process 1.\n")
    assert "at dataset[6], position 2 of its batch (batch 1 of this epoch)" in text
    assert "Original Traceback (most recent call last):" in text and "in make" in text
    assert text.endswith("KeyError: 'bad 6'\n")
    assert next(loader).tolist() == [8, 9, 10, 11]
    with pytest.raises(StopIteration):
        next(loader)


def test_errors_of_odd_classes_and_places() -> None:
    class Local(Exception):
        pass

    class TwoArguments(Exception):
        def __init__(self, a: int, b: int) -> None:
            super().__init__(a, b)

    def fail(error: Exception) -> Any:
        def make(index: int) -> Any:
            raise error

        return make

    for error in (Local("x"), TwoArguments(1, 2)):
        with pytest.raises(RuntimeError, match=f"(?s)Caught .*{type(error).__name__}"):
            list(DataLoader(Numbers(2, fail(error)), num_workers=1))
    with pytest.raises(RuntimeError, match=r"in collate_fn, of the samples \[0, 1\]"):
        list(DataLoader([torch.ones(1), torch.ones(2)], 2, num_workers=1))
    with pytest.raises(AttributeError, match="Can't (get|pickle) local object"):
        list(DataLoader([0], num_workers=1, collate_fn=lambda b: lambda: 0))

    def init(worker: int) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="Caught ValueError in DataLoader worker process 0"):
        list(DataLoader([0], num_workers=1, worker_init_fn=init))


def test_a_killed_worker_is_reported() -> None:
    def make(index: int) -> int:
        if index == 13:
            os.kill(os.getpid(), signal.SIGKILL)
        return index

    start = time.monotonic()
    with pytest.raises(RuntimeError) as caught:
        list(DataLoader(Numbers(40, make), 4, num_workers=2))
    assert time.monotonic() - start < 4
    text = str(caught.value)
    assert text.startswith("DataLoader worker (pid(s) ") and ") exited unexpectedly: " in text
    assert "killed by signal 9 (SIGKILL)" in text and "at dataset[13], position 1" in text


def test_a_worker_killed_from_outside_is_reported() -> None:
    loader = iter(DataLoader(range(1000), 1, num_workers=2))
    next(loader)
    os.kill(loader._workers[1].pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="exited unexpectedly: worker 1 was killed by signal 9"):
        for _ in range(20):
            next(loader)
    with pytest.raises(StopIteration):
        next(loader)


def test_a_worker_that_exits_is_reported() -> None:
    loader = DataLoader(Numbers(2, lambda index: os._exit(3)), num_workers=1)
    with pytest.raises(RuntimeError, match="ended with exit status 3 at dataset"):
        list(loader)


def test_a_timeout_names_the_culprit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_PATIENCE", 0.2)

    def make(index: int) -> int:
        time.sleep(60 if index == 5 else 0)
        return index

    loader = iter(DataLoader(Numbers(8, make), 2, num_workers=2, timeout=0.3))
    assert next(loader).tolist() == [0, 1]
    pattern = r"timed out after 0.3 seconds: worker 0 \(pid \d+\) is at dataset\[5\], position 1"
    assert next(loader).tolist() == [2, 3]
    with pytest.raises(RuntimeError, match=pattern):
        next(loader)
    pids = [worker.pid for worker in loader._workers]
    start = time.monotonic()
    del loader  # the sleeper is ended, not waited for
    gc.collect()
    assert time.monotonic() - start < 4 and not any(map(alive, pids))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# ---- starting and stopping


def held() -> tuple[int, int, set[str]]:
    """Child processes, descriptors and blocks in /dev/shm of this process."""
    gc.collect()
    task = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    shm = Path("/dev/shm")
    blocks = {entry.name for entry in shm.iterdir()} if shm.is_dir() else set()
    return len(task.read_text().split()), len(os.listdir("/proc/self/fd")), blocks


def epochs(count: int) -> None:
    data = TensorDataset(torch.arange(40.0).reshape(20, 2), torch.arange(20))
    for epoch in range(count):
        loader = DataLoader(data, 4, num_workers=2, shuffle=True)
        if epoch % 5 == 4:  # given up half-way
            iterator = iter(loader)
            next(iterator)
            del iterator
        else:
            assert sum(len(batch[1]) for batch in loader) == 20


def leaks(count: int) -> None:
    epochs(2)
    before = held()
    epochs(count)
    after = held()
    assert after[:2] == before[:2]
    assert not {name for name in after[2] - before[2] if "diptych" in name or "torch" in name}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_epochs_leave_nothing_behind() -> None:
    leaks(6)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_500_epochs_leave_nothing_behind() -> None:
    leaks(500)


PROGRAM = """
import os, torch
from torch.utils.data import DataLoader

x = torch.randn(300, 300) @ torch.randn(300, 300)  # the pool has its threads
class Squares(torch.utils.data.Dataset):
    def __len__(self): return 8
    def __getitem__(self, index): return (torch.full((200, 300), float(index)) @ x)[0, :2], index
print([b[1].tolist() for b in DataLoader(Squares(), 4, num_workers=2, collate_fn=lambda b: (
    torch.stack([s[0] for s in b]), torch.tensor([s[1] for s in b])))])
y = torch.randn(300, 300) @ x
kept = DataLoader(Squares(), 4, num_workers=2, persistent_workers=True)
list(kept)
print([w.pid for w in kept._iterator._workers], flush=True)
os._exit(0)
"""


def test_a_script_without_a_main_guard_that_does_not_say_goodbye() -> None:
    command = [sys.executable, "-W", "error", "-m", "diptych", "run", "-c", PROGRAM]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=ENVIRONMENT
    )
    batches, workers = done.stdout.splitlines() or [done.stderr, ""]
    assert batches == "[[0, 1, 2, 3], [4, 5, 6, 7]]" and not done.stderr, done.stderr
    pids = [int(pid) for pid in workers.strip("[]").split(",")]
    deadline = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(alive, pids))


SPAWNED = """
import torch
from torch.utils.data import DataLoader, Dataset
class Rows(Dataset):
    def __init__(self): self.rows = torch.arange(12.0).reshape(6, 2)
    def __len__(self): return 6
    def __getitem__(self, index): return self.rows[index], index
if __name__ == "__main__":
    for method in ("spawn", "forkserver"):
        loader = DataLoader(Rows(), 3, num_workers=2, multiprocessing_context=method)
        print([batch[0].tolist() for batch in loader])
"""


@pytest.mark.slow
def test_other_start_methods(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(SPAWNED)
    command = [sys.executable, "-m", "diptych", "run", str(script)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=ENVIRONMENT
    )
    row = "[[[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], [[6.0, 7.0], [8.0, 9.0], [10.0, 11.0]]]\n"
    assert done.stdout == 2 * row, done.stderr
