"""Files of Keras 2, whose configs are spelled in other ways: written by hand, compared with Keras 3."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mmconvert.errors import InvalidModelError, UnsupportedError, UsageError
from mmconvert.interpreter import run
from mmconvert.ir.graph import Graph
from mmconvert.parsers.keras import load, sniff
from mmconvert.tensors import Array

from .compare import close, feeds

Weights = dict[str, dict[str, Array]]
RNG = np.random.default_rng(3)


def layer(kind: str, name: str, *inputs: Any, **config: Any) -> dict[str, Any]:
    """A layer of a functional model; ``inputs`` are names, or ``[name, call, tensor]``."""
    refs = [[*([item, 0, 0] if isinstance(item, str) else item), {}] for item in inputs]
    return {
        "class_name": kind,
        "name": name,
        "config": {"name": name, "trainable": True, **config},
        "inbound_nodes": [refs] if refs else [],
    }


def write(path: Path, config: Any, weights: Weights, version: str | None = "2.2.4") -> Path:
    """A whole-model file in the layout of Keras 2."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [name.encode() for name in weights]
        if version is not None:
            file.attrs["keras_version"] = group.attrs["keras_version"] = version.encode()
        for name, variables in weights.items():
            inner = group.create_group(name)
            inner.attrs["weight_names"] = [key.encode() for key in variables]
            for key, array in variables.items():
                inner[key] = array
    return path


def functional(
    layers: list[dict[str, Any]], inputs: Any, outputs: Any, kind: str = "Model"
) -> dict[str, Any]:
    config = {"name": "net", "layers": layers, "input_layers": inputs, "output_layers": outputs}
    return {"class_name": kind, "config": config}


def random(*shape: int) -> Array:
    return RNG.normal(size=shape).astype(np.float32)


def compute(graph: Graph) -> tuple[Array, Array]:
    (values,) = feeds(graph).values()
    return values, next(iter(run(graph, feeds(graph)).values()))


def test_sequential_as_a_bare_list(tmp_path: Path) -> None:
    config = {
        "class_name": "Sequential",
        "config": [
            layer("Dense", "first", batch_input_shape=[None, 5], units=4, activation="relu", dtype="float32"),
            layer("Dropout", "drop", rate=0.5, noise_shape=None, seed=None),
            layer("Dense", "second", units=2, activation="linear", use_bias=False),
        ],
    }
    a, b, c = random(5, 4), random(4), random(4, 2)
    weights = {
        "first": {"first/kernel:0": a, "first/bias:0": b},
        "drop": {},
        "second": {"second/kernel:0": c},
    }
    path = write(tmp_path / "model.h5", config, weights)
    assert sniff(path, path.read_bytes()[:4096])
    graph = load(path).graph
    assert [value.name for value in graph.inputs] == ["first_input"]
    x, y = compute(graph)
    close(y, np.maximum(x @ a + b, 0) @ c)


def test_spellings_of_keras_2(tmp_path: Path, keras: Any) -> None:
    """Axes in lists, arrays of one, hard sigmoids of another slope."""
    layers = [
        layer("InputLayer", "x", batch_input_shape=[None, 6, 5, 4], dtype="float32", sparse=False),
        layer(
            "Conv2D",
            "conv",
            "x",
            filters=3,
            kernel_size=[3, 3],
            strides=[1, 1],
            padding="same",
            data_format="channels_last",
            dilation_rate=[1, 1],
            activation="hard_sigmoid",
            use_bias=True,
        ),
        layer(
            "BatchNormalization",
            "norm",
            "conv",
            axis=[3],
            momentum=0.99,
            epsilon=0.001,
            center=True,
            scale=False,
        ),
        layer("LeakyReLU", "leaky", "norm", alpha={"type": "ndarray", "value": 0.25}),
        layer("ThresholdedReLU", "threshold", "leaky", theta=0.1),
        layer(
            "DepthwiseConv2D",
            "depth",
            "threshold",
            kernel_size=[2, 2],
            strides=[1, 1],
            padding="valid",
            depth_multiplier=1,
            data_format="channels_last",
            activation="linear",
            use_bias=False,
        ),
        layer("UnitNormalization", "unit", "depth", axis=[-1]),
    ]
    kernel, bias, beta, mean = random(3, 3, 4, 3), random(3), random(3), random(3)
    variance, depth = np.abs(random(3)) + 0.5, random(2, 2, 3, 1)
    weights: Weights = {
        "x": {},
        "conv": {"conv/kernel:0": kernel, "conv/bias:0": bias},
        "norm": {"norm/beta:0": beta, "norm/moving_mean:0": mean, "norm/moving_variance:0": variance},
        "leaky": {},
        "depth": {"depth/depthwise_kernel:0": depth},
    }  # fmt: skip
    config = functional(layers, [["x", 0, 0]], [["unit", 0, 0]])
    x, y = compute(load(write(tmp_path / "model.h5", config, weights)).graph)
    z = np.asarray(keras.ops.conv(x, kernel, padding="same")) + bias
    z = (np.clip(0.2 * z + 0.5, 0, 1) - mean) / np.sqrt(variance + 0.001) + beta
    z = np.where(z > 0, z, 0.25 * z)
    z = np.where(z > 0.1, z, 0)
    z = np.asarray(keras.ops.depthwise_conv(z, depth))
    close(y, z / np.sqrt(np.maximum((z * z).sum(-1, keepdims=True), 1e-12)))


def test_nested_models_count_their_calls_from_1(tmp_path: Path) -> None:
    inner = functional(
        [
            layer("InputLayer", "i", batch_input_shape=[None, 4], dtype="float32"),
            layer("Dense", "dense", "i", units=4, activation="linear"),
        ],
        [["i", 0, 0]],
        [["dense", 0, 0]],
    )
    inner |= {"name": "inner", "inbound_nodes": [[["x", 0, 0, {}]], [["inner", 1, 0, {}]]]}
    inner["config"]["name"] = "inner"
    layers = [
        layer("InputLayer", "x", batch_input_shape=[None, 4], dtype="float32"),
        inner,
        layer("Add", "sum", ["inner", 1, 0], ["inner", 2, 0]),
    ]
    a, b = random(4, 4), random(4)
    weights = {"x": {}, "inner": {"dense/kernel:0": a, "dense/bias:0": b}, "sum": {}}
    config = functional(layers, [["x", 0, 0]], [["sum", 0, 0], ["inner", 1, 0]])
    graph = load(write(tmp_path / "model.h5", config, weights)).graph
    assert graph.output_names == ["sum", "inner"]
    x, y = compute(graph)
    once = x @ a + b
    close(y, once + (once @ a + b))


def test_weights_without_names_go_by_their_order(tmp_path: Path) -> None:
    config = {
        "class_name": "Sequential",
        "config": [layer("Dense", "d", batch_input_shape=[None, 3], units=2, activation="tanh")],
    }
    a, b = random(3, 2), random(2)
    x, y = compute(load(write(tmp_path / "model.h5", config, {"d": {"param_0": a, "param_1": b}})).graph)
    close(y, np.tanh(x @ a + b))


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    config = {
        "class_name": "Sequential",
        "config": [layer("Dense", "d", batch_input_shape=[None, 3], units=2)],
    }
    with pytest.raises(InvalidModelError, match="the file has no weights for Dense 'd'"):
        load(write(tmp_path / "model.h5", config, {}))


def test_nested_weights_without_their_layers(tmp_path: Path) -> None:
    inner = {
        "class_name": "Sequential",
        "name": "inner",
        "config": {
            "name": "inner",
            "layers": [
                layer("Dense", "d", batch_input_shape=[None, 3], units=2, use_bias=False),
                layer("BatchNormalization", "b", axis=-1, center=False, scale=False, epsilon=0.5),
            ],
        },
    }
    a, mean, variance = random(3, 2), random(2), np.abs(random(2))
    weights: Weights = {"inner": {"kernel": a, "moving_mean": mean, "moving_variance": variance}}
    x, y = compute(
        load(write(tmp_path / "model.h5", {"class_name": "Sequential", "config": [inner]}, weights)).graph
    )
    close(y, (x @ a - mean) / np.sqrt(variance + 0.5))


def test_long_lists_of_names_are_cut(tmp_path: Path) -> None:
    config = {
        "class_name": "Sequential",
        "config": [layer("Dense", "d", batch_input_shape=[None, 3], units=2, activation="tanh")],
    }
    a, b = random(3, 2), random(2)
    path = write(tmp_path / "model.h5", config, {"d": {"d/kernel:0": a, "d/bias:0": b}})
    with h5py.File(path, "a") as file:
        group = file["model_weights/d"]
        del group.attrs["weight_names"]
        group.attrs["weight_names0"], group.attrs["weight_names1"] = [b"d/kernel:0"], [b"d/bias:0"]
    x, y = compute(load(path).graph)
    close(y, np.tanh(x @ a + b))


def test_training_arguments(tmp_path: Path) -> None:
    def model(training: bool) -> Path:
        drop = layer("Dropout", "drop", "x", rate=0.5)
        drop["inbound_nodes"][0][0][3] = {"training": training}
        layers = [layer("InputLayer", "x", batch_input_shape=[None, 4], dtype="float32"), drop]
        return write(
            tmp_path / "model.h5", functional(layers, [["x", 0, 0]], [["drop", 0, 0]]), {"x": {}, "drop": {}}
        )

    load(model(False))
    with pytest.raises(UnsupportedError, match="Dropout: called with training=True"):
        load(model(True))


def test_weights_alone_ask_for_the_architecture(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"d"]
        file.create_group("d").attrs["weight_names"] = [b"d/kernel:0", b"d/bias:0"]
        file["d/d/kernel:0"], file["d/d/bias:0"] = random(3, 2), random(2)
    assert sniff(path, path.read_bytes()[:4096])
    with pytest.raises(UsageError, match="weights without a model"):
        load(path)
    config = {"class_name": "Sequential", "keras_version": "2.1.0",
              "config": [layer("Dense", "d", batch_input_shape=[None, 3], units=2)]}  # fmt: skip
    (tmp_path / "model.json").write_text(json.dumps(config))
    assert len(load(path, network=tmp_path / "model.json").graph) == 1


def test_tuples_in_json(tmp_path: Path) -> None:
    shape = {"class_name": "__tuple__", "items": [None, 4]}
    config = {
        "class_name": "Sequential",
        "config": [layer("ReLU", "r", batch_input_shape=shape, max_value=None)],
    }
    assert str(load(write(tmp_path / "model.h5", config, {"r": {}})).graph.inputs[0].type) == "f32[batch,4]"
