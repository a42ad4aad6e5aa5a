"""torch.nn.utils: gradients clipped, parameters as one vector, sequences packed, weights remade."""

from diptych.torch.nn.utils import clip_grad as clip_grad
from diptych.torch.nn.utils import convert_parameters as convert_parameters
from diptych.torch.nn.utils import rnn as rnn
from diptych.torch.nn.utils.clip_grad import clip_grad_norm as clip_grad_norm
from diptych.torch.nn.utils.clip_grad import clip_grad_norm_ as clip_grad_norm_
from diptych.torch.nn.utils.clip_grad import clip_grad_value_ as clip_grad_value_
from diptych.torch.nn.utils.clip_grad import clip_grads_with_norm_ as clip_grads_with_norm_
from diptych.torch.nn.utils.clip_grad import get_total_norm as get_total_norm
from diptych.torch.nn.utils.convert_parameters import parameters_to_vector as parameters_to_vector
from diptych.torch.nn.utils.convert_parameters import vector_to_parameters as vector_to_parameters
