"""Run by an oracle's Python: files pass between PyTorch and us, both ways, in every format."""

from __future__ import annotations

import collections
import io
import json
import pickle
import struct
import sys
import tarfile
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

import diptych.torch as ours

KINDS = (
    "bool uint8 int8 int16 int32 int64 uint16 uint32 uint64 float16 bfloat16 float32 float64 "
    "complex64 complex128"
).split()
# Real PyTorch does not read these from the format before zip.
ONLY_NEW = ("uint16", "uint32", "uint64")


def tensors(face: Any, kinds: list[str]) -> dict[str, Any]:
    """What ``weights_only=True`` allows."""
    base = face.arange(12.0).reshape(3, 4)
    net = face.nn.Sequential(
        face.nn.Linear(3, 4), face.nn.ReLU(), face.nn.BatchNorm1d(4), face.nn.Conv1d(4, 2, 1)
    )
    optimizer = face.optim.Adam(net[0].parameters(), lr=0.1)
    net[0](face.ones(2, 3)).sum().backward()
    optimizer.step()
    noted = face.nn.Parameter(face.arange(2.0))
    noted.note = "hello"
    marked = face.arange(3.0)
    marked.note = "more"
    return {
        "kinds": [face.arange(24).to(getattr(face, kind)) for kind in kinds],
        "views": [base, base.t(), base[1:, 2], base[::2], base[0].expand(5, 4)],
        "parameter": face.nn.Parameter(face.ones(3)), "noted": noted, "marked": marked,
        "state": net.state_dict(), "optimizer": optimizer.state_dict(),
        "ordered": collections.OrderedDict(a=1), "counter": collections.Counter("aab"),
        "plain": (1, 2.5, "s", b"b", None, True, {1, 2}, 1 << 80, 1j, bytearray(b"x")),
        "size": face.Size([1, 2]), "dtype": face.float16, "device": face.device("cpu"),
        "layout": face.strided, "empty": face.zeros(0, 3), "scalar": face.tensor(3),
        "random": face.get_rng_state(), "wanted": face.ones(2, requires_grad=True),
        "channels": face.zeros(1, 2, 3, 4).contiguous(memory_format=face.channels_last),
    }  # fmt: skip


def more(face: Any) -> dict[str, Any]:
    """What needs ``weights_only=False``."""
    return {
        "number": np.float64(3), "array": np.arange(6).reshape(2, 3), "slice": slice(1, 2),
        "range": range(3), "frozen": frozenset([3]),
        "default": collections.defaultdict(list, {1: [2]}), "deque": collections.deque([1], 3),
    }  # fmt: skip


def same(a: Any, b: Any, path: str = "") -> None:
    """AssertionError where PyTorch's object ``a`` and our ``b`` differ."""
    if isinstance(a, torch.Tensor):
        assert str(a.dtype) == str(b.dtype) and a.tolist() == b.tolist(), path
        assert tuple(a.stride()) == tuple(b.stride()), path
        assert a.storage_offset() == b.storage_offset(), path
        assert a.requires_grad == b.requires_grad, path
        assert a.untyped_storage().nbytes() == b.untyped_storage().nbytes(), path
        assert isinstance(a, torch.nn.Parameter) == isinstance(b, ours.nn.Parameter), path
        assert getattr(a, "note", None) == getattr(b, "note", None), path
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype and a.tolist() == b.tolist(), path
    elif isinstance(a, dict):
        assert type(a) is type(b) and list(a) == list(b), path
        assert getattr(a, "_metadata", None) == getattr(b, "_metadata", None), path
        for key in a:
            same(a[key], b[key], f"{path}.{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), path
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            same(x, y, f"{path}[{index}]")
    else:
        assert a == b or str(a) == str(b), (path, a, b)


def written(face: Any, obj: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    face.save(obj, file, **options)
    return file.getvalue()


def both(data: bytes, **options: Any) -> tuple[Any, Any]:
    return torch.load(io.BytesIO(data), **options), ours.load(io.BytesIO(data), **options)


def values(new: bool) -> None:
    kinds = [kind for kind in KINDS if new or kind not in ONLY_NEW]
    for face in (torch, ours):
        plain, rest = tensors(face, kinds), more(face)
        same(*both(written(face, plain, _use_new_zipfile_serialization=new)))
        for protocol in (2, 3, 4, 5):
            options = {"_use_new_zipfile_serialization": new, "pickle_protocol": protocol}
            same(*both(written(face, {**plain, **rest}, **options), weights_only=False))


def modules(new: bool) -> None:
    for face in (torch, ours):
        nn = face.nn
        net = nn.Sequential(
            nn.Linear(3, 4), nn.GELU(), nn.BatchNorm1d(4), nn.Dropout(0.1), nn.LayerNorm(4),
            nn.Embedding(3, 2), nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.LSTM(3, 4),
            nn.MultiheadAttention(4, 2), nn.TransformerEncoderLayer(4, 2, 8, activation="gelu"),
            nn.TransformerEncoderLayer(4, 2, 8), nn.Flatten(), nn.Softmax(1), nn.GRU(2, 2, 2),
        )  # fmt: skip
        data = written(face, net, _use_new_zipfile_serialization=new)
        real, own = both(data, weights_only=False)
        assert repr(real) == repr(own) == repr(net)
        same(real.state_dict(), own.state_dict())
        for loaded, maker in ((real, torch), (own, ours)):
            loaded.eval()
            loaded[8](maker.ones(2, 3))
            loaded[10](maker.ones(2, 1, 4))


def storages(new: bool) -> None:
    for face in (torch, ours):
        data = written(
            face, [face.FloatStorage([1.0, 2.0]), face.arange(2.0).storage()],
            _use_new_zipfile_serialization=new,
        )  # fmt: skip
        for found in both(data):
            assert [held.tolist() for held in found] == [[1.0, 2.0], [0.0, 1.0]]
            assert [str(held.dtype) for held in found] == ["torch.float32"] * 2


def layout() -> None:
    """Byte by byte: the same entries in the same order, each at a multiple of 64."""
    archives = []
    for face in (torch, ours):
        base = face.arange(6.0).reshape(2, 3)
        obj = collections.OrderedDict(a=base, b=base.t(), c=face.ones(3, dtype=face.int64))
        data = written(face, obj)
        archives.append(zipfile.ZipFile(io.BytesIO(data)))
        for info in archives[-1].infolist():
            start = data.find(archives[-1].read(info), info.header_offset + 30 + len(info.filename))
            assert start % 64 == 0, info.filename
    real, own = archives
    names = [name for name in real.namelist() if not name.endswith("serialization_id")]
    assert own.namelist() == names
    for name in names:
        assert own.read(name) == real.read(name), name


def mapped() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for face in (torch, ours):
            path = Path(folder, "x.pt")
            face.save({"a": face.arange(5.0), "b": face.arange(3)}, path)
            before = path.read_bytes()
            found = [loader.load(path, mmap=True) for loader in (torch, ours)]
            same(*found)
            for loaded in found:
                loaded["a"][0] = 9.0
            assert path.read_bytes() == before


def oldest() -> None:
    """The tar from before 2017, which nobody writes any more."""

    def packed(*objs: Any) -> bytes:
        return b"".join(pickle.dumps(obj, 2) for obj in objs)

    kind = b"\x80\x02(K\x01X\x03\x00\x00\x00cpuctorch\nFloatStorage\nt."
    members = {
        "sys_info": packed({"protocol_version": 1000, "little_endian": True}),
        "storages": packed(1) + kind + struct.pack("<q4f", 4, 1, 2, 3, 4) + packed([(2, 1, 1, 2)]),
        "tensors": packed(2) + b"\x80\x02(K\x05K\x01ctorch\nFloatTensor\nt."
        + struct.pack("<ii5q", 2, 0, 2, 2, 1, 2, 0)
        + b"\x80\x02(K\x06K\x02ctorch\nFloatTensor\nt." + struct.pack("<ii3q", 1, 0, 2, 1, 0),
        "pickle": b"\x80\x02}(X\x01\x00\x00\x00aK\x05QX\x01\x00\x00\x00bK\x06Qu.",
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "old.pt")
        with tarfile.open(path, "w") as tar:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        real, own = (face.load(path, weights_only=False) for face in (torch, ours))
        assert real["a"].tolist() == own["a"].tolist() == [[1.0, 3.0], [2.0, 4.0]]
        assert real["b"].tolist() == own["b"].tolist() == [2.0, 3.0]
        own["b"][0] = 7.0
        assert own["a"].tolist() == [[1.0, 3.0], [7.0, 4.0]]


CASES = {
    "values": lambda: values(True), "values, before zip": lambda: values(False),
    "modules": lambda: modules(True), "modules, before zip": lambda: modules(False),
    "storages": lambda: storages(True), "storages, before zip": lambda: storages(False),
    "layout": layout, "mmap": mapped, "tar": oldest,
}  # fmt: skip


def main(out: str) -> None:
    warnings.simplefilter("ignore")
    failed = {}
    for name, case in CASES.items():
        try:
            case()
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {error}"
    Path(out).write_text(json.dumps({"cases": len(CASES), "failed": failed}))


if __name__ == "__main__":
    main(sys.argv[1])
