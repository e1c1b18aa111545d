"""What single layers and operations refuse: settings that mean nothing, or that cannot be represented."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmconvert.errors import InvalidModelError, MMConvertError, UnsupportedError
from mmconvert.parsers.keras import load

from .test_legacy import Weights, functional, layer, write

IMAGE, LINE, FLAT = [None, 6, 5, 4], [None, 6, 4], [None, 4]
CONV = {"kernel_size": 3, "filters": 2, "use_bias": False}


@dataclass(frozen=True)
class Refusal:
    """A layer that is refused over inputs of ``shapes``, and what is said about it."""

    kind: str
    shapes: list[list[int | None]]
    says: str
    config: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, Any] = field(default_factory=dict)
    dtype: str = "float32"
    args: list[Any] | None = None
    """Of an operation, behind the tensors."""

    def write(self, path: Path) -> Path:
        names = [f"x{index}" for index in range(len(self.shapes))]
        inputs = [
            layer("InputLayer", name, batch_input_shape=shape, dtype=self.dtype)
            for name, shape in zip(names, self.shapes, strict=True)
        ]
        last = layer(self.kind, "y", *names, **self.config)
        if self.args is not None:
            del last["config"]["trainable"]
            tensors = [
                {"class_name": "__keras_tensor__", "config": {"keras_history": [n, 0, 0]}} for n in names
            ]
            last["inbound_nodes"] = [{"args": [*tensors, *self.args], "kwargs": {}}]
        weights: Weights = {
            "y": {f"y/{name}:0": np.zeros(shape, "f4") for name, shape in self.weights.items()}
        }
        ends = [[name, 0, 0] for name in names]
        return write(
            path,
            functional([*inputs, last], ends, [["y", 0, 0]]),
            weights,
            "3.1.0" if self.args is not None else "2.2.4",
        )


INVALID = [
    Refusal("Conv2D", [IMAGE], "4 channels cannot be shared out to 3 groups", CONV | {"groups": 3}),
    Refusal("Conv2D", [[None, 6, 5, None]], "axis 3 of f32[batch,6,5,x0_3] has to be known", CONV),
    Refusal("Conv2D", [IMAGE], "has the variables kernel, and the file none", CONV),
    Refusal(
        "Conv2D", [IMAGE], "kernel_size = [3, 3, 3] should have 2 numbers", CONV | {"kernel_size": [3, 3, 3]}
    ),
    Refusal("Conv2D", [IMAGE], "padding = 3 is not text", CONV | {"padding": 3}),
    Refusal("ReLU", [FLAT], "max_value = 'a' is not a number", {"max_value": "a"}),
    Refusal("ReLU", [FLAT, FLAT], "the layer takes one tensor, not 2"),
    Refusal("ZeroPadding2D", [IMAGE], "padding = [1, 2, 3] should have 2 parts", {"padding": [1, 2, 3]}),
    Refusal("ZeroPadding2D", [IMAGE], "should not be negative", {"padding": [1, -2]}),
    Refusal("Cropping2D", [IMAGE], "nothing is left of f32[batch,6,5,4]", {"cropping": 3}),
    Refusal("Reshape", [FLAT], "[-1, -1] is not a shape", {"target_shape": [-1, -1]}),
    Refusal("Reshape", [FLAT], "4 elements do not fill [3]", {"target_shape": [3]}),
    Refusal("Reshape", [FLAT], "4 elements do not fill [3, -1]", {"target_shape": [3, -1]}),
    Refusal("Reshape", [FLAT], "4 elements do not fill [0, -1]", {"target_shape": [0, -1]}),
    Refusal("Permute", [LINE], "[1, 1] does not order the axes", {"dims": [1, 1]}),
    Refusal("RepeatVector", [LINE], "rank 2", {"n": 3}),
    Refusal("Subtract", [FLAT, FLAT, FLAT], "Subtract takes two tensors"),
    Refusal("Add", [FLAT, [None, 3]], "do not broadcast"),
    Refusal("Dot", [FLAT], "Dot takes two tensors with a batch axis", {"axes": 1}),
    Refusal("Dot", [FLAT, FLAT], "Dot cannot be along the batch", {"axes": 0}),
    Refusal("Concatenate", [FLAT, LINE], "Concat"),
    Refusal("BatchNormalization", [FLAT], "there is no axis 7", {"axis": 7}),
    Refusal("LayerNormalization", [FLAT], "gamma has shape [3] in the file", {}, {"gamma": 3, "beta": 3}),
    Refusal(
        "Normalization",
        [FLAT],
        "a mean of shape (4,) and a variance of shape (2,)",
        {"mean": [1, 2, 3, 4], "variance": [1, 2]},
    ),
    Refusal("Normalization", [FLAT], "mean is not made of numbers", {"mean": ["a"], "variance": [1]}),
    Refusal("CustomScaleLayer", [FLAT], "the layer takes two tensors", {"scale": 1}),
    Refusal("Add", [FLAT], "argument x2 is neither a tensor nor a number", args=["a"]),
    Refusal("Add", [FLAT], "is not in the range of uint8", args=[300], dtype="uint8"),
    Refusal("ExpandDims", [FLAT], "axis [5] of rank 3", {"axis": 5}, args=[]),
    Refusal("Stack", [FLAT], "a list of tensors is needed", {"axis": 0}, args=[]),
    Refusal("Split", [FLAT], "no parts", {"indices_or_sections": 0, "axis": 1}, args=[]),
    Refusal("GetItem", [FLAT], "3 indices into a tensor of rank 2", args=[[0, 0, 0]]),
    Refusal("GetItem", [FLAT], "index 4 into 4", args=[[0, 4]]),
    Refusal("Cast", [FLAT], "'odd' is not a known element type", {"dtype": "odd"}, args=[]),
    Refusal(
        "Add",
        [FLAT],
        "an argument is not an array",
        args=[{"class_name": "__numpy__", "config": {"value": ["a"], "dtype": "float32"}}],
    ),
]

UNSUPPORTED = [
    Refusal("Conv2D", [IMAGE], "Conv2D: padding 'full'", CONV | {"padding": "full"}),
    Refusal("DepthwiseConv2D", [IMAGE], "DepthwiseConv2D: groups", {"kernel_size": 3, "groups": 2}),
    Refusal("SeparableConv2D", [IMAGE], "SeparableConv2D: groups", CONV | {"groups": 2}),
    Refusal("Conv2DTranspose", [IMAGE], "Conv2DTranspose: groups", CONV | {"groups": 2}),
    Refusal(
        "Conv1DTranspose",
        [LINE],
        "causal padding",
        {"kernel_size": 3, "filters": 2, "padding": "causal", "use_bias": False},
        {"kernel": (3, 2, 4)},
    ),
    Refusal("MaxPooling2D", [IMAGE], "MaxPooling2D: padding 'odd'", {"pool_size": 2, "padding": "odd"}),
    Refusal("BatchNormalization", [LINE], "BatchNormalization: several axes", {"axis": [1, 2]}),
    Refusal("BatchNormalization", [FLAT], "virtual_batch_size", {"virtual_batch_size": 2}),
    Refusal("GroupNormalization", [IMAGE], "axis 2 of 4", {"axis": 2, "groups": 1}),
    Refusal("Activation", [[None, None]], "sparsemax over an unknown extent", {"activation": "sparsemax"}),
    Refusal(
        "Resizing",
        [IMAGE],
        "Resizing: fill_mode",
        {"height": 2, "width": 2, "pad_to_aspect_ratio": True, "fill_mode": "reflect"},
    ),
    Refusal("Resizing", [IMAGE], "interpolation 'odd'", {"height": 2, "width": 2, "interpolation": "odd"}),
    Refusal("Resizing", [IMAGE], "Resizing: integers", {"height": 2, "width": 2}, dtype="uint8"),
    Refusal("LSTM", [LINE], "LSTM: time_major", {"units": 3, "time_major": True}),
    Refusal(
        "TimeDistributed",
        [LINE],
        "Lambda",
        {"layer": {"class_name": "Lambda", "config": {"trainable": True}}},
    ),
    Refusal("IntegerLookup", [FLAT], "a vocabulary that is not in the config", {"num_oov_indices": 1}),
    Refusal("Discretization", [FLAT], "boundaries that are not in the config", {"num_bins": 3}),
    Refusal("Resize", [IMAGE], "interpolation 'odd'", {"size": [2, 2], "interpolation": "odd"}, args=[]),
    Refusal("Sum", [FLAT], "an initial value", {"axis": 1, "keepdims": False, "initial": 3.0}, args=[]),
    Refusal("Cumsum", [FLAT], "cumulation over all elements", {"axis": None}, args=[]),
    Refusal("Pad", [FLAT], "mode 'wrap'", {"pad_width": 1, "mode": "wrap"}, args=[]),
    Refusal("Pad", [FLAT, FLAT], "padding with a tensor", {"pad_width": 1, "mode": "constant"}, args=[]),
    Refusal(
        "GetItem",
        [FLAT],
        "an index that is a tensor",
        args=[[{"class_name": "__numpy__", "config": {"value": [0], "dtype": "int32"}}]],
    ),
    Refusal(
        "GetItem",
        [FLAT],
        "bounds that are tensors",
        args=[[{"class_name": "__slice__", "config": {"start": "a", "stop": None, "step": None}}]],
    ),
    Refusal("Relu", [FLAT], "arguments that are not understood: number 1", args=[3]),
]


@pytest.mark.parametrize("case", INVALID, ids=lambda case: f"{case.kind}: {case.says}")
def test_invalid(case: Refusal, tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError) as caught:
        load(case.write(tmp_path / "model.h5"))
    assert case.says in str(caught.value)
    assert not isinstance(caught.value, UnsupportedError)


@pytest.mark.parametrize("case", UNSUPPORTED, ids=lambda case: f"{case.kind}: {case.says}")
def test_unsupported(case: Refusal, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError) as caught:
        load(case.write(tmp_path / "model.h5"))
    (problem,) = caught.value.problems
    assert case.says in problem.what
    assert problem.where == (f"{case.kind} 'y'",)


def test_a_model_called_on_too_few_tensors(tmp_path: Path) -> None:
    x = layer("InputLayer", "x", batch_input_shape=FLAT, dtype="float32")
    two = [x, layer("InputLayer", "y", batch_input_shape=FLAT, dtype="float32"), layer("Add", "s", "x", "y")]
    inner = functional(two, [["x", 0, 0], ["y", 0, 0]], [["s", 0, 0]])
    inner |= {"name": "inner", "inbound_nodes": [[["x", 0, 0, {}]]]}
    config = functional([x, inner], [["x", 0, 0]], [["inner", 1, 0]])
    with pytest.raises(InvalidModelError, match="a model with 2 inputs is called on 1 tensors"):
        load(write(tmp_path / "model.h5", config, {}))


@pytest.mark.parametrize("version", ["", "two", "0.3.3", "99999.1"])
def test_odd_versions(version: str, tmp_path: Path) -> None:
    config = {"class_name": "Sequential", "config": [layer("ReLU", "r", batch_input_shape=FLAT)]}
    with pytest.raises(MMConvertError, match="is not a version of Keras"):
        load(write(tmp_path / "model.h5", config, {"r": {}}, version))
