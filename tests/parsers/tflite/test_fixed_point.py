"""The tables of sigmoid and tanh that kernels over integers compute."""

from __future__ import annotations

import numpy as np
import pytest

from mmconvert.parsers.tflite import fixed_point

X = np.arange(-(1 << 15), 1 << 15)


def test_sigmoid_is_some_units_from_the_function() -> None:
    table = fixed_point.sigmoid()
    assert np.abs(table - 32768 / (1 + np.exp(-X / 4096))).max() < 7
    assert table[X == 0] == 16384
    np.testing.assert_array_equal(table[X > 0], 32767 - table[(X < 0) & (X > -32768)][::-1])


@pytest.mark.parametrize("bits", range(5))
def test_tanh_is_some_units_from_the_function(bits: int) -> None:
    table = fixed_point.tanh(bits)
    assert np.abs(table - 32768 * np.tanh(X * 2.0 ** (bits - 15))).max() < 13
    assert table[X == 0] == 0
    np.testing.assert_array_equal(table[X > 0], -table[(X < 0) & (X > -32768)][::-1])
