"""Models that `model.quantize()` made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tflite

from mmconvert import dtypes
from mmconvert.errors import UnsupportedError
from mmconvert.parsers.keras import load

from .cases import Row
from .compare import compare, randomize
from .test_targets import reaches


def dense(keras: Any, x: Any) -> Any:
    return keras.layers.Dense(4, activation="relu")(x)


def einsum(keras: Any, x: Any) -> Any:
    return keras.layers.EinsumDense("abc,cde->abde", output_shape=(None, 2, 3), bias_axes="e")(x)


def embedding(keras: Any, x: Any) -> Any:
    return keras.layers.Embedding(6, 4)(keras.ops.cast(keras.ops.abs(x), "int32"))


def reversible(keras: Any, x: Any) -> Any:
    layer = keras.layers.ReversibleEmbedding(6, 4)
    return layer(layer(keras.ops.cast(keras.ops.abs(x), "int32")), reverse=True)


MODES = [
    *((make, mode) for make in (dense, embedding, reversible) for mode in ("int8", "int4")),
    (einsum, "int8"),
    (einsum, "int4"),
    (dense, "float8"),
    (einsum, "float8"),
]


def built(keras: Any, make: Any, mode: str) -> Any:
    x = keras.Input((5, 7))
    model = keras.Model(x, make(keras, x))
    randomize(model)
    model.quantize(mode)
    return model


@pytest.mark.parametrize(("make", "mode"), MODES, ids=lambda item: getattr(item, "__name__", item))
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_quantized_layer_computes_what_keras_does(
    make: Any, mode: str, suffix: str, keras: Any, tmp_path: Path
) -> None:
    model = built(keras, make, mode)
    model.save(tmp_path / f"model{suffix}")
    compare(model, load(tmp_path / f"model{suffix}"))


@pytest.mark.parametrize("make", [dense, einsum], ids=lambda make: make.__name__)
def test_four_bit_weights_stay_integers(make: Any, keras: Any, tmp_path: Path) -> None:
    model = built(keras, make, "int4")
    model.save(tmp_path / "model.keras")
    kernels = [v.type for v in load(tmp_path / "model.keras").graph.constants()]
    assert any(t.dtype == dtypes.BY_NAME["i4"] and 7 in t.shape for t in kernels)


WIDE = {
    "dense": lambda keras, x: keras.layers.Dense(64)(x),
    "einsum": lambda keras, x: keras.layers.EinsumDense("abc,cde->abde", (None, 4, 16), bias_axes="e")(x),
    "embedding": lambda keras, x: keras.layers.Embedding(128, 64)(indices(keras, x)),
    "reversible": lambda keras, x: both_ways(keras, keras.layers.ReversibleEmbedding(128, 64), x),
}


def indices(keras: Any, x: Any) -> Any:
    return keras.ops.cast(keras.ops.abs(x[:, :, 0]), "int32")


def both_ways(keras: Any, layer: Any, x: Any) -> Any:
    return layer(layer(indices(keras, x)), reverse=True)


HELD = {
    ("onnx", "int8"): dict.fromkeys(WIDE, 0.3),
    ("tflite", "int8"): dict.fromkeys(WIDE, 0.3),
    ("onnx", "int4"): {"dense": 0.17, "einsum": 0.17, "embedding": 0.32, "reversible": 0.26},
    ("tflite", "int4"): {"embedding": 0.32},  # TFLite has no scales in blocks
}
"""The most that the constants of a file may take of the bytes that float ones take."""


@pytest.mark.parametrize(
    ("target", "mode", "name"), [(*key, name) for key, parts in HELD.items() for name in parts]
)
def test_files_hold_integers(target: str, mode: str, name: str, keras: Any, tmp_path: Path) -> None:
    x = keras.Input((5, 128))
    model = keras.Model(x, WIDE[name](keras, x))
    randomize(model)
    sizes = []
    for part in ("float", mode):
        if part != "float":
            model.quantize(part)
        (tmp_path / part).mkdir()
        reaches(Row(name, ((5, 128),), lambda: None), model, target, tmp_path / part)
        sizes.append(held(target, tmp_path / part / f"model.{target}"))
    assert sizes[1] <= HELD[target, mode][name] * sizes[0]


def held(target: str, path: Path) -> int:
    """The bytes of all constants of a file."""
    if target == "onnx":
        return sum(len(item.raw_data) for item in onnx.load(path).graph.initializer)
    model = tflite.Model.GetRootAs(path.read_bytes())
    return sum(model.Buffers(i).DataLength() for i in range(model.BuffersLength()))


def test_weights_stay_integers(keras: Any, tmp_path: Path) -> None:
    model = built(keras, dense, "int8")
    model.save(tmp_path / "model.keras")
    kernels = [v.constant for v in load(tmp_path / "model.keras").graph.constants()]
    (kernel,) = [t for t in kernels if t is not None and t.dtype == dtypes.I8]
    assert np.array_equal(kernel.numpy(), np.asarray(model.layers[-1].kernel))


def per_channel(keras: Any, make: Any, activations: Any) -> Any:
    x = keras.Input((5, 7))
    model = keras.Model(x, make(keras, x))
    randomize(model)
    config = keras.quantizers.Int4QuantizationConfig(block_size=-1, activation_quantizer=activations)
    model.quantize(config=config)
    return model


@pytest.mark.parametrize("make", [dense, einsum, embedding, reversible], ids=lambda make: make.__name__)
def test_int4_without_groups(make: Any, keras: Any, tmp_path: Path) -> None:
    model = per_channel(keras, make, None)
    model.save(tmp_path / "model.keras")
    compare(model, load(tmp_path / "model.keras"))


def test_int4_weights_over_int8_inputs(keras: Any, tmp_path: Path) -> None:
    model = per_channel(keras, einsum, keras.quantizers.AbsMaxQuantizer(axis=-1))
    model.save(tmp_path / "model.keras")
    compare(model, load(tmp_path / "model.keras"))


def heads(keras: Any, x: Any) -> Any:
    return keras.layers.MultiHeadAttention(2, 4)(x, x)


ATTENTION = {
    "heads": heads,
    "no_bias": lambda keras, x: keras.layers.MultiHeadAttention(2, 4, use_bias=False)(x, x),
    "output_shape": lambda keras, x: keras.layers.MultiHeadAttention(2, 4, 3, output_shape=(2, 3))(x, x),
    "grouped": lambda keras, x: keras.layers.GroupQueryAttention(4, 4, 2)(x, x),
}


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
@pytest.mark.parametrize("name", ATTENTION)
def test_attention(name: str, mode: str, suffix: str, keras: Any, tmp_path: Path) -> None:
    """Its settings do not tell that the layers in it are quantized, and Keras 3.15 cannot load it."""
    model = built(keras, ATTENTION[name], mode)
    model.save(tmp_path / f"model{suffix}")
    module = load(tmp_path / f"model{suffix}")
    compare(model, module)
    assert any("projections of attention" in warning for warning in module.warnings) == (mode == "int8")


def test_attention_that_does_not_tell_of_its_inputs_is_refused(keras: Any, tmp_path: Path) -> None:
    model = per_channel(keras, heads, None)
    model.save(tmp_path / "model.keras")
    with pytest.raises(UnsupportedError, match="quantized weights, of which its settings do not tell"):
        load(tmp_path / "model.keras")


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_layers_in_time_distributed_are_refused(mode: str, keras: Any, tmp_path: Path) -> None:
    """Keras 3.15 multiplies by their integers and forgets the scales."""
    model = built(keras, lambda keras, x: keras.layers.TimeDistributed(keras.layers.Dense(3))(x), mode)
    model.save(tmp_path / "model.keras")
    with pytest.raises(UnsupportedError, match="a quantized layer, whose scales Keras leaves out there"):
        load(tmp_path / "model.keras")
