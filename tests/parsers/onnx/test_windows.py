from pathlib import Path

import numpy as np
import pytest

from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.ir.geometry import Same
from mmconvert.ir.graph import Graph
from mmconvert.parsers.onnx import load
from tests.parsers.onnx.cases import Case, case, check_case, fixed, run_oracle, x
from tests.parsers.onnx.evaluate import assert_close, evaluate

X1, X2, X3 = x(2, 4, 9), x(2, 4, 9, 8), x(1, 2, 5, 6, 5)
W = fixed(x(6, 4, 3, 3))
TW = fixed(x(4, 3, 3, 3))
POOLS = ("MaxPool", "AveragePool", "LpPool")
SAMES = ("SAME_UPPER", "SAME_LOWER")

CONV = [
    *case("Conv", X2, W, opset=(7, 11, 17)),
    *case("Conv", X2, W, fixed(x(6))),
    *case("Conv", X2, x(6, 4, 3, 3), x(6)),
    *case("Conv", X2, W, strides=[2, 1], pads=[1, 0, 2, 1]),
    *case("Conv", X2, W, dilations=[2, 1], kernel_shape=[3, 3]),
    *case("Conv", X2, fixed(x(8, 1, 3, 2)), group=4, pads=[1, 1, 1, 1]),
    *case("Conv", X2, fixed(x(6, 2, 3, 3)), group=2, auto_pad="VALID"),
    *case("Conv", X1, fixed(x(5, 4, 4)), fixed(x(5)), strides=[3]),
    *case("Conv", X3, fixed(x(3, 2, 2, 3, 1)), strides=[2, 1, 2]),
    *(
        c
        for same in SAMES
        for stride in (1, 2, 3)
        for c in case("Conv", X2, W, auto_pad=same, strides=[stride] * 2)
    ),
]
TRANSPOSED = [
    *case("ConvTranspose", X2, TW, opset=(7, 11, 17)),
    *case("ConvTranspose", X2, TW, fixed(x(3)), strides=[2, 3], pads=[1, 0, 1, 2], output_padding=[1, 2]),
    *case("ConvTranspose", X2, TW, strides=[2, 2], dilations=[2, 1]),
    *case("ConvTranspose", X2, fixed(x(4, 2, 3, 3)), group=2, strides=[2, 2], auto_pad="VALID"),
    *case("ConvTranspose", X1, fixed(x(4, 3, 4)), strides=[2]),
    *case("ConvTranspose", X2, TW, strides=[2, 2], output_shape=[18, 16]),
    *case("ConvTranspose", X2, TW, strides=[2, 2], output_shape=[18, 16], auto_pad="SAME_UPPER"),
    *case("ConvTranspose", X2, TW, strides=[2, 2], output_shape=[20, 18]),
    *(
        c
        for same in SAMES
        for stride in (1, 2, 3)
        for c in case("ConvTranspose", X2, TW, auto_pad=same, strides=[stride] * 2)
    ),
]
POOL = [
    *(c for kind in POOLS for c in case(kind, X2, opset=(7, 11, 17, 22), kernel_shape=[3, 2])),
    *(c for kind in POOLS for c in case(kind, X2, kernel_shape=[3, 2], strides=[2, 3], pads=[1, 0, 1, 1])),
    *(c for kind in POOLS for c in case(kind, X1, kernel_shape=[3], strides=[2])),
    *(c for kind in POOLS for c in case(kind, X3, kernel_shape=[2, 3, 2])),
    *(
        c
        for kind in POOLS
        for same in SAMES
        for c in case(kind, X2, kernel_shape=[3, 3], strides=[2, 2], auto_pad=same)
    ),
    *case("MaxPool", X2, kernel_shape=[3, 3], dilations=[2, 1], opset=(10, 12)),
    *case("AveragePool", X2, kernel_shape=[3, 3], dilations=[2, 1], opset=19),
    *case("LpPool", X2, kernel_shape=[3, 3], dilations=[2, 1], opset=18),
    *case("LpPool", X2, kernel_shape=[2, 2], p=1, opset=(11, 18)),
    *case("LpPool", X2, kernel_shape=[2, 2], p=3, opset=18),
    *(
        c
        for kind in ("MaxPool", "AveragePool")
        for c in case(kind, X2, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, opset=(10, 11, 19))
    ),
    *case("AveragePool", X2, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1, opset=(7, 11, 19)),
    *case("AveragePool", X2, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2], ceil_mode=1, opset=19),
    *case("MaxPool", x(1, 2, 5, 5, low=-9, high=9, dtype=np.int8), kernel_shape=[2, 2], opset=12),
    *case("MaxPool", X2, kernel_shape=[3, 2], strides=[2, 2], outputs=2, opset=(8, 12)),
    *case("MaxPool", X2, kernel_shape=[3, 2], pads=[1, 0, 1, 0], outputs=2, storage_order=1, opset=12),
    *(
        c
        for kind in ("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
        for data in (X1, X2, X3)
        for c in case(kind, data, opset=(7, 17))
    ),
    *case("GlobalLpPool", X2, p=1),
    *case("GlobalLpPool", X2, p=3),
]


@pytest.mark.parametrize("c", [*CONV, *TRANSPOSED, *POOL])
def test_against_the_runtime(c: Case, tmp_path: Path) -> None:
    check_case(c, tmp_path)


def parse(folder: Path, kind: str, *operands: object, **attributes: object) -> Graph:
    (param,) = case(kind, *operands, oracle="reference", **attributes)  # type: ignore[arg-type]
    (folder / "case.onnx").write_bytes(param.values[0].model().SerializeToString())
    return load(folder / "case.onnx").graph


def test_same_stays_symbolic_and_may_be_dilated(tmp_path: Path) -> None:
    """ONNX Runtime refuses SAME with dilation; ONNX does not."""
    graph = parse(tmp_path, "Conv", X2, W, auto_pad="SAME_LOWER", dilations=[2, 2])
    (node,) = graph
    assert node.op.padding == Same(extra_after=False)
    assert graph.outputs[0].type.shape == (2, 6, 9, 8)


def test_same_reaches_beyond_a_kernel_smaller_than_the_stride(tmp_path: Path) -> None:
    """ONNX says that the output is input times stride; ONNX Runtime leaves the rest out."""
    weight = fixed(x(4, 3, 2, 2))
    same = parse(tmp_path, "ConvTranspose", X2, weight, strides=[3, 3], auto_pad="SAME_UPPER")
    assert same.outputs[0].type.shape == (2, 3, 27, 24)
    (actual,) = evaluate(same, {"x0": X2})
    (param,) = case("ConvTranspose", X2, weight, strides=[3, 3], output_padding=[1, 1])
    assert_close(actual, run_oracle(param.values[0].model(), {"x0": X2})[0])


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"strides": [0, 1]}, r"strides=\[0, 1\] must be 2 numbers above 0"),
        ({"dilations": [1]}, r"dilations=\[1\] must be 2 numbers"),
        ({"pads": [1, 1]}, r"pads=\[1, 1\] must be 4 numbers"),
        ({"kernel_shape": [2, 2]}, r"kernel_shape=\[2, 2\], and the weight is f32\[6,4,3,3\]"),
        ({"group": 3}, "Conv 'n'"),
        ({"strides": "no"}, "the attribute strides has the wrong type"),
    ],
)
def test_wrong_attributes_are_named(attributes: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match=message):
        parse(tmp_path, "Conv", X2, W, **attributes)


def test_a_weight_without_spatial_axes(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match="has no spatial axes"):
        parse(tmp_path, "Conv", x(2, 4), fixed(x(3, 4)))


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"output_padding": [1]}, r"output_padding=\[1\] must be 2 numbers, none below 0"),
        ({"output_shape": [1, 2, 3]}, r"output_shape=\[1, 2, 3\] must be 2 numbers"),
    ],
)
def test_wrong_attributes_of_conv_transpose(
    attributes: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidModelError, match=message):
        parse(tmp_path, "ConvTranspose", X2, TW, **attributes)


def test_output_shape_needs_a_matching_input(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match="does not fit a kernel of 2 axes"):
        parse(tmp_path, "ConvTranspose", X1, TW, output_shape=[9, 9])


def test_unknown_auto_pad(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="auto_pad='SAME' at Conv 'n'"):
        parse(tmp_path, "Conv", X2, W, auto_pad="SAME")


def test_global_lp_pool_needs_a_norm(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match="p=0 must be at least 1"):
        parse(tmp_path, "GlobalLpPool", X2, p=0)
