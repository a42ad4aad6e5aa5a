"""What the digits programs share: the data, the training loop, the curve, the command line.

The digits are scikit-learn's: 1,797 scans of 8 x 8 pixels, inside its wheel; a fifth is held back.
With ``--data mnist`` they are those of MNIST's test set: the first 9,000 to train, each also
shifted by a pixel in the four directions, and the last 1,000 to be held back.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SHARED_MNIST = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"


def scikit_learn_file() -> Path:
    """The digits inside scikit-learn's wheel, found without importing it: that takes a second."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("the digits come with scikit-learn: pip install scikit-learn (or 'diptych[demo]')")
    return Path(spec.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")


def scikit_learn_digits(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels scaled to [0, 1], and labels."""
    table = np.loadtxt(file, delimiter=",", dtype=np.float32)
    return table[:, :-1] / 16, table[:, -1].astype(np.int64)


def mnist_digits(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The 10,000 images of MNIST's test set, scaled to [0, 1], and labels."""
    images, labels = folder / "t10k-images-idx3-ubyte.gz", folder / "t10k-labels-idx1-ubyte.gz"
    if not images.exists():
        sys.exit(f"no MNIST in {folder}: give its folder with --mnist, or set MNIST_DIR")
    with gzip.open(images) as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28 * 28)
    with gzip.open(labels) as file:
        classes = np.frombuffer(file.read(), np.uint8, offset=8)
    return pixels.astype(np.float32) / 255, classes.astype(np.int64)


def shifted(pixels: np.ndarray, side: int) -> np.ndarray:
    """The images, then each moved down, up, right and left by a pixel."""
    square = pixels.reshape(-1, side, side)
    moved = [np.roll(square, step, axis) for axis in (1, 2) for step in (1, -1)]
    return np.concatenate([square, *moved]).reshape(-1, side * side)


def load(options: argparse.Namespace) -> tuple[TensorDataset, TensorDataset]:
    """The training set and the held-back one."""
    if options.data == "mnist":
        pixels, classes = mnist_digits(options.mnist)
        order, held_back = torch.arange(len(classes)), 1000
    else:
        pixels, classes = scikit_learn_digits(options.digits or scikit_learn_file())
        order, held_back = torch.randperm(len(classes)), len(classes) // 5
    images, labels = torch.from_numpy(pixels)[order], torch.from_numpy(classes)[order]
    test = TensorDataset(images[-held_back:], labels[-held_back:])
    images, labels = images[:-held_back], labels[:-held_back]
    if options.data == "mnist":
        images, labels = torch.from_numpy(shifted(images.numpy(), 28)), labels.repeat(5)
    return TensorDataset(images, labels), test


def progress(total: int):
    """A progress bar where somebody watches; None elsewhere."""
    if not sys.stderr.isatty():
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=total, unit="step")


def train(
    model: nn.Module, data: TensorDataset, options: argparse.Namespace, rule=torch.optim.Adam
) -> list[float]:
    """Trains in place and gives the loss of every step."""
    loader = DataLoader(data, batch_size=options.batch, shuffle=True)
    loss_of = nn.CrossEntropyLoss()
    optimizer = rule(model.parameters(), lr=options.rate)
    bar = progress(min(options.epochs * len(loader), options.steps or sys.maxsize))
    losses: list[float] = []
    model.train()
    for epoch in range(options.epochs):
        for images, labels in loader:
            optimizer.zero_grad()
            loss = loss_of(model(images), labels)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if bar is not None:
                bar.set_postfix(epoch=epoch + 1, loss=f"{losses[-1]:.3f}", refresh=False)
                bar.update()
            if len(losses) == options.steps:
                return losses
    if bar is not None:
        bar.close()
    return losses


def accuracy(model: nn.Module, data: TensorDataset) -> float:
    """The share of the images that the model reads rightly."""
    model.eval()
    right = 0
    with torch.no_grad():
        for images, labels in DataLoader(data, batch_size=500):
            right += (model(images).argmax(dim=1) == labels).sum().item()
    return right / len(data)


def plot(losses: list[float], title: str, file: str) -> None:
    """The losses of all steps and their running mean, as a PNG."""
    import matplotlib  # after training: it takes longer to import than to train

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    window = min(len(losses), 45)
    smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    axes.plot(losses, color="0.8", label="each step")
    axes.plot(np.arange(len(smooth)) + window / 2, smooth, label=f"mean of {window} steps")
    axes.set(xlabel="step", ylabel="cross entropy", yscale="log")
    axes.set_title(title)
    axes.legend()
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120)


def arguments(
    description: str, name: str, epochs: dict[str, int], rate: float = 1e-3
) -> argparse.Namespace:
    """The command line; ``epochs`` are the defaults for each set of digits."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--data", choices=["digits", "mnist"], default="digits")
    parser.add_argument("--digits", type=Path, metavar="FILE", help="scikit-learn's digits.csv.gz")
    parser.add_argument(
        "--mnist", type=Path, default=Path(os.environ.get("MNIST_DIR", SHARED_MNIST)), metavar="DIR"
    )
    usual = f"default: {epochs['digits']}, of MNIST {epochs['mnist']}"
    parser.add_argument("--epochs", type=int, help=usual)
    parser.add_argument("--batch", type=int, help="default: 32, of MNIST 64")
    parser.add_argument("--rate", type=float, default=rate, help="the learning rate")
    parser.add_argument("--steps", type=int, help="stop after this many steps; no picture")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--losses", metavar="FILE", help="write the first 100 losses there, as JSON"
    )
    parser.add_argument("--plot", metavar="FILE", default=f"{name}.png")
    options = parser.parse_args()
    options.epochs = options.epochs or epochs[options.data]
    options.batch = options.batch or (64 if options.data == "mnist" else 32)
    return options


def run(network, options: argparse.Namespace, wanted: float, rule=torch.optim.Adam) -> None:
    """Trains ``network(side)``, reports, draws; an error below the ``wanted`` accuracy."""
    torch.manual_seed(options.seed)
    training, held_back = load(options)
    model = network(round(training.tensors[0].shape[1] ** 0.5))
    start = time.perf_counter()
    losses = train(model, training, options, rule)
    seconds = time.perf_counter() - start
    print(f"{len(losses)} steps in {seconds:.2f} s, last loss {losses[-1]:.4f}")
    if options.losses:
        Path(options.losses).write_text(json.dumps(losses[:100]))
    if options.steps:
        return
    reached = accuracy(model, held_back)
    print(f"accuracy on the {len(held_back)} digits held back: {reached:.2%}")
    if options.plot:
        plot(losses, f"{reached:.1%} of the held-back digits read rightly", options.plot)
        print(f"loss curve: {options.plot}")
    if reached <= wanted:
        sys.exit(f"expected more than {wanted:.1%}")
