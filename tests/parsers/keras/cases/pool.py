"""Pooling."""

from __future__ import annotations

from .row import IMAGE, LINE, VOLUME, rows

ROWS = [
    *rows(
        LINE,
        max1d=lambda L: L.MaxPooling1D(2),
        max1d_same=lambda L: L.MaxPooling1D(3, 2, padding="same"),
        average1d=lambda L: L.AveragePooling1D(3, 1, padding="same"),
        global_max1d=lambda L: L.GlobalMaxPooling1D(),
        global_average1d=lambda L: L.GlobalAveragePooling1D(keepdims=True),
    ),
    *rows(
        IMAGE,
        max2d=lambda L: L.MaxPooling2D(),
        max2d_same=lambda L: L.MaxPooling2D((3, 2), (2, 3), padding="same"),
        max2d_overlapping=lambda L: L.MaxPooling2D(3, 1),
        average2d=lambda L: L.AveragePooling2D((2, 3)),
        average2d_same=lambda L: L.AveragePooling2D(3, 2, padding="same"),
        global_max2d=lambda L: L.GlobalMaxPooling2D(keepdims=True),
        global_average2d=lambda L: L.GlobalAveragePooling2D(),
    ),
    *rows(
        VOLUME,
        max3d=lambda L: L.MaxPooling3D(2),
        average3d_same=lambda L: L.AveragePooling3D((2, 3, 2), 2, padding="same"),
        global_max3d=lambda L: L.GlobalMaxPooling3D(),
        global_average3d=lambda L: L.GlobalAveragePooling3D(keepdims=True),
    ),
]
