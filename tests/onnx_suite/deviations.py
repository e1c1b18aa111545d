"""What of ONNX's backend suite is known to fail, by reason. A case that passes has to go from here."""

from __future__ import annotations

READING: dict[str, tuple[str, ...]] = {
    "random numbers: there is nothing to compare with": ("test_bernoulli*",),
    "expects positions by the extent before it is cut to an integer, unlike ONNX Runtime and PyTorch": (
        "test_resize_downsample_scales_linear_align_corners",
        "test_resize_downsample_scales_cubic_align_corners",
    ),
    "one unit in the last place of the narrow type, which the suite does not allow": (
        "test_attention_4d_causal_bf16*",
        "test_attention_4d_causal_fp16_expanded",
        "test_attention_4d_padded_kv_bf16*",
        "test_attention_4d_causal_padded_kv_bf16*",
        "test_attention_4d_attn_mask_causal_bf16*",
        "test_attention_3d_causal_bf16*",
    ),
    "places the numbers by an output_shape that contradicts the strides": (
        "test_maxunpool_export_with_output_shape*",
    ),
}

OLDER: dict[str, tuple[str, ...]] = {
    "up to operator set 12 all axes from this one on are one": (
        "test_hardmax_axis_0_at_1?",
        "test_softmax_axis_0_at_1?",
        "test_logsoftmax_axis_0_at_1?",
    ),
    "up to operator set 6 a slope is for the channels": ("test_prelu_broadcast_at_5",),
}
"""What of the suite's cases is known to compute something else in an older version of its operator."""
