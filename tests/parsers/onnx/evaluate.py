"""A plain evaluator of IR graphs: node by node, every inferred type held against what is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mmconvert.ir.check import check
from mmconvert.ir.dims import Dim, Extent, substitute
from mmconvert.ir.graph import Graph, Value, is_op
from mmconvert.ir.ops import ReadExtents
from mmconvert.ir.types import Array


def evaluate(graph: Graph, feeds: Mapping[str, Array]) -> list[Array]:
    """The outputs of ``graph``; a wrong inferred type is an assertion error."""
    check(graph)
    bindings: dict[str, int] = {}
    arrays: dict[Value, Array] = {}
    for value in graph.inputs:
        arrays[value] = np.asarray(feeds[value.name])
        _hold(value, arrays[value], bindings)
    for value in graph.constants():
        assert value.constant is not None
        arrays[value] = value.constant.numpy()
        _hold(value, arrays[value], bindings)
    for node in graph:
        operands = [None if v is None else arrays[v] for v in node.inputs]
        with np.errstate(all="ignore"):
            results = node.op.bind(bindings).evaluate(*operands)
        for value, array in zip(
            node.outputs, results if isinstance(results, tuple) else (results,), strict=True
        ):
            arrays[value] = np.asarray(array)
            _hold(value, arrays[value], bindings)
        if is_op(node, ReadExtents):
            names = zip(node.op.names, arrays[node.output].reshape(-1), strict=True)
            bindings |= {e.name: int(n) for e, n in names if isinstance(e, Dim) and e.name}
    return [arrays[value] for value in graph.outputs]


def _hold(value: Value, array: Array, bindings: dict[str, int]) -> None:
    assert value.type.dtype == array.dtype, f"{value!r} became {array.dtype}"
    assert len(value.type.shape) == array.ndim, f"{value!r} became {array.shape}"
    for extent, actual in zip(value.type.shape, array.shape, strict=True):
        if isinstance(extent, Dim) and extent.name is not None:
            bindings.setdefault(extent.name, actual)
    shape: Sequence[Extent] = [substitute(e, bindings) for e in value.type.shape]
    assert list(shape) == list(array.shape), f"{value!r} became {array.shape}"


def assert_close(actual: Array, expected: Array, *, rtol: float = 2e-5, what: str = "") -> None:
    """Same type and shape, and numbers that differ by no more than float32 arithmetic does.

    The error is measured against the largest number of the output: where numbers cancel, the small ones
    are worth no more than the big ones they came from.
    """
    expected = np.asarray(expected)
    assert actual.dtype == expected.dtype, f"{what}: {actual.dtype} instead of {expected.dtype}"
    assert actual.shape == expected.shape, f"{what}: {actual.shape} instead of {expected.shape}"
    if expected.dtype.kind in "iub":
        assert np.array_equal(actual, expected), f"{what}: {actual} instead of {expected}"
        return
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    a, b = actual.astype(wide), expected.astype(wide)
    assert np.array_equal(np.isnan(a), np.isnan(b)), f"{what}: NaN at other places"
    infinite = np.isinf(b)
    assert np.array_equal(a[infinite], b[infinite]), f"{what}: infinities at other places"
    finite = ~infinite & ~np.isnan(b)
    if finite.any():
        scale = max(float(np.abs(b[finite]).max()), 1e-6)
        error = float(np.abs(a[finite] - b[finite]).max()) / scale
        assert error <= rtol, f"{what}: an error of {error:.2e}"
