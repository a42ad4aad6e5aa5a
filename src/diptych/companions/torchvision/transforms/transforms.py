"""Every transform, under the name of torchvision's own file."""

from __future__ import annotations

from diptych.companions.torchvision.transforms.colours import ColorJitter as ColorJitter
from diptych.companions.torchvision.transforms.colours import ElasticTransform as ElasticTransform
from diptych.companions.torchvision.transforms.colours import GaussianBlur as GaussianBlur
from diptych.companions.torchvision.transforms.colours import Grayscale as Grayscale
from diptych.companions.torchvision.transforms.colours import (
    RandomAdjustSharpness as RandomAdjustSharpness,
)
from diptych.companions.torchvision.transforms.colours import (
    RandomAutocontrast as RandomAutocontrast,
)
from diptych.companions.torchvision.transforms.colours import RandomEqualize as RandomEqualize
from diptych.companions.torchvision.transforms.colours import RandomGrayscale as RandomGrayscale
from diptych.companions.torchvision.transforms.colours import RandomInvert as RandomInvert
from diptych.companions.torchvision.transforms.colours import RandomPosterize as RandomPosterize
from diptych.companions.torchvision.transforms.colours import RandomSolarize as RandomSolarize
from diptych.companions.torchvision.transforms.composition import Compose as Compose
from diptych.companions.torchvision.transforms.composition import (
    ConvertImageDtype as ConvertImageDtype,
)
from diptych.companions.torchvision.transforms.composition import Lambda as Lambda
from diptych.companions.torchvision.transforms.composition import (
    LinearTransformation as LinearTransformation,
)
from diptych.companions.torchvision.transforms.composition import Normalize as Normalize
from diptych.companions.torchvision.transforms.composition import PILToTensor as PILToTensor
from diptych.companions.torchvision.transforms.composition import RandomApply as RandomApply
from diptych.companions.torchvision.transforms.composition import RandomChoice as RandomChoice
from diptych.companions.torchvision.transforms.composition import RandomOrder as RandomOrder
from diptych.companions.torchvision.transforms.composition import (
    RandomTransforms as RandomTransforms,
)
from diptych.companions.torchvision.transforms.composition import ToPILImage as ToPILImage
from diptych.companions.torchvision.transforms.composition import ToTensor as ToTensor
from diptych.companions.torchvision.transforms.places import CenterCrop as CenterCrop
from diptych.companions.torchvision.transforms.places import FiveCrop as FiveCrop
from diptych.companions.torchvision.transforms.places import Pad as Pad
from diptych.companions.torchvision.transforms.places import RandomAffine as RandomAffine
from diptych.companions.torchvision.transforms.places import RandomCrop as RandomCrop
from diptych.companions.torchvision.transforms.places import RandomErasing as RandomErasing
from diptych.companions.torchvision.transforms.places import (
    RandomHorizontalFlip as RandomHorizontalFlip,
)
from diptych.companions.torchvision.transforms.places import RandomPerspective as RandomPerspective
from diptych.companions.torchvision.transforms.places import RandomResizedCrop as RandomResizedCrop
from diptych.companions.torchvision.transforms.places import RandomRotation as RandomRotation
from diptych.companions.torchvision.transforms.places import (
    RandomVerticalFlip as RandomVerticalFlip,
)
from diptych.companions.torchvision.transforms.places import Resize as Resize
from diptych.companions.torchvision.transforms.places import TenCrop as TenCrop
