"""Weights rounded to float16 or to integers: which, how, and which not."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Explicit
from mmconvert.ir.graph import Graph
from mmconvert.ir.types import Layout, TensorType
from mmconvert.passes import pipeline
from mmconvert.passes.store_weights_as_float16 import SMALLEST, store_weights_as_float16
from mmconvert.passes.store_weights_as_integers import BLOCK, store_weights_as_integers
from mmconvert.tensors import Tensor

ROWS = 32
NOISE = np.random.default_rng(3).standard_normal((ROWS, ROWS)).astype(np.float32)


def product(*weights: Any) -> Graph:
    graph = Graph("product")
    b = Builder(graph)
    x = graph.input("x", TensorType(dtypes.F32, (2, ROWS)))
    for number, weight in enumerate(weights):
        x = b(ops.MatMul(), x, b.constant(weight, name=f"w{number}"), name=f"dense{number}")
    graph.set_outputs([x], ["y"])
    return graph


def weights(graph: Graph) -> list[Tensor]:
    return [v.constant for node in graph for v in node.inputs if v is not None and v.constant is not None]


def test_weights_are_rounded() -> None:
    graph = product(NOISE)
    assert store_weights_as_float16()(graph).done == 1
    (weight,) = weights(graph)
    half = NOISE.astype(np.float16)
    assert weight.stored is not None
    np.testing.assert_array_equal(weight.stored.numpy(), half)
    np.testing.assert_array_equal(weight.numpy(), half.astype(np.float32))
    assert weight.dtype == dtypes.F32
    assert store_weights_as_float16()(graph).done == 0


def test_what_moves_a_weight_moves_what_is_stored() -> None:
    half = Tensor.of(NOISE[:, :8].astype(np.float16))
    moved = half.cast(dtypes.F32).transpose((1, 0)).reshape((4, 2, ROWS))
    assert moved.stored is not None
    assert (moved.stored.dtype, moved.stored.shape) == (dtypes.F16, (4, 2, ROWS))
    np.testing.assert_array_equal(moved.stored.numpy(), moved.numpy())
    assert moved.map(lambda array: array * 2).stored is None


def test_one_tensor_stays_one() -> None:
    shared = Tensor.of(NOISE)
    graph = product(shared, shared)
    store_weights_as_float16()(graph)
    first, second = weights(graph)
    assert first is second


def test_few_elements_stay() -> None:
    graph = Graph()
    b = Builder(graph)
    x = graph.input("x", TensorType(dtypes.F32, (SMALLEST - 1,)))
    graph.set_outputs([b(ops.Add(), x, b.constant(np.ones(SMALLEST - 1, np.float32)))], ["y"])
    assert store_weights_as_float16()(graph).done == 0


@pytest.mark.parametrize(
    ("factor", "reason"),
    [
        (1e5, r"elements up to [34]\S*e\+05 are more than float16 holds"),
        (1e-7, r"float16 has few digits for elements up to [34]\S*e-07"),
    ],
)
def test_what_does_not_fit_stays(factor: float, reason: str) -> None:
    graph = product(NOISE * np.float32(factor), NOISE)
    outcome = store_weights_as_float16()(graph)
    assert outcome.done == 1
    ((place, why),) = outcome.declined
    assert place.startswith("the weight w0 of ")
    assert re.search(reason, why)
    kept, rounded = weights(graph)
    np.testing.assert_array_equal(kept.numpy(), NOISE * np.float32(factor))
    assert kept.stored is None
    assert rounded.stored is not None


def test_marks_without_an_end_are_no_overflow() -> None:
    mask = NOISE.copy()
    mask[0, 0] = -np.inf
    graph = product(mask)
    assert store_weights_as_float16()(graph).done == 1
    assert weights(graph)[0].numpy()[0, 0] == -np.inf


def test_other_types_stay() -> None:
    graph = Graph()
    b = Builder(graph)
    x = graph.input("x", TensorType(dtypes.F64, (2, ROWS)))
    graph.set_outputs([b(ops.MatMul(), x, b.constant(NOISE.astype(np.float64)))], ["y"])
    assert store_weights_as_float16()(graph).done == 0


def test_a_weight_that_a_file_widens_is_known_as_such() -> None:
    graph = Graph()
    b = Builder(graph)
    x = graph.input("x", TensorType(dtypes.F32, (2, ROWS)))
    wide = b(ops.Cast(to=dtypes.F32), b.constant(NOISE.astype(np.float16)))
    graph.set_outputs([b(ops.MatMul(), x, wide)], ["y"])
    pipeline.optimize(graph)
    (weight,) = weights(graph)
    assert weight.stored is not None
    assert weight.stored.dtype == dtypes.F16


@pytest.mark.parametrize(("bits", "most"), [(8, 127), (4, 8)])
def test_integers_times_scales(bits: int, most: int) -> None:
    """A column of the matrix is a filter; each weight is off by half of a unit at the most."""
    wide = np.random.default_rng(5).standard_normal((4 * BLOCK, ROWS)).astype(np.float32)
    wide[:, 3] = 0
    wide[:BLOCK, 5] *= 100
    graph = Graph("product")
    b = Builder(graph)
    x = graph.input("x", TensorType(dtypes.F32, (2, 4 * BLOCK)))
    graph.set_outputs([b(ops.MatMul(), x, b.constant(wide))], ["y"])
    assert store_weights_as_integers(bits)(graph).done == 1
    (weight,) = weights(graph)
    assert weight.stored is not None
    assert weight.scale is not None
    whole, scale = weight.stored.numpy().astype(np.float32), weight.scale.numpy()
    np.testing.assert_array_equal(weight.numpy(), whole * scale)
    blocks = (1, 4 * BLOCK, ROWS) if bits == 8 else (4, BLOCK, ROWS)
    assert all(np.ptp(scale.reshape(blocks), axis=1).reshape(-1) == 0)
    # The largest of either side becomes an end; where that is the shorter side, it may be off by a unit.
    margin = 0.5 if bits == 8 else 1
    assert (np.abs(wide - weight.numpy()) <= margin * np.abs(scale) * 1.0001).all()
    assert np.mean(np.abs(wide - weight.numpy()) / np.abs(scale)) < 0.3
    np.testing.assert_array_equal(np.abs(whole.reshape(blocks)).max(axis=1)[:, [0, 1, 5]], most)
    assert not whole[:, 3].any()
    assert store_weights_as_integers(bits)(graph).done == 0


def test_what_moves_a_weight_moves_its_scale() -> None:
    graph = product(NOISE * np.arange(1, ROWS + 1, dtype=np.float32))
    store_weights_as_integers(8)(graph)
    (weight,) = weights(graph)
    moved = weight.transpose((1, 0)).reshape((4, 8, ROWS))
    assert moved.stored is not None
    assert moved.scale is not None
    np.testing.assert_array_equal(moved.stored.numpy() * moved.scale.numpy(), moved.numpy())


def test_not_every_weight_becomes_integers() -> None:
    """Transposed convolutions, what is not finite, and what is small or no weight of a product."""
    spoilt = NOISE.copy()
    spoilt[3, 4] = np.inf
    graph = product(spoilt, NOISE[:, :16], NOISE[:16, :16])
    b = Builder(graph)
    plain = {"strides": (1, 1), "dilations": (1, 1), "padding": Explicit.zero(2), "layout": Layout.NCHW}
    image = graph.input("image", TensorType(dtypes.F32, (1, ROWS, 4, 4)))
    kernel = b.constant(NOISE.reshape(ROWS, ROWS, 1, 1), name="kernel")
    turned = b(ops.ConvTranspose(output_padding=(0, 0), **plain), image, kernel)
    summed = b(ops.Add(), turned, np.ones((1, ROWS, 8, 8), np.float32)[:, :, :4, :4])
    graph.set_outputs([*graph.outputs, summed], ["y", "z"])
    outcome = store_weights_as_integers(8)(graph)
    assert outcome.done == 0
    reasons = [reason for _, reason in outcome.declined]
    assert len(reasons) == 2
    assert "not finite" in reasons[0]
    assert "transposed" in reasons[1]
