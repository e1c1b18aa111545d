"""TensorFlow's functions in functional models of Keras 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmconvert.errors import UnsupportedError
from mmconvert.parsers.keras import load

from .compare import compare, saved

FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "arithmetic": lambda tf, x: (1.0 - (x * 2 + 1)) / 4 - x**2,
    "unary": lambda tf, x: tf.exp(x) + tf.abs(x) + tf.square(x) + tf.tanh(x) + tf.nn.relu(x) + tf.floor(x),
    "compare": lambda tf, x: tf.where(tf.logical_and(x > 0.0, x < 1.0), x, -x),
    "reduce": lambda tf, x: (
        tf.reduce_mean(x, axis=1, keepdims=True) + tf.reduce_max(x, axis=[1], keepdims=True)
    ),
    "shape": lambda tf, x: tf.reshape(tf.transpose(tf.expand_dims(x, -1), [0, 2, 1, 3]), [-1, 20]),
    "concat": lambda tf, x: tf.concat([x, -x], axis=-1),
    "stack": lambda tf, x: tf.stack([x, -x], axis=1),
    "unstack": lambda tf, x: tf.unstack(x, axis=1),
    "split": lambda tf, x: tf.split(x, 2, axis=2),
    "split_sizes": lambda tf, x: tf.split(x, [1, 2, 2], axis=1),
    "matmul": lambda tf, x: tf.matmul(x, x, transpose_b=True),
    "softmax": lambda tf, x: tf.nn.softmax(x) + tf.nn.leaky_relu(x) + tf.nn.elu(x),
    "cast": lambda tf, x: tf.cast(x, tf.int32),
    "clip": lambda tf, x: tf.clip_by_value(x, -1.0, 0.5),
    "gather": lambda tf, x: tf.gather(x, [2, 0], axis=1),
    "tile": lambda tf, x: tf.tile(x, [1, 2, 1]),
    "resize": lambda tf, x: tf.image.resize(tf.expand_dims(x, -1), (3, 7)),
    "slices": lambda tf, x: x[:, 1:-1, ::2],
    "new_axis": lambda tf, x: x[:, tf.newaxis, 1],
    "squeeze": lambda tf, x: tf.squeeze(x[:, :1], 1),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_computes_what_tensorflow_does(name: str, keras2: Any, tmp_path: Path) -> None:
    import tensorflow

    x = keras2.Input((5, 4))
    model = keras2.Model(x, FUNCTIONS[name](tensorflow, x))
    for suffix in (".keras", ".h5"):
        compare(model, saved(model, tmp_path, suffix))


def test_function_without_a_rule_is_refused(keras2: Any, tmp_path: Path) -> None:
    import tensorflow

    x = keras2.Input((5, 4))
    keras2.Model(x, tensorflow.math.bessel_i0e(x)).save(tmp_path / "model.h5")
    with pytest.raises(UnsupportedError, match=r"TFOpLambda: math\.bessel_i0e"):
        load(tmp_path / "model.h5")
