"""One program for both: torchvision's models, transforms, grids and boxes, as numbers and texts.

python torchvision_cases.py OUT.json
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import sys

import numpy as np
import torch

MODELS = [
    "alexnet", "resnet18", "resnext50_32x4d", "vgg11_bn", "mobilenet_v2", "mobilenet_v3_small",
    "mobilenet_v3_large", "efficientnet_b0", "efficientnet_v2_s", "vit_b_32", "squeezenet1_0",
    "squeezenet1_1",
]  # fmt: skip
RUN = ["resnet18", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0", "squeezenet1_1"]


def prepare():
    """Declares what the real torchvision's compiled half would, where that half does not load."""
    if not hasattr(torch, "library") or "diptych" in torch.__file__:
        return
    library = torch.library.Library("torchvision", "DEF")
    signatures = ["nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"]
    names = (
        "roi_align _roi_align_backward ps_roi_align _ps_roi_align_backward roi_pool qnms "
        "qroi_align _roi_pool_backward ps_roi_pool _ps_roi_pool_backward deform_conv2d "
        "_deform_conv2d_backward"
    )
    signatures += [f"{name}(Tensor a) -> Tensor" for name in names.split()]
    for signature in signatures:
        library.define(signature)
    globals()["kept"] = library


def picture():
    """A smooth image with detail, [61, 83, 3]."""
    rows, columns = np.mgrid[0:61, 0:83].astype(np.float64)
    bands = [
        np.sin(rows / a + 1.3 * b) * np.cos(columns / b - a) for a, b in ((5, 9), (7, 4), (3, 8))
    ]
    noise = np.random.default_rng(0).integers(-20, 21, (61, 83, 3))
    return np.clip(np.stack(bands, -1) * 100 + 128 + noise, 0, 255).astype(np.uint8)


def transforms(T):
    smooth = T.InterpolationMode.BILINEAR
    return {
        "resize": T.Resize(32),
        "resize_both": T.Resize((40, 30)),
        "resize_most": T.Resize(30, max_size=35),
        "bicubic": T.Resize(32, interpolation=T.InterpolationMode.BICUBIC),
        "nearest": T.Resize(32, interpolation=T.InterpolationMode.NEAREST),
        "larger": T.Resize(100),
        "center": T.CenterCrop(32),
        "center_padded": T.CenterCrop(100),
        "pad": T.Pad(3),
        "pad_reflect": T.Pad((2, 3), padding_mode="reflect"),
        "pad_symmetric": T.Pad((2, 3, 4, 5), padding_mode="symmetric"),
        "pad_edge": T.Pad(4, padding_mode="edge"),
        "crop": T.RandomCrop(32),
        "crop_padded": T.RandomCrop(64, padding=4, pad_if_needed=True),
        "resized_crop": T.RandomResizedCrop(32),
        "flip": T.RandomHorizontalFlip(),
        "flip_down": T.RandomVerticalFlip(0.9),
        "rotate": T.RandomRotation(30),
        "rotate_expand": T.RandomRotation((10, 50), interpolation=smooth, expand=True, fill=3),
        "affine": T.RandomAffine(20, (0.1, 0.2), (0.8, 1.2), 10),
        "affine_smooth": T.RandomAffine(20, shear=(1, 5, 2, 8), interpolation=smooth, fill=7),
        "perspective": T.RandomPerspective(p=1.0),
        "gray": T.Grayscale(),
        "gray_random": T.RandomGrayscale(0.9),
        "jitter": T.ColorJitter(0.4, 0.4, 0.4, 0.2),
        "blur": T.GaussianBlur(5),
        "invert": T.RandomInvert(1.0),
        "posterize": T.RandomPosterize(3, 1.0),
        "solarize": T.RandomSolarize(128, 1.0),
        "sharpness": T.RandomAdjustSharpness(2, 1.0),
        "autocontrast": T.RandomAutocontrast(1.0),
        "equalize": T.RandomEqualize(1.0),
        "five": T.Compose([T.FiveCrop(20), T.Lambda(lambda crops: crops[3])]),
        "ten": T.Compose([T.TenCrop(20), T.Lambda(lambda crops: crops[7])]),
        "elastic": T.ElasticTransform(),
        "some": T.RandomApply([T.Pad(2)], 0.5),
        "erase": T.RandomErasing(1.0),
        "erase_noise": T.RandomErasing(1.0, value="random"),
        "normalize": T.Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)),
    }


def numbers(value):
    """Shape, and sums that a moved, lost or changed pixel changes."""
    x = np.asarray(value if not torch.is_tensor(value) else value.detach().numpy(), np.float64)
    flat = x.ravel()
    places = np.cos(np.arange(flat.size) * 0.7)
    return [
        list(x.shape),
        float(flat.sum()),
        float((flat * places).sum()),
        float(np.abs(flat).sum()),
    ]


def main():
    prepare()
    import torchvision
    from torchvision import transforms as T

    out = {"version": torchvision.__version__.partition("+")[0]}
    for name in MODELS:
        torch.manual_seed(0)
        model = getattr(torchvision.models, name)(weights=None)
        entries = {key: list(value.shape) for key, value in model.state_dict().items()}
        weights = [float(value.double().abs().sum()) for value in model.state_dict().values()]
        out[f"{name} entries"] = hashlib.sha256(json.dumps(entries).encode()).hexdigest()
        out[f"{name} weights"] = [len(weights), sum(weights)]
        out[f"{name} repr"] = hashlib.sha256(repr(model).encode()).hexdigest()
        if name in RUN:
            torch.manual_seed(1)
            with torch.no_grad():
                out[f"{name} output"] = model.eval()(torch.randn(2, 3, 64, 64))[0, :8].tolist()
    pixels = picture()
    image = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
    for name, transform in transforms(T).items():
        if "Lambda" not in repr(transform):
            out[f"{name} repr"] = repr(transform)
        for kind, given in (("uint8", image), ("float", image.float() / 255)):
            if kind == "float" and name in ("posterize", "equalize", "solarize"):
                continue
            if kind == "uint8" and name in ("normalize", "erase_noise"):
                continue
            torch.manual_seed(5)
            out[f"{name} {kind}"] = numbers(transform(given))
    torch.manual_seed(0)
    batch = torch.rand(7, 3, 9, 11)
    boxes = torch.tensor([[1.0, 2, 20, 30], [15, 5, 60, 50], [2, 3, 22, 28]])
    grid, ops = torchvision.utils.make_grid, torchvision.ops
    out["grid"] = numbers(grid(batch, nrow=3))
    out["grid normalized"] = numbers(grid(batch, 4, normalize=True, scale_each=True, pad_value=0.5))
    out["grid gray"] = numbers(grid(batch[:, :1]))
    out["iou"] = ops.box_iou(boxes, boxes).tolist()
    out["giou"] = ops.generalized_box_iou(boxes, boxes).tolist()
    out["convert"] = ops.box_convert(boxes, "xyxy", "cxcywh").tolist()
    torch.manual_seed(2)
    out["depth"] = ops.stochastic_depth(torch.ones(6, 2), 0.5, "row").tolist()
    best = torchvision.models.ResNet50_Weights.DEFAULT
    out["weights"] = [repr(best), best.url, repr(best.transforms())]
    with open(sys.argv[1], "w") as file:
        json.dump(out, file, indent=0)


if __name__ == "__main__":
    importlib.metadata.version("torch")
    main()
