"""Seeded images for calibrating and judging image nets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def calibration_images(extent: int, seed: int) -> NDArray[np.float32]:
    """Returns twelve pictures, then four images of noise: nets calibrated on both saturate on neither.

    With fewer, the statistics of deep layers are so uncertain that unseen images explode in them.
    """
    noise = np.random.default_rng(seed).uniform(0, 1, (4, extent, extent, 3)).astype(np.float32)
    return np.concatenate([pictures(12, extent, seed), noise])


def pictures(count: int, extent: int, seed: int) -> NDArray[np.float32]:
    """Returns `f32[count, extent, extent, 3]` in [0, 1]: smooth shapes, each in its own colour and contrast.

    White noise alone would not do: a net averages it away, and all such images give the same output.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:extent, 0:extent].astype(np.float64) / extent
    images = np.empty((count, extent, extent, 3))
    for image in images:
        image[:] = rng.normal(0, 0.8, 3)
        for octave in range(5):
            angle, phase = rng.uniform(0, 2 * np.pi, 2)
            wave = np.cos(2 * np.pi * 2**octave * (x * np.cos(angle) + y * np.sin(angle)) + phase)
            image += wave[..., None] * rng.normal(0, 1 / (octave + 1), 3)
        image += rng.normal(0, rng.uniform(0.02, 0.3), image.shape)
    return (1 / (1 + np.exp(-1.5 * images))).astype(np.float32)
