"""What the datasets of images have in common."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from diptych.torch.utils import data

Transform = Callable[..., Any]


class StandardTransform:
    """A transform of the image and one of the target, as one of both."""

    def __init__(
        self, transform: Transform | None = None, target_transform: Transform | None = None
    ) -> None:
        self.transform = transform
        self.target_transform = target_transform

    def __call__(self, input: Any, target: Any) -> tuple[Any, Any]:
        if self.transform is not None:
            input = self.transform(input)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return input, target

    def __repr__(self) -> str:
        rows = [type(self).__name__]
        if self.transform is not None:
            rows += _indented(self.transform, "Transform: ")
        if self.target_transform is not None:
            rows += _indented(self.target_transform, "Target transform: ")
        return "\n".join(rows)


def _indented(transform: Any, head: str) -> list[str]:
    first, *rest = repr(transform).splitlines()
    return [f"{head}{first}", *(" " * len(head) + line for line in rest)]


class VisionDataset(data.Dataset):
    """A folder of images with transforms; subclasses say how many there are and give each."""

    _repr_indent = 4

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        transforms: Transform | None = None,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
    ) -> None:
        self.root = os.path.expanduser(root) if isinstance(root, str) else root
        separate = transform is not None or target_transform is not None
        if transforms is not None and separate:
            raise ValueError(
                "Only transforms or transform/target_transform can be passed as argument"
            )
        self.transform = transform
        self.target_transform = target_transform
        if separate:
            transforms = StandardTransform(transform, target_transform)
        self.transforms = transforms

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__}.__getitem__")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__}.__len__")

    def extra_repr(self) -> str:
        """More lines for ``repr``."""
        return ""

    def __repr__(self) -> str:
        body = [f"Number of datapoints: {len(self)}"]
        if self.root is not None:
            body.append(f"Root location: {self.root}")
        body += self.extra_repr().splitlines()
        if getattr(self, "transforms", None) is not None:
            body += repr(self.transforms).splitlines()
        indent = " " * self._repr_indent
        return "\n".join([f"Dataset {type(self).__name__}", *(indent + line for line in body)])


def missing(name: str, folder: object, download: bool) -> RuntimeError:
    """The error for files that are not there."""
    if download:
        return RuntimeError(
            f"{name}: files are missing in {folder} and diptych's torchvision does not download "
            "datasets; put them there"
        )
    return RuntimeError("Dataset not found. You can use download=True to download it")
