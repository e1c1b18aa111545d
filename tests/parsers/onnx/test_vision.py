from itertools import product
from pathlib import Path

import numpy as np
import pytest

from mmconvert.errors import InvalidModelError
from tests.parsers.onnx.cases import Case, case, check_case, fixed, x

X, GRID = x(2, 3, 6, 5), x(2, 4, 7, 2, low=-1.7, high=1.7)
ROIS = fixed([[0.0, 0.0, 3.3, 4.1], [1.2, 0.7, 2.9, 2.2], [-1.5, -2.0, 9.0, 3.0]])
PICTURES = fixed([0, 1, 1])
BOXES, SCORES = x(2, 12, 4, low=0, high=3), x(2, 3, 12, low=0, high=1)
LIMIT, HALF = fixed([4]), fixed([0.3])
THETA2, THETA3 = x(2, 2, 3, low=-1, high=1), x(2, 3, 4, low=-1, high=1)

CASES = [
    *(
        c
        for mode, padding, corners in product(
            ("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection"), (0, 1)
        )
        for c in case("GridSample", X, GRID, opset=16, mode=mode, padding_mode=padding, align_corners=corners)
    ),
    *case("GridSample", X, GRID, opset=20),
    *case("GridSample", x(1, 2, 3, 4, 5), x(1, 2, 3, 2, 3, low=-1.2, high=1.2), opset=20),
    *case("GridSample", X, GRID, opset=22, mode="cubic"),
    *(
        c
        for corners, size, theta in product((0, 1), ([2, 3, 5, 4], [2, 3, 2, 5, 4]), (THETA2, THETA3))
        if theta.shape[1] == len(size) - 2
        for c in case("AffineGrid", theta, fixed(size), opset=20, align_corners=corners)
    ),
    *case("RoiAlign", X, ROIS, PICTURES, opset=(10, 16), output_height=2, output_width=3, sampling_ratio=2),
    *case("RoiAlign", X, ROIS, PICTURES, opset=16, output_height=2, output_width=2, spatial_scale=0.7),
    *case(
        "RoiAlign", X, ROIS, PICTURES, opset=16, output_height=3, output_width=2, mode="max", sampling_ratio=2
    ),
    *case(
        "MaxRoiPool",
        X,
        fixed([[0.0, 0, 0, 5, 6], [1, 1, 2, 3, 9]]),
        opset=7,
        pooled_shape=[2, 2],
        spatial_scale=0.6,
    ),
    *case("NonMaxSuppression", BOXES, SCORES, LIMIT, HALF, opset=(10, 11)),
    *case("NonMaxSuppression", BOXES, SCORES, LIMIT, HALF, fixed([0.4]), opset=11),
    *case("NonMaxSuppression", BOXES, SCORES, LIMIT, HALF, opset=11, center_point_box=1),
    *case("NonMaxSuppression", BOXES, SCORES, opset=11),
    *case("Col2Im", x(2, 12, 9), fixed([5, 4]), fixed([3, 2]), opset=18),
    *case("Col2Im", x(2, 4, 25), fixed([5, 4]), fixed([2, 2]), opset=18, dilations=[2, 1], pads=[1, 1, 1, 1]),
    *case("DeformConv", x(1, 2, 5, 4), fixed(x(3, 2, 2, 2)), x(1, 8, 4, 3), opset=19),
    *case(
        "DeformConv",
        *(x(1, 4, 5, 4), fixed(x(2, 2, 2, 2)), x(1, 16, 6, 4), fixed(x(2)), x(1, 8, 6, 4, low=0, high=1)),
        group=2,
        offset_group=2,
        pads=[1, 0, 1, 1],
        opset=19,
    ),
    *case(
        "MaxUnpool",
        x(1, 1, 2, 2),
        fixed([[[[0, 3], [8, 15]]]]),
        opset=(9, 11),
        kernel_shape=[2, 2],
        strides=[2, 2],
    ),
    *case(
        "MaxUnpool",
        *(x(1, 1, 2, 2), fixed([[[[0, 3], [12, 24]]]]), fixed([1, 1, 5, 5])),
        opset=11,
        kernel_shape=[2, 2],
        strides=[2, 2],
    ),
]


@pytest.mark.parametrize("c", CASES)
def test_against_the_runtime(c: Case, tmp_path: Path) -> None:
    check_case(c, tmp_path)


def test_an_affine_grid_needs_a_picture(tmp_path: Path) -> None:
    (c,) = case("AffineGrid", THETA2, fixed(np.array([2, 3, 4])), opset=20, oracle="reference")
    with pytest.raises(InvalidModelError, match="must be of 4 or 5"):
        check_case(c.values[0], tmp_path)
