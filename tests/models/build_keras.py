"""Builds and exports keras.applications nets; `zoo.py` runs it in a process of its own.

python -m tests.models.build_keras keras NAME OUT.keras
python -m tests.models.build_keras tflite IN.keras OUT.tflite
python -m tests.models.build_keras onnx IN.keras OUT.onnx
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .pictures import calibration_images
from .zoo import image_range

SEED = 7
EXTENT = 224
GREATEST_LOGIT = 12.0


def build(name: str) -> Any:
    """Returns the net with weights that make every part of it matter."""
    import keras

    keras.utils.set_random_seed(SEED)
    model = getattr(keras.applications, name)(weights=None, input_shape=(EXTENT, EXTENT, 3))
    low, high = image_range(name)
    images = calibration_images(EXTENT, SEED) * (high - low) + low
    randomise(model, np.random.default_rng(SEED))
    calibrate_statistics(model, images)
    calibrate_classifier(model, images)
    check(model, images)
    return model


def randomise(model: Any, rng: np.random.Generator) -> None:
    """Gives biases, scales and shifts values other than the 0 and 1 that they start with."""
    import keras

    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            if layer.scale:
                layer.gamma.assign(rng.uniform(0.5, 1.5, layer.gamma.shape))
            if layer.center:
                layer.beta.assign(rng.normal(0, 0.1, layer.beta.shape))
        elif getattr(layer, "bias", None) is not None:
            layer.bias.assign(rng.normal(0, 0.1, layer.bias.shape))


def calibrate_statistics(model: Any, images: NDArray[np.float32]) -> None:
    """Sets the statistics of every normalisation to those of `images`."""
    import keras

    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    dropouts = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    kept = [(layer, "momentum", layer.momentum) for layer in norms]
    kept += [(layer, "rate", layer.rate) for layer in dropouts]
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.input_mean is None:
            layer.adapt(np.asarray(keras.Model(model.inputs[0], layer.input)(images)))
    for layer, field, _ in kept:
        setattr(layer, field, 0.0)
    if norms:
        # With a momentum of 0 one training step leaves exactly this batch's statistics behind.
        model(images, training=True)
    for layer, field, value in kept:
        setattr(layer, field, value)


def calibrate_classifier(model: Any, images: NDArray[np.float32]) -> None:
    """Centres and scales the logits, which random features would leave alike for all images."""
    import keras

    head = [layer for layer in model.layers if getattr(layer, "bias", None) is not None][-1]
    features = np.asarray(keras.Model(model.inputs[0], head.input)(images)).reshape(len(images), -1)
    kernel = np.asarray(head.kernel)
    products = features @ kernel.reshape(features.shape[1], -1)
    mean = products.mean(axis=0)
    scale = GREATEST_LOGIT / np.abs(products - mean).max()
    head.kernel.assign(kernel * scale)
    head.bias.assign(np.asarray(head.bias) - mean * scale)


def check(model: Any, images: NDArray[np.float32]) -> None:
    """Fails when the probabilities are broken, or are (nearly) the same whatever the image."""
    probabilities = np.asarray(model(images, training=False))
    if not np.allclose(probabilities.sum(axis=-1), 1, atol=1e-4):
        raise SystemExit("the probabilities do not sum to one")
    # Of the logarithms, because one of a thousand probabilities is small however much it moves.
    spread = np.ptp(np.log(probabilities), axis=0)
    if not spread.max() > 0.1:
        raise SystemExit("the probabilities do not depend on the image")


def to_tflite(source: str, out: str) -> None:
    """Converts with TensorFlow's converter, all options as they come."""
    import keras
    import tensorflow as tf

    model = keras.models.load_model(source)
    Path(out).write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())


def to_onnx(source: str, out: str) -> None:
    """Exports with Keras's exporter, which is tf2onnx."""
    import keras
    import onnx

    model = keras.models.load_model(source)
    spec = keras.InputSpec(shape=(1, *model.input_shape[1:]), dtype="float32", name=model.inputs[0].name)
    model.export(out, format="onnx", verbose=False, input_signature=[spec], opset_version=17)
    # It turns the constants of a Normalization layer into inputs that no caller could know.
    inputs = [value.name for value in onnx.load(out).graph.input]
    if inputs != [model.inputs[0].name]:
        raise SystemExit(f"tf2onnx wrote a model with the inputs {inputs}")


def main(action: str, source: str, out: str) -> None:
    """Runs one action of the three above."""
    if action == "keras":
        build(source).save(out)
    elif action == "tflite":
        to_tflite(source, out)
    else:
        to_onnx(source, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
