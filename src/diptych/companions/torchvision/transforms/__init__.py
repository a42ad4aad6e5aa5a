"""torchvision.transforms: changes to images, as objects and as functions."""

from __future__ import annotations

from diptych.companions.torchvision.transforms import functional as functional
from diptych.companions.torchvision.transforms import transforms as transforms
from diptych.companions.torchvision.transforms.modes import InterpolationMode as InterpolationMode
from diptych.companions.torchvision.transforms.transforms import CenterCrop as CenterCrop
from diptych.companions.torchvision.transforms.transforms import ColorJitter as ColorJitter
from diptych.companions.torchvision.transforms.transforms import Compose as Compose
from diptych.companions.torchvision.transforms.transforms import (
    ConvertImageDtype as ConvertImageDtype,
)
from diptych.companions.torchvision.transforms.transforms import (
    ElasticTransform as ElasticTransform,
)
from diptych.companions.torchvision.transforms.transforms import FiveCrop as FiveCrop
from diptych.companions.torchvision.transforms.transforms import GaussianBlur as GaussianBlur
from diptych.companions.torchvision.transforms.transforms import Grayscale as Grayscale
from diptych.companions.torchvision.transforms.transforms import Lambda as Lambda
from diptych.companions.torchvision.transforms.transforms import (
    LinearTransformation as LinearTransformation,
)
from diptych.companions.torchvision.transforms.transforms import Normalize as Normalize
from diptych.companions.torchvision.transforms.transforms import Pad as Pad
from diptych.companions.torchvision.transforms.transforms import PILToTensor as PILToTensor
from diptych.companions.torchvision.transforms.transforms import (
    RandomAdjustSharpness as RandomAdjustSharpness,
)
from diptych.companions.torchvision.transforms.transforms import RandomAffine as RandomAffine
from diptych.companions.torchvision.transforms.transforms import RandomApply as RandomApply
from diptych.companions.torchvision.transforms.transforms import (
    RandomAutocontrast as RandomAutocontrast,
)
from diptych.companions.torchvision.transforms.transforms import RandomChoice as RandomChoice
from diptych.companions.torchvision.transforms.transforms import RandomCrop as RandomCrop
from diptych.companions.torchvision.transforms.transforms import RandomEqualize as RandomEqualize
from diptych.companions.torchvision.transforms.transforms import RandomErasing as RandomErasing
from diptych.companions.torchvision.transforms.transforms import RandomGrayscale as RandomGrayscale
from diptych.companions.torchvision.transforms.transforms import (
    RandomHorizontalFlip as RandomHorizontalFlip,
)
from diptych.companions.torchvision.transforms.transforms import RandomInvert as RandomInvert
from diptych.companions.torchvision.transforms.transforms import RandomOrder as RandomOrder
from diptych.companions.torchvision.transforms.transforms import (
    RandomPerspective as RandomPerspective,
)
from diptych.companions.torchvision.transforms.transforms import RandomPosterize as RandomPosterize
from diptych.companions.torchvision.transforms.transforms import (
    RandomResizedCrop as RandomResizedCrop,
)
from diptych.companions.torchvision.transforms.transforms import RandomRotation as RandomRotation
from diptych.companions.torchvision.transforms.transforms import RandomSolarize as RandomSolarize
from diptych.companions.torchvision.transforms.transforms import (
    RandomTransforms as RandomTransforms,
)
from diptych.companions.torchvision.transforms.transforms import (
    RandomVerticalFlip as RandomVerticalFlip,
)
from diptych.companions.torchvision.transforms.transforms import Resize as Resize
from diptych.companions.torchvision.transforms.transforms import TenCrop as TenCrop
from diptych.companions.torchvision.transforms.transforms import ToPILImage as ToPILImage
from diptych.companions.torchvision.transforms.transforms import ToTensor as ToTensor

_ABSENT = frozenset(
    "AugMix AutoAugment AutoAugmentPolicy RandAugment TrivialAugmentWide v2".split()
)


def __getattr__(name: str) -> object:
    if name in _ABSENT:
        raise NotImplementedError(f"torchvision.transforms.{name} is not supported yet")
    raise AttributeError(f"module 'torchvision.transforms' has no attribute {name!r}")
