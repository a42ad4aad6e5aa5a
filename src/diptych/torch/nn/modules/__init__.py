"""The layers of torch.nn, a file per kind."""

from __future__ import annotations

from diptych.torch.nn.modules.absent import CLASSES as _CLASSES
from diptych.torch.nn.modules.activation import CELU as CELU
from diptych.torch.nn.modules.activation import ELU as ELU
from diptych.torch.nn.modules.activation import GELU as GELU
from diptych.torch.nn.modules.activation import GLU as GLU
from diptych.torch.nn.modules.activation import SELU as SELU
from diptych.torch.nn.modules.activation import Hardshrink as Hardshrink
from diptych.torch.nn.modules.activation import Hardsigmoid as Hardsigmoid
from diptych.torch.nn.modules.activation import Hardswish as Hardswish
from diptych.torch.nn.modules.activation import Hardtanh as Hardtanh
from diptych.torch.nn.modules.activation import LeakyReLU as LeakyReLU
from diptych.torch.nn.modules.activation import LogSigmoid as LogSigmoid
from diptych.torch.nn.modules.activation import LogSoftmax as LogSoftmax
from diptych.torch.nn.modules.activation import Mish as Mish
from diptych.torch.nn.modules.activation import PReLU as PReLU
from diptych.torch.nn.modules.activation import ReLU as ReLU
from diptych.torch.nn.modules.activation import ReLU6 as ReLU6
from diptych.torch.nn.modules.activation import RReLU as RReLU
from diptych.torch.nn.modules.activation import Sigmoid as Sigmoid
from diptych.torch.nn.modules.activation import SiLU as SiLU
from diptych.torch.nn.modules.activation import Softmax as Softmax
from diptych.torch.nn.modules.activation import Softmax2d as Softmax2d
from diptych.torch.nn.modules.activation import Softmin as Softmin
from diptych.torch.nn.modules.activation import Softplus as Softplus
from diptych.torch.nn.modules.activation import Softshrink as Softshrink
from diptych.torch.nn.modules.activation import Softsign as Softsign
from diptych.torch.nn.modules.activation import Tanh as Tanh
from diptych.torch.nn.modules.activation import Tanhshrink as Tanhshrink
from diptych.torch.nn.modules.activation import Threshold as Threshold
from diptych.torch.nn.modules.container import Container as Container
from diptych.torch.nn.modules.container import ModuleDict as ModuleDict
from diptych.torch.nn.modules.container import ModuleList as ModuleList
from diptych.torch.nn.modules.container import ParameterDict as ParameterDict
from diptych.torch.nn.modules.container import ParameterList as ParameterList
from diptych.torch.nn.modules.container import Sequential as Sequential
from diptych.torch.nn.modules.distance import CosineSimilarity as CosineSimilarity
from diptych.torch.nn.modules.distance import PairwiseDistance as PairwiseDistance
from diptych.torch.nn.modules.dropout import AlphaDropout as AlphaDropout
from diptych.torch.nn.modules.dropout import Dropout as Dropout
from diptych.torch.nn.modules.dropout import Dropout1d as Dropout1d
from diptych.torch.nn.modules.dropout import Dropout2d as Dropout2d
from diptych.torch.nn.modules.dropout import Dropout3d as Dropout3d
from diptych.torch.nn.modules.dropout import FeatureAlphaDropout as FeatureAlphaDropout
from diptych.torch.nn.modules.flatten import Flatten as Flatten
from diptych.torch.nn.modules.flatten import Unflatten as Unflatten
from diptych.torch.nn.modules.linear import Bilinear as Bilinear
from diptych.torch.nn.modules.linear import Identity as Identity
from diptych.torch.nn.modules.linear import Linear as Linear
from diptych.torch.nn.modules.loss import BCELoss as BCELoss
from diptych.torch.nn.modules.loss import BCEWithLogitsLoss as BCEWithLogitsLoss
from diptych.torch.nn.modules.loss import CosineEmbeddingLoss as CosineEmbeddingLoss
from diptych.torch.nn.modules.loss import CrossEntropyLoss as CrossEntropyLoss
from diptych.torch.nn.modules.loss import GaussianNLLLoss as GaussianNLLLoss
from diptych.torch.nn.modules.loss import HingeEmbeddingLoss as HingeEmbeddingLoss
from diptych.torch.nn.modules.loss import HuberLoss as HuberLoss
from diptych.torch.nn.modules.loss import KLDivLoss as KLDivLoss
from diptych.torch.nn.modules.loss import L1Loss as L1Loss
from diptych.torch.nn.modules.loss import MarginRankingLoss as MarginRankingLoss
from diptych.torch.nn.modules.loss import MSELoss as MSELoss
from diptych.torch.nn.modules.loss import MultiLabelMarginLoss as MultiLabelMarginLoss
from diptych.torch.nn.modules.loss import MultiLabelSoftMarginLoss as MultiLabelSoftMarginLoss
from diptych.torch.nn.modules.loss import MultiMarginLoss as MultiMarginLoss
from diptych.torch.nn.modules.loss import NLLLoss as NLLLoss
from diptych.torch.nn.modules.loss import NLLLoss2d as NLLLoss2d
from diptych.torch.nn.modules.loss import PoissonNLLLoss as PoissonNLLLoss
from diptych.torch.nn.modules.loss import SmoothL1Loss as SmoothL1Loss
from diptych.torch.nn.modules.loss import SoftMarginLoss as SoftMarginLoss
from diptych.torch.nn.modules.loss import TripletMarginLoss as TripletMarginLoss
from diptych.torch.nn.modules.loss import (
    TripletMarginWithDistanceLoss as TripletMarginWithDistanceLoss,
)
from diptych.torch.nn.modules.module import Module as Module
from diptych.torch.nn.modules.normalization import LayerNorm as LayerNorm
from diptych.torch.nn.modules.normalization import RMSNorm as RMSNorm
from diptych.torch.nn.modules.sparse import Embedding as Embedding

globals().update(_CLASSES)
