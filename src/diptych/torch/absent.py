"""Names of PyTorch that are not there yet: they raise NotImplementedError when they are called."""

from __future__ import annotations

from typing import Any

# Functions of the namespace that torch.nn.functional has.
# Functions of the namespace that torch.nn.functional has.
FROM_FUNCTIONAL = frozenset(
    (
        "adaptive_avg_pool1d alpha_dropout avg_pool1d batch_norm bilinear "
        "binary_cross_entropy_with_logits celu celu_ channel_shuffle conv1d conv2d conv3d "
        "conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d cosine_embedding_loss "
        "ctc_loss dropout embedding embedding_bag feature_alpha_dropout group_norm hardshrink "
        "hinge_embedding_loss instance_norm kl_div layer_norm margin_ranking_loss max_pool1d "
        "max_pool2d max_pool3d native_channel_shuffle pairwise_distance pdist pixel_shuffle "
        "pixel_unshuffle poisson_nll_loss prelu rms_norm rrelu rrelu_ selu selu_ threshold_ "
        "triplet_margin_loss"
    ).split()
)
# Those of them whose arguments come in another order, or are numbers where nn.functional has names.
FROM_LAYERS = frozenset(
    (
        "batch_norm instance_norm group_norm layer_norm embedding ctc_loss cosine_embedding_loss "
        "hinge_embedding_loss kl_div margin_ranking_loss poisson_nll_loss triplet_margin_loss "
        "binary_cross_entropy_with_logits norm_except_dim _weight_norm embedding_bag"
    ).split()
)
# The rest of the namespace's functions, and Tensor's methods.
FUNCTIONS = frozenset(
    (
        "alpha_dropout_ choose_qparams_optimized clip_ cond dequantize dropout_ dsmm "
        "eig embedding_renorm_ empty_quantized feature_alpha_dropout_ feature_dropout "
        "feature_dropout_ from_file fused_moving_avg_obs_fake_quant hsmm hspmm int_repr "
        "is_vulkan_available lobpcg lstsq matrix_rank native_dropout native_norm "
        "quantize_per_channel quantize_per_tensor quantize_per_tensor_dynamic resize_as_sparse_ "
        "saddmm segment_reduce slice_inverse smm solve sparse_bsc_tensor sparse_bsr_tensor "
        "sparse_compressed_tensor sparse_coo_tensor sparse_csc_tensor sparse_csr_tensor spmm "
        "sspaddmm symeig to_dlpack while_loop"
    ).split()
)
METHODS = frozenset(
    (
        "ccol_indices chalf clip_ coalesce col_indices crow_indices dense_dim dequantize eig "
        "hardshrink index indices int_repr ipu is_coalesced layout lstsq module_load mtia prelu "
        "qscheme reinforce resize resize_as resize_as_sparse_ row_indices slice_inverse smm "
        "solve sparse_dim sparse_mask sspaddmm symeig to_mkldnn to_padded_tensor to_sparse "
        "to_sparse_bsc to_sparse_bsr to_sparse_coo to_sparse_csc to_sparse_csr xpu"
    ).split()
)


def function(name: str) -> Any:
    """A stand-in that says at the call that ``name`` is not implemented."""

    def absent(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{name} is not implemented in diptych")

    absent.__name__ = absent.__qualname__ = name.rpartition(".")[2]
    return absent


def method_or_error(self: Any, name: str) -> Any:
    """Tensor's ``__getattr__``: what PyTorch has and we have not, or a plain AttributeError."""
    if name in METHODS:
        return function(f"torch.Tensor.{name}")
    raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")


# torch._foreach_*: elementwise functions of one and of two operands, both forms of each
FOREACH_UNARY = (
    "abs acos asin atan ceil cos cosh erf erfc exp expm1 floor frac lgamma log log10 log1p log2 "
    "neg reciprocal round rsqrt sigmoid sign sin sinh sqrt tan tanh trunc"
).split()
FOREACH_BINARY = "add sub mul div maximum minimum clamp_max clamp_min pow".split()
FOREACH = [
    *[
        f"_foreach_{name}{tail}"
        for name in (*FOREACH_UNARY, *FOREACH_BINARY, "addcdiv", "addcmul", "lerp")
        for tail in ("", "_")
    ],
    *[f"_foreach_{name}" for name in "norm powsum max clone copy_ zero_ mm".split()],
]
