"""MNIST, Fashion-MNIST and Kuzushiji-MNIST, from their IDX files."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from diptych.companions.torchvision.datasets.vision import VisionDataset, missing
from diptych.companions.torchvision.face import torch
from diptych.companions.torchvision.transforms.on_pil import modules

_KINDS = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def read_idx(path: Path) -> Any:
    """The array in an IDX file, gzipped or not.

    Raises ValueError for a header that does not fit the file: nothing is allocated on its word.
    """
    if path.suffix == ".gz":
        try:
            with gzip.open(path, "rb") as file:
                return _parsed(path, file, 1 << 34)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{path}: damaged gzip data: {error}") from None
    with open(path, "rb") as file:
        return _parsed(path, file, path.stat().st_size + 1)


def _parsed(path: Path, file: Any, most: int) -> Any:
    """The array; ``most`` bytes may be asked for at once."""
    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _KINDS or not head[3]:
        raise ValueError(f"{path}: not an IDX file (it starts with {head!r})")
    kind = np.dtype(_KINDS[head[2]])
    sizes = np.frombuffer(file.read(4 * head[3]), ">u4")
    if len(sizes) != head[3]:
        raise ValueError(f"{path}: the file ends within its header")
    shape = tuple(int(n) for n in sizes)
    wanted = int(np.prod(np.array(shape, object))) * kind.itemsize
    body = file.read(wanted + 1) if wanted < most else b""
    if len(body) != wanted:
        raise ValueError(f"{path}: shape {shape} of {kind} does not fit the file")
    return np.frombuffer(body, kind).reshape(shape).astype(kind.newbyteorder("="))


class MNIST(VisionDataset):
    """60,000 digits to train and 10,000 to test, 28 x 28, from ``root/MNIST/raw``.

    The files are the published ones, gzipped or not; they may also lie in ``root`` itself.
    """

    classes = (
        "0 - zero,1 - one,2 - two,3 - three,4 - four,5 - five,6 - six,7 - seven,8 - eight,9 - nine"
    ).split(",")

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
        part = "train" if train else "t10k"
        images, labels = (
            self._find(f"{part}-{what}-ubyte") for what in ("images-idx3", "labels-idx1")
        )
        if images is None or labels is None:
            raise missing(type(self).__name__, self.raw_folder, download)
        pixels, classes = read_idx(images), read_idx(labels)
        if pixels.ndim != 3 or classes.shape != pixels.shape[:1]:
            raise ValueError(
                f"{images}: images of shape {pixels.shape} and labels of shape {classes.shape} do "
                "not belong together"
            )
        self.data = torch.from_numpy(pixels)
        self.targets = torch.from_numpy(classes.astype(np.int64))

    def _find(self, name: str) -> Path | None:
        for folder in (Path(self.raw_folder), Path(str(self.root))):
            for ending in ("", ".gz"):
                if (folder / (name + ending)).is_file():
                    return folder / (name + ending)
        return None

    @property
    def raw_folder(self) -> str:
        return os.path.join(str(self.root), type(self).__name__, "raw")

    @property
    def class_to_idx(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.classes)}

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image = modules()[0].fromarray(self.data[index].numpy())
        target: Any = int(self.targets[index])
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __len__(self) -> int:
        return len(self.data)

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"


class FashionMNIST(MNIST):
    """Zalando's clothes in MNIST's form (arXiv 1708.07747)."""

    classes = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot".split(
        ","
    )


class KMNIST(MNIST):
    """Kuzushiji characters in MNIST's form (arXiv 1812.01718)."""

    classes = "o,ki,su,tsu,na,ha,ma,ya,re,wo".split(",")
