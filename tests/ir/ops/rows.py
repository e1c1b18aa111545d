"""What the tests of the operators do with a row of the case tables."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import settings

from mmconvert import dtypes
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.op import ControlOp, Op
from mmconvert.ir.types import Array, TensorType
from tests.cases.case import Case

quick = settings(deadline=None, max_examples=50)
"""What a property test can afford on a busy machine."""

TOLERANCES = {dtypes.F64: 1e-12, dtypes.F32: 4e-6, dtypes.F16: 4e-3, dtypes.BF16: 3e-2}
"""How far a result may be off, in relation to the largest element."""


def operands(case: Case) -> list[Array | None]:
    """The operands of the row, read-only."""
    graph, feeds = case.build()
    (node,) = graph
    return [None if v is None else frozen(_array(v, feeds)) for v in node.inputs]


def _array(value: Value, feeds: dict[str, Array]) -> Array:
    return feeds[value.name] if value.constant is None else value.constant.numpy()


def frozen(array: Array) -> Array:
    """A read-only view."""
    view = array.view()
    view.flags.writeable = False
    return view


def widened(arrays: Sequence[Array | None]) -> list[Array | None]:
    """Floats as float64, the way in which the oracle runs a graph."""
    return [frozen(a.astype(np.float64)) if a is not None and dtypes.is_float(a.dtype) else a for a in arrays]


def evaluate(op: Op, arrays: Sequence[Array | None]) -> tuple[Array, ...]:
    """The outputs of ``op``; a warning of numpy's is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        found = op.execute(_run, *arrays) if isinstance(op, ControlOp) else op.evaluate(*arrays)
    return found if isinstance(found, tuple) else (found,)


def _run(graph: Graph, inputs: Sequence[Array | None]) -> list[Array]:
    """The outputs of a sub-graph."""
    values: dict[Value, Array | None] = dict(zip(graph.inputs, inputs, strict=True))

    def find(value: Value | None) -> Array | None:
        return None if value is None else values[value] if value.constant is None else value.constant.numpy()

    for node in graph:
        values.update(zip(node.outputs, evaluate(node.op, [find(v) for v in node.inputs]), strict=True))
    return [array for v in graph.outputs if (array := find(v)) is not None]


def infer(op: Op, arrays: Sequence[Array | None]) -> tuple[TensorType, ...]:
    """The output types of ``op`` over operands like ``arrays``."""
    found = op.infer(*(None if a is None else TensorType(a.dtype, a.shape) for a in arrays))
    return found if isinstance(found, tuple) else (found,)


def assert_same(found: Array, wanted: Array, tolerance: float | None = None) -> None:
    """Fails unless types agree, whole numbers are equal, and floats are as near as their type allows."""
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    if not dtypes.is_float(wanted.dtype):
        np.testing.assert_array_equal(found, wanted)
        return
    if tolerance is None:
        tolerance = TOLERANCES[wanted.dtype]
    finite = np.abs(wanted[np.isfinite(wanted)]).astype(np.float64)
    limit = tolerance * max(float(finite.max(initial=0.0)), 1e-30)
    np.testing.assert_allclose(found.astype(np.float64), wanted.astype(np.float64), rtol=0, atol=limit)


def assert_oracle(case: Case, oracle: Callable[..., Any], tolerance: float | None = None) -> None:
    """Fails unless the operator computes what ``oracle`` does, in float64 and in the types of the row.

    ``oracle`` takes the operands in float64 and returns one array, or a tuple of them.
    """
    arrays = operands(case)
    wide = widened(arrays)
    answer = oracle(*wide)
    truth = [np.asarray(t) for t in (answer if isinstance(answer, tuple) else (answer,))]
    for found, wanted in zip(evaluate(case.op, wide), truth, strict=True):
        assert_same(found, wanted.astype(found.dtype), tolerance)
    for found, wanted in zip(evaluate(case.op, arrays), truth, strict=True):
        assert_same(found, wanted.astype(found.dtype))
