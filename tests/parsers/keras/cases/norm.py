"""Normalisation."""

from __future__ import annotations

from .row import IMAGE, LINE, rows

ROWS = [
    *rows(
        IMAGE,
        batch_norm=lambda L: L.BatchNormalization(),
        batch_norm_axis_1=lambda L: L.BatchNormalization(axis=1, epsilon=0.1),
        batch_norm_no_scale=lambda L: L.BatchNormalization(scale=False),
        batch_norm_no_center=lambda L: L.BatchNormalization(center=False),
        batch_norm_bare=lambda L: L.BatchNormalization(center=False, scale=False),
        batch_norm_renorm=lambda L: L.BatchNormalization(renorm=True),
        layer_norm=lambda L: L.LayerNormalization(),
        layer_norm_two_axes=lambda L: L.LayerNormalization(axis=[1, 2], epsilon=0.01),
        layer_norm_mixed_axes=lambda L: L.LayerNormalization(axis=[1, -1]),
        layer_norm_all_axes=lambda L: L.LayerNormalization(axis=[1, 2, 3], scale=False),
        layer_norm_no_center=lambda L: L.LayerNormalization(center=False),
        layer_norm_bare=lambda L: L.LayerNormalization(center=False, scale=False),
        layer_norm_rms=lambda L: L.LayerNormalization(rms_scaling=True),
        layer_norm_rms_axes=lambda L: L.LayerNormalization(axis=[1, 3], rms_scaling=True),
        rms_norm=lambda L: L.RMSNormalization(),
        rms_norm_axes=lambda L: L.RMSNormalization(axis=[2, 3], epsilon=0.1),
        group_norm=lambda L: L.GroupNormalization(2),
        group_norm_instance=lambda L: L.GroupNormalization(-1, epsilon=0.1),
        group_norm_one=lambda L: L.GroupNormalization(1, scale=False),
        group_norm_axis_1=lambda L: L.GroupNormalization(7, axis=1, center=False),
        unit_norm=lambda L: L.UnitNormalization(),
        unit_norm_axes=lambda L: L.UnitNormalization(axis=[1, 2]),
        normalization=lambda L: L.Normalization(),
        normalization_axes=lambda L: L.Normalization(axis=[1, 3]),
        normalization_all=lambda L: L.Normalization(axis=None),
        normalization_given=lambda L: L.Normalization(mean=[1.0, 2, 3, 4], variance=[1.0, 0.5, 2, 0]),
        normalization_given_one=lambda L: L.Normalization(mean=2.0, variance=4.0),
        normalization_given_part=lambda L: L.Normalization(
            axis=[1, 3], mean=[1.0, 2, 3, 4], variance=[1.0, 0.5, 2, 1]
        ),
        normalization_inverted=lambda L: L.Normalization(
            invert=True, mean=[1.0, 2, 3, 4], variance=[1.0, 4, 2, 1]
        ),
    ),
    *rows(
        (6,),
        batch_norm_flat=lambda L: L.BatchNormalization(),
        group_norm_flat=lambda L: L.GroupNormalization(3),
    ),
    *rows(
        LINE,
        group_norm_line=lambda L: L.GroupNormalization(2),
        layer_norm_line=lambda L: L.LayerNormalization(),
    ),
]
