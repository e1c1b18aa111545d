"""Networks: nested, shared, with several ends, in several types; against Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.interpreter import run
from mmconvert.ir.ops import Cast
from mmconvert.parsers.keras import load

from .compare import close, compare, feeds, randomize, saved

SUFFIXES = (".keras", ".h5")


def nested(keras: Any) -> Any:
    """Models in a model, called several times, with shared layers and a dict of outputs."""
    L = keras.layers
    i = keras.Input((6, 6, 3))
    deep = keras.Sequential([L.Conv2D(3, 1, name="same_name"), L.BatchNormalization()], name="deep")
    inner = keras.Model(
        i, L.BatchNormalization()(deep(L.Conv2D(3, 3, padding="same", name="same_name")(i))), name="inner"
    )
    sequence = keras.Sequential([L.Conv2D(3, 1), L.ReLU()], name="sequence")
    shared = L.Conv2D(4, 1, name="shared")
    a, b = keras.Input((6, 6, 3), name="a"), keras.Input((6, 6, 3), name="b")
    x, y = inner(a), inner(b)
    z, w = sequence(inner(x)), sequence(y)
    left, right = shared(z), shared(w)
    outputs = {
        "sum": L.Add(name="add")([left, right]),
        "inner": inner(z),
        "sequence": sequence(x),
        "shared": right,
    }
    return keras.Model([a, b], outputs)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nested_and_shared_models(suffix: str, keras: Any, tmp_path: Path) -> None:
    model = nested(keras)
    randomize(model)
    module = saved(model, tmp_path, suffix)
    compare(model, module)
    assert [value.name for value in module.graph.inputs] == ["a", "b"]
    # In the order of the dict's keys, by the layers that make them.
    assert module.graph.output_names == ["inner", "sequence", "shared", "add"]
    places = {str(node.origin) for node in module.graph}
    assert "Conv2D 'inner/deep/same_name'" in places
    assert {node.origin.file for node in module.graph} == {f"model{suffix}"}


def test_calls_of_a_shared_layer_share_its_weights(keras: Any, tmp_path: Path) -> None:
    model = nested(keras)
    graph = saved(model, tmp_path, ".keras").graph
    assert len(list(graph.constants())) == len(model.weights)
    names = [value.name for node in graph for value in node.outputs if value.name]
    assert len(names) == len(set(names))
    assert {"shared", "shared_1", "inner/same_name", "inner/same_name_1"} <= set(names)


def test_a_layer_in_two_models_is_stored_once(keras: Any, tmp_path: Path) -> None:
    dense = keras.layers.Dense(4, name="twice")
    i = keras.Input((4,))
    inner = keras.Model(i, dense(i))
    x = keras.Input((4,))
    model = keras.Model(x, dense(inner(x)))
    randomize(model)
    for suffix in SUFFIXES:
        compare(model, saved(model, tmp_path, suffix))


def test_the_output_of_a_nested_model(keras: Any, tmp_path: Path) -> None:
    i = keras.Input((4,))
    inner = keras.Model(i, [keras.layers.Dense(4)(i), keras.layers.Dense(3)(i)], name="inner")
    x = keras.Input((4,))
    first, second = inner(x)
    model = keras.Model(x, [second, *inner(first)])
    randomize(model)
    for suffix in SUFFIXES:
        module = saved(model, tmp_path, suffix)
        compare(model, module)
        assert module.graph.output_names == ["inner", "inner_1", "inner_2"]


def test_inputs_of_a_nested_model_by_name(keras: Any, tmp_path: Path) -> None:
    a, b = keras.Input((4,), name="zebra"), keras.Input((4,), name="ant")
    inner = keras.Model({"zebra": a, "ant": b}, keras.layers.Subtract()([a, b]))
    x, y = keras.Input((4,), name="x"), keras.Input((4,), name="y")
    model = keras.Model([x, y], inner({"ant": x, "zebra": y}))
    compare(model, saved(model, tmp_path, ".keras"))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_sequential(suffix: str, keras: Any, tmp_path: Path) -> None:
    L = keras.layers
    layers = [
        L.Input((8, 8, 1), name="image"),
        L.Conv2D(4, 3, activation="relu"),
        L.MaxPooling2D(),
        L.Flatten(),
        L.Dense(3, name="scores"),
    ]
    model = keras.Sequential(layers)
    randomize(model)
    module = saved(model, tmp_path, suffix)
    expected = np.asarray(model(feeds(module.graph)["image"]))
    close(run(module.graph, feeds(module.graph))["scores"], expected)
    assert module.metadata.format == "keras"
    assert module.metadata.producer == f"Keras {keras.__version__}"


def test_sequential_that_begins_with_a_model(keras: Any, tmp_path: Path) -> None:
    i = keras.Input((6,), name="features")
    base = keras.Model(i, keras.layers.Dense(4)(i))
    model = keras.Sequential([base, keras.layers.Dense(2)])
    model.build((None, 6))
    randomize(model)
    for suffix in SUFFIXES:
        module = saved(model, tmp_path, suffix)
        (values,) = feeds(module.graph).values()
        close(next(iter(run(module.graph, feeds(module.graph)).values())), np.asarray(model(values)))


def test_a_model_that_was_never_built_is_invalid(keras: Any, tmp_path: Path) -> None:
    model = keras.Sequential([keras.layers.Dense(2)])
    with pytest.raises(InvalidModelError, match="shape of the input is not in the file"):
        saved(model, tmp_path, ".keras")


def test_unknown_extents_have_names(keras: Any, tmp_path: Path) -> None:
    x = keras.Input((None, 5, None, 3), name="my video")
    model = keras.Model(x, keras.layers.Identity()(x))
    graph = saved(model, tmp_path, ".keras").graph
    assert str(graph.inputs[0].type) == "f32[batch,my_video_1,5,my_video_3,3]"
    fixed = keras.Input(batch_shape=(4, 2))
    graph = saved(keras.Model(fixed, keras.layers.ReLU()(fixed)), tmp_path, ".keras").graph
    assert str(graph.inputs[0].type) == "f32[4,2]"


def test_an_input_that_is_an_output(keras: Any, tmp_path: Path) -> None:
    x = keras.Input((4,), name="x")
    graph = saved(keras.Model(x, [x, keras.layers.ReLU(name="y")(x)]), tmp_path, ".keras").graph
    assert graph.output_names == ["x", "y"]
    assert graph.outputs[0] is graph.inputs[0]


@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "float64", "mixed_bfloat16"])
def test_types_follow_the_policy(policy: str, keras: Any, tmp_path: Path) -> None:
    L = keras.layers
    x = keras.Input((6, 6, 3), dtype="float32")
    y = L.Conv2D(4, 3, dtype=policy, activation="relu")(L.Rescaling(1 / 2, dtype=policy)(x))
    y = L.LayerNormalization(dtype=policy)(L.BatchNormalization(dtype=policy)(y))
    y = L.Dense(3, dtype=policy)(L.Flatten(dtype=policy)(L.GroupNormalization(2, dtype=policy)(y)))
    model = keras.Model(x, L.Softmax(dtype="float32")(y))
    randomize(model)
    for suffix in SUFFIXES:
        module = saved(model, tmp_path, suffix)
        assert any(isinstance(node.op, Cast) for node in module.graph)
        compare(model, module, tolerance=10.0 if "bfloat16" not in policy else 2000.0)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_weights_keep_their_type(dtype: str, keras: Any, tmp_path: Path) -> None:
    x = keras.Input((6,), dtype=dtype)
    model = keras.Model(x, keras.layers.Dense(3, dtype=dtype)(x))
    randomize(model)
    graph = saved(model, tmp_path, ".keras").graph
    for value, weight in zip(graph.constants(), model.weights, strict=True):
        assert value.constant is not None
        assert value.constant.dtype.name == dtype
        assert np.array_equal(value.constant.numpy(), np.asarray(weight.value))


def test_masks_are_followed(keras: Any, tmp_path: Path) -> None:
    L = keras.layers
    sequence = [
        L.Input((5,), dtype="int32"),
        L.Embedding(6, 3, mask_zero=True),
        L.Dropout(0.1),
        L.Dense(4),
        L.GlobalAveragePooling1D(name="y"),
    ]
    model = keras.Sequential(sequence)
    randomize(model)
    module = saved(model, tmp_path, ".keras")
    (values,) = feeds(module.graph).values()
    assert (values == 0).any()
    close(run(module.graph, feeds(module.graph))["y"], np.asarray(model(values)))


def test_layers_that_lose_the_mask(keras: Any, tmp_path: Path) -> None:
    x = keras.Input((5,), dtype="int32")
    y = keras.layers.Conv1D(3, 2)(keras.layers.Embedding(6, 3, mask_zero=True)(x))
    model = keras.Model(x, keras.layers.GlobalAveragePooling1D()(y))
    randomize(model)
    compare(model, saved(model, tmp_path, ".keras"))


def test_masks_meet_in_merged_tensors(keras: Any, tmp_path: Path) -> None:
    x = keras.Input((5,), dtype="int32")
    y = keras.layers.Embedding(6, 3, mask_zero=True)(x)
    z = keras.layers.Embedding(6, 3)(x)
    merged = [keras.layers.Add()([y, y]), keras.layers.Multiply()([y, z]), keras.layers.Multiply()([y, y])]
    merged += [keras.layers.Concatenate(axis=axis)([y, z]) for axis in (1, 2)]
    model = keras.Model(x, [keras.layers.GlobalAveragePooling1D()(value) for value in merged])
    for suffix in (".keras", ".h5"):
        compare(model, saved(model, tmp_path, suffix))


def test_weights_with_nan_load(keras: Any, tmp_path: Path) -> None:
    x = keras.Input((3,))
    model = keras.Model(x, keras.layers.Dense(2, name="y")(x))
    model.weights[0].assign(np.full((3, 2), np.nan))
    graph = saved(model, tmp_path, ".keras").graph
    assert np.isnan(run(graph, feeds(graph))["y"]).all()


def test_architecture_and_weights_in_two_files(keras: Any, tmp_path: Path) -> None:
    model = nested(keras)
    randomize(model)
    (tmp_path / "model.json").write_text(model.to_json())
    model.save_weights(tmp_path / "model.weights.h5")
    compare(model, load(tmp_path / "model.weights.h5", network=tmp_path / "model.json"))


def test_dilated_transposed_convolution(keras: Any, tmp_path: Path) -> None:
    """TensorFlow has none on a CPU: the same one with zeros between the weights serves."""
    for padding in ("valid", "same"):
        x = keras.Input((7, 8, 4))
        model = keras.Model(x, keras.layers.Conv2DTranspose(3, (2, 3), dilation_rate=2, padding=padding)(x))
        randomize(model)
        twin = keras.Model(x, keras.layers.Conv2DTranspose(3, (3, 5), padding=padding)(x))
        kernel = np.zeros((3, 5, 3, 4), np.float32)
        kernel[::2, ::2] = model.weights[0]
        twin.weights[0].assign(kernel)
        twin.weights[1].assign(model.weights[1])
        compare(twin, saved(model, tmp_path, ".keras"))


def test_channels_first(keras: Any, tmp_path: Path) -> None:
    """TensorFlow has none on a CPU: the same layers serve with channels last, between transpositions."""
    L = keras.layers
    makes = [
        lambda **k: L.Conv2D(6, (2, 3), 2, "same", **k),
        lambda **k: L.Conv2D(6, 3, groups=2, activation="relu", **k),
        lambda **k: L.DepthwiseConv2D(3, depth_multiplier=2, **k),
        lambda **k: L.SeparableConv2D(5, 3, padding="same", **k),
        lambda **k: L.Conv2DTranspose(3, 3, 2, "same", **k),
        lambda **k: L.MaxPooling2D(3, 2, "same", **k),
        lambda **k: L.AveragePooling2D(2, **k),
    ]
    for make in makes:
        last, first = keras.Input((7, 8, 4)), keras.Input((4, 7, 8))
        model, twin = (
            keras.Model(first, make(data_format="channels_first")(first)),
            keras.Model(last, make()(last)),
        )
        randomize(twin)
        model.set_weights(twin.get_weights())
        graph = saved(model, tmp_path, ".keras").graph
        (values,) = feeds(graph).values()
        (found,) = run(graph, feeds(graph)).values()
        close(found, np.moveaxis(np.asarray(twin(np.moveaxis(values, 1, -1))), -1, 1))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_stateful_layers_go_on_where_they_ended(suffix: str, keras: Any, tmp_path: Path) -> None:
    """A cell, a layer in both directions, and a layer that is called twice in a run."""
    x = keras.Input(batch_shape=(2, 3, 4))
    shared = keras.layers.LSTM(4, return_sequences=True, stateful=True)
    y = keras.layers.RNN(keras.layers.LSTMCell(3), stateful=True, return_sequences=True)(shared(shared(x)))
    y = keras.layers.Bidirectional(keras.layers.GRU(3, stateful=True))(y)
    model = keras.Model(x, y)
    randomize(model)
    module = saved(model, tmp_path, suffix)
    assert "zeros at first" in module.warnings[0]
    assert len(module.states) == 2 + 2 + 2
    state = {s.input: s.initial.numpy() for s in module.states}
    for layer in model.layers:
        if hasattr(layer, "reset_states"):
            layer.reset_states()
    for seed in range(3):
        given = {k: v for k, v in feeds(module.graph, seed).items() if k not in state}
        found = run(module.graph, given | state)
        state = {s.input: found[s.output] for s in module.states}
        (array,) = given.values()
        close(next(iter(found.values())), np.asarray(model(array, training=False)))


def test_a_state_inside_of_time_distributed_is_refused(keras: Any, tmp_path: Path) -> None:
    x = keras.Input(batch_shape=(2, 3, 5, 4))
    keras.Model(x, keras.layers.TimeDistributed(keras.layers.LSTM(3, stateful=True))(x)).save(
        tmp_path / "m.h5"
    )
    with pytest.raises(UnsupportedError, match="goes from step to step"):
        load(tmp_path / "m.h5")
