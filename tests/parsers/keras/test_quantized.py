"""Models that `model.quantize()` made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.errors import UnsupportedError
from mmconvert.parsers.keras import load

from .compare import compare, randomize


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


def test_weights_stay_integers(keras: Any, tmp_path: Path) -> None:
    model = built(keras, dense, "int8")
    model.save(tmp_path / "model.keras")
    kernels = [v.constant for v in load(tmp_path / "model.keras").graph.constants()]
    (kernel,) = [t for t in kernels if t is not None and t.dtype == dtypes.I8]
    assert np.array_equal(kernel.numpy(), np.asarray(model.layers[-1].kernel))


def test_int4_sums_are_refused(keras: Any, tmp_path: Path) -> None:
    built(keras, einsum, "int4").save(tmp_path / "model.keras")
    with pytest.raises(UnsupportedError, match="EinsumDense: quantized as int4"):
        load(tmp_path / "model.keras")
