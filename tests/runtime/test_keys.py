"""The cache key: every part counts, in order, and a difference is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from diptych import config
from diptych.compiler.target import Target
from diptych.compiler.unit import CodeUnit
from diptych.runtime import keys

TARGET = Target("x86_64-unknown-linux-gnu", "x86-64-v3", frozenset({"avx2", "fma"}), 32)
UNIT = CodeUnit("add", (("graph", "a + b"), ("dtypes", "f32 f32")), lambda: "")


def test_every_part_changes_the_digest() -> None:
    base = keys.of(UNIT, TARGET, "llvmlite 1")
    others = [
        keys.of(replace(UNIT, name="sub"), TARGET, "llvmlite 1"),
        keys.of(replace(UNIT, key=UNIT.key[::-1]), TARGET, "llvmlite 1"),
        keys.of(
            replace(UNIT, key=(("graph", "a + bd"), ("types", "f32 f32"))), TARGET, "llvmlite 1"
        ),
        keys.of(replace(UNIT, key=(*UNIT.key, ("", ""))), TARGET, "llvmlite 1"),
        keys.of(UNIT, replace(TARGET, features=frozenset({"avx2"})), "llvmlite 1"),
        keys.of(UNIT, replace(TARGET, cpu="x86-64"), "llvmlite 1"),
        keys.of(UNIT, TARGET, "llvmlite 2"),
    ]
    digests = {base.digest, *(other.digest for other in others)}
    assert len(digests) == len(others) + 1
    assert keys.of(replace(UNIT, text=lambda: "other"), TARGET, "llvmlite 1") == base


def test_differences_are_named() -> None:
    before = keys.of(UNIT, TARGET, "llvmlite 1")
    after = keys.of(
        replace(UNIT, key=(("graph", "a * b"), ("mode", "eager"))),
        replace(TARGET, cpu="x86-64"),
        "llvmlite 1",
    )
    assert keys.difference(before.parts, after.parts) == [
        "target cpu was x86-64-v3, is x86-64",
        "graph was a + b, is a * b",
        "dtypes is gone (was f32 f32)",
        "mode is new (eager)",
    ]
    assert keys.difference(before.parts, before.parts) == []


def test_flags_that_change_code_are_parts() -> None:
    names = [name for name, _ in keys.of(UNIT, TARGET, "").parts]
    for variable in config.VARIABLES.values():
        assert (f"flag {variable.name}" in names) == variable.in_key


def test_sources_of_the_compiler_are_hashed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("diptych.__path__", [str(tmp_path)])
    digests = []
    for room, content in (("compiler", "a = 1"), ("compiler", "a = 2"), ("loops", "a = 1")):
        (tmp_path / room).mkdir(exist_ok=True)
        (tmp_path / room / "module.py").write_text(content)
        (tmp_path / room / "note.txt").write_text("not a source")
        keys.sources_digest.cache_clear()
        digests.append(keys.sources_digest())
    keys.sources_digest.cache_clear()
    assert len(set(digests)) == 3
