"""One program for both engines: every optimizer, 50 steps, with dropout, splits and shuffling.

python training_cases.py OUT.json CHECKPOINT.pt SAVE|LOAD
"""

from __future__ import annotations

import json
import sys

import torch
import torch.nn as nn
import torch.optim as optim
from torch.utils.data import (
    DataLoader,
    RandomSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    random_split,
)

OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-2),
    "nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "dampened": lambda p: optim.SGD(p, lr=0.01, momentum=0.9, dampening=0.3, maximize=True),
    "adam": lambda p: optim.Adam(p, lr=0.01),
    "adam_decay": lambda p: optim.Adam(p, lr=0.01, weight_decay=0.1, betas=(0.4, 0.9)),
    "adamw": lambda p: optim.AdamW(p, lr=0.01),
    "amsgrad": lambda p: optim.AdamW(p, lr=0.01, amsgrad=True, maximize=True),
    "rmsprop": lambda p: optim.RMSprop(p),
    "rmsprop_all": lambda p: optim.RMSprop(p, centered=True, momentum=0.5, weight_decay=0.1),
    "adagrad": lambda p: optim.Adagrad(p, lr_decay=0.1),
    "adadelta": lambda p: optim.Adadelta(p),
    "adamax": lambda p: optim.Adamax(p),
}


def model():
    return nn.Sequential(
        nn.Linear(8, 16), nn.LayerNorm(16), nn.GELU(), nn.Dropout(0.3), nn.Linear(16, 3)
    )


def train(make):
    torch.manual_seed(3)
    data = TensorDataset(torch.randn(50, 8), torch.randint(0, 3, (50,)))
    part, _ = random_split(data, [0.8, 0.2])
    net = model()
    optimizer, loss_of = make(net.parameters()), nn.CrossEntropyLoss()
    losses = []
    for epoch in range(14):
        for x, y in DataLoader(part if epoch % 2 else data, batch_size=16, shuffle=True):
            optimizer.zero_grad()
            loss = loss_of(net(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    after = torch.randint(0, 10**6, (4,)).tolist()  # the stream must stand at the same place
    return net, optimizer, {"losses": losses, "after": after}


def orders():
    torch.manual_seed(9)
    generator = torch.Generator().manual_seed(4)
    data = list(range(23))
    given = {"shuffle": True, "generator": generator}
    return {
        "shuffled": [b.tolist() for b in DataLoader(data, 5, shuffle=True)],
        "generator": [b.tolist() for b in DataLoader(data, 5, **given, drop_last=True)],
        "again": [b.tolist() for b in DataLoader(data, 5, **given)],
        "tensors": [b[0].tolist() for b in DataLoader(TensorDataset(torch.arange(9)), 4, **given)],
        "replaced": list(RandomSampler(data, True, 70)),
        "more": list(RandomSampler(data, False, 50)),
        "subset": list(SubsetRandomSampler([3, 1, 4, 1, 5])),
        "weighted": list(WeightedRandomSampler([0.1, 5.0, 1.0], 12)),
        "weighted_once": list(WeightedRandomSampler([0.1, 5.0, 1.0], 3, replacement=False)),
        "dicts": [
            {k: getattr(v, "tolist", lambda v=v: v)() for k, v in b.items()}
            for b in DataLoader([{"a": i, "b": i / 2, "c": str(i)} for i in range(5)], 2)
        ],
        "stream": torch.rand(2, generator=generator).tolist() + torch.rand(2).tolist(),
    }


def checkpoint(path, action):
    """Losses of steps taken after a checkpoint was loaded (or straight on, where it was saved)."""
    net, optimizer, _ = train(OPTIMIZERS["amsgrad"])
    extra = [
        torch.arange(6).reshape(2, 3).t(), torch.tensor([1.5, 2.0], dtype=torch.bfloat16),
        torch.tensor([True]), torch.ones(2, dtype=torch.uint16), torch.tensor(2 + 1j),
    ]  # fmt: skip
    if action == "SAVE":
        torch.save(
            {"model": net.state_dict(), "optimizer": optimizer.state_dict(), "extra": extra,
             "weight": net[0].weight, "plain": (1, None, "a", b"xyz", 2.5, {3}),
             "size": net[0].weight.shape,
             "dtype": torch.float16, "device": torch.device("cpu")},
            path,
        )  # fmt: skip
    found = torch.load(path, weights_only=True)
    torch.manual_seed(1)
    net = model()
    optimizer = OPTIMIZERS["amsgrad"](net.parameters())
    matched = str(net.load_state_dict(found["model"]))
    optimizer.load_state_dict(found["optimizer"])
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = net(torch.ones(4, 8)).pow(2).sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return {
        "losses": losses, "matched": matched, "weight": found["weight"].tolist(),
        "wants": found["weight"].requires_grad, "kind": type(found["weight"]).__name__,
        "extra": [str(x) for x in found["extra"]], "strides": found["extra"][0].stride(),
        "plain": str(found["plain"]), "size": str(found["size"]),
        "dtype": str(found["dtype"]) + str(found["device"]),
        "step": str(optimizer.state_dict()["state"][0]["step"]),
    }  # fmt: skip


if __name__ == "__main__":
    out = {name: train(make)[2] for name, make in OPTIMIZERS.items()}
    out["orders"] = orders()
    out["checkpoint"] = checkpoint(sys.argv[2], sys.argv[3])
    with open(sys.argv[1], "w") as file:
        json.dump(out, file)
