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

OTHERWISE: dict[range, tuple[str, ...]] = {
    # All axes from this one on were one.
    range(13): tuple(
        f"test_{kind}_{axis}"
        for kind in ("hardmax", "softmax", "logsoftmax")
        for axis in ("axis_[01]", "default_axis")
    ),
    # A slope of one axis was for the channels, and is for the last axis.
    range(7): ("test_prelu_broadcast",),
    range(7, 99): ("test_PReLU_?d_multiparam",),
}
"""What of the suite's cases is valid for other operator sets than its own too, and means something else."""
