"""Files of Keras 1, as that version spells and files them: compared with the same network in Keras 3."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.interpreter import run
from mmconvert.ir.model import Module
from mmconvert.parsers.keras import load
from mmconvert.tensors import Array

from .compare import close, feeds, randomize
from .test_legacy import functional, write

Arrays = list[Array]
Stored = dict[str, Array]
SIGNED = {"activation": "linear", "W_regularizer": None, "W_constraint": None, "init": "glorot_uniform"}


def named(*names: str) -> Callable[[str, Arrays], Stored]:
    """Variables as they are, under the names of Keras 1."""
    return lambda layer, arrays: {f"{layer}_{n}:0": a for n, a in zip(names, arrays, strict=True)}


def kernel(change: Callable[[Array], Array], *names: str) -> Callable[[str, Arrays], Stored]:
    """The same with another kernel."""
    return lambda layer, arrays: named(*names)(layer, [change(arrays[0]), *arrays[1:]])


def gates(order: str, file: str) -> Callable[[str, Arrays], Stored]:
    """Variables gate by gate; Keras 3 has them in ``order``, and they are filed in that of ``file``."""

    def store(layer: str, arrays: Arrays) -> Stored:
        parts = [np.split(array, len(order), axis=-1) for array in arrays]
        places = [order.index(gate) for gate in file]
        both = list(zip("WUb", parts, strict=True))
        return {f"{layer}_{name}_{order[i]}:0": part[i] for i in places for name, part in both}

    return store


DENSE = named("W", "b")


@dataclass(frozen=True)
class Case:
    """One network, twice.

    Attributes:
        shape: of the input, without the batch.
        layers: as Keras 1 writes them: class and settings.
        twin: the same in Keras 3; layers that have variables stand at the places of ``store``.
        store: for each layer with variables, how Keras 1 files them.
    """

    shape: tuple[int, ...]
    layers: list[tuple[str, dict[str, Any]]]
    twin: Callable[[Any], list[Any]]
    store: dict[int, Callable[[str, Arrays], Stored]] = field(default_factory=dict)
    dtype: str = "float32"


def th(*layers: Any) -> Callable[[Any], list[Any]]:
    """A twin over images with their channels last, of which the middle is the layer to compare."""
    return lambda L: [L.Permute((2, 3, 1)), *(make(L) for make in layers), L.Permute((3, 1, 2))]


CONV = {"nb_filter": 3, "nb_row": 3, "nb_col": 2, "border_mode": "same", "subsample": [2, 1], "bias": True}
LINE = {"nb_filter": 3, "filter_length": 2, "border_mode": "valid", "subsample_length": 2, "bias": True}
UP = {"nb_filter": 3, "nb_row": 3, "nb_col": 3, "subsample": [2, 2], "bias": True, "dim_ordering": "tf"}
RNN = {"output_dim": 3, "inner_activation": "hard_sigmoid", "activation": "tanh", "consume_less": "cpu"}
RNN |= {"return_sequences": True, "go_backwards": False, "stateful": False, "unroll": False, "input_dim": 4}
RNN |= {"inner_init": "orthogonal", "forget_bias_init": "one", "dropout_W": 0.3, "dropout_U": 0.2}
POOL = {"pool_size": [2, 2], "strides": [2, 2], "border_mode": "valid"}


def hard(x: Any) -> Any:
    """Keras before 3: another slope."""
    import keras

    return keras.ops.clip(0.2 * x + 0.5, 0, 1)


CASES = {
    "dense": Case(
        (5,),
        [("Dense", {"output_dim": 4, "bias": True, "input_dim": 5, **SIGNED, "activation": "relu"})],
        lambda L: [L.Dense(4, activation="relu")],
        {0: DENSE},
    ),
    "steps": Case(
        (3, 5),
        [("TimeDistributedDense", {"output_dim": 4, "bias": True, "input_length": 3, **SIGNED})],
        lambda L: [L.Dense(4)],
        {0: DENSE},
    ),
    "dropout": Case(
        (5,), [("Dropout", {"p": 0.5}), ("GaussianNoise", {"sigma": 1.0})], lambda L: [L.Identity()]
    ),
    "conv_tf": Case(
        (7, 6, 4),
        [("Convolution2D", CONV | SIGNED | {"dim_ordering": "tf"})],
        lambda L: [L.Conv2D(3, (3, 2), (2, 1), "same")],
        {0: DENSE},
    ),
    "conv_th": Case(
        (4, 7, 6),
        [("Convolution2D", CONV | SIGNED | {"dim_ordering": "th"})],
        th(lambda L: L.Conv2D(3, (3, 2), (2, 1), "same")),
        {1: kernel(lambda a: a.transpose(3, 2, 0, 1), "W", "b")},
    ),
    "atrous": Case(
        (7, 6, 4),
        [("AtrousConvolution2D", CONV | {"dim_ordering": "tf", "subsample": [1, 1], "atrous_rate": [2, 2]})],
        lambda L: [L.Conv2D(3, (3, 2), padding="same", dilation_rate=2)],
        {0: DENSE},
    ),
    "conv1d": Case(
        (7, 4),
        [("Convolution1D", LINE)],
        lambda L: [L.Conv1D(3, 2, 2)],
        {0: kernel(lambda a: a[:, None], "W", "b")},
    ),
    "conv1d_before_1_1": Case(
        (7, 4),
        [("Convolution1D", LINE)],
        lambda L: [L.Conv1D(3, 2, 2)],
        {0: kernel(lambda a: a.transpose(2, 1, 0)[..., None], "W", "b")},
    ),
    "conv3d": Case(
        (5, 4, 6, 2),
        [
            (
                "Convolution3D",
                {"nb_filter": 3, "kernel_dim1": 2, "kernel_dim2": 1, "kernel_dim3": 3, "border_mode": "valid"}
                | {"subsample": [1, 1, 2], "bias": True, "dim_ordering": "tf"},
            )
        ],
        lambda L: [L.Conv3D(3, (2, 1, 3), (1, 1, 2))],
        {0: DENSE},
    ),
    "separable": Case(
        (7, 6, 4),
        [
            (
                "SeparableConvolution2D",
                CONV | {"dim_ordering": "tf", "subsample": [1, 1], "depth_multiplier": 2},
            )
        ],
        lambda L: [L.SeparableConv2D(3, (3, 2), padding="same", depth_multiplier=2)],
        {0: named("depthwise_kernel", "pointwise_kernel", "b")},
    ),
    "deconv_valid": Case(
        (4, 3, 2),
        [("Deconvolution2D", UP | {"border_mode": "valid", "output_shape": [None, 10, 8, 3]})],
        lambda L: [L.Conv2DTranspose(3, 3, 2, output_padding=1)],
        {0: kernel(lambda a: a.transpose(0, 1, 3, 2), "W", "b")},
    ),
    "deconv_same": Case(
        (4, 3, 2),
        [("Deconvolution2D", UP | {"border_mode": "same", "output_shape": [None, 7, 5, 3]})],
        lambda L: [L.Conv2DTranspose(3, 3, 2, "same", output_padding=0)],
        {0: kernel(lambda a: a.transpose(0, 1, 3, 2), "W", "b")},
    ),
    "pools": Case(
        (9, 8, 3),
        [
            ("MaxPooling2D", POOL | {"dim_ordering": "tf"}),
            ("AveragePooling2D", POOL | {"border_mode": "same", "dim_ordering": "tf"}),
            ("GlobalAveragePooling2D", {"dim_ordering": "tf"}),
        ],
        lambda L: [L.MaxPooling2D(2), L.AveragePooling2D(2, padding="same"), L.GlobalAveragePooling2D()],
    ),
    "lines": Case(
        (9, 3),
        [
            ("ZeroPadding1D", {"padding": {"left_pad": 1, "right_pad": 2}}),
            ("MaxPooling1D", {"pool_length": 3, "stride": 2, "border_mode": "valid"}),
            ("UpSampling1D", {"length": 2}),
            ("Cropping1D", {"cropping": [1, 2]}),
        ],
        lambda L: [L.ZeroPadding1D((1, 2)), L.MaxPooling1D(3, 2), L.UpSampling1D(2), L.Cropping1D((1, 2))],
    ),
    "channels_of_the_others": Case(
        (3, 6, 5),
        [
            ("ZeroPadding2D", {"padding": {"top_pad": 1, "bottom_pad": 2, "left_pad": 0, "right_pad": 3}}),
            ("UpSampling2D", {"size": [2, 3]}),
            ("MaxPooling2D", POOL | {"dim_ordering": "th"}),
            ("ZeroPadding2D", {"padding": [1, 2, 3, 4]}),
            ("Cropping2D", {"cropping": [[1, 1], [2, 0]]}),
        ],
        th(
            lambda L: L.ZeroPadding2D(((1, 2), (0, 3))),
            lambda L: L.UpSampling2D((2, 3)),
            lambda L: L.MaxPooling2D(2),
            lambda L: L.ZeroPadding2D(((1, 2), (3, 4))),
            lambda L: L.Cropping2D(((1, 1), (2, 0))),
        ),
    ),
    "norm": Case(
        (5,),
        [("BatchNormalization", {"mode": 0, "axis": -1, "epsilon": 0.01, "momentum": 0.9})],
        lambda L: [L.BatchNormalization(epsilon=0.01)],
        {0: named("gamma", "beta", "running_mean", "running_std")},
    ),
    "embedding": Case(
        (6,),
        [
            (
                "Embedding",
                {"input_dim": 5, "output_dim": 3, "mask_zero": False, "dropout": 0.2, "input_length": 6},
            )
        ],
        lambda L: [L.Embedding(5, 3)],
        {0: named("W")},
        "int32",
    ),
    "prelu": Case((5,), [("PReLU", {"init": "zero"})], lambda L: [L.PReLU()], {0: named("alphas")}),
    "simple": Case(
        (5, 4),
        [("SimpleRNN", {k: v for k, v in RNN.items() if k != "inner_activation"})],
        lambda L: [L.SimpleRNN(3, return_sequences=True)],
        {0: named("W", "U", "b")},
    ),
    "lstm": Case(
        (5, 4),
        [("LSTM", RNN)],
        lambda L: [L.LSTM(3, return_sequences=True, recurrent_activation=hard)],
        {0: gates("ifco", "icfo")},
    ),
    "lstm_gpu": Case(
        (5, 4),
        [("LSTM", RNN | {"consume_less": "gpu", "go_backwards": True, "return_sequences": False})],
        lambda L: [L.LSTM(3, go_backwards=True, recurrent_activation=hard)],
        {0: named("W", "U", "b")},
    ),
    "gru": Case(
        (5, 4),
        [("GRU", RNN)],
        lambda L: [L.GRU(3, return_sequences=True, recurrent_activation=hard, reset_after=False)],
        {0: gates("zrh", "zrh")},
    ),
    "conv_lstm": Case(
        (3, 5, 6, 2),
        [
            (
                "ConvLSTM2D",
                {"nb_filter": 2, "nb_row": 3, "nb_col": 3, "border_mode": "same", "dim_ordering": "tf"}
                | {"activation": "tanh", "inner_activation": "hard_sigmoid", "return_sequences": False},
            )
        ],
        lambda L: [L.ConvLSTM2D(2, 3, padding="same", recurrent_activation=hard)],
        {0: gates("ifco", "icfo")},
    ),
    "time_distributed": Case(
        (3, 5),
        [
            (
                "TimeDistributed",
                {
                    "layer": {
                        "class_name": "Dense",
                        "config": {"name": "dense_1", "trainable": True, "output_dim": 2},
                    }
                },
            )
        ],
        lambda L: [L.TimeDistributed(L.Dense(2))],
        {0: lambda _, arrays: DENSE("dense_1", arrays)},
    ),
    "bidirectional": Case(
        (5, 4),
        [
            (
                "Bidirectional",
                {
                    "merge_mode": "concat",
                    "layer": {
                        "class_name": "LSTM",
                        "config": RNN | {"inner_activation": "sigmoid", "name": "lstm_1", "trainable": True},
                    },
                },
            )
        ],
        lambda L: [L.Bidirectional(L.LSTM(3, return_sequences=True))],
        {
            0: lambda _, arrays: (
                gates("ifco", "icfo")("forward_lstm_1", arrays[:3])
                | gates("ifco", "icfo")("backward_lstm_1", arrays[3:])
            )
        },
    ),
}


def built(case: Case, keras: Any) -> tuple[Any, list[dict[str, Any]], dict[str, Stored]]:
    """The twin, and the config and variables of Keras 1."""
    made = case.twin(keras.layers)
    model = keras.Sequential([keras.Input(case.shape, dtype=case.dtype), *made])
    randomize(model)
    layers, weights = [], {}
    for index, (kind, settings) in enumerate(case.layers):
        name = f"{kind.lower()}_{index + 1}"
        first = {} if index else {"batch_input_shape": [None, *case.shape], "input_dtype": case.dtype}
        layers.append({"class_name": kind, "config": {"name": name, "trainable": True} | first | settings})
        weights[name] = {}
    for place, store in case.store.items():
        arrays = [np.asarray(w) for w in made[place].get_weights()]
        name = layers[0]["config"]["name"]
        weights[name] = store(name, arrays)
    return model, layers, weights


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("version", [None, "1.2.2"])
def test_layer_computes_what_its_twin_does(
    name: str, version: str | None, keras: Any, tmp_path: Path
) -> None:
    model, layers, weights = built(CASES[name], keras)
    path = write(tmp_path / "m.h5", {"class_name": "Sequential", "config": layers}, weights, version)
    module = load(path)
    assert not module.warnings
    same(model, module)


def same(model: Any, module: Module) -> None:
    found = feeds(module.graph)
    (array,) = found.values()
    if "Embedding" in {type(layer).__name__ for layer in model.layers}:
        found = {key: np.abs(np.rint(a)).astype(a.dtype) for key, a in found.items()}
        (array,) = found.values()
    (ours,) = run(module.graph, found).values()
    close(ours, np.asarray(model(array, training=False)))


@pytest.mark.parametrize("name", ["conv_tf", "conv_th", "conv1d", "conv3d", "deconv_valid", "conv_lstm"])
def test_theano_turns_kernels_round(name: str, keras: Any, tmp_path: Path) -> None:
    model, layers, weights = built(CASES[name], keras)
    turned = {
        layer: {
            key.removesuffix(":0"): np.flip(a, spatial(name, a)) if a.ndim > 2 else a
            for key, a in variables.items()
        }
        for layer, variables in weights.items()
    }
    path = write(tmp_path / "m.h5", {"class_name": "Sequential", "config": layers}, turned, "1.2.2")
    module = load(path)
    assert "Theano" in module.warnings[0]
    same(model, module)


def spatial(name: str, array: Array) -> tuple[int, ...]:
    return tuple(range(2, array.ndim)) if name == "conv_th" else tuple(range(array.ndim - 2))


def test_keras_2_on_theano(keras: Any, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((6, 5, 2)), keras.layers.Conv2D(3, (3, 2), name="c")])
    randomize(model)
    array, bias = (np.asarray(w) for w in model.get_weights())
    settings = {
        "name": "c",
        "trainable": True,
        "filters": 3,
        "kernel_size": [3, 2],
        "batch_input_shape": [None, 6, 5, 2],
    }
    config = {"class_name": "Sequential", "config": [{"class_name": "Conv2D", "config": settings}]}
    stored = {"c": {"c/kernel": np.flip(array, (0, 1)), "c/bias": bias}}
    path = write(tmp_path / "m.h5", config, stored, "2.0.5")
    with h5py.File(path, "a") as file:
        file["model_weights"].attrs["backend"] = b"theano"
    same(model, load(path))


def layer(kind: str, name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name, "trainable": True} | config}


RNG = np.random.default_rng(4)


def random(*shape: int) -> Array:
    return RNG.normal(size=shape).astype(np.float32)


def dense(name: str, inputs: int, outputs: int) -> Stored:
    return {f"{name}_W:0": random(inputs, outputs), f"{name}_b:0": random(outputs)}


@pytest.mark.parametrize(
    ("mode", "formula"),
    [
        ("sum", lambda a, b: a + b),
        ("mul", lambda a, b: a * b),
        ("ave", lambda a, b: (a + b) / 2),
        ("max", np.maximum),
        ("concat", lambda a, b: np.concatenate([a, b], 1)),
        ("dot", lambda a, b: (a * b).sum(1, keepdims=True)),
    ],
)
def test_a_sequential_over_merged_ones(mode: str, formula: Any, tmp_path: Path) -> None:
    """Branches file their layers beside those of the whole; a branch may be a functional model."""
    left = {
        "class_name": "Sequential",
        "config": [layer("Dense", "l", output_dim=3, batch_input_shape=[None, 4])],
    }
    deep = functional(
        [
            {"name": "i", "inbound_nodes": [], **layer("InputLayer", "i", batch_input_shape=[None, 5])},
            {"name": "r", "inbound_nodes": [[["i", 0, 0]]], **layer("Dense", "r", output_dim=3)},
        ],
        [["i", 0, 0]],
        [["r", 0, 0]],
    )
    merge = layer(
        "Merge", "m", layers=[left, deep], mode=mode, concat_axis=1, dot_axes=[1, 1], mode_type="raw"
    )
    width = {"concat": 6, "dot": 1}.get(mode, 3)
    config = {"class_name": "Sequential", "config": [merge, layer("Dense", "end", output_dim=2)]}
    weights = {"l": dense("l", 4, 3), "r": dense("r", 5, 3), "m": {}, "end": dense("end", width, 2)}
    graph = load(write(tmp_path / "m.h5", config, weights, None)).graph
    given = feeds(graph)
    assert list(given) == ["l_input", "i"]
    (found,) = run(graph, given).values()
    a, b = (
        x @ weights[n][f"{n}_W:0"] + weights[n][f"{n}_b:0"] for n, x in zip("lr", given.values(), strict=True)
    )
    close(found, formula(a, b) @ weights["end"]["end_W:0"] + weights["end"]["end_b:0"])


def test_functional_with_a_model_called_twice(tmp_path: Path) -> None:
    inner = {"class_name": "Sequential", "name": "inner"}
    inner |= {"config": [layer("Dense", "d", output_dim=4, batch_input_shape=[None, 4], activation="tanh")]}
    inner["inbound_nodes"] = [[["x", 0, 0]], [["inner", 1, 0]]]
    layers = [
        {"name": "x", "inbound_nodes": [], **layer("InputLayer", "x", batch_input_shape=[None, 4])},
        inner,
        {
            "name": "m",
            "inbound_nodes": [[["inner", 1, 0], ["inner", 2, 0]]],
            **layer("Merge", "m", mode="sum"),
        },
    ]
    weights = {"x": {}, "inner": dense("d", 4, 4), "m": {}}
    config = functional(layers, [["x", 0, 0]], [["m", 0, 0]])
    graph = load(write(tmp_path / "m.h5", config, weights, "1.1.0")).graph
    (x,), (found,) = feeds(graph).values(), run(graph, feeds(graph)).values()
    w, b = weights["inner"].values()
    once = np.tanh(x @ w + b)
    close(found, once + np.tanh(once @ w + b))


def test_maxout(tmp_path: Path) -> None:
    w, b = random(3, 5, 2), random(3, 2)
    config = [layer("MaxoutDense", "m", output_dim=2, nb_feature=3, bias=True, batch_input_shape=[None, 5])]
    path = write(
        tmp_path / "m.h5", {"class_name": "Sequential", "config": config}, {"m": {"m_W:0": w, "m_b:0": b}}
    )
    (x,), (found,) = computed(path)
    close(found, (np.einsum("bi,fio->bfo", x, w) + b).max(1))


def test_highway(tmp_path: Path) -> None:
    arrays = {"W": random(5, 5), "W_carry": random(5, 5), "b": random(5), "b_carry": random(5)}
    config = [layer("Highway", "h", activation="tanh", bias=True, batch_input_shape=[None, 5])]
    stored = {"h": {f"h_{key}:0": array for key, array in arrays.items()}}
    (x,), (found,) = computed(
        write(tmp_path / "m.h5", {"class_name": "Sequential", "config": config}, stored)
    )
    gate = 1 / (1 + np.exp(-(x @ arrays["W_carry"] + arrays["b_carry"])))
    close(found, gate * np.tanh(x @ arrays["W"] + arrays["b"]) + (1 - gate) * x)


def computed(path: Path) -> tuple[list[Array], list[Array]]:
    with h5py.File(path, "a") as file:
        del file.attrs["keras_version"], file["model_weights"].attrs["keras_version"]
    graph = load(path).graph
    given = feeds(graph)
    return list(given.values()), list(run(graph, given).values())


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("BatchNormalization", {"mode": 1}, "settings that are not understood: mode"),
        ("Merge", {"mode": "cos"}, "Merge"),
        ("Merge", {"mode": "<bytes>", "mode_type": "lambda"}, "Merge"),
        ("SReLU", {}, "SReLU"),
        ("ZeroPadding2D", {"padding": [1, 1]}, "differ"),
    ],
)
def test_refusals(kind: str, settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    shape = [None, 6, 6, 2]
    config = [
        layer("MaxPooling2D", "a", **POOL, dim_ordering="tf", batch_input_shape=shape),
        layer("MaxPooling2D", "b", **POOL, dim_ordering="th"),
        layer(kind, "c", **settings),
    ]
    statistics = {f"c_{name}:0": random(1) for name in ("gamma", "beta", "running_mean", "running_std")}
    path = write(tmp_path / "m.h5", {"class_name": "Sequential", "config": config}, {"c": statistics}, None)
    with pytest.raises((UnsupportedError, InvalidModelError)) as caught:
        load(path)
    assert message in caught.value.message + str(getattr(caught.value, "problems", ""))


def test_weights_of_another_count(tmp_path: Path) -> None:
    config = [layer("Dense", "d", output_dim=2, batch_input_shape=[None, 3])]
    path = write(
        tmp_path / "m.h5",
        {"class_name": "Sequential", "config": config},
        {"d": {"d_W:0": random(3, 2)}},
        None,
    )
    with pytest.raises(InvalidModelError, match="has the variables kernel, bias, and the file d_W:0"):
        load(path)
