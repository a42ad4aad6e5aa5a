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
from diptych.torch.nn.modules.adaptive import (
    AdaptiveLogSoftmaxWithLoss as AdaptiveLogSoftmaxWithLoss,
)
from diptych.torch.nn.modules.attention import MultiheadAttention as MultiheadAttention
from diptych.torch.nn.modules.batchnorm import BatchNorm1d as BatchNorm1d
from diptych.torch.nn.modules.batchnorm import BatchNorm2d as BatchNorm2d
from diptych.torch.nn.modules.batchnorm import BatchNorm3d as BatchNorm3d
from diptych.torch.nn.modules.batchnorm import LazyBatchNorm1d as LazyBatchNorm1d
from diptych.torch.nn.modules.batchnorm import LazyBatchNorm2d as LazyBatchNorm2d
from diptych.torch.nn.modules.batchnorm import LazyBatchNorm3d as LazyBatchNorm3d
from diptych.torch.nn.modules.batchnorm import SyncBatchNorm as SyncBatchNorm
from diptych.torch.nn.modules.channelshuffle import ChannelShuffle as ChannelShuffle
from diptych.torch.nn.modules.container import Container as Container
from diptych.torch.nn.modules.container import ModuleDict as ModuleDict
from diptych.torch.nn.modules.container import ModuleList as ModuleList
from diptych.torch.nn.modules.container import ParameterDict as ParameterDict
from diptych.torch.nn.modules.container import ParameterList as ParameterList
from diptych.torch.nn.modules.container import Sequential as Sequential
from diptych.torch.nn.modules.conv import Conv1d as Conv1d
from diptych.torch.nn.modules.conv import Conv2d as Conv2d
from diptych.torch.nn.modules.conv import Conv3d as Conv3d
from diptych.torch.nn.modules.conv import ConvTranspose1d as ConvTranspose1d
from diptych.torch.nn.modules.conv import ConvTranspose2d as ConvTranspose2d
from diptych.torch.nn.modules.conv import ConvTranspose3d as ConvTranspose3d
from diptych.torch.nn.modules.conv import LazyConv1d as LazyConv1d
from diptych.torch.nn.modules.conv import LazyConv2d as LazyConv2d
from diptych.torch.nn.modules.conv import LazyConv3d as LazyConv3d
from diptych.torch.nn.modules.conv import LazyConvTranspose1d as LazyConvTranspose1d
from diptych.torch.nn.modules.conv import LazyConvTranspose2d as LazyConvTranspose2d
from diptych.torch.nn.modules.conv import LazyConvTranspose3d as LazyConvTranspose3d
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
from diptych.torch.nn.modules.fold import Fold as Fold
from diptych.torch.nn.modules.fold import Unfold as Unfold
from diptych.torch.nn.modules.instancenorm import InstanceNorm1d as InstanceNorm1d
from diptych.torch.nn.modules.instancenorm import InstanceNorm2d as InstanceNorm2d
from diptych.torch.nn.modules.instancenorm import InstanceNorm3d as InstanceNorm3d
from diptych.torch.nn.modules.instancenorm import LazyInstanceNorm1d as LazyInstanceNorm1d
from diptych.torch.nn.modules.instancenorm import LazyInstanceNorm2d as LazyInstanceNorm2d
from diptych.torch.nn.modules.instancenorm import LazyInstanceNorm3d as LazyInstanceNorm3d
from diptych.torch.nn.modules.linear import Bilinear as Bilinear
from diptych.torch.nn.modules.linear import Identity as Identity
from diptych.torch.nn.modules.linear import LazyLinear as LazyLinear
from diptych.torch.nn.modules.linear import Linear as Linear
from diptych.torch.nn.modules.linear_cross_entropy import (
    LinearCrossEntropyLoss as LinearCrossEntropyLoss,
)
from diptych.torch.nn.modules.linear_cross_entropy import (
    LinearCrossEntropyOptions as LinearCrossEntropyOptions,
)
from diptych.torch.nn.modules.loss import BCELoss as BCELoss
from diptych.torch.nn.modules.loss import BCEWithLogitsLoss as BCEWithLogitsLoss
from diptych.torch.nn.modules.loss import CosineEmbeddingLoss as CosineEmbeddingLoss
from diptych.torch.nn.modules.loss import CrossEntropyLoss as CrossEntropyLoss
from diptych.torch.nn.modules.loss import CTCLoss as CTCLoss
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
from diptych.torch.nn.modules.normalization import CrossMapLRN2d as CrossMapLRN2d
from diptych.torch.nn.modules.normalization import GroupNorm as GroupNorm
from diptych.torch.nn.modules.normalization import LayerNorm as LayerNorm
from diptych.torch.nn.modules.normalization import LocalResponseNorm as LocalResponseNorm
from diptych.torch.nn.modules.normalization import RMSNorm as RMSNorm
from diptych.torch.nn.modules.padding import CircularPad1d as CircularPad1d
from diptych.torch.nn.modules.padding import CircularPad2d as CircularPad2d
from diptych.torch.nn.modules.padding import CircularPad3d as CircularPad3d
from diptych.torch.nn.modules.padding import ConstantPad1d as ConstantPad1d
from diptych.torch.nn.modules.padding import ConstantPad2d as ConstantPad2d
from diptych.torch.nn.modules.padding import ConstantPad3d as ConstantPad3d
from diptych.torch.nn.modules.padding import ReflectionPad1d as ReflectionPad1d
from diptych.torch.nn.modules.padding import ReflectionPad2d as ReflectionPad2d
from diptych.torch.nn.modules.padding import ReflectionPad3d as ReflectionPad3d
from diptych.torch.nn.modules.padding import ReplicationPad1d as ReplicationPad1d
from diptych.torch.nn.modules.padding import ReplicationPad2d as ReplicationPad2d
from diptych.torch.nn.modules.padding import ReplicationPad3d as ReplicationPad3d
from diptych.torch.nn.modules.padding import ZeroPad1d as ZeroPad1d
from diptych.torch.nn.modules.padding import ZeroPad2d as ZeroPad2d
from diptych.torch.nn.modules.padding import ZeroPad3d as ZeroPad3d
from diptych.torch.nn.modules.pixelshuffle import PixelShuffle as PixelShuffle
from diptych.torch.nn.modules.pixelshuffle import PixelUnshuffle as PixelUnshuffle
from diptych.torch.nn.modules.pooling import AdaptiveAvgPool1d as AdaptiveAvgPool1d
from diptych.torch.nn.modules.pooling import AdaptiveAvgPool2d as AdaptiveAvgPool2d
from diptych.torch.nn.modules.pooling import AdaptiveAvgPool3d as AdaptiveAvgPool3d
from diptych.torch.nn.modules.pooling import AdaptiveMaxPool1d as AdaptiveMaxPool1d
from diptych.torch.nn.modules.pooling import AdaptiveMaxPool2d as AdaptiveMaxPool2d
from diptych.torch.nn.modules.pooling import AdaptiveMaxPool3d as AdaptiveMaxPool3d
from diptych.torch.nn.modules.pooling import AvgPool1d as AvgPool1d
from diptych.torch.nn.modules.pooling import AvgPool2d as AvgPool2d
from diptych.torch.nn.modules.pooling import AvgPool3d as AvgPool3d
from diptych.torch.nn.modules.pooling import FractionalMaxPool2d as FractionalMaxPool2d
from diptych.torch.nn.modules.pooling import FractionalMaxPool3d as FractionalMaxPool3d
from diptych.torch.nn.modules.pooling import LPPool1d as LPPool1d
from diptych.torch.nn.modules.pooling import LPPool2d as LPPool2d
from diptych.torch.nn.modules.pooling import LPPool3d as LPPool3d
from diptych.torch.nn.modules.pooling import MaxPool1d as MaxPool1d
from diptych.torch.nn.modules.pooling import MaxPool2d as MaxPool2d
from diptych.torch.nn.modules.pooling import MaxPool3d as MaxPool3d
from diptych.torch.nn.modules.pooling import MaxUnpool1d as MaxUnpool1d
from diptych.torch.nn.modules.pooling import MaxUnpool2d as MaxUnpool2d
from diptych.torch.nn.modules.pooling import MaxUnpool3d as MaxUnpool3d
from diptych.torch.nn.modules.rnn import GRU as GRU
from diptych.torch.nn.modules.rnn import LSTM as LSTM
from diptych.torch.nn.modules.rnn import RNN as RNN
from diptych.torch.nn.modules.rnn import GRUCell as GRUCell
from diptych.torch.nn.modules.rnn import LSTMCell as LSTMCell
from diptych.torch.nn.modules.rnn import RNNBase as RNNBase
from diptych.torch.nn.modules.rnn import RNNCell as RNNCell
from diptych.torch.nn.modules.rnn import RNNCellBase as RNNCellBase
from diptych.torch.nn.modules.sparse import Embedding as Embedding
from diptych.torch.nn.modules.sparse import EmbeddingBag as EmbeddingBag
from diptych.torch.nn.modules.transformer import Transformer as Transformer
from diptych.torch.nn.modules.transformer import TransformerDecoder as TransformerDecoder
from diptych.torch.nn.modules.transformer import TransformerDecoderLayer as TransformerDecoderLayer
from diptych.torch.nn.modules.transformer import TransformerEncoder as TransformerEncoder
from diptych.torch.nn.modules.transformer import TransformerEncoderLayer as TransformerEncoderLayer
from diptych.torch.nn.modules.upsampling import Upsample as Upsample
from diptych.torch.nn.modules.upsampling import UpsamplingBilinear2d as UpsamplingBilinear2d
from diptych.torch.nn.modules.upsampling import UpsamplingNearest2d as UpsamplingNearest2d

globals().update(_CLASSES)
