"""The disk store: atomic, checked, bounded, shared, and harmless where it cannot work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from diptych.runtime import store as store_module
from diptych.runtime.keys import Key
from diptych.runtime.store import Store


def key(number: int, name: str = "kernel") -> Key:
    return Key(name, (("name", name), ("number", str(number))), f"{number:040x}")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_what_is_put_is_got_by_another_store(directory: Path) -> None:
    assert Store(str(directory), 1 << 20).put(key(1), b"object")
    other = Store(str(directory), 1 << 20)
    assert other.get(key(1)) == b"object"
    assert other.get(key(2)) is None
    assert [path.suffix for path in directory.iterdir()] == [".dpo"]


def test_every_damaged_byte_is_noticed_and_the_entry_deleted(directory: Path) -> None:
    store = Store(str(directory), 1 << 20)
    store.put(key(1), b"object")
    (path,) = directory.iterdir()
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert store.get(key(1)) is None, at
        assert not path.exists()
    for damaged in (b"", whole[:-1], whole + b"x", whole[:10]):
        path.write_bytes(damaged)
        assert store.get(key(1)) is None
    store.put(key(1), b"object")
    assert store.get(key(1)) == b"object"


def test_an_entry_under_another_key_is_not_believed(directory: Path) -> None:
    store = Store(str(directory), 1 << 20)
    store.put(key(1), b"object")
    (path,) = directory.iterdir()
    path.rename(directory / path.name.replace(key(1).digest, key(2).digest))
    assert store.get(key(2)) is None


def test_the_least_recently_used_go_first(directory: Path) -> None:
    store = Store(str(directory), 1 << 20)
    for number in range(10):
        store.put(key(number), bytes(1000))
        os.utime(next(directory.glob(f"*{key(number).digest}*")), (number, number))
    store.get(key(0))  # a use moves it to the front
    store.limit_bytes = 6000
    assert store.trim() >= 4
    assert store.size() <= 5400
    assert store.get(key(0)) is not None
    assert store.get(key(1)) is None
    assert store.get(key(9)) is not None


def test_writing_keeps_the_bound(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_SCAN_EVERY", 4)
    store = Store(str(directory), 10_000)
    for number in range(40):
        store.put(key(number), bytes(1000))
    assert store.size() <= 10_000 + 4 * 1200


def test_stale_temporaries_are_removed(directory: Path) -> None:
    store = Store(str(directory), 1 << 20)
    store.put(key(1), b"object")
    (directory / "old.tmp").write_bytes(b"")
    (directory / "new.tmp").write_bytes(b"")
    os.utime(directory / "old.tmp", (0, 0))
    store.trim()
    assert sorted(path.suffix for path in directory.iterdir()) == [".dpo", ".tmp"]


def test_a_directory_that_cannot_be_made_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = Store(str(tmp_path / "file" / "cache"), 1 << 20)
    assert not store.put(key(1), b"object")
    assert store.get(key(1)) is None
    assert not Store("", 1 << 20).put(key(1), b"object")
    assert not Store(str(tmp_path / "none"), 0).put(key(1), b"object")
    assert not (tmp_path / "none").exists()


def test_a_directory_that_others_can_write_is_not_used(directory: Path) -> None:
    Store(str(directory), 1 << 20).put(key(1), b"object")
    directory.chmod(0o777)
    store = Store(str(directory), 1 << 20)
    assert store.get(key(1)) is None
    assert not store.put(key(2), b"object")


def test_a_failed_write_is_not_tried_again(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(directory), 1 << 20)
    store.put(key(1), b"object")

    def refuse(*_: object) -> None:
        raise OSError("full")

    monkeypatch.setattr(os, "replace", refuse)
    assert not store.put(key(2), b"object")
    monkeypatch.undo()
    assert not store.put(key(2), b"object")
    assert store.get(key(1)) == b"object"
    assert [path.suffix for path in directory.iterdir()] == [".dpo"]


def test_the_newest_relative_explains_a_miss(directory: Path) -> None:
    store = Store(str(directory), 1 << 20)
    store.put(key(1), b"object")
    store.put(key(2, "other"), b"object")
    assert store.relatives(key(3)) == key(1).parts
    assert store.relatives(key(3, "none")) is None


def test_many_processes_at_once(directory: Path) -> None:
    code = f"""
from diptych.runtime.keys import Key
from diptych.runtime.store import Store
store = Store({str(directory)!r}, 20_000)
for turn in range(150):
    for number in range(8):
        key = Key("k", (), f"{{number:040x}}")
        found = store.get(key)
        assert found is None or found == bytes([number]) * 3000, found
        if found is None or turn % 5 == number % 5:
            store.put(key, bytes([number]) * 3000)
"""
    environment = {"PYTHONPATH": ":".join(sys.path)}
    running = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
