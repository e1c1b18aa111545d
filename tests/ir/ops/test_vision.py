"""Sampling against PyTorch and torchvision's definitions; boxes by hand."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.errors import InferenceError
from mmconvert.ir.ops import Col2Im, DeformConv, GridSample, MaxRoiPool, NonMaxSuppression, RoiAlign
from mmconvert.ir.types import TensorType
from tests.cases.vision import MODES, PADDINGS

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("mode", "padding", "corners"), list(product(MODES, PADDINGS, (False, True))))
def test_grids_against_pytorch(mode: Any, padding: Any, corners: bool) -> None:
    torch = pytest.importorskip("torch")
    x, grid = RNG.normal(size=(2, 3, 6, 5)), RNG.uniform(-1.8, 1.8, (2, 4, 7, 2))
    name = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
    wanted = torch.nn.functional.grid_sample(
        torch.from_numpy(x), torch.from_numpy(grid), mode=name, padding_mode=padding, align_corners=corners
    )
    found = GridSample(mode=mode, padding=padding, align_corners=corners).evaluate(x, grid)
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-10)


def test_folding_against_pytorch() -> None:
    torch = pytest.importorskip("torch")
    x = RNG.normal(size=(2, 12, 30))
    op = Col2Im(image=(9, 12), block=(2, 3), strides=(2, 2), dilations=(1, 2), pads=((1, 1), (1, 1)))
    wanted = torch.nn.functional.fold(
        torch.from_numpy(x[:, :, :25]), (9, 12), (2, 3), stride=2, dilation=(1, 2), padding=1
    )
    np.testing.assert_allclose(op.evaluate(x[:, :, :25]), wanted.numpy(), atol=1e-12)


def test_whole_moves_are_shifts() -> None:
    """Every tap moved by one row and two columns is a convolution of the moved picture."""
    torch = pytest.importorskip("torch")
    x, weight = RNG.normal(size=(1, 2, 8, 9)), RNG.normal(size=(3, 2, 2, 2))
    offset = np.tile(np.array([1.0, 2.0]).reshape(1, 2, 1, 1), (1, 4, 7, 8))
    op = DeformConv(strides=(1, 1), dilations=(1, 1), pads=((0, 0), (0, 0)))
    found = op.evaluate(x, weight, offset)
    moved = np.pad(x, ((0, 0), (0, 0), (0, 1), (0, 2)))[:, :, 1:, 2:]
    wanted = torch.nn.functional.conv2d(torch.from_numpy(moved), torch.from_numpy(weight))
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-12)


def test_a_region_on_a_ramp_is_its_middle() -> None:
    ramp = np.arange(8.0)[:, None] * 10 + np.arange(8.0)
    boxes = np.array([[1.0, 2.0, 5.0, 4.0]])
    y = RoiAlign(height=1, width=1, ratio=4).evaluate(ramp[None, None], boxes, np.array([0]))
    assert y.item() == pytest.approx((3.0 - 0.5) * 10 + (3.0 - 0.5))


def test_regions_of_whole_elements() -> None:
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    y = MaxRoiPool(height=2, width=1).evaluate(x, np.array([[0.0, 1, 0, 2, 3]]))
    assert y.reshape(-1).tolist() == [6, 14]


def test_covered_boxes_are_left_out() -> None:
    boxes = np.array([[[0, 0, 2, 2], [0, 0, 2, 1.9], [5, 5, 4, 4], [0, 0, 1, 1]]])
    scores = np.array([[[0.5, 0.9, 0.7, 0.6]]])
    op = NonMaxSuppression(count=3)
    found = op.evaluate(boxes, scores, np.array(9), np.array(0.5), np.array(0.55))
    assert found.tolist() == [[0, 0, 1], [0, 0, 2], [0, 0, 3]]


@pytest.mark.parametrize(
    ("op", "shapes", "message"),
    [
        (GridSample(), ((1, 2, 4, 4), (1, 3, 3, 3)), "2 coordinates each"),
        (GridSample(), ((1, 2, 4, 4), (2, 3, 3, 2)), "the batch of"),
        (RoiAlign(height=1, width=1), ((1, 2, 4, 4), (3, 5), (3,)), "4 coordinates"),
        (MaxRoiPool(height=1, width=1), ((1, 2, 4, 4), (3, 4)), "a picture and 4"),
        (NonMaxSuppression(count=1), ((1, 2, 3), (1, 1, 2)), "4 numbers"),
        (
            Col2Im(image=(4,), block=(2,), strides=(1,), dilations=(1,), pads=((0, 0),)),
            ((1, 4, 2),),
            "3 windows",
        ),
        (
            DeformConv(strides=(1, 1), dilations=(1, 1), pads=((0, 0),) * 2),
            ((1, 1, 3, 3), (1, 1, 2, 2), (1, 4, 2, 2)),
            "8 moves",
        ),
    ],
)
def test_refused(op: Any, shapes: tuple[tuple[int, ...], ...], message: str) -> None:
    with pytest.raises(InferenceError, match=message):
        op.infer(*(TensorType(dtypes.F32, s) for s in shapes))
