"""Calls of torchvision's companion: transforms of drawn images, boxes, damaged files."""

from __future__ import annotations

import gzip
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diptych.torch as torch
from diptych.companions.torchvision import datasets, io, ops, transforms, utils
from diptych.core import dtypes as engine
from tests.fuzz import network_calls
from tests.fuzz.bending import Recipe
from tests.fuzz.call import Call
from tests.fuzz.draw import Drawer

try:
    from PIL import Image
except ImportError:  # pillow is optional: images are tensors then
    Image = None  # type: ignore[assignment]

TENSOR = network_calls.TENSOR
PIXELS = (engine.uint8, engine.uint8, engine.float32, engine.float32, engine.float64, engine.int16)

dtypes = network_calls.dtypes
targets = network_calls.targets
reset = network_calls.reset


def pixels(d: Drawer) -> Any:
    """An image: a tensor, or one of Pillow's."""
    channels = d.choice((1, 3, 3, 3, 4, 2))
    height, width = (d.choice((1, 2, 5, 8, 13)) for _ in range(2))
    if Image is not None and d.chance(0.25):
        mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
        mode = d.choice((mode, mode, "1", "P", "F", "I"))
        return Image.new(mode, (width, height))
    lead = d.choice(((), (), (2,), (0,)))
    return d.tensor(shape=(*lead, channels, height, width), dtype=d.choice(PIXELS))


def interpolation(d: Drawer) -> Any:
    return d.choice((transforms.InterpolationMode.BILINEAR, transforms.InterpolationMode.NEAREST))


FUNCTIONS: dict[str, Callable[[Drawer], list[Any]]] = {
    "resize": lambda d: [d.choice(([4, 5], 3, [6])), interpolation(d)],
    "crop": lambda d: [d.choice((0, -1, 2)), 0, d.choice((1, 4)), 3],
    "center_crop": lambda d: [d.choice(([3, 4], 9, [2]))],
    "resized_crop": lambda d: [0, 0, 2, 2, [4, 4], interpolation(d)],
    "pad": lambda d: [d.choice((1, [1, 2], [0, 1, 2, 3])), 0,
                      d.choice(("constant", "edge", "reflect", "symmetric"))],
    "hflip": lambda d: [],
    "vflip": lambda d: [],
    "rotate": lambda d: [d.choice((30.0, 90, -45)), interpolation(d), d.chance(0.5)],
    "affine": lambda d: [10.0, [1, 2], 1.5, [5.0, 0.0], interpolation(d)],
    "perspective": lambda d: [[[0, 0], [4, 0], [4, 4], [0, 4]], [[1, 0], [4, 1], [3, 4], [0, 3]]],
    "adjust_brightness": lambda d: [1.5],
    "adjust_contrast": lambda d: [0.5],
    "adjust_saturation": lambda d: [0.5],
    "adjust_hue": lambda d: [d.choice((0.1, -0.5))],
    "adjust_gamma": lambda d: [0.7, 2.0],
    "adjust_sharpness": lambda d: [2.0],
    "autocontrast": lambda d: [],
    "equalize": lambda d: [],
    "invert": lambda d: [],
    "posterize": lambda d: [d.choice((1, 4, 8))],
    "solarize": lambda d: [d.choice((0.5, 128))],
    "gaussian_blur": lambda d: [d.choice((3, [3, 5])), d.choice((None, 1.0, [0.5, 2.0]))],
    "normalize": lambda d: [[0.5], [0.25], d.chance(0.2)],
    "rgb_to_grayscale": lambda d: [d.choice((1, 3))],
    "to_grayscale": lambda d: [d.choice((1, 3))],
    "erase": lambda d: [0, 1, 2, 2, torch.tensor(0.0)],
    "five_crop": lambda d: [[2, 2]],
    "ten_crop": lambda d: [[2, 2], d.chance(0.5)],
    "convert_image_dtype": lambda d: [d.choice((torch.float32, torch.uint8, torch.int32))],
    "to_tensor": lambda d: [],
    "to_pil_image": lambda d: [d.choice((None, "RGB", "L"))],
    "pil_to_tensor": lambda d: [],
    "get_dimensions": lambda d: [],
    "elastic_transform": lambda d: [torch.zeros(1, 5, 5, 2)],
}  # fmt: skip


def function(d: Drawer) -> Recipe:
    name = d.choice(sorted(FUNCTIONS))
    args = [pixels(d), *FUNCTIONS[name](d)]
    return Recipe(f"transforms.functional.{name}", getattr(transforms.functional, name), args)


CLASSES: dict[str, Callable[[Drawer], dict[str, Any]]] = {
    "RandomCrop": lambda d: {"size": d.choice((2, (3, 4))), "padding": d.choice((None, 1)),
                             "pad_if_needed": d.chance(0.5)},
    "RandomResizedCrop": lambda d: {"size": (4, 4), "scale": (0.1, 1.0), "ratio": (0.5, 2.0)},
    "RandomHorizontalFlip": lambda d: {"p": 0.5},
    "RandomVerticalFlip": lambda d: {"p": 1.0},
    "ColorJitter": lambda d: {"brightness": 0.5, "contrast": (0.5, 1.5), "saturation": 0.1,
                              "hue": 0.1},
    "RandomRotation": lambda d: {"degrees": d.choice((10, (-5, 20))), "expand": d.chance(0.5)},
    "RandomAffine": lambda d: {"degrees": 10, "translate": (0.1, 0.2), "scale": (0.5, 1.5),
                               "shear": d.choice((None, 5, (1, 2), (1, 2, 3, 4)))},
    "RandomPerspective": lambda d: {"distortion_scale": 0.5, "p": 1.0},
    "RandomErasing": lambda d: {"p": 1.0, "scale": (0.1, 0.3), "ratio": (0.3, 3.3),
                                "value": d.choice((0, "random", (1, 2, 3)))},
    "GaussianBlur": lambda d: {"kernel_size": d.choice((3, (3, 5))), "sigma": (0.1, 2.0)},
    "RandomInvert": lambda d: {"p": 1.0},
    "RandomPosterize": lambda d: {"bits": 4, "p": 1.0},
    "RandomSolarize": lambda d: {"threshold": 0.5, "p": 1.0},
    "RandomAdjustSharpness": lambda d: {"sharpness_factor": 2, "p": 1.0},
    "RandomGrayscale": lambda d: {"p": 1.0},
    "ElasticTransform": lambda d: {"alpha": 5.0, "sigma": 1.0},
    "LinearTransformation": lambda d: {"transformation_matrix": torch.eye(12),
                                       "mean_vector": torch.zeros(12)},
}  # fmt: skip


def transform(d: Drawer) -> Recipe:
    name = d.choice(sorted(CLASSES))

    def call(image: Any, **options: Any) -> Any:
        made = getattr(transforms, name)(**options)
        repr(made)
        return made(image)

    return Recipe(f"transforms.{name}", call, [pixels(d)], CLASSES[name](d))


def boxes(d: Drawer) -> Recipe:
    n = d.choice((0, 1, 3, 6))
    corner = d.tensor(shape=(n, 2), dtype=engine.float32).detach()
    given = torch.cat([corner, corner + 2.0], 1)
    scores = d.tensor(shape=(n,), dtype=engine.float32)
    args: dict[str, list[Any]] = {
        "nms": [given, scores, 0.5],
        "batched_nms": [given, scores, d.indices((n,), 0, 3), 0.5],
        "box_iou": [given, given],
        "generalized_box_iou": [given, given],
        "box_area": [given],
        "box_convert": [given, d.choice(("xyxy", "cxcywh")), d.choice(("xywh", "xyxy"))],
        "clip_boxes_to_image": [given, (4, 5)],
        "remove_small_boxes": [given, 0.5],
    }
    name = d.choice(sorted(args))
    return Recipe(f"ops.{name}", getattr(ops, name), args[name])


def picture(d: Drawer) -> Recipe:
    kind = d.rng.randrange(3)
    if kind == 0:
        args = [pixels(d), d.choice((1, 8)), d.choice((0, 2))]
        return Recipe("utils.make_grid", utils.make_grid, args, {"normalize": d.chance(0.5)})
    image = d.tensor(shape=(3, 8, 9), dtype=engine.uint8)
    if kind == 1:
        given = torch.tensor([[0.0, 1, 4, 5]])
        name = "draw_bounding_boxes"
        return Recipe(f"utils.{name}", utils.draw_bounding_boxes, [image, given])
    masks = d.tensor(shape=(2, 8, 9), dtype=engine.bool_)
    return Recipe("utils.draw_segmentation_masks", utils.draw_segmentation_masks, [image, masks])


# ---- damaged files


def damaged(d: Drawer, data: bytes) -> bytes:
    """Bytes cut short, with some changed, or with some more."""
    kind = d.rng.randrange(5)
    if kind == 0 or not data:
        return data[: d.rng.randrange(len(data) + 1)]
    made = bytearray(data)
    if kind == 4:
        return bytes(made) + bytes(d.rng.randrange(9))
    for _ in range(d.choice((1, 1, 2, 8))):
        place = d.rng.randrange(min(len(made), 16) if d.chance(0.6) else len(made))
        made[place] = d.choice((0, 255, 127, 128, made[place] ^ 1))
    return bytes(made)


def idx(shape: tuple[int, ...], data: bytes) -> bytes:
    return bytes((0, 0, 8, len(shape))) + b"".join(n.to_bytes(4, "big") for n in shape) + data


def mnist(d: Drawer) -> Recipe:
    """MNIST over files that were damaged, compressed or not."""
    files = {
        "train-images-idx3-ubyte": idx((2, 28, 28), bytes(2 * 784)),
        "train-labels-idx1-ubyte": idx((2,), bytes((3, 7))),
    }
    hurt = d.choice(sorted(files))
    files[hurt] = damaged(d, files[hurt])
    packed = d.chance(0.3)

    def call(train: Any) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            raw = Path(folder, "MNIST", "raw")
            raw.mkdir(parents=True)
            for name, data in files.items():
                if packed:
                    (raw / f"{name}.gz").write_bytes(damaged(d, gzip.compress(data)))
                else:
                    (raw / name).write_bytes(data)
            made = datasets.MNIST(folder, train=train)
            return [made[k] for k in range(min(len(made), 3))]

    return Recipe("datasets.MNIST", call, [True])


def cifar(d: Drawer) -> Recipe:
    """CIFAR-10 over batches whose bytes do not fit their checksums."""
    data = damaged(d, b"\x80\x02}q\x00(U\x04dataq\x01]q\x02U\x06labelsq\x03]q\x04u.")

    def call(train: Any) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            inner = Path(folder, "cifar-10-batches-py")
            inner.mkdir()
            for name in ("data_batch_1", "test_batch", "batches.meta"):
                (inner / name).write_bytes(data)
            return len(datasets.CIFAR10(folder, train=train))

    return Recipe("datasets.CIFAR10", call, [False])


def file(d: Drawer) -> Recipe:
    """An image file, damaged, read by the folder's dataset or by io."""
    if Image is None:
        return function(d)
    form = d.choice(("PNG", "JPEG"))
    with tempfile.TemporaryFile() as held:
        Image.new("RGB", (5, 4)).save(held, form)
        held.seek(0)
        data = damaged(d, held.read())
    reader = d.choice(("folder", "decode", "read"))
    name = f"x.{form.lower()}"

    def call(mode: Any) -> Any:
        if reader == "decode":
            return io.decode_image(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode)
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(Path(folder, "cat"))
            Path(folder, "cat", name).write_bytes(data)
            if reader == "read":
                return io.read_image(str(Path(folder, "cat", name)), mode)
            return datasets.ImageFolder(folder, transforms.ToTensor())[0]

    modes = (io.ImageReadMode.UNCHANGED, io.ImageReadMode.RGB, io.ImageReadMode.GRAY)
    return Recipe(f"{reader} {name}", call, [d.choice(modes)])


RECIPES: tuple[Callable[[Drawer], Recipe], ...] = (
    function, function, function, function, transform, transform, transform, boxes, picture,
    mnist, cifar, file,
)  # fmt: skip


def draw(d: Drawer, table: dict[str, Any]) -> Call:
    """The next call."""
    return network_calls.made(d, RECIPES, network_calls.BENT)
