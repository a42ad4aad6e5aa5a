"""torch.optim.lr_scheduler: schedules of learning rates."""

from diptych.torch.optim.lr_scheduler.base import (
    EPOCH_DEPRECATION_WARNING as EPOCH_DEPRECATION_WARNING,
)
from diptych.torch.optim.lr_scheduler.base import LRScheduler as LRScheduler
from diptych.torch.optim.lr_scheduler.combined import ChainedScheduler as ChainedScheduler
from diptych.torch.optim.lr_scheduler.combined import SequentialLR as SequentialLR
from diptych.torch.optim.lr_scheduler.cyclic import CyclicLR as CyclicLR
from diptych.torch.optim.lr_scheduler.cyclic import OneCycleLR as OneCycleLR
from diptych.torch.optim.lr_scheduler.decaying import ConstantLR as ConstantLR
from diptych.torch.optim.lr_scheduler.decaying import CosineAnnealingLR as CosineAnnealingLR
from diptych.torch.optim.lr_scheduler.decaying import (
    CosineAnnealingWarmRestarts as CosineAnnealingWarmRestarts,
)
from diptych.torch.optim.lr_scheduler.decaying import ExponentialLR as ExponentialLR
from diptych.torch.optim.lr_scheduler.decaying import LambdaLR as LambdaLR
from diptych.torch.optim.lr_scheduler.decaying import LinearLR as LinearLR
from diptych.torch.optim.lr_scheduler.decaying import MultiplicativeLR as MultiplicativeLR
from diptych.torch.optim.lr_scheduler.decaying import MultiStepLR as MultiStepLR
from diptych.torch.optim.lr_scheduler.decaying import PolynomialLR as PolynomialLR
from diptych.torch.optim.lr_scheduler.decaying import StepLR as StepLR
from diptych.torch.optim.lr_scheduler.plateau import ReduceLROnPlateau as ReduceLROnPlateau

_LRScheduler = LRScheduler  # its name before PyTorch 2.0
