"""torch.nn.functional: layers, activations and losses as functions."""

from __future__ import annotations

from diptych.torch.nn.functional.absent import FUNCTIONS as _FUNCTIONS
from diptych.torch.nn.functional.activations import celu as celu
from diptych.torch.nn.functional.activations import celu_ as celu_
from diptych.torch.nn.functional.activations import elu as elu
from diptych.torch.nn.functional.activations import elu_ as elu_
from diptych.torch.nn.functional.activations import gelu as gelu
from diptych.torch.nn.functional.activations import glu as glu
from diptych.torch.nn.functional.activations import gumbel_softmax as gumbel_softmax
from diptych.torch.nn.functional.activations import hardshrink as hardshrink
from diptych.torch.nn.functional.activations import hardsigmoid as hardsigmoid
from diptych.torch.nn.functional.activations import hardswish as hardswish
from diptych.torch.nn.functional.activations import hardtanh as hardtanh
from diptych.torch.nn.functional.activations import hardtanh_ as hardtanh_
from diptych.torch.nn.functional.activations import leaky_relu as leaky_relu
from diptych.torch.nn.functional.activations import leaky_relu_ as leaky_relu_
from diptych.torch.nn.functional.activations import log_softmax as log_softmax
from diptych.torch.nn.functional.activations import logsigmoid as logsigmoid
from diptych.torch.nn.functional.activations import mish as mish
from diptych.torch.nn.functional.activations import prelu as prelu
from diptych.torch.nn.functional.activations import relu as relu
from diptych.torch.nn.functional.activations import relu6 as relu6
from diptych.torch.nn.functional.activations import relu_ as relu_
from diptych.torch.nn.functional.activations import rrelu as rrelu
from diptych.torch.nn.functional.activations import rrelu_ as rrelu_
from diptych.torch.nn.functional.activations import selu as selu
from diptych.torch.nn.functional.activations import selu_ as selu_
from diptych.torch.nn.functional.activations import sigmoid as sigmoid
from diptych.torch.nn.functional.activations import silu as silu
from diptych.torch.nn.functional.activations import softmax as softmax
from diptych.torch.nn.functional.activations import softmin as softmin
from diptych.torch.nn.functional.activations import softplus as softplus
from diptych.torch.nn.functional.activations import softshrink as softshrink
from diptych.torch.nn.functional.activations import softsign as softsign
from diptych.torch.nn.functional.activations import tanh as tanh
from diptych.torch.nn.functional.activations import tanhshrink as tanhshrink
from diptych.torch.nn.functional.activations import threshold as threshold
from diptych.torch.nn.functional.activations import threshold_ as threshold_
from diptych.torch.nn.functional.affine import bilinear as bilinear
from diptych.torch.nn.functional.affine import linear as linear
from diptych.torch.nn.functional.alignment import ctc_loss as ctc_loss
from diptych.torch.nn.functional.attention import (
    scaled_dot_product_attention as scaled_dot_product_attention,
)
from diptych.torch.nn.functional.bags import embedding_bag as embedding_bag
from diptych.torch.nn.functional.binary import binary_cross_entropy as binary_cross_entropy
from diptych.torch.nn.functional.binary import (
    binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
)
from diptych.torch.nn.functional.channels import batch_norm as batch_norm
from diptych.torch.nn.functional.channels import group_norm as group_norm
from diptych.torch.nn.functional.channels import instance_norm as instance_norm
from diptych.torch.nn.functional.channels import local_response_norm as local_response_norm
from diptych.torch.nn.functional.classification import cross_entropy as cross_entropy
from diptych.torch.nn.functional.classification import linear_cross_entropy as linear_cross_entropy
from diptych.torch.nn.functional.classification import multi_margin_loss as multi_margin_loss
from diptych.torch.nn.functional.classification import (
    multilabel_margin_loss as multilabel_margin_loss,
)
from diptych.torch.nn.functional.classification import (
    multilabel_soft_margin_loss as multilabel_soft_margin_loss,
)
from diptych.torch.nn.functional.classification import nll_loss as nll_loss
from diptych.torch.nn.functional.convolution import conv1d as conv1d
from diptych.torch.nn.functional.convolution import conv2d as conv2d
from diptych.torch.nn.functional.convolution import conv3d as conv3d
from diptych.torch.nn.functional.convolution import conv_tbc as conv_tbc
from diptych.torch.nn.functional.convolution import conv_transpose1d as conv_transpose1d
from diptych.torch.nn.functional.convolution import conv_transpose2d as conv_transpose2d
from diptych.torch.nn.functional.convolution import conv_transpose3d as conv_transpose3d
from diptych.torch.nn.functional.embeddings import embedding as embedding
from diptych.torch.nn.functional.folding import fold as fold
from diptych.torch.nn.functional.folding import unfold as unfold
from diptych.torch.nn.functional.multihead import (
    multi_head_attention_forward as multi_head_attention_forward,
)
from diptych.torch.nn.functional.normalizations import layer_norm as layer_norm
from diptych.torch.nn.functional.normalizations import normalize as normalize
from diptych.torch.nn.functional.normalizations import rms_norm as rms_norm
from diptych.torch.nn.functional.padding import pad as pad
from diptych.torch.nn.functional.pooling import adaptive_avg_pool1d as adaptive_avg_pool1d
from diptych.torch.nn.functional.pooling import adaptive_avg_pool2d as adaptive_avg_pool2d
from diptych.torch.nn.functional.pooling import adaptive_avg_pool3d as adaptive_avg_pool3d
from diptych.torch.nn.functional.pooling import adaptive_max_pool1d as adaptive_max_pool1d
from diptych.torch.nn.functional.pooling import (
    adaptive_max_pool1d_with_indices as adaptive_max_pool1d_with_indices,
)
from diptych.torch.nn.functional.pooling import adaptive_max_pool2d as adaptive_max_pool2d
from diptych.torch.nn.functional.pooling import (
    adaptive_max_pool2d_with_indices as adaptive_max_pool2d_with_indices,
)
from diptych.torch.nn.functional.pooling import adaptive_max_pool3d as adaptive_max_pool3d
from diptych.torch.nn.functional.pooling import (
    adaptive_max_pool3d_with_indices as adaptive_max_pool3d_with_indices,
)
from diptych.torch.nn.functional.pooling import avg_pool1d as avg_pool1d
from diptych.torch.nn.functional.pooling import avg_pool2d as avg_pool2d
from diptych.torch.nn.functional.pooling import avg_pool3d as avg_pool3d
from diptych.torch.nn.functional.pooling import lp_pool1d as lp_pool1d
from diptych.torch.nn.functional.pooling import lp_pool2d as lp_pool2d
from diptych.torch.nn.functional.pooling import lp_pool3d as lp_pool3d
from diptych.torch.nn.functional.pooling import max_pool1d as max_pool1d
from diptych.torch.nn.functional.pooling import max_pool1d_with_indices as max_pool1d_with_indices
from diptych.torch.nn.functional.pooling import max_pool2d as max_pool2d
from diptych.torch.nn.functional.pooling import max_pool2d_with_indices as max_pool2d_with_indices
from diptych.torch.nn.functional.pooling import max_pool3d as max_pool3d
from diptych.torch.nn.functional.pooling import max_pool3d_with_indices as max_pool3d_with_indices
from diptych.torch.nn.functional.regression import cosine_embedding_loss as cosine_embedding_loss
from diptych.torch.nn.functional.regression import gaussian_nll_loss as gaussian_nll_loss
from diptych.torch.nn.functional.regression import hinge_embedding_loss as hinge_embedding_loss
from diptych.torch.nn.functional.regression import huber_loss as huber_loss
from diptych.torch.nn.functional.regression import kl_div as kl_div
from diptych.torch.nn.functional.regression import l1_loss as l1_loss
from diptych.torch.nn.functional.regression import margin_ranking_loss as margin_ranking_loss
from diptych.torch.nn.functional.regression import mse_loss as mse_loss
from diptych.torch.nn.functional.regression import poisson_nll_loss as poisson_nll_loss
from diptych.torch.nn.functional.regression import smooth_l1_loss as smooth_l1_loss
from diptych.torch.nn.functional.regression import soft_margin_loss as soft_margin_loss
from diptych.torch.nn.functional.regression import triplet_margin_loss as triplet_margin_loss
from diptych.torch.nn.functional.regression import (
    triplet_margin_with_distance_loss as triplet_margin_with_distance_loss,
)
from diptych.torch.nn.functional.regularization import alpha_dropout as alpha_dropout
from diptych.torch.nn.functional.regularization import dropout as dropout
from diptych.torch.nn.functional.regularization import dropout1d as dropout1d
from diptych.torch.nn.functional.regularization import dropout2d as dropout2d
from diptych.torch.nn.functional.regularization import dropout3d as dropout3d
from diptych.torch.nn.functional.regularization import (
    feature_alpha_dropout as feature_alpha_dropout,
)
from diptych.torch.nn.functional.similarity import cosine_similarity as cosine_similarity
from diptych.torch.nn.functional.similarity import one_hot as one_hot
from diptych.torch.nn.functional.similarity import pairwise_distance as pairwise_distance
from diptych.torch.nn.functional.similarity import pdist as pdist
from diptych.torch.nn.functional.unpooling import fractional_max_pool2d as fractional_max_pool2d
from diptych.torch.nn.functional.unpooling import (
    fractional_max_pool2d_with_indices as fractional_max_pool2d_with_indices,
)
from diptych.torch.nn.functional.unpooling import fractional_max_pool3d as fractional_max_pool3d
from diptych.torch.nn.functional.unpooling import (
    fractional_max_pool3d_with_indices as fractional_max_pool3d_with_indices,
)
from diptych.torch.nn.functional.unpooling import max_unpool1d as max_unpool1d
from diptych.torch.nn.functional.unpooling import max_unpool2d as max_unpool2d
from diptych.torch.nn.functional.unpooling import max_unpool3d as max_unpool3d
from diptych.torch.nn.functional.vision import affine_grid as affine_grid
from diptych.torch.nn.functional.vision import channel_shuffle as channel_shuffle
from diptych.torch.nn.functional.vision import grid_sample as grid_sample
from diptych.torch.nn.functional.vision import interpolate as interpolate
from diptych.torch.nn.functional.vision import native_channel_shuffle as native_channel_shuffle
from diptych.torch.nn.functional.vision import pixel_shuffle as pixel_shuffle
from diptych.torch.nn.functional.vision import pixel_unshuffle as pixel_unshuffle
from diptych.torch.nn.functional.vision import upsample as upsample
from diptych.torch.nn.functional.vision import upsample_bilinear as upsample_bilinear
from diptych.torch.nn.functional.vision import upsample_nearest as upsample_nearest

globals().update(_FUNCTIONS)
