"""The torchvision companion: against values of the real one, and its behaviour with files."""

from __future__ import annotations

import gzip
import json
import math
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diptych import torch
from diptych.companions.torchvision import datasets, models, ops, utils
from diptych.companions.torchvision.models import registry

ROOT = Path(__file__).resolve().parents[2]
GOLDEN: dict[str, Any] = json.loads(Path(__file__).with_name("torchvision.json").read_text())


# The real one resamples bytes in integers: single pixels may differ by one.
def agree(expected: Any, actual: Any, key: str) -> bool:
    """Whether two results agree: numbers within 1e-4 (sums over rounded pixels within 2e-3)."""
    if isinstance(expected, list):
        return len(expected) == len(actual) and all(
            agree(e, a, key) for e, a in zip(expected, actual, strict=True)
        )
    if isinstance(expected, float):
        loose = key.endswith("uint8")
        return math.isclose(
            expected, actual, rel_tol=2e-3 if loose else 1e-4, abs_tol=60 if loose else 2e-3
        )
    return bool(expected == actual)


@pytest.mark.slow
def test_values_of_the_real_one(tmp_path: Path) -> None:
    out = tmp_path / "ours.json"
    program = ROOT / "tests" / "parity" / "torchvision_cases.py"
    command = [sys.executable, "-m", "diptych", "run", str(program), str(out)]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    subprocess.run(command, check=True, timeout=300, env=env)
    actual = json.loads(out.read_text())
    assert GOLDEN.keys() == actual.keys()
    bad = [key for key in GOLDEN if not agree(GOLDEN[key], actual[key], key)]
    assert not bad, {key: (GOLDEN[key], actual[key]) for key in bad[:5]}


# ---- models


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1"])
def test_a_model_trains(name: str) -> None:
    torch.manual_seed(0)
    model = models.get_model(name, num_classes=7).train()
    out = model(torch.randn(2, 3, 64, 64))
    assert out.shape == (2, 7)
    out.square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_names_and_weights() -> None:
    assert "resnet50" in models.list_models(include="resnet*")
    assert models.get_weight("ResNet18_Weights.IMAGENET1K_V1") is models.ResNet18_Weights.DEFAULT
    assert models.get_model_weights("vgg16") is models.VGG16_Weights
    with pytest.raises(ValueError, match="Unknown model nothing"):
        models.get_model("nothing")
    with pytest.raises(TypeError, match="expected ResNet18_Weights"):
        models.resnet18(weights=models.VGG16_Weights.DEFAULT)
    with pytest.raises(ValueError, match="num_classes"):
        models.resnet18(weights="DEFAULT", num_classes=10)
    with pytest.raises(NotImplementedError, match=r"models\.swin_t"):
        _ = models.swin_t
    assert set(registry.BUILDERS) == set(registry.WEIGHTS)


def test_weights_come_from_the_folder_of_downloads(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.manual_seed(3)
    saved = models.squeezenet1_1()
    name = models.SqueezeNet1_1_Weights.DEFAULT.url.rpartition("/")[2]
    torch.save(saved.state_dict(), folder / name)
    loaded = models.squeezenet1_1(weights="DEFAULT")
    for key, value in saved.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key


# ---- datasets


def idx(array: Any) -> bytes:
    return (
        struct.pack(">HBB", 0, 8, array.ndim)
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.tobytes()
    )


def mnist_files(folder: Path) -> tuple[Any, Any]:
    folder.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28)).astype(np.uint8)
    labels = np.array([3, 1, 4, 1, 5], np.uint8)
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx(images))
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    return images, labels


def test_mnist(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    images, labels = mnist_files(tmp_path / "MNIST" / "raw")
    data = datasets.MNIST(str(tmp_path), train=False, transform=torch_pixels)
    assert len(data) == 5 and data.targets.tolist() == labels.tolist()
    image, label = data[2]
    assert label == 4 and np.array_equal(image, images[2])
    assert "Split: Test" in repr(data) and "Number of datapoints: 5" in repr(data)
    with pytest.raises(RuntimeError, match="Dataset not found"):
        datasets.MNIST(str(tmp_path), train=True)
    with pytest.raises(RuntimeError, match="does not download"):
        datasets.FashionMNIST(str(tmp_path), download=True)


def torch_pixels(image: Any) -> Any:
    return np.asarray(image)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0\0\x08", b"\0\0\x08\x03" + b"\xff" * 12, b"PK\x03\x04" + b"x" * 40,
     b"\0\0\x08\x03" + struct.pack(">3I", 9, 28, 28) + b"x" * 50],
)  # fmt: skip
def test_a_broken_idx_file_is_refused(tmp_path: Path, content: bytes) -> None:
    mnist_files(tmp_path / "MNIST" / "raw")
    (tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(ValueError, match="t10k-images"):
        datasets.MNIST(str(tmp_path), train=False)


def test_cifar_reads_arrays_and_runs_nothing(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3072)).astype(np.uint8)
    names = [f"class {i}" for i in range(10)]
    batch = pickle.dumps({"data": pixels, "labels": [1, 2, 3, 4]}, protocol=2)
    (folder / "test_batch").write_bytes(batch)
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}, protocol=2))
    data = datasets.CIFAR10(str(tmp_path), train=False, transform=torch_pixels)
    image, label = data[3]
    assert label == 4 and np.array_equal(image, pixels[3].reshape(3, 32, 32).transpose(1, 2, 0))
    assert data.classes == names and data.class_to_idx["class 2"] == 2

    class Harm:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "harm"),)

    (folder / "test_batch").write_bytes(pickle.dumps({"data": Harm(), "labels": []}))
    with pytest.raises(RuntimeError, match="not a batch of CIFAR images"):
        datasets.CIFAR10(str(tmp_path), train=False)
    assert not (tmp_path / "harm").exists()


def test_image_folder(tmp_path: Path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    for name, color in (("cat", 10), ("dog", 200)):
        (tmp_path / name).mkdir()
        for number in range(2):
            image_module.new("RGB", (4, 3), (color, number, 0)).save(
                tmp_path / name / f"{number}.png"
            )
    (tmp_path / "dog" / "notes.txt").write_text("no image")
    data = datasets.ImageFolder(str(tmp_path), transform=torch_pixels)
    assert data.classes == ["cat", "dog"] and data.targets == [0, 0, 1, 1]
    image, label = data[3]
    assert label == 1 and image[0, 0].tolist() == [200, 1, 0]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="classes empty"):
        datasets.ImageFolder(str(tmp_path))


def test_fake_data_is_the_same_every_time() -> None:
    pytest.importorskip("PIL")
    data = datasets.FakeData(3, (3, 8, 8))
    before = torch.get_rng_state()
    first, again = data[1], data[1]
    assert np.array_equal(np.asarray(first[0]), np.asarray(again[0])) and first[1] == again[1]
    assert torch.equal(before, torch.get_rng_state())
    with pytest.raises(IndexError):
        data[3]


# ---- pictures and boxes


def test_save_image(tmp_path: Path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    utils.save_image(torch.ones(2, 3, 4, 5), tmp_path / "grid.png", padding=1)
    picture = np.asarray(image_module.open(tmp_path / "grid.png"))
    assert picture.shape == (6, 13, 3)
    assert picture[1, 1].tolist() == [255] * 3 and picture[0, 0].tolist() == [0] * 3


def test_overlapping_boxes_are_suppressed() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30], [0, 0, 10, 9]])
    scores = torch.tensor([0.5, 0.9, 0.3, 0.8])
    assert ops.nms(boxes, scores, 0.5).tolist() == [1, 2]
    classes = torch.tensor([0, 1, 0, 0])
    assert ops.batched_nms(boxes, scores, classes, 0.5).tolist() == [1, 3, 2]
    with pytest.raises(RuntimeError, match="same number"):
        ops.nms(boxes, scores[:2], 0.5)
