"""What importlib.metadata says of the faces: ``version("torch")`` and its kin.

Apart from `resolution` because importlib.metadata takes longer to import than all of the rest.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
from collections.abc import Iterable
from typing import Any

from diptych.cli.resolution import FACES, Face

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class FaceDistribution(importlib.metadata.Distribution):
    """The metadata of a face, by the name and version of the framework it stands in for."""

    def __init__(self, face: Face) -> None:
        self.face = face

    def read_text(self, filename: str) -> str | None:
        if filename in ("METADATA", "PKG-INFO"):
            return (
                "Metadata-Version: 2.1\n"
                f"Name: {self.face.distribution}\n"
                f"Version: {self.face.version}\n"
                "Summary: diptych's face, in the place of the framework of this name\n"
            )
        if filename == "top_level.txt":
            return "\n".join(name for name, face in FACES.items() if face is self.face) + "\n"
        if filename == "INSTALLER":
            return "diptych\n"
        return None

    def locate_file(self, path: Any) -> Any:
        return os.path.join(PACKAGE, os.fspath(path))


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def find(faces: Iterable[Face], name: str | None) -> list[FaceDistribution]:
    """The distributions of this name among ``faces``; all of them where it is None."""
    return [
        FaceDistribution(face)
        for face in faces
        if name is None or normalized(name) == normalized(face.distribution)
    ]
