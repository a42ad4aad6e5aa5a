"""Training and inference of whole networks, written for PyTorch: images, sequences, language."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


def training(build, inputs, labels, loss_of=F.cross_entropy, flops=None, rule=None):
    """Forward, loss, backward and an optimizer's step; a third of the work is the forward pass."""

    def setup():
        torch.manual_seed(0)
        model, given, wanted = build().train(), inputs(), labels()
        make = rule or torch.optim.Adam
        optimizer = make(model.parameters())

        def step():
            optimizer.zero_grad()
            loss_of(model(given), wanted).backward()
            optimizer.step()

        return step

    return {"setup": setup, "flops": flops}


def inference(build, inputs, flops=None):
    def setup():
        torch.manual_seed(0)
        model, given = build().eval(), inputs()

        def predict():
            with torch.no_grad():
                return model(given)

        return predict

    return {"setup": setup, "flops": flops}


# ---- one convolution


def convolution(backward):
    flops = 2 * 8 * 56 * 56 * 64 * 64 * 9

    def setup():
        torch.manual_seed(0)
        layer = nn.Conv2d(64, 64, 3, padding=1)
        x = torch.randn(8, 64, 56, 56, requires_grad=backward)
        upstream = torch.randn(8, 64, 56, 56)

        def forward():
            with torch.no_grad():
                layer(x)

        def both():
            layer.zero_grad()
            x.grad = None
            layer(x).backward(upstream)

        return both if backward else forward

    return {"setup": setup, "flops": 3 * flops if backward else flops}


# ---- images


def mnist_cnn():
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(64 * 12 * 12, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    )


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride):
        super().__init__()
        outputs = 4 * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.shortcut(x))


def resnet13():
    """Thirteen convolutions for 32 x 32 images: a stem, then three stages of two basic blocks."""
    layers = [nn.Conv2d(3, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU()]
    inputs = 32
    for stage, width in enumerate((32, 64, 128)):
        for block in range(2):
            layers.append(BasicBlock(inputs, width, 2 if stage and not block else 1))
            inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10))


def resnet50():
    layers = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    layers.append(nn.MaxPool2d(3, 2, 1))
    inputs = 64
    for stage, (width, blocks) in enumerate(zip((64, 128, 256, 512), (3, 4, 6, 3), strict=True)):
        for block in range(blocks):
            layers.append(Bottleneck(inputs, width, 2 if stage and not block else 1))
            inputs = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000))


def images(*shape):
    return lambda: torch.randn(*shape)


def classes(count, *shape):
    return lambda: torch.randint(0, count, shape)


# ---- sequences and language


class SequenceClassifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(64, 256, batch_first=True)
        self.head = nn.Linear(256, 10)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention, self.projection = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x):
        batch, length, width = x.shape
        joined = self.attention(self.norm1(x)).view(batch, length, 3, self.heads, -1)
        query, key, value = joined.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.projection(seen.transpose(1, 2).reshape(batch, length, width))
        return x + self.feed(self.norm2(x))


class GPT(nn.Module):
    def __init__(self, letters=256, width=256, heads=8, layers=4, context=128):
        super().__init__()
        self.letters, self.positions = nn.Embedding(letters, width), nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, letters, bias=False)

    def forward(self, text):
        x = self.letters(text) + self.positions(torch.arange(text.shape[1]))
        return self.head(self.norm(self.blocks(x))).flatten(0, 1)


def encoder():
    layer = nn.TransformerEncoderLayer(768, 12, 3072, activation="gelu", batch_first=True)
    return nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)


# What the products and convolutions come to, forward; training is three times that.
MNIST_CNN = 64 * 2 * (26 * 26 * 32 * 9 + 24 * 24 * 64 * 288 + 9216 * 128 + 128 * 10)
RESNET13, RESNET50 = 6_767_591_424, 17_246_388_224  # counted layer by layer
LSTM = 2 * 32 * 64 * 1024 * (64 + 256)
GPT_STEP = 2 * 8 * 128 * (4 * 12 * 256**2 + 256 * 256) + 4 * 8 * 2 * 2 * 128 * 128 * 256
ENCODER = 2 * 128 * 4 * 12 * 768**2 + 4 * 2 * 2 * 128 * 128 * 768

CASES = {
    "conv 3x3 64-64 56x56 batch 8 forward": convolution(False),
    "conv 3x3 64-64 56x56 batch 8 forward and backward": convolution(True),
    "MNIST CNN batch 64 step": training(
        mnist_cnn, images(64, 1, 28, 28), classes(10, 64), flops=3 * MNIST_CNN
    ),
    "ResNet-13 width 32 CIFAR batch 32 step": training(
        resnet13, images(32, 3, 32, 32), classes(10, 32), flops=3 * RESNET13
    ),
    "LSTM 64-256 64 steps batch 32 step": training(
        SequenceClassifier, images(32, 64, 64), classes(10, 32), flops=3 * LSTM
    ),
    "GPT 4 layers width 256 128 tokens batch 8 step": training(
        GPT, classes(256, 8, 128), classes(256, 8 * 128), flops=3 * GPT_STEP,
        rule=torch.optim.AdamW,
    ),
    "ResNet-50 112x112 batch 8 step": training(
        resnet50, images(8, 3, 112, 112), classes(1000, 8), flops=3 * RESNET50,
        rule=lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    ),
    "ResNet-50 112x112 batch 1 inference": inference(
        resnet50, images(1, 3, 112, 112), flops=RESNET50 // 8
    ),
    "ResNet-50 112x112 batch 8 inference": inference(
        resnet50, images(8, 3, 112, 112), flops=RESNET50
    ),
    "encoder 4 layers width 768 1x128 tokens inference": inference(
        encoder, images(1, 128, 768), flops=ENCODER
    ),
}  # fmt: skip
