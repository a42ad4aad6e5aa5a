"""torch.mtia: Meta's accelerators, of which this machine has none."""

import sys

from diptych.torch.elsewhere import MODULES

sys.modules[__name__] = MODULES["mtia"]
