"""Forms that operators had before opset 7, against NumPy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.interpreter import run
from mmconvert.ir.types import Array
from mmconvert.parsers.onnx import load

RNG = np.random.default_rng(0)
X = RNG.uniform(-2, 2, (2, 3, 4, 5)).astype(np.float32)
C = np.array([0.5, -1.0, 2.0], np.float32)
ROW = np.arange(5, dtype=np.float32)


def compute(
    kind: str, opset: int, x: Array, constants: dict[str, Array], attributes: dict[str, Any], folder: Path
) -> list[Array]:
    outputs = [f"y{i}" for i in range(attributes.pop("results", 1))]
    node = helper.make_node(kind, ["x", *constants], outputs, **attributes)
    info = helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
    weights = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = helper.make_graph([node], "g", [info], [onnx.ValueInfoProto(name=o) for o in outputs], weights)
    path = folder / "m.onnx"
    opsets = [helper.make_opsetid("", opset)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets).SerializeToString())
    return list(run(load(path).graph, {"x": x}).values())


def norm(x: Array) -> Array:
    s, b, m, v = (k.reshape(3, 1, 1) for k in (C, C + 1, C * 2, C * C))
    return (x - m) / np.sqrt(v + 1e-5) * s + b


PADS = {"paddings": [0, 0, 1, 2, 0, 0, 0, 1]}
NORM = {"s": C, "b": C + 1, "m": C * 2, "v": C * C}
CASES: list[tuple[str, int, dict[str, Any], dict[str, Any], Callable[[Array], Any]]] = [
    ("Add", 6, {"b": C}, {"axis": 1, "broadcast": 1}, lambda x: x + C.reshape(3, 1, 1)),
    (
        "Sub",
        1,
        {"b": C},
        {"axis": -3, "broadcast": 1, "consumed_inputs": [0, 0]},
        lambda x: x - C[:, None, None],
    ),
    ("Mul", 6, {"b": ROW}, {"broadcast": 1}, lambda x: x * ROW),
    ("Pow", 1, {"b": np.float32(2)}, {"broadcast": 1}, lambda x: x**2),
    ("Greater", 1, {"b": C}, {"axis": 1, "broadcast": 1}, lambda x: x > C.reshape(3, 1, 1)),
    ("Relu", 1, {}, {"consumed_inputs": [1]}, lambda x: np.maximum(x, 0)),
    ("PRelu", 6, {"b": C}, {}, lambda x: np.where(x < 0, x * C.reshape(3, 1, 1), x)),
    ("PRelu", 1, {"b": C[:1]}, {"consumed_inputs": [0, 0]}, lambda x: np.where(x < 0, x * C[0], x)),
    ("Cast", 1, {}, {"to": "INT32"}, lambda x: x.astype(np.int32)),
    ("Concat", 1, {"b": X}, {}, lambda x: np.concatenate([x, X], 1)),
    ("Dropout", 6, {}, {"ratio": 0.5, "is_test": 1}, lambda x: x),
    ("BatchNormalization", 6, NORM, {"is_test": 1}, norm),
    ("BatchNormalization", 1, NORM, {"is_test": 1, "consumed_inputs": [0, 0, 0, 1, 1]}, norm),
    ("Reshape", 1, {}, {"shape": [0, -1]}, lambda x: x.reshape(2, 60)),
    ("Tile", 1, {"t": np.int64(3), "a": np.int64(1)}, {}, lambda x: np.tile(x, (1, 3, 1, 1))),
    (
        "Upsample",
        1,
        {},
        {"height_scale": 2.0, "width_scale": 3.0},
        lambda x: x.repeat(2, 2).repeat(3, 3),
    ),
    (
        "Pad",
        1,
        {},
        {**PADS, "value": 1.5},
        lambda x: np.pad(x, ((0, 0),) * 2 + ((1, 0), (2, 1)), constant_values=1.5),
    ),
    (
        "Pad",
        1,
        {},
        {**PADS, "mode": "reflect"},
        lambda x: np.pad(x, ((0, 0),) * 2 + ((1, 0), (2, 1)), "reflect"),
    ),
    ("Pad", 1, {}, {**PADS, "mode": "edge"}, lambda x: np.pad(x, ((0, 0),) * 2 + ((1, 0), (2, 1)), "edge")),
    ("GlobalLpPool", 1, {}, {"p": 3.0}, lambda x: (np.abs(x) ** 3).sum((2, 3), keepdims=True) ** (1 / 3)),
    ("LpPool", 1, {}, {"kernel_shape": [4, 5]}, lambda x: np.sqrt((x * x).sum((2, 3), keepdims=True))),
    ("Selu", 1, {}, {}, lambda x: 1.0507 * np.where(x > 0, x, 1.6732 * (np.exp(x) - 1))),
    ("Affine", 1, {}, {"alpha": 2.0, "beta": 3.0}, lambda x: 2 * x + 3),
    ("Scale", 1, {}, {"scale": 2.0}, lambda x: 2 * x),
    ("ScaledTanh", 1, {}, {"alpha": 2.0, "beta": 3.0}, lambda x: 2 * np.tanh(3 * x)),
    ("ParametricSoftplus", 1, {}, {"alpha": 2.0, "beta": 3.0}, lambda x: 2 * np.log1p(np.exp(3 * x))),
    (
        "ImageScaler",
        1,
        {},
        {"scale": 2.0, "bias": [1.0, 2.0, 3.0]},
        lambda x: 2 * x + np.array([[[1]], [[2]], [[3]]]),
    ),
    ("Crop", 1, {}, {"border": [1, 0, 2, 1]}, lambda x: x[:, :, 0:-1, 1:-2]),
    ("Crop", 1, {}, {"border": [1, 2, 0, 0], "scale": [2, 3]}, lambda x: x[:, :, 2:4, 1:4]),
]


@pytest.mark.parametrize(("kind", "opset", "constants", "attributes", "wanted"), CASES)
def test_old_form(
    kind: str,
    opset: int,
    constants: dict[str, Array],
    attributes: dict[str, Any],
    wanted: Callable[[Array], Array],
    tmp_path: Path,
) -> None:
    (found,) = compute(kind, opset, X, constants, dict(attributes), tmp_path)
    expected = wanted(X)
    assert found.dtype == (expected.dtype if expected.dtype != np.float64 else np.float32)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("constants", "attributes"),
    [({"s": np.array([1, 2])}, {"axis": 1}), ({}, {"axis": 1, "split": [1, 2]})],
)
def test_split_by_operand_and_by_attribute(
    constants: dict[str, Array], attributes: dict[str, Any], tmp_path: Path
) -> None:
    first, second = compute("Split", 1, X, constants, {**attributes, "results": 2}, tmp_path)
    np.testing.assert_array_equal(first, X[:, :1])
    np.testing.assert_array_equal(second, X[:, 1:])


@pytest.mark.parametrize(("opset", "dtype"), [(6, np.float32), (9, np.float32), (10, np.bool_)])
def test_a_mask_that_keeps_everything(opset: int, dtype: type, tmp_path: Path) -> None:
    y, mask = compute("Dropout", opset, X, {}, {"results": 2}, tmp_path)
    np.testing.assert_array_equal(y, X)
    assert mask.dtype == dtype
    assert mask.shape == X.shape
    assert np.all(mask)


def test_gemm_adds_a_row(tmp_path: Path) -> None:
    x = X[0, 0]
    weight = np.ones((5, 3), np.float32)
    (found,) = compute("Gemm", 6, x, {"w": weight, "c": C}, {"broadcast": 1}, tmp_path)
    np.testing.assert_allclose(found, x @ weight + C, rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "constants", "attributes", "error", "message"),
    [
        ("Cast", {}, {"to": "STRING"}, UnsupportedError, "to STRING"),
        ("BatchNormalization", NORM, {}, UnsupportedError, "is_test=0"),
        ("LpPool", {}, {"kernel_shape": [2, 2], "p": 2.5}, UnsupportedError, r"p=2\.5"),
        ("GlobalLpPool", {}, {"p": 0.0}, InvalidModelError, r"p=0\.0 must be above 0"),
        ("Pad", {}, {"paddings": [1, 1]}, InvalidModelError, "2 pads for 4 axes"),
        ("Add", {"b": X}, {"axis": 1, "broadcast": 1}, InvalidModelError, "does not fit"),
    ],
)
def test_refused(
    kind: str,
    constants: dict[str, Array],
    attributes: dict[str, Any],
    error: type[Exception],
    message: str,
    tmp_path: Path,
) -> None:
    with pytest.raises(error, match=message):
        compute(kind, 1, X, constants, dict(attributes), tmp_path)
