"""What TFLite can express, asked node by node."""

from __future__ import annotations

import pytest

from mmconvert import dtypes
from mmconvert.emitters.tflite.constraints import obstacle
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim
from mmconvert.ir.graph import Graph
from mmconvert.ir.op import Op
from mmconvert.ir.types import TensorType
from mmconvert.passes.legalize import legalize


def reason(op: Op, *types: TensorType) -> str | None:
    graph = Graph()
    values = [graph.input(f"x{i}", type) for i, type in enumerate(types)]
    return obstacle(graph.add(op, values))


MATRIX = TensorType(dtypes.F32, (2, 3))


@pytest.mark.parametrize(
    ("op", "types", "expected"),
    [
        (ops.Neg(), (MATRIX,), None),
        (ops.Neg(), (MATRIX.with_dtype(dtypes.F16),), None),
        (ops.Sin(), (MATRIX.with_dtype(dtypes.F64),), "TFLite's SIN has no f64"),
        (ops.CumProd(axis=0), (MATRIX,), "TFLite has no CumProd"),
        (ops.Elu(alpha=2.0), (MATRIX,), "TFLite's ELU has no alpha of 2.0"),
        (ops.LeakyRelu(alpha=2.0), (MATRIX,), "TFLite's LEAKY_RELU has no slope above 1"),
        (ops.L2Normalization(axes=(0,), epsilon=1e-12), (MATRIX,), "TFLite normalizes the last axis"),
        (ops.Pad(pads=((-1, 0), (0, 0))), (MATRIX,), "TFLite's padding takes no elements away"),
        (ops.Reshape(shape=(3, 2)), (MATRIX.with_dtype(dtypes.U64),), "TFLite's RESHAPE has no u64"),
        (ops.Identity(), (MATRIX.with_dtype(dtypes.BY_NAME["f8e5m2"]),), "no f8e5m2"),
    ],
)
def test_obstacle(op: Op, types: tuple[TensorType, ...], expected: str | None) -> None:
    found = reason(op, *types)
    assert found == expected or (expected is not None and found is not None and expected in found)


def test_unknown_extents_are_no_obstacle_where_they_can_be_computed() -> None:
    n, m = Dim.symbol("n"), Dim.symbol("m")
    assert reason(ops.Reshape(shape=(m, n)), TensorType(dtypes.F32, (n, m))) is None


def test_asking_changes_nothing() -> None:
    graph = Graph()
    x = graph.input("x", MATRIX)
    graph.set_outputs([Builder(graph)(ops.Softmax(axis=0), x)], ["y"])
    before = str(graph)
    assert [obstacle(node) for node in graph] == [None]
    assert str(graph) == before


def test_what_tflite_lacks_is_decomposed() -> None:
    graph = Graph()
    x = graph.input("x", MATRIX)
    graph.set_outputs([Builder(graph)(ops.Mish(), x)], ["y"])
    assert legalize(graph, obstacle, "TFLite").done >= 1
    assert not [node for node in graph if obstacle(node)]
