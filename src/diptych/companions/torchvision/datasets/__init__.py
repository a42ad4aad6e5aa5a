"""torchvision.datasets: images in local files, as datasets."""

from __future__ import annotations

from diptych.companions.torchvision.datasets.cifar import CIFAR10 as CIFAR10
from diptych.companions.torchvision.datasets.cifar import CIFAR100 as CIFAR100
from diptych.companions.torchvision.datasets.fake import FakeData as FakeData
from diptych.companions.torchvision.datasets.folder import DatasetFolder as DatasetFolder
from diptych.companions.torchvision.datasets.folder import ImageFolder as ImageFolder
from diptych.companions.torchvision.datasets.mnist import KMNIST as KMNIST
from diptych.companions.torchvision.datasets.mnist import MNIST as MNIST
from diptych.companions.torchvision.datasets.mnist import FashionMNIST as FashionMNIST
from diptych.companions.torchvision.datasets.vision import VisionDataset as VisionDataset

_ABSENT = frozenset(
    "Caltech101 Caltech256 CelebA Cityscapes CocoCaptions CocoDetection Country211 DTD EMNIST "
    "EuroSAT FER2013 FGVCAircraft Flickr30k Flickr8k Flowers102 Food101 GTSRB HMDB51 INaturalist "
    "ImageNet Imagenette Kinetics Kitti LFWPairs LFWPeople LSUN LSUNClass MovingMNIST Omniglot "
    "OxfordIIITPet PCAM PhotoTour Places365 QMNIST RenderedSST2 SBDataset SBU SEMEION STL10 SUN397 "
    "SVHN StanfordCars UCF101 USPS VOCDetection VOCSegmentation WIDERFace".split()
)


def __getattr__(name: str) -> object:
    if name in _ABSENT:
        raise NotImplementedError(f"torchvision.datasets.{name} is not supported yet")
    raise AttributeError(f"module 'torchvision.datasets' has no attribute {name!r}")
