"""The modes that switch recording."""

from diptych.torch.gradients import enable_grad as enable_grad
from diptych.torch.gradients import inference_mode as inference_mode
from diptych.torch.gradients import no_grad as no_grad
from diptych.torch.gradients import set_grad_enabled as set_grad_enabled
