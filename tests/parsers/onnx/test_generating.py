from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.interpreter import run
from mmconvert.ir.graph import Graph
from mmconvert.parsers.onnx import load
from mmconvert.runtimes.onnxruntime import Session
from tests.parsers.onnx.cases import Case, case, check_case, fixed, x

X = x(2, 3, 4)
INDICES = x(2, 3, low=-4, high=6, dtype=np.int64)

CASES = [
    *case("ConstantOfShape", fixed([2, 3]), opset=(9, 20)),
    *case("ConstantOfShape", fixed(np.empty(0, np.int64))),
    *(
        c
        for value in (np.float32(2.5), np.int64(-3), np.bool_(True), np.float16(0.5), np.uint8(7))
        for c in case("ConstantOfShape", fixed([2, 3]), value=numpy_helper.from_array(np.array([value])))
    ),
    *case("Range", fixed(1, np.int64), fixed(10, np.int64), fixed(3, np.int64), opset=11),
    *case("Range", fixed(10, np.int32), fixed(1, np.int32), fixed(-2, np.int32)),
    *case("Range", fixed(5, np.int64), fixed(1, np.int64), fixed(2, np.int64)),
    *case("Range", fixed(0.5), fixed(3.0), fixed(0.4)),
    *case("OneHot", INDICES, fixed(5, np.int64), fixed([0.0, 1.0]), opset=11),
    *case("OneHot", INDICES, fixed([5], np.int64), fixed([2, -1], np.int64), opset=11, axis=0),
    *case("OneHot", INDICES.astype(np.float32), fixed(5.0), fixed([0.5, 1.5]), opset=11, axis=-2),
    *case("EyeLike", x(3, 4), opset=9),
    *case("EyeLike", x(3, 4), opset=(9, 22), k=1, dtype=7),
    *case("EyeLike", x(4, 3, low=0, high=3, dtype=np.int32), opset=9, k=-2),
    *case("Trilu", X, opset=14),
    *case("Trilu", X, fixed(1, np.int64), opset=14, upper=0),
    *case("Trilu", x(4, 5), fixed(-1, np.int64), opset=14),
    *case("NonZero", x(3, 4, low=-1, high=1, dtype=np.int64), opset=(9, 13)),
    *case("NonZero", x(3, 4, dtype=np.bool_), opset=13),
    *case("Compress", X, np.array([True, False, True]), opset=(9, 11), axis=1),
    *case("Compress", X, x(20, dtype=np.bool_), opset=11),
    *case("Dropout", X, opset=(7, 10, 12, 13), oracle="reference"),
    *case("Dropout", X, fixed(0.5), opset=13, outputs=2),
    *case("Dropout", X, fixed(0.5), fixed(False), opset=13, seed=3),
]


@pytest.mark.parametrize("c", CASES)
def test_against_the_runtime(c: Case, tmp_path: Path) -> None:
    check_case(c, tmp_path)


def constant(folder: Path, *, opset: int = 13, **attributes: object) -> Graph:
    """A graph whose output is a Constant."""
    node = helper.make_node("Constant", [], ["y"], name="c", **attributes)
    graph = helper.make_graph([node], "g", [], [onnx.ValueInfoProto(name="y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return load(folder / "m.onnx").graph


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (
            {"value": numpy_helper.from_array(np.arange(6, dtype=np.int16).reshape(2, 3))},
            np.arange(6, dtype=np.int16),
        ),
        (
            {"value": numpy_helper.from_array(np.arange(5000, dtype=np.float64))},
            np.arange(5000, dtype=np.float64),
        ),
        ({"value_float": 0.5}, np.float32([0.5])),
        ({"value_floats": [0.5, 1.5]}, np.float32([0.5, 1.5])),
        ({"value_int": -7}, np.int64([-7])),
        ({"value_ints": [1, 2, 3]}, np.int64([1, 2, 3])),
    ],
)
def test_every_kind_of_constant(attributes: dict[str, object], expected: np.ndarray, tmp_path: Path) -> None:
    graph = constant(tmp_path, **attributes)
    (value,) = graph.outputs
    assert len(graph) == 0
    assert value.name == "y"
    assert value.constant is not None
    assert value.constant.dtype == expected.dtype
    assert np.array_equal(value.constant.numpy().reshape(-1), expected)


@pytest.mark.parametrize(
    ("attributes", "what"),
    [
        ({"value_string": "a"}, "a string"),
        ({"value_strings": ["a", "b"]}, "strings"),
        ({"value": helper.make_tensor("t", onnx.TensorProto.STRING, [1], [b"a"])}, "string elements"),
    ],
)
def test_strings_are_refused(attributes: dict[str, object], what: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=f"of {what}.* at Constant 'c'"):
        constant(tmp_path, **attributes)


def test_large_strings_are_refused_too(tmp_path: Path) -> None:
    value = helper.make_tensor("t", onnx.TensorProto.STRING, [1], [b"a" * 9999])
    with pytest.raises(UnsupportedError, match=r"value: tensors of string elements .* at Constant 'c'"):
        constant(tmp_path, value=value)


def test_a_broken_value(tmp_path: Path) -> None:
    value = onnx.TensorProto(data_type=1, dims=[3], raw_data=b"four")
    with pytest.raises(
        InvalidModelError, match=r"Constant 'c': value: f32\[3\] takes 12 bytes, and there are 4"
    ):
        constant(tmp_path, value=value)


def test_a_constant_without_a_value(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match="it has no value"):
        constant(tmp_path)


@pytest.mark.parametrize(
    ("kind", "operands", "attributes", "message"),
    [
        ("ConstantOfShape", (fixed([-1]),), {}, "an extent is negative"),
        (
            "ConstantOfShape",
            (fixed([1]),),
            {"value": numpy_helper.from_array(np.zeros(2, np.float32))},
            "its value must be one number",
        ),
        ("Range", (fixed(0, np.int64), fixed(5, np.int64), fixed(0, np.int64)), {}, "its step is 0"),
        ("Range", (fixed(0.0), fixed(5.0), fixed(0.0)), {}, "there is no range from 0.0 to 5.0 by 0.0"),
        ("OneHot", (INDICES, fixed(float("nan")), fixed([0.0, 1.0])), {}, "a depth cannot be nan"),
    ],
)
def test_invalid(
    kind: str, operands: tuple[object, ...], attributes: dict[str, object], message: str, tmp_path: Path
) -> None:
    (param,) = case(kind, *operands, oracle="reference", **attributes)  # type: ignore[arg-type]
    with pytest.raises(InvalidModelError, match=message):
        check_case(param.values[0], tmp_path)


@pytest.mark.parametrize(
    ("kind", "operands", "attributes", "message"),
    [
        ("Range", (fixed(0), fixed(5), np.int64(1)), {}, "Range: a step computed while the model runs"),
        ("Dropout", (X, fixed(0.5), fixed(True)), {}, "Dropout: in training mode"),
    ],
)
def test_unsupported(
    kind: str, operands: tuple[object, ...], attributes: dict[str, int], message: str, tmp_path: Path
) -> None:
    (param,) = case(kind, *operands, **{"oracle": "reference", **attributes})  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match=message):
        check_case(param.values[0], tmp_path)


def test_a_range_of_floats_up_to_an_extent(tmp_path: Path) -> None:
    """Exporters cast an extent to floats for the grid of a detector; its count follows all the same."""
    text = """<ir_version: 8, opset_import: ["" : 17]>
    m (float[n,w] x) => (float[k] y) {
        s = Shape(x)
        at = Constant <value = int64 {1}> ()
        e = Gather <axis = 0> (s, at)
        last = Cast <to = 1> (e)
        first = Constant <value = float {1.0}> ()
        step = Constant <value = float {2.0}> ()
        y = Range(first, last, step)
    }"""
    (tmp_path / "m.onnx").write_bytes(onnx.parser.parse_model(text).SerializeToString())
    graph = load(tmp_path / "m.onnx").graph
    assert str(graph.outputs[0].type) == "f32[w//2]"
    for width in (6, 7):
        feed = {"x": np.zeros((2, width), np.float32)}
        np.testing.assert_array_equal(run(graph, feed)["y"], Session(tmp_path / "m.onnx").run(feed)["y"])
