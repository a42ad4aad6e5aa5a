"""torch.mps: Apple's GPUs, of which this machine has none."""

import sys

from diptych.torch.elsewhere import MODULES

sys.modules[__name__] = MODULES["mps"]
