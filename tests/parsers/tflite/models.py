"""Small models that TensorFlow's own converter writes: float, quantized, with control flow and state."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Calibration = Callable[[], Iterator[list[Any]]]


@functools.cache
def tensorflow() -> Any:
    """TensorFlow, imported once and kept quiet."""
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    return tf


def calibration(*shapes: tuple[int, ...]) -> Calibration:
    """Seeded samples in [-1, 1]."""

    def samples() -> Iterator[list[Any]]:
        rng = np.random.default_rng(1)
        for _ in range(8):
            yield [rng.uniform(-1, 1, shape).astype(np.float32) for shape in shapes]

    return samples


def converted(function: Any, *shapes: tuple[int | None, ...], how: str = "float") -> bytes:
    """The model of a function of f32 tensors.

    Args:
        function: of tensors; makes its weights when it is traced.
        shapes: of its operands.
        how: "float", "float16", "dynamic" (int8 weights), "int8", "int16" (16-bit activations).
    """
    tf = tensorflow()
    module = tf.Module()
    signature = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    module.f = tf.function(function, input_signature=signature)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.f.get_concrete_function()], module)
    return _finish(converter, how, calibration(*(tuple(e or 1 for e in shape) for shape in shapes)))


def from_keras(model: Any, how: str = "float") -> bytes:
    """The model of a Keras model with one input of known shape."""
    tf = tensorflow()
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    return _finish(converter, how, calibration(model.input_shape))


def _finish(converter: Any, how: str, samples: Calibration) -> bytes:
    tf = tensorflow()
    if how != "float":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if how == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if how in ("int8", "int16"):
        converter.representative_dataset = samples
        builtins = tf.lite.OpsSet.TFLITE_BUILTINS_INT8
        if how == "int16":
            builtins = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [builtins]
        converter.inference_input_type = converter.inference_output_type = {
            "int8": tf.int8,
            "int16": tf.int16,
        }[how]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data: bytes = converter.convert()
    return data
