"""PyTorch's names of the engine's operations, as its profiler prints them."""

from __future__ import annotations

from diptych.runtime.profiler import Event
from diptych.torch.gradient_nodes import backward_name

# Where the engine's name is not PyTorch's.
_NAMES = {
    "cast": "_to_copy", "conj": "_conj", "floordiv": "floor_divide", "truncdiv": "div",
    "broadcast": "expand", "transpose": "permute", "concatenate": "cat",
    "pad": "constant_pad_nd", "iota": "arange", "max": "amax", "min": "amin",
    "shift_left": "bitwise_left_shift", "shift_right": "bitwise_right_shift",
    "take_along": "gather", "gelu_tanh": "gelu", "log_sigmoid": "log_sigmoid_forward",
    "softmax": "_softmax", "log_softmax": "_log_softmax", "cross_entropy": "cross_entropy_loss",
    "squared_error": "mse_loss", "absolute_error": "l1_loss", "ctc": "ctc_loss",
    "convolution_input": "convolution_backward", "convolution_weight": "convolution_backward",
    "batch_norm": "native_batch_norm", "fixed_norm": "native_batch_norm",
    "group_norm": "native_group_norm", "layer_norm": "native_layer_norm",
    "resample": "upsample",
    "extract_windows": "im2col", "fold_windows": "col2im", "grid_sample": "grid_sampler_2d",
    "attention": "_scaled_dot_product_flash_attention_for_cpu",
    "attention_gradient": "_scaled_dot_product_flash_attention_for_cpu_backward",
    "inv": "linalg_inv_ex", "pinv": "linalg_pinv", "solve": "linalg_solve_ex",
    "solve_triangular": "linalg_solve_triangular", "lstsq": "linalg_lstsq", "det": "linalg_det",
    "slogdet": "linalg_slogdet", "matrix_exp": "linalg_matrix_exp", "eigh": "linalg_eigh",
    "eigvalsh": "linalg_eigvalsh", "eig": "linalg_eig", "svd": "linalg_svd",
    "svdvals": "linalg_svdvals", "qr": "linalg_qr", "lu_factor": "linalg_lu_factor_ex",
    "vector_norm": "linalg_vector_norm", "ldl_factor": "linalg_ldl_factor_ex",
    "ldl_solve": "linalg_ldl_solve", "cholesky": "linalg_cholesky_ex", "fft": "_fft_c2c",
    "inverse_fft": "_fft_c2c", "rfft": "_fft_r2c", "irfft": "_fft_c2r", "zeta": "special_zeta",
    "lstm_layer": "lstm", "gru_layer": "gru", "rnn_tanh_layer": "rnn_tanh",
    "rnn_relu_layer": "rnn_relu", "lstm_layer_inference": "lstm", "gru_layer_inference": "gru",
    "rnn_tanh_layer_inference": "rnn_tanh", "rnn_relu_layer_inference": "rnn_relu",
    "erfcx": "special_erfcx", "log_ndtr": "special_log_ndtr", "i0e": "special_i0e",
    "i1": "special_i1", "i1e": "special_i1e", "airy_ai": "special_airy_ai",
}  # fmt: skip
_IN_PLACE = {"assign": "copy_", "index_put": "index_put_", "put_strided": "copy_"}


def operator_name(event: Event) -> str:
    """``aten::add`` for the engine's ``add``; ``aten::<our name>`` where PyTorch has none."""
    name = event.name
    if event.kind == "host":
        return f"diptych::host::{name}"
    if event.kind == "in place":
        if name == "assign" and [place and place.ndim for place in event.layouts[1:]] == [0]:
            return "aten::fill_"
        return "aten::" + (_IN_PLACE.get(name) or f"{_plain(event)}_")
    return "aten::" + _plain(event)


def _plain(event: Event) -> str:
    name, layouts = event.name, event.layouts
    first = layouts[0] if layouts else None
    second = layouts[1] if len(layouts) > 1 else None
    if name == "dot":
        if first is not None and second is not None:
            wide = first.ndim, second.ndim
            return {(2, 2): "mm", (3, 3): "bmm"}.get(wide, "matmul")
        return "matmul"
    if name == "convolution":
        return f"conv{first.ndim - 2}d" if first is not None else "convolution"
    if name in ("max_window", "window_max"):
        axes = len(event.params[0]) if event.params else 2
        return f"max_pool{axes}d" + ("_with_indices" if name == "max_window" else "")
    return _NAMES.get(name, name)


def public_name(event: Event) -> str:
    """What PyTorch's tables call a recorded span."""
    if event.kind == "user":
        return "ProfilerStep*" if event.name.startswith("ProfilerStep#") else event.name
    if event.kind == "backward":
        return f"autograd::engine::evaluate_function: {backward_name(event.name)}"
    return operator_name(event)
