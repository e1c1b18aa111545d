"""What TensorFlow's converter makes of small functions, in float and quantized, read and written back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mmconvert
from mmconvert.interpreter.session import run
from mmconvert.parsers import tflite
from tests.emitters.tflite.files import error, kinds
from tests.parsers.tflite.files import feeds_for, reference
from tests.parsers.tflite.models import converted, from_keras, tensorflow

pytestmark = pytest.mark.timeout(300)

IMAGE = (1, 12, 12, 4)


def network(tf: Any) -> Callable[[Any], Any]:
    """Convolutions of all kinds, a residual, a pool, a product and a softmax."""
    rng = np.random.default_rng(0)

    def weight(*shape: int) -> Any:
        return tf.constant(rng.normal(0, 0.5, shape).astype(np.float32))

    first, bias, deep, one, dense = (
        weight(3, 3, 4, 8), weight(8), weight(3, 3, 8, 1), weight(1, 1, 8, 8), weight(8, 5)
    )  # fmt: skip

    def function(x: Any) -> Any:
        y = tf.nn.relu6(tf.nn.conv2d(x, first, 2, "SAME") + bias)
        y = tf.nn.depthwise_conv2d(y, deep, [1, 1, 1, 1], "SAME") + bias
        y = y + tf.nn.relu(tf.nn.conv2d(y, one, 1, "VALID"))
        return tf.nn.softmax(tf.matmul(tf.reduce_mean(y, [1, 2]), dense))

    return function


def upsampling(tf: Any) -> Callable[[Any], Any]:
    kernel = tf.constant(np.random.default_rng(1).normal(0, 0.5, (3, 3, 6, 4)).astype(np.float32))
    return lambda x: tf.nn.conv2d_transpose(x, kernel, [1, 24, 24, 6], 2, "SAME")


FUNCTIONS: dict[str, tuple[Callable[[Any], Callable[..., Any]], int]] = {
    "network": (network, 1),
    "upsampling": (upsampling, 1),
    "add": (lambda tf: lambda x, y: x + y, 2),
    "sub": (lambda tf: lambda x, y: x - 2.0 * y, 2),
    "mul": (lambda tf: lambda x, y: x * y, 2),
    "average": (lambda tf: lambda x: tf.nn.avg_pool2d(x, 3, 2, "SAME"), 1),
    "maximum": (lambda tf: lambda x: tf.nn.max_pool2d(x, 3, 2, "SAME"), 1),
    "mean": (lambda tf: lambda x: tf.reduce_mean(x, [1, 2]), 1),
    "sigmoid": (lambda tf: lambda x: tf.sigmoid(4 * x), 1),
    "tanh": (lambda tf: lambda x: tf.tanh(2 * x), 1),
    "leaky": (lambda tf: lambda x: tf.nn.leaky_relu(x, 0.1), 1),
    "concat": (lambda tf: lambda x, y: tf.concat([x, 2 * y], -1), 2),
    "resize": (lambda tf: lambda x: tf.image.resize(x, [24, 24]), 1),
    "pad": (lambda tf: lambda x: tf.pad(x, [[0, 0], [1, 2], [2, 1], [0, 0]]), 1),
    "slice": (lambda tf: lambda x: x[:, 1:9:2, ::-1, 1:3], 1),
    "choice": (lambda tf: lambda x, y: tf.where(x > y, x, y), 2),
    "normalized": (lambda tf: lambda x: tf.math.l2_normalize(x, -1), 1),
    "logarithm": (lambda tf: lambda x: tf.nn.log_softmax(5 * x), 1),
}

FEW_BITS = ("choice", "normalized", "logarithm")
"""TensorFlow does not quantize these to 16 bits."""

INTEGER = [
    (name, how) for name in FUNCTIONS for how in ("int8", "int16") if how == "int8" or name not in FEW_BITS
]


@functools.cache
def model(name: str, how: str) -> bytes:
    make, count = FUNCTIONS[name]
    return converted(make(tensorflow()), *[IMAGE] * count, how=how)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("how", ["float", "float16"])
def test_float(name: str, how: str, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(model(name, how))
    module = tflite.load(path)
    feeds = feeds_for(module)
    found, wanted = run(module.graph, feeds), reference(path).run(feeds)
    for output, array in wanted.items():
        assert error(found[output], array.astype(np.float64)) < 2e-6


@pytest.mark.parametrize(("name", "how"), INTEGER)
def test_quantized(name: str, how: str, tmp_path: Path) -> None:
    """Of 8 bits within one unit, and exact in 999 of 1000; of 16 bits within two."""
    path = tmp_path / "m.tflite"
    path.write_bytes(model(name, how))
    module = tflite.load(path)
    feeds = feeds_for(module)
    found, wanted = run(module.graph, feeds), reference(path).run(feeds)
    for output, array in wanted.items():
        assert found[output].dtype == array.dtype
        difference = np.abs(found[output].astype(np.int64) - array.astype(np.int64))
        assert difference.max() <= (2 if how == "int16" else 1)
        assert how == "int16" or (difference != 0).mean() <= 0.001


@pytest.mark.parametrize(("name", "how"), INTEGER)
def test_written_back_bit_by_bit(name: str, how: str, tmp_path: Path) -> None:
    """The same integer operators over the same integers, in every resolver."""
    path, again = tmp_path / "m.tflite", tmp_path / "again.tflite"
    path.write_bytes(model(name, how))
    mmconvert.convert(path, again, verify=False)
    assert sorted(kinds(again)) == sorted(kind.replace("SELECT", "SELECT_V2") for kind in kinds(path))
    feeds = feeds_for(tflite.load(path))
    for resolver in ("BUILTIN_REF", "BUILTIN_WITHOUT_DEFAULT_DELEGATES", "BUILTIN"):
        found, wanted = (reference(p, resolver).run(feeds) for p in (again, path))
        for output, array in wanted.items():
            np.testing.assert_array_equal(found[output], array)


def test_quantized_models_are_equivalent_in_onnx_runtime(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(model("concat", "int8"))
    report = mmconvert.convert(path, tmp_path / "m.onnx")
    assert report.passed, report.verdict
    loaded = mmconvert.load(tmp_path / "m.onnx")
    assert {"Dequantize", "Quantize"} <= {node.op.name for node in loaded.graph}


def test_dynamic_range_weights_stay_bytes_in_the_graph(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    kernel = np.random.default_rng(0).normal(0, 1, (64, 96)).astype(np.float32)
    tf = tensorflow()
    path.write_bytes(converted(lambda x: tf.matmul(x, tf.constant(kernel)), (1, 64), how="dynamic"))
    module = tflite.load(path)
    stored = [v.type.dtype for node in module.graph for v in node.inputs if v is not None and v.constant]
    assert np.dtype(np.int8) in stored
    feeds = feeds_for(module)
    found, wanted = (next(iter(r.values())) for r in (run(module.graph, feeds), reference(path).run(feeds)))
    assert error(found, wanted.astype(np.float64)) < 1e-6
    plain = next(iter(run(tflite.load(path, hybrid="float").graph, feeds).values()))
    (x,) = feeds.values()
    assert error(plain, (x @ kernel).astype(np.float64)) < 0.01


@pytest.mark.parametrize("layer", ["LSTM", "GRU", "SimpleRNN"])
def test_keras_loops(layer: str, tmp_path: Path) -> None:
    """Keras's recurrent layers become WHILE over lists of tensors."""
    import keras

    keras.utils.set_random_seed(0)
    recurrent = getattr(keras.layers, layer)(6, return_sequences=True)
    path = tmp_path / "m.tflite"
    path.write_bytes(from_keras(keras.Sequential([keras.Input((7, 4), batch_size=1), recurrent])))
    assert "WHILE" in kinds(path)
    module = tflite.load(path)
    feeds = feeds_for(module)
    found, wanted = run(module.graph, feeds), reference(path).run(feeds)
    for output, array in wanted.items():
        assert error(found[output], array.astype(np.float64)) < 2e-6
    report = mmconvert.convert(path, tmp_path / "m.onnx")
    assert report.passed, report.verdict
