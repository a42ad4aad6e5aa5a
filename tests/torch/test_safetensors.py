"""The safetensors package, as it is, on this face; and the damaged files that it refuses."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("safetensors")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "src")}

PROGRAM = """
import struct, sys, torch
from safetensors import safe_open
from safetensors.torch import load, load_file, load_model, save, save_file, save_model

path = sys.argv[1]
tensors = {
    "a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.bfloat16) * 1.5,
    "c": torch.tensor(3), "d": torch.zeros(0, 2), "e": torch.tensor([True, False]),
    "f": torch.arange(3, dtype=torch.uint16), "g": torch.ones(3, dtype=torch.float16),
}
save_file(tensors, path, metadata={"format": "pt"})
for found in (load_file(path), load(save(tensors))):
    assert sorted(found) == sorted(tensors)
    for name, tensor in tensors.items():
        other = found[name]
        assert other.dtype == tensor.dtype and other.shape == tensor.shape
        assert other.tolist() == tensor.tolist(), name
with safe_open(path, "pt") as file:
    assert file.metadata() == {"format": "pt"}
    assert file.get_tensor("a").tolist() == tensors["a"].tolist()
    assert file.get_slice("a")[:, 1:2].tolist() == [[1.0], [4.0]]
model, other = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)
save_model(model, path)
assert load_model(other, path) == (set(), [])
assert torch.equal(model.weight, other.weight)
for bad in sys.argv[2:]:
    try:
        load_file(bad)
    except Exception as error:
        assert type(error).__name__ == "SafetensorError", (bad, error)
    else:
        raise AssertionError(bad)
print("done")
"""


def written(path: Path, header: bytes, data: bytes = b"", length: int | None = None) -> str:
    size = len(header) if length is None else length
    path.write_bytes(struct.pack("<Q", size) + header + data)
    return str(path)


def entry(shape: list[int], start: int, end: int, kind: str = "F32") -> dict[str, object]:
    return {"dtype": kind, "shape": shape, "data_offsets": [start, end]}


def test_the_package_runs_on_this_face_and_refuses_damage(tmp_path: Path) -> None:
    def text(**entries: object) -> bytes:
        return json.dumps(entries).encode()

    bad = [
        written(tmp_path / "long", b"{}", length=(100 << 20) + 1),
        written(tmp_path / "longest", b"{}", length=1 << 63),
        written(tmp_path / "overlap", text(a=entry([2], 0, 8), b=entry([2], 4, 12)), bytes(12)),
        written(tmp_path / "shape", text(a=entry([3], 0, 8)), bytes(8)),
        written(tmp_path / "huge", text(a=entry([1 << 62, 8], 0, 8)), bytes(8)),
        written(tmp_path / "beyond", text(a=entry([2], 0, 8)), bytes(4)),
        written(tmp_path / "rest", text(a=entry([2], 0, 8)), bytes(40)),
        written(tmp_path / "json", b"{" * 1000),
        written(tmp_path / "empty", b"", length=0),
    ]
    (tmp_path / "short").write_bytes(b"\x00\x01")
    command = [sys.executable, "-m", "diptych", "run", "-c", PROGRAM, str(tmp_path / "good"), *bad]
    done = subprocess.run(
        [*command, str(tmp_path / "short")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=ENVIRONMENT,
    )
    assert done.stdout == "done\n", done.stderr
