"""DistributedSampler: one process's share of a data set's indices."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from typing import Any

from diptych.core.random import torch_stream
from diptych.torch.random import Generator
from diptych.torch.utils.data.sampler import Sampler


def _world() -> Any:
    """torch.distributed, where there is one."""
    try:
        world: Any = importlib.import_module("diptych.torch.distributed")
    except ImportError:
        world = None
    if world is None or not world.is_available():
        raise RuntimeError("Requires distributed package to be available")
    return world


class DistributedSampler(Sampler[int]):
    """Every ``num_replicas``-th index from ``rank`` on, shuffled by ``seed`` and epoch.

    Indices are repeated from the front (or, with ``drop_last``, left out at the end) so that all
    ranks have the same number.
    """

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None:
            num_replicas = int(_world().get_world_size())
        if rank is None:
            rank = int(_world().get_rank())
        if not 0 <= rank < num_replicas:
            raise ValueError(
                f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]"
            )
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        count = len(dataset)
        rounded = count // num_replicas if drop_last else math.ceil(count / num_replicas)
        self.num_samples = rounded
        self.total_size = rounded * num_replicas
        self.shuffle = shuffle
        self.seed = seed

    def __iter__(self) -> Iterator[int]:
        count = len(self.dataset)
        indices = list(range(count))
        if self.shuffle:
            generator = Generator().manual_seed(self.seed + self.epoch)
            indices = torch_stream.randperm(generator, count).tolist()
        if self.drop_last:
            indices = indices[: self.total_size]
        elif indices:
            indices = (indices * math.ceil(self.total_size / count))[: self.total_size]
        return iter(indices[self.rank :: self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """The epoch, which changes the order."""
        self.epoch = epoch
