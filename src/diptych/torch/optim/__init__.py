"""torch.optim: optimizers."""

from diptych.torch.optim.absent import CLASSES as _CLASSES
from diptych.torch.optim.adam import Adam as Adam
from diptych.torch.optim.adam import AdamW as AdamW
from diptych.torch.optim.adaptive import Adadelta as Adadelta
from diptych.torch.optim.adaptive import Adagrad as Adagrad
from diptych.torch.optim.adaptive import Adamax as Adamax
from diptych.torch.optim.adaptive import RMSprop as RMSprop
from diptych.torch.optim.optimizer import Optimizer as Optimizer
from diptych.torch.optim.sgd import SGD as SGD

globals().update(_CLASSES)
