from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.ir.graph import Graph
from mmconvert.parsers.onnx import load
from tests.parsers.onnx.cases import Case, case, check_case, fixed, x

X = x(1, 2, 5, 6)
NONE = fixed(np.empty(0, np.float32))
UP, DOWN, BOTH = [1.0, 1.0, 2.0, 3.0], [1.0, 1.0, 0.6, 0.5], [1.0, 1.0, 1.6, 0.7]
SIZES = [1, 2, 8, 3]
COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def resize(*operands: object, coordinates: str = "half_pixel", **attributes: Any) -> list[Any]:
    """Resize of ``X``; ``operands`` are region, scales and sizes."""
    return case("Resize", X, *operands, coordinate_transformation_mode=coordinates, **attributes)


CASES = [
    *case("Upsample", X, opset=7, scales=UP),
    *case("Upsample", X, opset=7, scales=UP, mode="linear"),
    *(c for mode in ("nearest", "linear") for c in case("Upsample", X, fixed(UP), opset=9, mode=mode)),
    *(
        c
        for mode, scales in product(("nearest", "linear"), (UP, DOWN, BOTH))
        for c in case("Resize", X, fixed(scales), opset=10, mode=mode)
    ),
    *(
        c
        for coordinates, nearest, scales in product(COORDINATES, NEAREST, (UP, DOWN))
        for c in resize(NONE, fixed(scales), opset=11, coordinates=coordinates, nearest_mode=nearest)
    ),
    *(
        c
        for coordinates, mode, scales in product(COORDINATES, ("linear", "cubic"), (UP, DOWN, BOTH))
        for c in resize(None, fixed(scales), opset=13, mode=mode, coordinates=coordinates)
    ),
    *(
        c
        for coordinates, mode in product(COORDINATES, ("nearest", "linear", "cubic"))
        for c in resize(None, None, fixed(SIZES), opset=(13, 19), mode=mode, coordinates=coordinates)
    ),
    *case("Resize", X, NONE, NONE, fixed(SIZES), opset=11),
    *resize(None, fixed(UP), opset=13, mode="cubic", cubic_coeff_a=-0.5, exclude_outside=1),
    *resize(NONE, fixed(UP), opset=11, coordinates="tf_half_pixel_for_nn", nearest_mode="floor"),
    *resize(None, fixed(BOTH), opset=19, mode="linear", coordinates="half_pixel_symmetric"),
    *resize(None, fixed([2.0, 3.0]), opset=18, mode="linear", axes=[2, 3]),
    *resize(None, fixed([2.0, 3.0]), opset=18, axes=[3, 2]),
    *(c for mode in ("linear", "cubic") for c in resize(None, fixed(DOWN), opset=18, mode=mode, antialias=1)),
    *(
        c
        for policy in ("not_larger", "not_smaller")
        for c in resize(None, None, fixed([8, 7]), opset=18, axes=[2, 3], keep_aspect_ratio_policy=policy)
    ),
    *(
        c
        for mode, sizes in product(("nearest", "linear"), ([1, 2, 4, 7], [1, 2, 1, 3]))
        for c in resize(
            fixed([0.0, 0.0, 0.2, 0.1, 1.0, 1.0, 0.9, 1.2]),
            None,
            fixed(sizes),
            opset=13,
            mode=mode,
            coordinates="tf_crop_and_resize",
            extrapolation_value=9.0,
        )
    ),
    *resize(None, fixed([1.0, 1.0, 1.0, 1.0]), opset=13, mode="linear"),
    # 3 * float32(2.3333333) is below 7 in exact arithmetic, and 7 in single precision.
    *case("Resize", x(1, 1, 3, 3), None, fixed([1.0, 1.0, 7 / 3, 7 / 3]), opset=13, mode="linear"),
    *case("Resize", x(1, 1, 4, 4, low=0, high=99, dtype=np.uint8), None, fixed(UP), opset=13),
]


@pytest.mark.parametrize("c", CASES)
def test_against_the_runtime(c: Case, tmp_path: Path) -> None:
    check_case(c, tmp_path, rtol=1e-4)  # the runtime computes its positions in single precision


def parse(
    folder: Path, shape: list[object], scales: object = None, sizes: object = None, **attributes: object
) -> Graph:
    """Resize of an input of a symbolic shape."""
    constants = {"scales": scales, "sizes": sizes}
    made = [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items() if v is not None]
    names = ["x", "", *(name if constants[name] is not None else "" for name in constants)]
    info = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)
    node = helper.make_node("Resize", names, ["y"], name="n", **attributes)
    graph = helper.make_graph([node], "g", [info], [onnx.ValueInfoProto(name="y")], made)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)])
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return load(folder / "m.onnx").graph


@pytest.mark.parametrize(
    ("scale", "extent"), [(2.0, "2*h"), (0.5, "h//2"), (1.5, "(3*h)//2"), (1 / 3, "h//3")]
)
def test_unknown_extents_are_scaled(scale: float, extent: str, tmp_path: Path) -> None:
    graph = parse(tmp_path, [1, 2, "h", 6], np.float32([1, 1, scale, 2]))
    assert str(graph.outputs[0].type) == f"f32[1,2,{extent},12]"


def test_axes_that_stay_are_left_out(tmp_path: Path) -> None:
    (node,) = parse(tmp_path, ["n", 2, 4, 4], np.float32([1, 1, 2, 2]))
    assert node.op.axes == (2, 3)
    (node,) = parse(tmp_path, ["n", 2, 4, 4], np.float32([1, 1, 1, 1]))
    assert node.op.name == "Identity"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scales": np.float32([1, 2])}, "2 scales for 4 axes"),
        ({"scales": np.float32([1, 1, -1, 1])}, "a scale is not above 0"),
        ({"scales": np.float32([1, 1, 3e38, 1])}, "a scale of .* is out of range"),
        (
            {"scales": np.float32([1, 1, 2, 2]), "coordinate_transformation_mode": "tf_crop_and_resize"},
            "operand 1 is missing",
        ),
        ({"sizes": np.int64([1, 1])}, "2 sizes for 4 axes"),
        ({"sizes": np.int64([1, 1, -1, 1])}, "a size is negative"),
        ({}, "operand 3 is missing"),
    ],
)
def test_invalid(options: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match=message):
        parse(tmp_path, [1, 2, 4, 4], **options)


def test_a_region_must_fit_the_axes(tmp_path: Path) -> None:
    region = fixed([0.0, 1.0])
    (param,) = resize(region, fixed(UP), opset=13, coordinates="tf_crop_and_resize", oracle="reference")
    with pytest.raises(InvalidModelError, match="2 bounds of a region for 4 axes"):
        check_case(param.values[0], tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scales": np.float32([1, 1, 1.2345, 1])}, "a scale of 1.23.* for an axis of unknown size"),
        ({"scales": np.float32([1, 1, 2, 2]), "mode": "area"}, "mode='area'"),
        (
            {"sizes": np.int64([4, 4]), "axes": [2, 3], "keep_aspect_ratio_policy": "not_larger"},
            "keep_aspect_ratio_policy='not_larger' with sizes that are not known",
        ),
    ],
)
def test_unsupported(options: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=message):
        parse(tmp_path, [1, 2, "h", 4], **options)
