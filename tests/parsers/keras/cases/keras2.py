"""Layers and settings that Keras 3 has no more, and those that Keras 2 did not have yet."""

from __future__ import annotations

from fnmatch import fnmatchcase

from .row import IMAGE, LINE, Row, rows

ROWS = [
    *rows(
        IMAGE,
        resizing_mitchell=lambda L: L.Resizing(9, 5, interpolation="mitchellcubic"),
        locally2d=lambda L: L.LocallyConnected2D(3, (2, 3), (1, 2), activation="tanh"),
        random_height=lambda L: L.RandomHeight(0.1),
        random_width=lambda L: L.RandomWidth(0.1),
        thresholded_relu=lambda L: L.ThresholdedReLU(0.5),
    ),
    *rows(
        LINE,
        locally1d=lambda L: L.LocallyConnected1D(3, 2, 2),
        locally1d_bare=lambda L: L.LocallyConnected1D(3, 3, use_bias=False, activation="relu"),
        lstm_implementation=lambda L: L.LSTM(3, implementation=1),
        gru_implementation=lambda L: L.GRU(3, implementation=1, reset_after=False),
    ),
]

_LATER = """
activation_celu activation_glu activation_hard_shrink activation_hard_silu activation_hard_swish
activation_hard_tanh activation_log_sigmoid activation_soft_shrink activation_spars* activation_squareplus
activation_tanh_shrink leaky_slope adaptive_* augmix auto_contrast category_weights center_crop_first
cut_mix discretization_one_hot embedding_floats grouped* heads_gate heads_window layer_norm_rms*
lstm_layer_activation mel* mix_up pipeline rand_augment random_blur random_degeneration random_elastic
random_erasing random_grayscale random_hue random_invert random_jitter random_perspective
random_posterization random_saturation random_sharpness random_shear resizing_antialias* resizing_first
resizing_pad* reversible_embedding* rms_norm* solarization spectral_normalization stft*
"""


def is_later(row: Row) -> bool:
    """True for a row that Keras 2 cannot build; a test tries each."""
    return any(fnmatchcase(row.name, name) for name in _LATER.split())
