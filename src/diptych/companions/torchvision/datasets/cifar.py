"""CIFAR-10 and CIFAR-100, from the pickled batches of their Python version."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from diptych.companions.torchvision.datasets.vision import VisionDataset, missing
from diptych.companions.torchvision.transforms.on_pil import modules

_PERMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _Reader(pickle.Unpickler):
    """Reads arrays and plain values, and refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return _reconstruct
        if module == "_codecs" and name == "encode":
            return _encode
        found = _PERMITTED.get((module, name))
        if found is None:
            raise pickle.UnpicklingError(
                f"a CIFAR batch holds arrays and lists, not {module}.{name}"
            )
        return found


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"unexpected encoding {encoding!r}")
    return text.encode("latin1")


def _reconstruct(kind: Any, shape: Any, code: Any) -> Any:
    if kind is not np.ndarray or tuple(shape) != (0,):
        raise pickle.UnpicklingError("unexpected array")
    return np.ndarray((0,), np.uint8)


def _batch(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            entry = _Reader(file, encoding="latin1").load()
        pixels = np.asarray(entry["data"])
    except (pickle.UnpicklingError, KeyError, TypeError, ValueError, EOFError) as error:
        raise RuntimeError(f"{path}: not a batch of CIFAR images: {error}") from error
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != 3072:
        raise RuntimeError(f"{path}: images [N, 3072] of uint8 expected, got {pixels.shape}")
    entry["data"] = pixels
    return dict(entry)


class CIFAR10(VisionDataset):
    """50,000 photographs to train and 10,000 to test, from ``root/cifar-10-batches-py``."""

    base_folder: ClassVar[str] = "cifar-10-batches-py"
    train_list: ClassVar[list[str]] = [f"data_batch_{i}" for i in range(1, 6)]
    test_list: ClassVar[list[str]] = ["test_batch"]
    meta: ClassVar[tuple[str, str]] = ("batches.meta", "label_names")
    labels: ClassVar[str] = "labels"

    def __init__(
        self,
        root: str | os.PathLike[str],
        train: bool = True,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        folder = Path(str(self.root), self.base_folder)
        names = self.train_list if train else self.test_list
        if not all((folder / name).is_file() for name in [*names, self.meta[0]]):
            raise missing(type(self).__name__, folder, download)
        batches = [_batch(folder / name) for name in names]
        pixels = np.concatenate([batch["data"] for batch in batches])
        self.data = pixels.reshape(-1, 3, 32, 32).transpose((0, 2, 3, 1))
        self.targets = [int(label) for batch in batches for label in batch[self.labels]]
        if len(self.targets) != len(self.data):
            raise RuntimeError(f"{folder}: {len(self.data)} images and {len(self.targets)} labels")
        with open(folder / self.meta[0], "rb") as file:
            self.classes = list(_Reader(file, encoding="latin1").load()[self.meta[1]])
        self.class_to_idx = {name: index for index, name in enumerate(self.classes)}

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image: Any = modules()[0].fromarray(self.data[index])
        target: Any = self.targets[index]
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __len__(self) -> int:
        return len(self.data)

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"


class CIFAR100(CIFAR10):
    """CIFAR-10's sibling with a hundred classes, from ``root/cifar-100-python``."""

    base_folder = "cifar-100-python"
    train_list: ClassVar[list[str]] = ["train"]
    test_list: ClassVar[list[str]] = ["test"]
    meta = ("meta", "fine_label_names")
    labels = "fine_labels"
