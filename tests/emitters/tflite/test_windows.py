"""Padding becomes SAME or VALID where that places the windows the same way, and a PAD where not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.emitters.tflite.schema import Padding
from mmconvert.emitters.tflite.windows import Windows
from mmconvert.ir import geometry, ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim, Extent
from mmconvert.ir.geometry import Explicit, Same
from mmconvert.ir.graph import Graph
from mmconvert.ir.types import Layout, TensorType
from tests.emitters.tflite.files import kinds, round_trip

h = Dim.symbol("h")


def windows(
    extent: Extent, kernel: int, stride: int, padding: geometry.Padding, ceil: bool = False
) -> Windows:
    counts = geometry.windows((extent,), (kernel,), (stride,), padding, ceil=ceil)
    return Windows((extent,), counts, (kernel,), (stride,), padding)


@pytest.mark.parametrize(
    ("extent", "kernel", "stride", "pads", "spelling"),
    [
        (8, 3, 1, (0, 0), Padding.VALID),
        (8, 3, 1, (1, 1), Padding.SAME),
        (8, 3, 2, (0, 1), Padding.SAME),  # what Keras writes as ZeroPadding2D(((0, 1), (0, 1)))
        (8, 3, 2, (1, 1), None),
        (9, 3, 2, (1, 1), Padding.SAME),
        (8, 3, 2, (0, 2), Padding.SAME),  # the last element of padding is never reached
        (9, 3, 2, (0, 1), Padding.VALID),
        (8, 5, 1, (1, 1), None),
        (8, 1, 2, (0, 0), Padding.VALID),
        (3, 5, 1, (2, 2), Padding.SAME),
        (h, 3, 1, (1, 1), Padding.SAME),
        (h, 3, 1, (0, 0), Padding.VALID),
        (h, 3, 2, (1, 1), None),
    ],
)
def test_explicit_padding(
    extent: Extent, kernel: int, stride: int, pads: tuple[int, int], spelling: Padding | None
) -> None:
    assert windows(extent, kernel, stride, Explicit((pads,))).spelling is spelling


@pytest.mark.parametrize(
    ("extent", "stride", "extra_after", "spelling"),
    [
        (8, 2, True, Padding.SAME),
        (h, 2, True, Padding.SAME),
        (8, 2, False, None),
        (9, 2, False, Padding.SAME),  # both sides get the same
        (h, 1, False, Padding.SAME),
        (h, 2, False, None),
    ],
)
def test_same_padding(extent: Extent, stride: int, extra_after: bool, spelling: Padding | None) -> None:
    assert windows(extent, 3, stride, Same(extra_after=extra_after)).spelling is spelling


@pytest.mark.parametrize(
    ("extent", "pads", "ceil", "needed"),
    [
        (8, (1, 1), False, (1, 0)),
        (8, (1, 1), True, (1, 2)),
        (8, (2, 2), False, (2, 1)),
        (9, (2, 2), False, (2, 2)),
    ],
)
def test_only_the_padding_that_windows_reach_is_written(
    extent: int, pads: tuple[int, int], ceil: bool, needed: tuple[int, int]
) -> None:
    assert windows(extent, 3, 2, Explicit((pads,)), ceil).needed == (needed,)


def convolved(shape: tuple[Extent, ...], padding: geometry.Padding, strides: tuple[int, int]) -> Graph:
    graph = Graph()
    x = graph.input("x", TensorType(dtypes.F32, shape))
    weight = np.linspace(-1, 1, 4 * 9 * 3, dtype=np.float32).reshape(4, 3, 3, 3)
    op = ops.Conv(strides=strides, dilations=(1, 1), padding=padding, layout=Layout.NHWC)
    graph.set_outputs([Builder(graph)(op, x, weight)], ["y"])
    return graph


@pytest.mark.parametrize("size", [(7, 8), (10, 5)])
@pytest.mark.parametrize(
    ("padding", "strides", "last"),
    [
        (Same(), (2, 2), ["CONV_2D"]),
        (Same(extra_after=False), (1, 1), ["CONV_2D"]),
        (Same(extra_after=False), (2, 2), ["PAD", "CONV_2D"]),
        (Explicit(((1, 2), (0, 1))), (2, 2), ["PAD", "CONV_2D"]),
    ],
)
def test_unknown_extents(
    padding: geometry.Padding,
    strides: tuple[int, int],
    last: list[str],
    size: tuple[int, int],
    tmp_path: Path,
) -> None:
    graph = convolved((1, Dim.symbol("h"), Dim.symbol("w"), 3), padding, strides)
    feeds = {"x": np.random.default_rng(3).random((1, *size, 3), np.float32)}
    path = round_trip(graph, feeds, tmp_path)
    assert kinds(path)[-len(last) :] == last


@pytest.mark.parametrize("size", [6, 7, 8])
def test_the_last_window_of_an_unknown_extent_may_hang_over(size: int, tmp_path: Path) -> None:
    graph = Graph()
    x = graph.input("x", TensorType(dtypes.F32, (1, Dim.symbol("h"), 8, 2)))
    pool = ops.MaxPool(
        kernel=(3, 3),
        strides=(2, 2),
        dilations=(1, 1),
        padding=Explicit(((1, 0), (0, 0))),
        ceil=True,
        layout=Layout.NHWC,
    )
    graph.set_outputs([Builder(graph)(pool, x)], ["y"])
    round_trip(graph, {"x": np.random.default_rng(3).random((1, size, 8, 2), np.float32)}, tmp_path)
