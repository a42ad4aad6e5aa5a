"""torch.save and torch.load: round trips, refusals, and damaged files."""

from __future__ import annotations

import collections
import io
import os
import pickle
import random
import zipfile

import pytest

import diptych.torch as torch
from diptych.torch import nn, serialization


def saved(obj) -> io.BytesIO:
    file = io.BytesIO()
    torch.save(obj, file)
    file.seek(0)
    return file


def rewritten(file: io.BytesIO, name: str, data: bytes) -> io.BytesIO:
    """The archive with one entry replaced."""
    out = io.BytesIO()
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(out, "w") as new:
        for entry in old.namelist():
            new.writestr(entry, data if entry.endswith(name) else old.read(entry))
    out.seek(0)
    return out


def pickled(payload: bytes) -> io.BytesIO:
    return rewritten(saved({}), "data.pkl", payload)


def test_containers_and_every_dtype_come_back() -> None:
    kinds = [
        torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16,
        torch.uint32, torch.uint64, torch.float16, torch.bfloat16, torch.float32, torch.float64,
        torch.complex64, torch.complex128,
    ]  # fmt: skip
    tensors = {str(kind): torch.arange(3).to(kind) for kind in kinds}
    plain = (1, None, "a", b"bytes", 2.5, 1 + 2j, {3}, [True], 1 << 70)
    obj = collections.OrderedDict(
        tensors=tensors, plain=plain, size=torch.Size([2, 3]), kind=torch.float16,
        empty=torch.zeros(0, 3), scalar=torch.tensor(4.0), device=torch.device("cpu"),
    )  # fmt: skip
    found = torch.load(saved(obj))
    assert isinstance(found, collections.OrderedDict) and found["plain"] == plain
    for name, tensor in tensors.items():
        assert found["tensors"][name].dtype is tensor.dtype
        assert found["tensors"][name].tolist() == tensor.tolist()
    assert found["size"] == (2, 3) and found["kind"] is torch.float16
    assert tuple(found["empty"].shape) == (0, 3) and found["scalar"].item() == 4.0


def test_views_share_their_storage_again() -> None:
    whole = torch.arange(6.0).reshape(2, 3)
    found = torch.load(saved([whole, whole.t(), whole[1, 1:]]))
    found[0][1, 1] = 50.0
    assert found[1].stride() == (1, 3)
    assert found[1][1, 1].item() == found[2][0].item() == 50.0


def test_parameters_and_state_dicts(tmp_path) -> None:
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    path = tmp_path / "weights.pth"
    torch.save({"model": model.state_dict(), "weight": model.weight}, path)
    found = torch.load(str(path), map_location="cpu")
    assert isinstance(found["weight"], nn.Parameter) and found["weight"].requires_grad
    assert found["model"]._metadata[""] == {"version": 1}
    other.load_state_dict(found["model"])
    assert torch.equal(model.weight, other.weight)
    with zipfile.ZipFile(path) as archive:
        assert archive.read("weights/version") == b"3\n"
        assert {"weights/data.pkl", "weights/data/0", "weights/byteorder"} <= set(
            archive.namelist()
        )


def test_nothing_in_a_file_runs(tmp_path) -> None:
    mark = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (os.system, (f"touch {mark}",))

    for attack in (pickle.dumps(Evil(), 2), pickle.dumps(Evil(), 4)):
        with pytest.raises(pickle.UnpicklingError, match="Unsupported global: GLOBAL posix.system"):
            torch.load(pickled(attack))
        with pytest.raises(pickle.UnpicklingError, match="the file names posix.system"):
            torch.load(pickled(attack), weights_only=False)
    # A file must not change what it is allowed to call, nor reach attributes through a name.
    for attack in (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x08\x00\x00\x00functionX\x01\x00\x00\x00xsb.",
        b"\x80\x04\x8c\x0ccollections\x8c\x17OrderedDict.__init__\x93.",
        b"\x80\x02cbuiltins\neval\n.",
        b"\x80\x02ccollections\ndefaultdict\ncos\nsystem\n\x85R.",
    ):
        with pytest.raises(pickle.UnpicklingError):
            torch.load(pickled(attack))
    assert not mark.exists()


class Settings:
    def __init__(self, rate: float = 0.0) -> None:
        self.rate = rate


def test_a_class_may_be_let_in() -> None:
    file = saved(Settings(0.5))
    with pytest.raises(pickle.UnpicklingError, match="add_safe_globals"):
        torch.load(file)
    file.seek(0)
    with serialization.safe_globals([Settings]):
        assert torch.load(file).rate == 0.5
    assert serialization.get_safe_globals() == []


def test_storages_must_hold_what_the_pickle_says() -> None:
    file = saved(torch.arange(8.0))
    with pytest.raises(
        RuntimeError, match="storage 0 has 3 bytes in the file, but 32 are expected"
    ):
        torch.load(rewritten(file, "data/0", b"abc"))
    with zipfile.ZipFile(file) as archive:
        data = archive.read("archive/data.pkl")
    beyond = data.replace(b"K\x08\x85", b"K\x09\x85", 1)  # one element too many
    assert beyond != data
    with pytest.raises(pickle.UnpicklingError, match="reaches beyond its storage of 32 bytes"):
        torch.load(rewritten(file, "data.pkl", beyond))


def test_devices_and_formats_that_are_not_there() -> None:
    file = saved(torch.ones(2))
    with zipfile.ZipFile(file) as archive:
        data = archive.read("archive/data.pkl")
    on_gpu = data.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0", 1)
    moved = rewritten(file, "data.pkl", on_gpu)
    with pytest.raises(RuntimeError, match="on a CUDA device but"):
        torch.load(moved)
    for place in ("cpu", torch.device("cpu"), {"cuda:0": "cpu"}, lambda storage, location: storage):
        moved.seek(0)
        assert torch.load(moved, map_location=place).tolist() == [1.0, 1.0]
    with pytest.raises(RuntimeError, match="Invalid magic number"):
        torch.load(io.BytesIO(pickle.dumps({"a": 1}, 2)))
    with pytest.raises(RuntimeError, match="Parent directory .* does not exist"):
        torch.save({}, "/nowhere/at/all.pt")
    with pytest.raises(FileNotFoundError):
        torch.load("/nowhere/at/all.pt")


def test_damaged_files_raise() -> None:
    good = saved({"a": torch.arange(20.0), "b": [torch.ones(2, 3), "text"]}).getvalue()
    draw = random.Random(0)
    for _ in range(400):
        bad = bytearray(good)
        for _ in range(draw.randint(1, 4)):
            bad[draw.randrange(len(bad))] = draw.randrange(256)
        if draw.random() < 0.3:
            del bad[draw.randrange(len(bad)) :]
        try:
            torch.load(io.BytesIO(bytes(bad)))
        except (RuntimeError, pickle.UnpicklingError, EOFError):
            pass  # NotImplementedError is a RuntimeError
