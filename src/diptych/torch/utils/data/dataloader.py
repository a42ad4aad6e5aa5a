"""DataLoader: batches of a data set, made here or in worker processes."""

from __future__ import annotations

import itertools
import multiprocessing
import multiprocessing.context
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from diptych.core import recording
from diptych.core.random import torch_stream
from diptych.core.tensor import from_array
from diptych.torch.tensor import Tensor
from diptych.torch.utils.data.collate import default_collate, default_convert
from diptych.torch.utils.data.dataset import IterableDataset, Subset, TensorDataset
from diptych.torch.utils.data.processes import _MultiProcessingDataLoaderIter
from diptych.torch.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    SequentialSampler,
    drawn_seed,
)
from diptych.torch.utils.data.worker import Fetcher, Settings
from diptych.torch.utils.data.worker import get_worker_info as get_worker_info

_FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")


def checked_context(context: Any, num_workers: int) -> Any:
    """A multiprocessing context, or the name of one, as a context."""
    if context is None:
        return None
    if not num_workers:
        raise ValueError(
            "multiprocessing_context can only be used with multi-process loading (num_workers > "
            f"0), but got num_workers={num_workers}"
        )
    if isinstance(context, str):
        valid = multiprocessing.get_all_start_methods()
        if context not in valid:
            raise ValueError(
                "multiprocessing_context option should specify a valid start method in "
                f"{valid!r}, but got multiprocessing_context={context!r}"
            )
        return multiprocessing.get_context(context)
    if not isinstance(context, multiprocessing.context.BaseContext):
        raise TypeError(
            "multiprocessing_context option should be a valid context object or a string "
            f"specifying the start method, but got multiprocessing_context={context}"
        )
    return context


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
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if num_workers == 0 and prefetch_factor is not None:
            raise ValueError(
                "prefetch_factor option could only be specified in multiprocessing.let "
                "num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None."
            )
        if num_workers > 0 and prefetch_factor is None:
            prefetch_factor = 2
        elif prefetch_factor is not None and prefetch_factor < 0:
            raise ValueError("prefetch_factor option should be non-negative")
        if persistent_workers and num_workers == 0:
            raise ValueError("persistent_workers option needs num_workers > 0")
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = checked_context(multiprocessing_context, num_workers)
        self.in_order = in_order
        self.streams = isinstance(dataset, IterableDataset)
        self._choose_order(batch_size, shuffle, sampler, batch_sampler, drop_last, generator)
        if collate_fn is None:
            collate_fn = default_collate if self._auto_collation else default_convert
        self.generator = generator
        self.collate_fn = collate_fn
        self.persistent_workers = persistent_workers
        self._initialized = True
        self._IterableDataset_len_called: int | None = None
        self._iterator: Any = None
        self.check_worker_number_rationality()

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
        length = self._IterableDataset_len_called = len(self.dataset)
        if self.batch_size is None:
            return length
        whole, rest = divmod(length, self.batch_size)
        return whole if self.drop_last or not rest else whole + 1

    def __iter__(self) -> Any:
        recording.refuse("a DataLoader is iterated")
        if not self.persistent_workers:
            return self._get_iterator()
        if self._iterator is None or self._iterator._closed:
            self._iterator = self._get_iterator()
        else:
            self._iterator._reset(self)
        return self._iterator

    def _get_iterator(self) -> Any:
        if self.pin_memory:
            warnings.warn(
                "'pin_memory' argument is set as true but no accelerator is found, then device "
                "pinned memory won't be used.",
                stacklevel=2,
            )
        if self.num_workers == 0:
            return _SingleProcessDataLoaderIter(self)
        self.check_worker_number_rationality()
        return _MultiProcessingDataLoaderIter(self)

    def _check_length(self, yielded: int) -> None:
        """Warn of a stream that gives more than its length, once that was asked for."""
        length = self._IterableDataset_len_called
        if not self.streams or length is None or yielded <= length:
            return
        text = (
            f"Length of IterableDataset {self.dataset} was reported to be {length}(when accessing "
            f"len(dataloader)), but {yielded} samples have been fetched. "
        )
        if self.num_workers:
            text += (
                "For multiprocessing data-loading, this could be caused by not properly "
                "configuring the IterableDataset replica at each worker: each has the whole "
                "stream unless it takes its share by torch.utils.data.get_worker_info()."
            )
        warnings.warn(text, stacklevel=4)

    def check_worker_number_rationality(self) -> None:
        """Warn where there are more workers than CPUs."""
        try:
            cpus = len(os.sched_getaffinity(0))
        except AttributeError:
            cpus = os.cpu_count() or 1
        if self.num_workers > cpus:
            warnings.warn(
                f"This DataLoader will create {self.num_workers} worker processes in total. Our "
                f"suggested max number of worker in current system is {cpus}, which is smaller "
                "than what this DataLoader is going to create. Please be aware that excessive "
                "worker creation might get DataLoader running slow or even freeze, lower the "
                "worker number to avoid potential slowness/freeze if necessary.",
                stacklevel=3,
            )


class _SingleProcessDataLoaderIter:
    """Gives the batches that this process makes itself."""

    def __init__(self, loader: DataLoader) -> None:
        if loader.timeout != 0:
            raise AssertionError("_SingleProcessDataLoaderIter expects timeout=0")
        self._loader = loader
        # PyTorch draws a seed for its workers whether or not there are any; so must we.
        self._base_seed = drawn_seed(loader.generator)
        self._num_yielded = 0
        self._batches = gatherer(loader) or self._fetched()

    def _fetched(self) -> Iterator[Any]:
        loader = self._loader
        settings = Settings(
            loader.dataset, loader.streams, loader._auto_collation, loader.collate_fn,
            loader.drop_last, self._base_seed, None, 0, 0,
        )  # fmt: skip
        fetcher = Fetcher(settings)
        for index in loader._index_sampler:
            try:
                data = fetcher.fetch(index)
            except StopIteration:
                if loader.streams:
                    return
                raise
            yield data

    def __iter__(self) -> _SingleProcessDataLoaderIter:
        return self

    def __len__(self) -> int:
        return len(self._loader._index_sampler)

    def __next__(self) -> Any:
        recording.refuse("a DataLoader is iterated")
        data = next(self._batches)
        self._num_yielded += 1
        if self._loader.streams:
            self._loader._check_length(self._num_yielded)
        return data

    def __getstate__(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled")


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
