"""What is written as NumPy arrays: values of any kind, images laid out by letters, grids."""

from __future__ import annotations

from typing import Any

import numpy as np


def array_of(x: Any) -> Any:
    """A tensor, array, number or list of such as an array; TypeError for anything else."""
    if isinstance(x, np.ndarray):
        return x
    if np.isscalar(x):
        return np.array([x])
    if hasattr(x, "detach"):
        x = x.detach().cpu()
        return (x.float() if str(x.dtype) == "torch.bfloat16" else x).numpy()
    if isinstance(x, (list, tuple)):
        return np.asarray([array_of(part).squeeze() for part in x])
    raise TypeError(f"Got {type(x)}, but numpy array or torch tensor are expected.")


def number_of(x: Any) -> float:
    """The only element of a value."""
    values = array_of(x).squeeze()
    if values.ndim:
        raise ValueError(f"scalar should be 0D, but has shape {values.shape}")
    return float(values)


def histogram(values: Any, bins: Any, most: int | None) -> tuple[dict[str, float], Any, Any]:
    """(statistics, counts, right limits) of a histogram, empty bins at both ends left out."""
    flat = np.asarray(values, np.float64).reshape(-1)
    if flat.size == 0:
        raise ValueError("The input has no element.")
    counts, limits = np.histogram(flat, bins=bins)
    if most is not None and len(counts) > most:
        together = -(-len(counts) // most)
        counts = np.pad(counts, (0, -len(counts) % together)).reshape(-1, together).sum(axis=1)
        edges = limits[:-1:together]
        limits = np.append(edges, limits[-1])
    filled = np.flatnonzero(counts)
    if not filled.size:
        raise ValueError("The histogram is empty, please file a bug report.")
    first, last = filled[0], filled[-1] + 1
    counts, right = counts[first:last], limits[first + 1 : last + 1]
    # one empty bin before them says where the first begins
    counts, right = np.append([0], counts), np.append(limits[first], right)
    statistics = {
        "min": float(flat.min()),
        "max": float(flat.max()),
        "num": float(flat.size),
        "sum": float(flat.sum()),
        "sum_squares": float(flat.dot(flat)),
    }
    return statistics, counts, right


def default_bins() -> list[float]:
    """Limits that grow by a tenth from 1e-12 to 1e20, both signs."""
    positive = [1e-12]
    while positive[-1] * 1.1 < 1e20:
        positive.append(positive[-1] * 1.1)
    return [*(-v for v in reversed(positive)), 0.0, *positive]


def laid_out(x: Any, letters: str) -> Any:
    """An image HWC with 3 (or 4) channels from axes in the order of ``letters``; NCHW: a grid."""
    letters = letters.upper()
    if len(set(letters)) != len(letters) or not set(letters) <= set("NCHW"):
        raise ValueError(f"dataformats {letters!r}: different letters of NCHW expected")
    if x.ndim != len(letters):
        raise ValueError(
            f"size of input tensor and input format are different. tensor shape: {x.shape}, "
            f"input_format: {letters}"
        )
    if len(letters) == 4:
        x = _grid(x.transpose([letters.find(c) for c in "NCHW"])).transpose(1, 2, 0)
    elif len(letters) == 3:
        x = x.transpose([letters.find(c) for c in "HWC"])
    else:
        x = x.transpose([letters.find(c) for c in "HW"])[:, :, None]
    if x.shape[2] == 1:
        x = np.concatenate([x] * 3, axis=2)
    return x


def _grid(images: Any) -> Any:
    """Images NCHW beside and below each other, at most eight a row."""
    if images.shape[1] == 1:
        images = np.concatenate([images] * 3, axis=1)
    count, channels, height, width = images.shape
    across = min(count, 8)
    down = -(-count // across)
    canvas = np.zeros((channels, height * down, width * across), images.dtype)
    for position, image in enumerate(images):
        row, column = divmod(position, across)
        canvas[:, row * height : (row + 1) * height, column * width : (column + 1) * width] = image
    return canvas


def bytes_of(x: Any) -> Any:
    """An image as uint8: floats from [0, 1], bytes as they are."""
    scale = 1 if x.dtype == np.uint8 else 255
    return np.clip(x.astype(np.float32) * scale, 0, 255).astype(np.uint8)
