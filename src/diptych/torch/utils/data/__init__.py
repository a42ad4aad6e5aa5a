"""torch.utils.data: data sets, samplers and the loader with its worker processes."""

from diptych.torch.utils.data import dataloader as dataloader
from diptych.torch.utils.data import dataset as dataset
from diptych.torch.utils.data import distributed as distributed
from diptych.torch.utils.data import sampler as sampler
from diptych.torch.utils.data.collate import default_collate as default_collate
from diptych.torch.utils.data.collate import default_convert as default_convert
from diptych.torch.utils.data.dataloader import DataLoader as DataLoader
from diptych.torch.utils.data.dataset import ChainDataset as ChainDataset
from diptych.torch.utils.data.dataset import ConcatDataset as ConcatDataset
from diptych.torch.utils.data.dataset import Dataset as Dataset
from diptych.torch.utils.data.dataset import IterableDataset as IterableDataset
from diptych.torch.utils.data.dataset import StackDataset as StackDataset
from diptych.torch.utils.data.dataset import Subset as Subset
from diptych.torch.utils.data.dataset import TensorDataset as TensorDataset
from diptych.torch.utils.data.dataset import random_split as random_split
from diptych.torch.utils.data.distributed import DistributedSampler as DistributedSampler
from diptych.torch.utils.data.sampler import BatchSampler as BatchSampler
from diptych.torch.utils.data.sampler import RandomSampler as RandomSampler
from diptych.torch.utils.data.sampler import Sampler as Sampler
from diptych.torch.utils.data.sampler import SequentialSampler as SequentialSampler
from diptych.torch.utils.data.sampler import SubsetRandomSampler as SubsetRandomSampler
from diptych.torch.utils.data.sampler import WeightedRandomSampler as WeightedRandomSampler
from diptych.torch.utils.data.worker import get_worker_info as get_worker_info
