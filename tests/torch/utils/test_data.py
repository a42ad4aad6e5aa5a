"""Data sets, samplers and the loader; orders are PyTorch's for the same seed."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest

import diptych.torch as torch
from diptych.torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    StackDataset,
    Subset,
    TensorDataset,
    default_collate,
    random_split,
)


def batches(loader) -> list[list[int]]:
    return [batch.tolist() for batch in loader]


class Slow(Dataset):
    """The same samples as a TensorDataset, one by one."""

    def __init__(self, *tensors) -> None:
        self.tensors = tensors

    def __getitem__(self, index):
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])


def test_shuffling_gives_pytorchs_order_and_leaves_its_stream() -> None:
    torch.manual_seed(0)
    # Written down from PyTorch 2.13.
    found = batches(DataLoader(range(10), 4, shuffle=True))
    assert found == [SHUFFLED[:4], SHUFFLED[4:8], SHUFFLED[8:]]
    assert torch.randint(0, 1000, (1,)).item() == AFTER


SHUFFLED = [6, 7, 1, 4, 2, 0, 9, 8, 3, 5]
AFTER = 963


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("drop_last", [False, True])
def test_gathered_batches_are_those_of_single_samples(shuffle: bool, drop_last: bool) -> None:
    tensors = (torch.arange(22).reshape(11, 2), torch.arange(11, dtype=torch.float64))
    part = [3, 1, 10, 4, 4, 0, 7]
    for quick, slow in (
        (TensorDataset(*tensors), Slow(*tensors)),
        (Subset(TensorDataset(*tensors), part), Subset(Slow(*tensors), part)),
    ):
        found = []
        for data in (quick, slow):
            torch.manual_seed(3)
            generator = torch.Generator().manual_seed(7)
            for given in (None, generator):
                loader = DataLoader(data, 3, shuffle, drop_last=drop_last, generator=given)
                found.append([[x.tolist() for x in batch] for batch in loader])
            found.append(torch.rand(2).tolist() + torch.rand(2, generator=generator).tolist())
        assert found[:3] == found[3:]


def test_a_batch_is_a_copy() -> None:
    rows = torch.zeros(4, 2)
    (batch,) = next(iter(DataLoader(TensorDataset(rows), 4)))
    batch.add_(1)
    assert rows.sum().item() == 0


def test_collating_containers() -> None:
    Pair = namedtuple("Pair", ["a", "b"])
    batch = default_collate([{"x": 1, "y": [1.5, "s"]}, {"x": 2, "y": [2.5, "t"]}])
    assert batch["x"].dtype == torch.int64 and batch["y"][0].dtype == torch.float64
    assert batch["y"][1] == ["s", "t"]
    pair = default_collate([Pair(np.ones(2), True), Pair(np.zeros(2), False)])
    assert isinstance(pair, Pair) and tuple(pair.a.shape) == (2, 2)
    assert pair.b.dtype == torch.bool
    with pytest.raises(RuntimeError, match="stack expects each tensor to be equal size"):
        default_collate([torch.ones(2), torch.ones(3)])
    with pytest.raises(TypeError, match="must contain tensors, numpy arrays, numbers"):
        default_collate([object()])


def test_streams() -> None:
    class Count(IterableDataset):
        def __iter__(self):
            return iter(range(5))

    assert batches(DataLoader(Count(), 2)) == [[0, 1], [2, 3], [4]]
    assert batches(DataLoader(Count(), 2, drop_last=True)) == [[0, 1], [2, 3]]
    assert list(DataLoader(Count(), None)) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="unspecified shuffle"):
        DataLoader(Count(), shuffle=True)


def test_data_sets_join_split_and_stack() -> None:
    joined = ConcatDataset([[1, 2], [3]])
    assert [joined[i] for i in range(3)] == [1, 2, 3] and joined[-1] == 3
    first, second = random_split(range(10), [0.7, 0.3], torch.Generator().manual_seed(0))
    assert len(first) == 7 and sorted([*first, *second]) == list(range(10))
    assert StackDataset(a=[1, 2], b=[3, 4])[1] == {"a": 2, "b": 4}
    with pytest.raises(ValueError, match="does not equal the length"):
        random_split([1, 2], [3])


def test_refusals() -> None:
    with pytest.raises(ValueError, match="num_workers option should be non-negative"):
        DataLoader([1], num_workers=-1)
    with pytest.raises(ValueError, match="mutually exclusive with shuffle"):
        DataLoader([1], sampler=RandomSampler([1]), shuffle=True)
    with pytest.raises(ValueError, match="positive integer"):
        BatchSampler([1], 0, False)
    loader = DataLoader([1])
    with pytest.raises(ValueError, match="should not be set after DataLoader"):
        loader.batch_size = 3
    with pytest.raises(AssertionError, match="Size mismatch between tensors"):
        TensorDataset(torch.ones(2), torch.ones(3))
