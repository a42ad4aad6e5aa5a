"""torch.optim: optimizers, and schedules of their learning rates."""

from diptych.torch.optim import lr_scheduler as lr_scheduler
from diptych.torch.optim import swa_utils as swa_utils
from diptych.torch.optim.adam import Adam as Adam
from diptych.torch.optim.adam import AdamW as AdamW
from diptych.torch.optim.adaptive import Adadelta as Adadelta
from diptych.torch.optim.adaptive import Adagrad as Adagrad
from diptych.torch.optim.adaptive import Adamax as Adamax
from diptych.torch.optim.adaptive import RMSprop as RMSprop
from diptych.torch.optim.averaged import ASGD as ASGD
from diptych.torch.optim.averaged import Rprop as Rprop
from diptych.torch.optim.lbfgs import LBFGS as LBFGS
from diptych.torch.optim.matrices import Adafactor as Adafactor
from diptych.torch.optim.matrices import Muon as Muon
from diptych.torch.optim.moments import NAdam as NAdam
from diptych.torch.optim.moments import RAdam as RAdam
from diptych.torch.optim.optimizer import Optimizer as Optimizer
from diptych.torch.optim.sgd import SGD as SGD
from diptych.torch.optim.sparse_adam import SparseAdam as SparseAdam
