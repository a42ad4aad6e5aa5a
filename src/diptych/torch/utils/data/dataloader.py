"""DataLoader: batches of a data set, in one process."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from diptych.core.random import torch_stream
from diptych.core.tensor import from_array
from diptych.torch.tensor import Tensor
from diptych.torch.utils.data.collate import default_collate, default_convert
from diptych.torch.utils.data.dataset import IterableDataset, Subset, TensorDataset
from diptych.torch.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    SequentialSampler,
    drawn_seed,
)

_FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")


def get_worker_info() -> None:
    """None: there are no worker processes."""
    return None


class _Infinite:
    """The sampler of a stream: nothing to choose."""

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None)


class DataLoader:
    """Iterates over a data set in batches."""

    _initialized = False

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Any = None,
        batch_sampler: Any = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Any = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        if num_workers < 0:
            raise ValueError(
                "num_workers option should be non-negative; use num_workers=0 to disable "
                "multiprocessing."
            )
        if num_workers > 0:
            raise NotImplementedError(
                f"torch.utils.data.DataLoader: num_workers={num_workers}: worker processes are not "
                "supported yet; use num_workers=0"
            )
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if prefetch_factor is not None:
            raise ValueError(
                "prefetch_factor option could only be specified in multiprocessing.let "
                "num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None."
            )
        if persistent_workers:
            raise ValueError("persistent_workers option needs num_workers > 0")
        if pin_memory:
            warnings.warn(
                "'pin_memory' argument is set as true but no accelerator is found, then device "
                "pinned memory won't be used.",
                stacklevel=2,
            )
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.in_order = in_order
        self.streams = isinstance(dataset, IterableDataset)
        self._choose_order(batch_size, shuffle, sampler, batch_sampler, drop_last, generator)
        if collate_fn is None:
            collate_fn = default_collate if self._auto_collation else default_convert
        self.generator = generator
        self.collate_fn = collate_fn
        self.persistent_workers = persistent_workers
        self._initialized = True

    def _choose_order(
        self, batch_size: Any, shuffle: Any, sampler: Any, batch_sampler: Any, drop_last: bool,
        generator: Any,
    ) -> None:  # fmt: skip
        if self.streams:
            for name, value in (("sampler", sampler), ("batch_sampler", batch_sampler)):
                if value is not None:
                    raise ValueError(
                        f"DataLoader with IterableDataset: expected unspecified {name} option, but "
                        f"got {name}={value}"
                    )
            if shuffle:
                raise ValueError(
                    "DataLoader with IterableDataset: expected unspecified shuffle option, but got "
                    f"shuffle={shuffle}"
                )
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, "
                    "and drop_last"
                )
            batch_size, drop_last = None, False
        elif batch_size is None and drop_last:
            raise ValueError(
                "batch_size=None option disables auto-batching and is mutually exclusive with "
                "drop_last"
            )
        if sampler is None:
            if self.streams:
                sampler = _Infinite()
            elif shuffle:
                sampler = RandomSampler(self.dataset, generator=generator)
            else:
                sampler = SequentialSampler(self.dataset)
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler

    def __setattr__(self, name: str, value: Any) -> None:
        if self._initialized and name in _FIXED:
            raise ValueError(
                f"{name} attribute should not be set after {type(self).__name__} is initialized"
            )
        super().__setattr__(name, value)

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Any:
        return self.batch_sampler if self._auto_collation else self.sampler

    def __len__(self) -> int:
        if not self.streams:
            return len(self._index_sampler)
        length = len(self.dataset)
        if self.batch_size is None:
            return length
        whole, rest = divmod(length, self.batch_size)
        return whole if self.drop_last or not rest else whole + 1

    def __iter__(self) -> Iterator[Any]:
        # PyTorch draws a seed for its workers whether or not there are any; so must we.
        drawn_seed(self.generator)
        if self.streams:
            return self._stream_batches()
        gather = gatherer(self)
        if gather is not None:
            return gather
        return self._batches(iter(self._index_sampler))

    def _batches(self, indices: Iterator[Any]) -> Iterator[Any]:
        dataset, collate = self.dataset, self.collate_fn
        if not self._auto_collation:
            for index in indices:
                yield collate(dataset[index])
            return
        several = getattr(dataset, "__getitems__", None)
        for batch in indices:
            yield collate(several(batch) if several else [dataset[index] for index in batch])

    def _stream_batches(self) -> Iterator[Any]:
        samples = iter(self.dataset)
        if self.batch_size is None:
            for sample in samples:
                yield self.collate_fn(sample)
            return
        while True:
            batch = list(itertools.islice(samples, self.batch_size))
            if not batch or (self.drop_last and len(batch) < self.batch_size):
                return
            yield self.collate_fn(batch)


# ---- batches of tensors, gathered whole


def rows_of(dataset: Any) -> tuple[tuple[Any, ...], Any] | None:
    """The tensors whose rows are the samples, and which rows; None for another kind of data set."""
    rows: Any = None
    while type(dataset) is Subset:
        chosen = np.asarray(dataset.indices, np.int64)
        rows = chosen if rows is None else chosen[rows]
        dataset = dataset.dataset
    if type(dataset) is not TensorDataset:
        return None
    if any(type(tensor) is not Tensor or tensor.node is not None for tensor in dataset.tensors):
        return None
    return dataset.tensors, rows


def gatherer(loader: DataLoader) -> Iterator[Any] | None:
    """Batches of a TensorDataset as one gather for each tensor, where nothing can tell."""
    batches, sampler = loader.batch_sampler, loader.sampler
    if type(sampler) not in (RandomSampler, SequentialSampler):
        return None
    if (
        loader.collate_fn is not default_collate
        or type(batches) is not BatchSampler
        or batches.sampler is not sampler
        or sampler.data_source is not loader.dataset
    ):
        return None
    if type(sampler) is RandomSampler and (sampler.replacement or sampler._num_samples is not None):
        return None
    found = rows_of(loader.dataset)
    return None if found is None else gathered(batches, sampler, *found)


def gathered(batches: Any, sampler: Any, tensors: tuple[Any, ...], rows: Any) -> Iterator[Any]:
    """The batches themselves. Order is drawn at the first, as the sampler would."""
    count, size = len(sampler), batches.batch_size
    generator = None
    if type(sampler) is RandomSampler:
        generator = sampler.stream()
        order = torch_stream.randperm(generator, count)
        if rows is not None:
            order = rows[order]
    else:
        order = np.arange(count) if rows is None else rows
    end = count - count % size if batches.drop_last else count
    for start in range(0, end, size):
        chosen = order[start : start + size]
        yield [from_array(t.array().take(chosen, 0), Tensor, t.layout.dtype) for t in tensors]
    if generator is not None:
        torch_stream.randperm(generator, count)  # the sampler draws for a rest of nothing
