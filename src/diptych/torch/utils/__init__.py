"""torch.utils: data loading, hooks."""

from diptych.torch.utils import data as data
from diptych.torch.utils import hooks as hooks
