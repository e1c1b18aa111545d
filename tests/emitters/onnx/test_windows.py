"""Windows where ONNX spells them otherwise, and the spelling that tools read best."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from mmconvert import dtypes
from mmconvert.emitters.onnx.constraints import obstacle
from mmconvert.interpreter.session import run
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim, Extent
from mmconvert.ir.geometry import Explicit, Padding, Same
from mmconvert.ir.graph import Graph
from mmconvert.ir.op import Op
from mmconvert.ir.types import Layout, TensorType
from tests.emitters.onnx.files import execute, kinds, write

h = Dim.symbol("h")
RNG = np.random.default_rng(0)
WEIGHT = RNG.standard_normal((4, 4, 3, 3)).astype(np.float32)
BIAS = RNG.standard_normal(4).astype(np.float32)


def build(op: Op, *weights: Any, extent: Extent = 9) -> Graph:
    graph = Graph("g")
    b = Builder(graph)
    x = graph.input("x", TensorType(dtypes.F32, (2, 4, extent, extent)))
    graph.set_outputs([b.multi(op, x, *weights)[0]], ["y"])
    return graph


def conv(padding: Padding, strides: int = 1, dilations: int = 1) -> ops.Conv:
    return ops.Conv(strides=(strides,) * 2, dilations=(dilations,) * 2, padding=padding, layout=Layout.NCHW)


def transposed(pads: Padding, output_padding: int = 0) -> ops.ConvTranspose:
    return ops.ConvTranspose(
        strides=(2, 2),
        dilations=(1, 1),
        padding=pads,
        output_padding=(output_padding,) * 2,
        layout=Layout.NCHW,
    )


def agree(graph: Graph, folder: Path, extent: int = 9, opset: int = 17) -> Path:
    x = RNG.standard_normal((2, 4, extent, extent)).astype(np.float32)
    path = write(graph, folder, opset)
    found, wanted = execute(path, {"x": x})["y"], run(graph, {"x": x})["y"]
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    return path


def attributes(path: Path) -> dict[str, Any]:
    return {a.name: onnx.helper.get_attribute_value(a) for a in onnx.load(path).graph.node[0].attribute}


def test_same_of_known_extents_becomes_pads(tmp_path: Path) -> None:
    path = agree(build(conv(Same(), strides=2), WEIGHT, BIAS, extent=8), tmp_path, 8)
    assert attributes(path)["pads"] == [0, 0, 1, 1]
    path = agree(build(conv(Same(extra_after=False), strides=2), WEIGHT, extent=8), tmp_path, 8)
    assert attributes(path)["pads"] == [1, 1, 0, 0]


@pytest.mark.parametrize("extent", [7, 8])
@pytest.mark.parametrize("padding", [Same(), Same(extra_after=False)])
def test_same_of_unknown_extents(padding: Same, extent: int, tmp_path: Path) -> None:
    path = agree(build(conv(padding, strides=2), WEIGHT, extent=h), tmp_path, extent)
    assert attributes(path)["auto_pad"] == (b"SAME_UPPER" if padding.extra_after else b"SAME_LOWER")
    average = ops.AveragePool(
        kernel=(3, 3), strides=(2, 2), dilations=(1, 1), padding=padding, layout=Layout.NCHW
    )
    agree(build(average, extent=h), tmp_path, extent)


def test_same_without_strides_does_not_ask_for_extents(tmp_path: Path) -> None:
    path = agree(build(conv(Same(), dilations=2), WEIGHT, extent=h), tmp_path, 7)
    assert attributes(path)["pads"] == [2, 2, 2, 2]


def test_same_with_strides_and_dilations_needs_extents() -> None:
    graph = build(conv(Same(), strides=2, dilations=2), WEIGHT, extent=h)
    reason = obstacle(graph.outputs[0].producer)
    assert (
        reason == "SAME padding with strides and dilations needs known extents: runtimes refuse auto_pad then"
    )


def test_negative_pads_are_cropped_beforehand(tmp_path: Path) -> None:
    path = agree(build(conv(Explicit(((-1, 2), (0, -2)))), WEIGHT, BIAS), tmp_path)
    assert kinds(path) == ["Pad", "Conv"]


@pytest.mark.parametrize(
    ("padding", "output_padding", "nodes"),
    [
        (Explicit(((1, 1), (0, 2))), 1, ["ConvTranspose"]),
        (Same(), 0, ["ConvTranspose"]),
        (Same(extra_after=False), 0, ["ConvTranspose"]),
        (Explicit(((0, -1), (1, 0))), 0, ["ConvTranspose"]),
        (Explicit(((0, -3), (1, 0))), 0, ["ConvTranspose", "Pad", "Unsqueeze", "Add"]),
        (Explicit(((-1, 0), (0, -1))), 0, ["ConvTranspose", "Pad", "Unsqueeze", "Add"]),
    ],
)
@pytest.mark.parametrize("kernel", [1, 3])
def test_transposed_crops_and_growth(
    padding: Padding, output_padding: int, nodes: list[str], kernel: int, tmp_path: Path
) -> None:
    weight = np.ascontiguousarray(WEIGHT[:, :, :kernel, :kernel])
    path = agree(build(transposed(padding, output_padding), weight, BIAS), tmp_path)
    assert kinds(path) == nodes


def test_growth_without_a_bias(tmp_path: Path) -> None:
    path = agree(build(transposed(Explicit(((-1, 0), (0, -1)))), WEIGHT), tmp_path)
    assert kinds(path) == ["ConvTranspose", "Pad"]


@pytest.mark.parametrize("count", [False, True])
@pytest.mark.parametrize("pads", [((1, 1), (1, 1)), ((1, 1), (0, 0)), ((0, 1), (1, 0))])
@pytest.mark.parametrize("stride", [2, 3])
def test_average_pooling_rounded_up(
    count: bool, pads: tuple[tuple[int, int], ...], stride: int, tmp_path: Path
) -> None:
    for extent in (6, 7, 8, 9):
        op = ops.AveragePool(
            kernel=(2, 3),
            strides=(stride, stride),
            dilations=(1, 1),
            padding=Explicit(pads),
            ceil=True,
            count_include_pad=count,
            layout=Layout.NCHW,
        )
        agree(build(op, extent=extent), tmp_path, extent)


def test_rounding_up_that_changes_nothing_is_left_out(tmp_path: Path) -> None:
    def pool(extent: int) -> Path:
        op = ops.MaxPool(
            kernel=(3, 3),
            strides=(2, 2),
            dilations=(1, 1),
            padding=Explicit.zero(2),
            ceil=True,
            layout=Layout.NCHW,
        )
        return agree(build(op, extent=extent), tmp_path, extent)

    assert "ceil_mode" not in attributes(pool(9))
    assert attributes(pool(8))["ceil_mode"] == 1


@pytest.mark.parametrize(
    ("op", "kind"),
    [
        (ops.ReduceMean(axes=(2, 3), keepdims=True), "GlobalAveragePool"),
        (ops.ReduceMax(axes=(3, 2), keepdims=True), "GlobalMaxPool"),
        (ops.ReduceMean(axes=(2, 3), keepdims=False), "ReduceMean"),
        (ops.ReduceMean(axes=(1, 2), keepdims=True), "ReduceMean"),
    ],
)
def test_global_pooling(op: Op, kind: str, tmp_path: Path) -> None:
    assert kinds(agree(build(op), tmp_path)) == [kind]


@pytest.mark.parametrize("opset", [11, 17, 21])
def test_zeros_in_front_of_a_max_pool_stay_zeros(opset: int, tmp_path: Path) -> None:
    """ONNX Runtime takes a Pad into the pool behind it, whose own padding is less than all numbers."""
    graph = Graph("g")
    b = Builder(graph)
    x = b(ops.Neg(), b(ops.Abs(), graph.input("x", TensorType(dtypes.F32, (2, 4, 9, 9)))))
    padded = b(ops.Pad(pads=((0, 0), (0, 0), (1, 1), (1, 1)), mode="constant"), x)
    pool = ops.MaxPool(
        kernel=(3, 3), strides=(2, 2), dilations=(1, 1), padding=Explicit.zero(2), layout=Layout.NCHW
    )
    graph.set_outputs([b(pool, padded)], ["y"])
    agree(graph, tmp_path, opset=opset)
