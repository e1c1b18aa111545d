from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.errors import InferenceError
from mmconvert.ir import dims
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim
from mmconvert.ir.graph import Graph
from mmconvert.ir.ops import Expand, Gather, MatMul, Reshape, Resize, Unsqueeze
from mmconvert.ir.types import Array, TensorType
from tests.cases.case import Case
from tests.cases.resize import CASES
from tests.ir.ops.onnx_oracle import fields, operands, run_node


def run_resize(op: Resize, x: Array) -> Array:
    """ONNX Runtime's Resize; ``tf_half_pixel_for_nn`` was in ONNX 11 only."""
    old = op.coordinates == "tf_half_pixel_for_nn"
    attributes: dict[str, Any] = {"mode": op.mode, "coordinate_transformation_mode": op.coordinates}
    if op.mode == "nearest":
        attributes["nearest_mode"] = op.nearest
    if op.mode == "cubic":
        attributes["cubic_coeff_a"] = op.cubic_coeff
    if not old:
        attributes["exclude_outside"] = int(op.exclude_outside)
        attributes["antialias"] = int(op.antialias)
        attributes["extrapolation_value"] = op.extrapolation_value
    sizes, scales = np.array(x.shape, np.int64), np.ones(x.ndim, np.float32)
    region = np.repeat(np.array([0, 1], np.float32), x.ndim)
    for i, axis in enumerate(op.axes):
        sizes[axis] = dims.numbers(op.sizes)[i]
        scales[axis] = op.scales[i] if op.scales else 1
        region[[axis, axis + x.ndim]] = op.roi[i] if op.roi else (0, 1)
    inputs = (
        [x, region, scales] if op.scales else [x, region, np.zeros(0, np.float32) if old else None, sizes]
    )
    return run_node("Resize", inputs, attributes=attributes, opset=11 if old else 19)[0]


@pytest.mark.parametrize("case", [c for c in CASES if not fields(c).position_bits], ids=str)
def test_resize_is_onnx_runtimes(case: Case) -> None:
    (x,) = operands(case)
    np.testing.assert_allclose(case.op.evaluate(x), run_resize(fields(case), x), rtol=1e-5, atol=1e-5)


def along(x: list[float], size: int, **given: Any) -> Any:
    """A row resized; the coordinates are ``half_pixel`` unless they are given."""
    op = Resize(**{"axes": (0,), "sizes": (size,), "mode": "nearest", "coordinates": "half_pixel", **given})
    return op.evaluate(np.array(x, dtype=np.float64)).tolist()


def test_positions_in_fixed_point_by_hand() -> None:
    """From 16 to 21 a step is 780 of 1024, 780.19 rounded; half of it is cut, and half a unit taken off."""
    ramp = np.arange(16.0)
    op = Resize(axes=(0,), sizes=(21,), mode="linear", coordinates="half_pixel", position_bits=10)
    places = (np.arange(21) * 780 + 390 - 512) / 1024
    np.testing.assert_array_equal(op.evaluate(ramp), np.clip(places, 0, 15))
    with pytest.raises(InferenceError, match="positions that can have 10 bits"):
        Resize(
            axes=(0,), sizes=(2,), mode="linear", coordinates="pytorch_half_pixel", position_bits=10
        ).infer(TensorType(dtypes.F32, (4,)))


def test_nearest_by_hand() -> None:
    row = [10.0, 11.0, 12.0, 13.0]
    # Half pixel centres of 4 to 2 lie half way between two elements.
    assert along(row, 2) == [10, 12]
    assert along(row, 2, nearest="round_prefer_ceil") == [11, 13]
    assert along(row, 2, nearest="ceil") == [11, 13]
    assert along(row, 2, nearest="floor") == [10, 12]
    # TensorFlow's half pixel centres have no rounding: the pixel that the centre falls into.
    assert along(row, 2, coordinates="tf_half_pixel_for_nn", nearest="floor") == [11, 13]
    assert along(row, 3, coordinates="tf_half_pixel_for_nn", nearest="floor") == [10, 12, 13]
    assert along(row, 8, coordinates="asymmetric", nearest="floor") == [10, 10, 11, 11, 12, 12, 13, 13]
    assert along(row, 7, coordinates="align_corners") == [10, 10, 11, 11, 12, 12, 13]


def test_one_output_by_hand() -> None:
    row = [10.0, 11.0, 12.0, 14.0]
    linear = {"mode": "linear"}
    assert along(row, 1, **linear) == [11.5]
    assert along(row, 1, coordinates="pytorch_half_pixel", **linear) == [10]
    assert along(row, 1, coordinates="align_corners", **linear) == [10]
    assert along(row, 1, coordinates="asymmetric", **linear) == [10]
    crop = {"coordinates": "tf_crop_and_resize", "roi": ((0.5, 1.0),)}
    assert along(row, 1, **crop, **linear) == [12.5]


def test_linear_by_hand() -> None:
    assert along([0, 4], 4, mode="linear") == [0, 1, 3, 4]
    assert along([0, 4], 4, mode="linear", coordinates="asymmetric") == [0, 2, 4, 4]
    assert along([0, 3], 4, mode="linear", coordinates="align_corners") == pytest.approx([0, 1, 2, 3])
    # Beyond the last element the value is the extrapolated one.
    crop: dict[str, Any] = {"coordinates": "tf_crop_and_resize", "roi": ((0.0, 2.0),)}
    assert along([1, 2], 3, mode="linear", extrapolation_value=-5.0, **crop) == [1, 2, -5]


def test_antialias_by_hand() -> None:
    # The triangle is twice as wide: the weights about a centre are 1, 3, 3 and 1 eighths.
    row = [0.0, 8.0, 4.0, 4.0]
    assert along(row, 2, mode="linear", antialias=True) == [3.5, 4.5]
    assert along(row, 2, mode="linear", antialias=True, exclude_outside=True) == pytest.approx([4, 32 / 7])
    assert along([0, 4], 4, mode="linear", antialias=True) == along([0, 4], 4, mode="linear")


def test_half_pixel_symmetric_shares_out_what_the_scale_leaves() -> None:
    # 5 elements by 0.5 are 2.5 outputs, of which 2 are made: their centres are 1 and 3, not 0.5 and 2.5.
    row = [0.0, 1.0, 2.0, 3.0, 4.0]
    given = {"mode": "linear", "scales": (0.5,)}
    assert along(row, 2, coordinates="half_pixel_symmetric", **given) == pytest.approx([1, 3])
    assert along(row, 2, **given) == [0.5, 2.5]


def test_a_given_scale_counts_and_not_the_sizes() -> None:
    row = [0.0, 1.0, 2.0, 3.0]
    assert along(row, 5, mode="linear", coordinates="asymmetric", scales=(1.25,)) == pytest.approx(
        [0, 0.8, 1.6, 2.4, 3]
    )
    assert along(row, 5, mode="linear", coordinates="asymmetric", scales=(2.0,)) == [0, 0.5, 1, 1.5, 2]


def test_rounded_scales_do_not_move_a_position_off_its_element() -> None:
    scale = float(np.float32(0.6))
    assert scale > 0.6
    found = along(list(range(10)), 6, coordinates="asymmetric", nearest="floor", scales=(scale,))
    assert found == [0, 1, 3, 5, 6, 8]


def torch_interpolate(x: Array, **given: Any) -> Any:
    torch = pytest.importorskip("torch")
    return torch.nn.functional.interpolate(torch.from_numpy(x), **given).numpy()


PICTURE = np.random.default_rng(7).normal(size=(1, 2, 9, 7))
GRIDS = [(18, 14), (5, 3), (4, 11), (1, 1)]


@pytest.mark.parametrize("size", GRIDS, ids=str)
@pytest.mark.parametrize(("mode", "name"), [("linear", "bilinear"), ("cubic", "bicubic")])
@pytest.mark.parametrize(("coordinates", "corners"), [("half_pixel", False), ("align_corners", True)])
def test_torch_in_double_precision(size: Any, mode: Any, name: str, coordinates: Any, corners: bool) -> None:
    op = Resize(axes=(2, 3), sizes=size, mode=mode, coordinates=coordinates)
    expected = torch_interpolate(PICTURE, size=size, mode=name, align_corners=corners)
    np.testing.assert_allclose(op.evaluate(PICTURE), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", GRIDS, ids=str)
@pytest.mark.parametrize(("mode", "name"), [("linear", "bilinear"), ("cubic", "bicubic")])
def test_torch_antialiased(size: Any, mode: Any, name: str) -> None:
    op = Resize(
        axes=(2, 3),
        sizes=size,
        mode=mode,
        coordinates="half_pixel",
        antialias=True,
        exclude_outside=True,
        cubic_coeff=-0.5,
    )
    expected = torch_interpolate(PICTURE, size=size, mode=name, align_corners=False, antialias=True)
    np.testing.assert_allclose(op.evaluate(PICTURE), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", GRIDS, ids=str)
@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("nearest", {"coordinates": "asymmetric", "nearest": "floor"}),
        ("nearest-exact", {"coordinates": "tf_half_pixel_for_nn", "nearest": "floor"}),
    ],
)
def test_torch_nearest(size: Any, name: str, rule: dict[str, Any]) -> None:
    op = Resize(axes=(2, 3), sizes=size, mode="nearest", **rule)
    np.testing.assert_array_equal(op.evaluate(PICTURE), torch_interpolate(PICTURE, size=size, mode=name))


def test_half_precision_is_computed_in_single() -> None:
    x = PICTURE.astype(np.float16)
    op = Resize(axes=(2, 3), sizes=(18, 14), mode="linear", coordinates="half_pixel")
    y = op.evaluate(x)
    assert y.dtype == np.float16
    np.testing.assert_array_equal(y, op.evaluate(x.astype(np.float32)).astype(np.float16))


def test_single_and_double_precision_read_the_same_elements() -> None:
    for size in range(1, 40):
        op = Resize(axes=(0,), sizes=(size,), mode="nearest", coordinates="half_pixel")
        x = np.arange(23.0)
        np.testing.assert_array_equal(op.evaluate(x), op.evaluate(x.astype(np.float32)))


def decomposition(op: Resize, x: TensorType) -> list[type] | None:
    graph = Graph()
    y = op.decompose(Builder(graph), graph.input("x", x))
    return None if y is None else [type(node.op) for node in graph]


def test_decompositions() -> None:
    x = TensorType(dtypes.F32, (1, 4, 5, 2))
    up: dict[str, Any] = {"axes": (1, 2), "coordinates": "half_pixel"}
    assert decomposition(Resize(sizes=(8, 10), mode="nearest", **up), x) == [Gather, Gather]
    assert decomposition(Resize(sizes=(8, 10), mode="linear", **up), x) == [
        Reshape,
        MatMul,
        Reshape,
        MatMul,
    ]
    assert decomposition(Resize(sizes=(4, 5), mode="cubic", **up), x) == []
    assert decomposition(Resize(sizes=(Dim.symbol("h"), 10), mode="linear", **up), x) is None


def test_open_extents_decompose_where_they_stay_or_repeat() -> None:
    n, h = Dim.symbol("n"), Dim.symbol("h")
    batch, tall = (TensorType(dtypes.F32, shape) for shape in ((n, 4, 2), (1, h, 2)))
    assert decomposition(Resize(axes=(1,), sizes=(8,), mode="cubic", coordinates="half_pixel"), batch) == [
        MatMul
    ]
    twice: dict[str, Any] = {"axes": (1,), "sizes": (2 * h,), "scales": (2.0,), "coordinates": "asymmetric"}
    assert decomposition(Resize(mode="nearest", nearest="floor", **twice), tall) == [
        Unsqueeze,
        Expand,
        Reshape,
    ]
    assert decomposition(Resize(mode="nearest", nearest="ceil", **twice), tall) is None
    assert decomposition(Resize(mode="linear", **twice), tall) is None


def test_extents_may_be_symbols() -> None:
    n, h = Dim.symbol("n"), Dim.symbol("h")
    op = Resize(axes=(2, 3), sizes=(h * 2, 8), mode="linear", coordinates="half_pixel")
    assert str(op.infer(TensorType(dtypes.F32, (n, 3, h, 4)))) == "f32[n,3,2*h,8]"
    assert op.bind({"h": 3}).evaluate(np.zeros((1, 3, 3, 4))).shape == (1, 3, 6, 8)


@pytest.mark.parametrize(
    ("changed", "x", "message"),
    [
        ({"mode": "linear"}, TensorType(dtypes.I32, (4,)), "a floating-point tensor"),
        ({"axes": (1,)}, TensorType(dtypes.F32, (4,)), "there is no axis 1"),
        ({"sizes": (2, 2)}, TensorType(dtypes.F32, (4,)), "one size, scale and region for each axis"),
        ({"scales": (2.0, 1.0)}, TensorType(dtypes.F32, (4,)), "one size, scale and region for each axis"),
        ({"scales": (0.0,)}, TensorType(dtypes.F32, (4,)), "scales of a sensible size"),
        ({"coordinates": "tf_crop_and_resize"}, TensorType(dtypes.F32, (4,)), "a region to crop"),
        ({}, TensorType(dtypes.F32, (0,)), "something to sample"),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict[str, Any], x: TensorType, message: str) -> None:
    plain: dict[str, Any] = {"axes": (0,), "sizes": (8,), "mode": "nearest", "coordinates": "half_pixel"}
    with pytest.raises(InferenceError, match=message):
        Resize(**{**plain, **changed}).infer(x)
