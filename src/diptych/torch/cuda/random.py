"""torch.cuda.random: the generators of GPUs, of which there are none."""

from diptych.torch.cuda import get_rng_state as get_rng_state
from diptych.torch.cuda import get_rng_state_all as get_rng_state_all
from diptych.torch.cuda import initial_seed as initial_seed
from diptych.torch.cuda import manual_seed as manual_seed
from diptych.torch.cuda import manual_seed_all as manual_seed_all
from diptych.torch.cuda import seed as seed
from diptych.torch.cuda import seed_all as seed_all
from diptych.torch.cuda import set_rng_state as set_rng_state
from diptych.torch.cuda import set_rng_state_all as set_rng_state_all
