"""Layers and settings that Keras 3 has no more."""

from __future__ import annotations

from .row import IMAGE, LINE, rows

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
