"""Convolutions."""

from __future__ import annotations

from .row import IMAGE, LINE, VOLUME, rows

ROWS = [
    *rows(
        LINE,
        conv1d=lambda L: L.Conv1D(3, 3),
        conv1d_same_strided=lambda L: L.Conv1D(3, 4, 2, "same"),
        conv1d_causal=lambda L: L.Conv1D(3, 3, padding="causal"),
        conv1d_causal_dilated=lambda L: L.Conv1D(3, 3, padding="causal", dilation_rate=2),
        conv1d_groups=lambda L: L.Conv1D(6, 3, groups=2, activation="relu"),
        conv1d_no_bias=lambda L: L.Conv1D(3, 1, use_bias=False),
        separable1d=lambda L: L.SeparableConv1D(5, 3, padding="same", depth_multiplier=2, activation="tanh"),
        separable1d_strided=lambda L: L.SeparableConv1D(5, 3, 2, use_bias=False),
        depthwise1d=lambda L: L.DepthwiseConv1D(3, depth_multiplier=3, activation="relu"),
        depthwise1d_same=lambda L: L.DepthwiseConv1D(4, 2, padding="same", use_bias=False),
        transpose1d=lambda L: L.Conv1DTranspose(3, 3, 2),
        transpose1d_same=lambda L: L.Conv1DTranspose(3, 4, 2, padding="same", activation="sigmoid"),
    ),
    *rows(
        IMAGE,
        conv2d=lambda L: L.Conv2D(3, 3),
        conv2d_same=lambda L: L.Conv2D(3, (2, 3), padding="same", activation="relu"),
        conv2d_same_strided=lambda L: L.Conv2D(3, (3, 4), (2, 3), "same"),
        conv2d_strided=lambda L: L.Conv2D(3, 2, (1, 2), use_bias=False),
        conv2d_dilated=lambda L: L.Conv2D(3, (2, 3), dilation_rate=(3, 2), padding="same"),
        conv2d_dilated_valid=lambda L: L.Conv2D(3, 3, dilation_rate=2),
        conv2d_groups=lambda L: L.Conv2D(6, 3, groups=2),
        conv2d_depthwise_by_groups=lambda L: L.Conv2D(8, 3, groups=4, padding="same"),
        depthwise2d=lambda L: L.DepthwiseConv2D(3),
        depthwise2d_multiplier=lambda L: L.DepthwiseConv2D((2, 3), 2, "same", depth_multiplier=3),
        depthwise2d_dilated=lambda L: L.DepthwiseConv2D(3, dilation_rate=2, use_bias=False, activation="elu"),
        separable2d=lambda L: L.SeparableConv2D(5, 3),
        separable2d_multiplier=lambda L: L.SeparableConv2D(5, (2, 3), 2, "same", depth_multiplier=2),
        separable2d_dilated=lambda L: L.SeparableConv2D(5, 3, dilation_rate=2, use_bias=False),
        transpose2d=lambda L: L.Conv2DTranspose(3, 3),
        transpose2d_strided=lambda L: L.Conv2DTranspose(3, (3, 2), (2, 3), activation="relu"),
        transpose2d_same=lambda L: L.Conv2DTranspose(3, 3, 2, "same"),
        transpose2d_same_even=lambda L: L.Conv2DTranspose(3, 4, 2, "same", use_bias=False),
        transpose2d_same_small_kernel=lambda L: L.Conv2DTranspose(3, 1, 2, "same"),
        transpose2d_same_odd_total=lambda L: L.Conv2DTranspose(3, (4, 5), (3, 2), "same"),
        transpose2d_output_padding=lambda L: L.Conv2DTranspose(3, 3, 2, "valid", output_padding=1),
        transpose2d_same_output_padding=lambda L: L.Conv2DTranspose(3, 3, 2, "same", output_padding=1),
        transpose2d_same_output_padding_uneven=lambda L: L.Conv2DTranspose(
            3, (4, 3), 2, "same", output_padding=(1, 0)
        ),
    ),
    *rows(
        VOLUME,
        conv3d=lambda L: L.Conv3D(3, 2, 2, "same"),
        conv3d_valid=lambda L: L.Conv3D(3, (1, 2, 3), activation="relu"),
        transpose3d=lambda L: L.Conv3DTranspose(3, 2, 2, use_bias=False),
        transpose3d_same=lambda L: L.Conv3DTranspose(3, 3, 2, "same"),
    ),
]
