"""Epochs over 20,000 small images with transforms and worker processes, written for PyTorch."""

from __future__ import annotations

import random

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

COUNT = 20_000
MEAN = torch.tensor([0.491, 0.482, 0.447]).reshape(3, 1, 1)
STD = torch.tensor([0.247, 0.243, 0.262]).reshape(3, 1, 1)


class Images(Dataset):
    """CIFAR's shapes in memory: random crop of the padded image, random flip, normalised."""

    def __init__(self, count):
        self.data = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8)
        self.labels = [k % 10 for k in range(count)]

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        image = F.pad(self.data[index].float() / 255, (4, 4, 4, 4))
        top, left = random.randrange(9), random.randrange(9)
        image = image[:, top : top + 32, left : left + 32]
        if torch.rand(1).item() < 0.5:
            image = image.flip(2)
        return (image - MEAN) / STD, self.labels[index]


class Arrays(Dataset):
    """MNIST's shapes as NumPy arrays, made tensors one by one."""

    def __init__(self, count):
        self.data = np.random.default_rng(0).integers(0, 256, (count, 28, 28), dtype=np.uint8)

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        image = torch.from_numpy(self.data[index]).unsqueeze(0).float().div(255)
        return image.sub_(0.1307).div_(0.3081), index % 10


def rows(count):
    return TensorDataset(torch.randn(count, 784), torch.arange(count))


def epoch(make, workers, batch=64, count=COUNT):
    def setup():
        torch.manual_seed(0)
        loader = DataLoader(make(count), batch_size=batch, shuffle=True, num_workers=workers)

        def step():
            seen = 0
            for batch in loader:
                seen += batch[0].shape[0]
            assert seen == count

        return step

    return {"setup": setup}


CASES = {
    "20,000 images, crop and flip, 2 workers": epoch(Images, 2),
    "20,000 arrays to tensors, 2 workers": epoch(Arrays, 2),
    "20,000 rows of a TensorDataset, 2 workers": epoch(rows, 2),
    "start and stop 2 workers": epoch(Arrays, 2, 8, 16),
    "20,000 arrays to tensors, no workers": epoch(Arrays, 0),
}
