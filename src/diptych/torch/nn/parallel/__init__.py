"""torch.nn.parallel: on the one device there is, a module in DataParallel runs as it is."""

from __future__ import annotations

from diptych.torch.nn.parallel.data_parallel import DataParallel as DataParallel
from diptych.torch.nn.parallel.data_parallel import data_parallel as data_parallel
