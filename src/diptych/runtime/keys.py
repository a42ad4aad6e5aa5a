"""The cache key of a kernel: ordered named parts, so that a miss can be explained by name.

What is not in a unit's own key but still decides its code is added here: the target, the code
generator's version, our variables that change code, and a hash of the sources that write IR. That
hash is of the files' bytes, read once per process (2 ms): times and sizes would be cheaper, but an
installer or a checkout may keep them while the content changes, and a stale kernel is a wrong
answer.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass

import diptych
from diptych import config
from diptych.compiler.target import Target
from diptych.compiler.unit import CodeUnit

# The rooms whose sources decide what IR is written for a given unit.
_WRITING_ROOMS = ("compiler", "loops")
_FORMAT = "1"


@dataclass(frozen=True)
class Key:
    """A kernel's identity: its symbol, its parts, and their digest in hexadecimal."""

    name: str
    parts: tuple[tuple[str, str], ...]
    digest: str


@functools.cache
def sources_digest() -> str:
    """Hash of the sources that write IR, names and bytes."""
    digest = hashlib.blake2b(digest_size=16)
    root = str(diptych.__path__[0])
    for room in _WRITING_ROOMS:
        # os.walk: pathlib's rglob would take longer than reading the files.
        for folder, folders, names in os.walk(os.path.join(root, room)):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for name in sorted(names):
                if not name.endswith(".py"):
                    continue
                path = os.path.join(folder, name)
                try:
                    with open(path, "rb", buffering=0) as file:
                        content = file.read()
                except OSError:
                    continue  # an editor's temporary file, gone since it was listed
                place = path[len(root) :].replace(os.sep, "/")
                digest.update(f"{place}\0{len(content)}\0".encode())
                digest.update(content)
    return digest.hexdigest()


def _digest(parts: Iterable[tuple[str, str]]) -> str:
    digest = hashlib.blake2b(digest_size=20)
    for name, value in parts:
        encoded = value.encode()
        digest.update(f"{name}\0{len(encoded)}\0".encode())
        digest.update(encoded)
    return digest.hexdigest()


@functools.cache
def _common(target: Target, codegen: str) -> tuple[tuple[str, str], ...]:
    flags = [
        (f"flag {variable.name}", str(variable.get()))
        for variable in config.VARIABLES.values()
        if variable.in_key
    ]
    return (
        ("format", _FORMAT),
        ("target triple", target.triple),
        ("target cpu", target.cpu),
        ("target features", target.feature_string),
        ("code generator", codegen),
        ("compiler sources", sources_digest()),
        *flags,
    )


def of(unit: CodeUnit, target: Target, codegen: str) -> Key:
    """The key of ``unit`` for ``target`` with the code generator of this version."""
    parts = (("name", unit.name), *_common(target, codegen), *unit.key)
    return Key(unit.name, parts, _digest(parts))


def difference(before: Iterable[tuple[str, str]], after: Iterable[tuple[str, str]]) -> list[str]:
    """In words, what differs between two keys, part by part."""
    old, new = dict(before), dict(after)
    words = []
    for name in [*old, *(name for name in new if name not in old)]:
        if name not in new:
            words.append(f"{name} is gone (was {old[name]})")
        elif name not in old:
            words.append(f"{name} is new ({new[name]})")
        elif old[name] != new[name]:
            words.append(f"{name} was {old[name]}, is {new[name]}")
    return words
