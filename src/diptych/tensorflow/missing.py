"""Names that TensorFlow has and this face has not yet: one table, with the reason for each.

A function listed here raises NotImplementedError when it is called. A name that is neither here nor
there raises AttributeError, so that programs which probe find out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_COMPILE = "it needs graphs, which come with compilation"
_STRINGS = "there are no tensors of strings yet"
_SPARSE = "there are no sparse or ragged tensors yet"
_ENGINE = "the engine lacks the operation"

MISSING: dict[str, dict[str, str]] = {
    "": {
        "as_string": _STRINGS,
        "dynamic_partition": _ENGINE,
        "dynamic_stitch": _ENGINE,
        "edit_distance": _STRINGS,
        "extract_volume_patches": _ENGINE,
        "fingerprint": _STRINGS,
        "foldl": _COMPILE,
        "foldr": _COMPILE,
        "get_static_value": _COMPILE,
        "gradients": _COMPILE,
        "graph_util": _COMPILE,
        "histogram_fixed_width": _ENGINE,
        "histogram_fixed_width_bins": _ENGINE,
        "load_library": "no foreign kernels can be loaded",
        "load_op_library": "no foreign kernels can be loaded",
        "make_ndarray": _COMPILE,
        "make_tensor_proto": _COMPILE,
        "numpy_function": _COMPILE,
        "parallel_stack": _COMPILE,
        "py_function": _COMPILE,
        "recompute_grad": _COMPILE,
        "reverse_sequence": _ENGINE,
        "scan": _COMPILE,
        "space_to_batch": _ENGINE,
        "space_to_batch_nd": _ENGINE,
        "batch_to_space": _ENGINE,
        "tensor_scatter_nd_max": _ENGINE,
        "tensor_scatter_nd_min": _ENGINE,
        "timestamp": _ENGINE,
        "unravel_index": _ENGINE,
        "variable_creator_scope": _COMPILE,
    },
    "math": {
        "approx_max_k": _ENGINE,
        "approx_min_k": _ENGINE,
        "bessel_i0": _ENGINE,
        "bessel_i0e": _ENGINE,
        "bessel_i1": _ENGINE,
        "bessel_i1e": _ENGINE,
        "betainc": _ENGINE,
        "confusion_matrix": _ENGINE,
        "erfcinv": _ENGINE,
        "igamma": _ENGINE,
        "igammac": _ENGINE,
        "in_top_k": "it is tf.nn.in_top_k",
        "lbeta": _ENGINE,
        "ndtri": _ENGINE,
        "polygamma": _ENGINE,
        "segment_max": _ENGINE,
        "segment_mean": _ENGINE,
        "segment_min": _ENGINE,
        "segment_prod": _ENGINE,
        "sobol_sample": _ENGINE,
        "unsorted_segment_max": _ENGINE,
        "unsorted_segment_mean": _ENGINE,
        "unsorted_segment_min": _ENGINE,
        "unsorted_segment_prod": _ENGINE,
        "unsorted_segment_sqrt_n": _ENGINE,
        "zeta": _ENGINE,
    },
    "nn": dict.fromkeys(
        [
            "atrous_conv2d", "avg_pool", "avg_pool1d", "avg_pool2d", "avg_pool3d",
            "collapse_repeated", "conv1d", "conv1d_transpose", "conv2d", "conv2d_transpose",
            "conv3d", "conv3d_transpose", "conv_transpose", "convolution", "crelu", "ctc_loss",
            "depth_to_space", "depthwise_conv2d", "dilation2d", "erosion2d",
            "fractional_avg_pool", "fractional_max_pool", "isotonic_regression",
            "local_response_normalization", "max_pool", "max_pool1d", "max_pool2d", "max_pool3d",
            "nce_loss", "normalize_moments", "pool", "sampled_softmax_loss", "separable_conv2d",
            "space_to_depth", "sufficient_statistics", "weighted_cross_entropy_with_logits",
            "with_space_to_batch",
        ],
        _ENGINE,
    ),
    "linalg": dict.fromkeys(
        [
            "cholesky_solve", "cross", "eig", "eigvals", "logm", "lstsq", "lu",
            "lu_matrix_inverse", "matrix_rank", "normalize", "sqrtm", "tensor_diag",
            "tensor_diag_part", "tridiagonal_solve",
        ],
        "it is not written yet",
    ),
    "random": dict.fromkeys(
        [
            "categorical", "fixed_unigram_candidate_sampler", "fold_in", "gamma",
            "learned_unigram_candidate_sampler",
            "log_uniform_candidate_sampler", "poisson", "split", "stateless_binomial",
            "stateless_categorical", "stateless_gamma",
            "stateless_parameterized_truncated_normal", "stateless_poisson",
            "uniform_candidate_sampler",
        ],
        "the stream lacks the distribution",
    ),
    "debugging": dict.fromkeys(
        [
            "assert_integer", "assert_proper_iterable", "assert_rank_in",
            "assert_same_float_dtype", "assert_scalar", "disable_check_numerics",
            "disable_traceback_filtering", "enable_check_numerics", "enable_traceback_filtering",
            "get_log_device_placement", "set_log_device_placement",
        ],
        "it is not written yet",
    ),
}  # fmt: skip


def stub(module: str, name: str) -> Callable[..., Any] | None:
    """What stands for a listed name: a function that refuses to be called. None when not listed."""
    reason = MISSING.get(module, {}).get(name)
    if reason is None:
        return None
    full = f"tf.{module}.{name}" if module else f"tf.{name}"

    def absent(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{full} is not there yet in diptych.tensorflow: {reason}")

    absent.__name__ = absent.__qualname__ = name
    absent.__doc__ = f"Not there yet: {reason}."
    return absent


def attributes(module: str) -> Callable[[str], Any]:
    """A module's ``__getattr__``: stubs for the names listed, AttributeError for the rest."""
    full = f"tensorflow.{module}" if module else "tensorflow"

    def find(name: str) -> Any:
        found = stub(module, name)
        if found is None:
            raise AttributeError(f"module {full!r} has no attribute {name!r}")
        return found

    return find
