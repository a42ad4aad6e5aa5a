"""torch.cuda.memory: the memory of GPUs, of which there are none."""

from diptych.torch.cuda import empty_cache as empty_cache
from diptych.torch.cuda import max_memory_allocated as max_memory_allocated
from diptych.torch.cuda import max_memory_reserved as max_memory_reserved
from diptych.torch.cuda import mem_get_info as mem_get_info
from diptych.torch.cuda import memory_allocated as memory_allocated
from diptych.torch.cuda import memory_reserved as memory_reserved
from diptych.torch.cuda import memory_stats as memory_stats
from diptych.torch.cuda import memory_summary as memory_summary
from diptych.torch.cuda import reset_peak_memory_stats as reset_peak_memory_stats
