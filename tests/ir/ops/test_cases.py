"""What every operator must satisfy, over every row of the case tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.check import check
from mmconvert.ir.graph import Graph, Node, Value
from mmconvert.ir.op import OPERATORS, ControlOp, Op
from mmconvert.ir.types import Array, TensorType
from tests.cases import ALL, FAMILIES
from tests.cases.case import Case
from tests.ir.ops.rows import assert_same, evaluate, frozen, infer, operands, widened


def each_case(test: Callable[[Case], None]) -> Callable[[Case], None]:
    return pytest.mark.parametrize("case", ALL, ids=str)(test)


def decompose(op: Op, arrays: Sequence[Array | None], constant: Sequence[bool]) -> tuple[Array, ...] | None:
    """What the operator's decomposition computes, node by node; None where it has none."""
    graph = Graph()
    b = Builder(graph)
    values: list[Value | None] = []
    known: dict[Value, Array] = {}
    for index, (array, fixed) in enumerate(zip(arrays, constant, strict=True)):
        if array is None:
            values.append(None)
            continue
        like = TensorType(array.dtype, array.shape)
        value = b.constant(array) if fixed else graph.input(f"x{index}", like)
        values.append(value)
        known[value] = array
    found = op.decompose(b, *values)
    if found is None:
        return None
    outputs = found if isinstance(found, tuple) else (found,)
    graph.set_outputs(outputs, [f"y{i}" for i in range(len(outputs))])
    check(graph)
    for node in graph:
        run(node, known)
    assert tuple(v.type for v in outputs) == infer(op, arrays)
    return tuple(known[v] for v in outputs)


def run(node: Node[Op], known: dict[Value, Array]) -> None:
    inputs = [None if v is None else known[v] if v in known else constant(v) for v in node.inputs]
    with np.errstate(all="ignore"):
        results = evaluate(node.op, inputs)
    known.update(zip(node.outputs, results if isinstance(results, tuple) else (results,), strict=True))


def constant(value: Value) -> Array:
    assert value.constant is not None
    return value.constant.numpy()


@each_case
def test_infer_gives_the_type_that_evaluate_returns(case: Case) -> None:
    arrays = operands(case)
    for wanted, found in zip(infer(case.op, arrays), evaluate(case.op, arrays), strict=True):
        assert isinstance(found, np.ndarray)
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.static_shape)


@each_case
def test_float64_stays_float64_and_is_close_to_float32(case: Case) -> None:
    arrays = operands(case)
    wide = widened(arrays)
    for inferred, narrow, found in zip(
        infer(case.op, wide), evaluate(case.op, arrays), evaluate(case.op, wide), strict=True
    ):
        assert (found.dtype, found.shape) == (inferred.dtype, inferred.static_shape)
        assert_same(found.astype(narrow.dtype), narrow)


@each_case
def test_decomposition_computes_the_same(case: Case) -> None:
    fixed = [item is not None and item.constant for item in case.inputs]
    arrays = operands(case)
    for some in (arrays, widened(arrays)):
        found = decompose(case.op, some, fixed)
        if found is not None:
            for one, wanted in zip(found, evaluate(case.op, some), strict=True):
                assert_same(one, wanted)


@each_case
def test_operands_may_be_views(case: Case) -> None:
    """Operands that are not contiguous give the same numbers; all are read-only, so none is changed."""
    arrays = operands(case)
    views = [None if a is None else spread(a) for a in arrays]
    for found, wanted in zip(evaluate(case.op, views), evaluate(case.op, arrays), strict=True):
        assert_same(found, wanted)


def spread(array: Array) -> Array:
    """A read-only view with the numbers of ``array`` and gaps between them."""
    holder = np.zeros(tuple(2 * e for e in array.shape), dtype=array.dtype)
    every_other: tuple[Any, ...] = (*(slice(None, None, 2) for _ in array.shape), ...)
    view = holder[every_other]
    view[...] = array
    return frozen(view)


@pytest.mark.parametrize("wrong", [lambda y: y * (1 + 1e-5), lambda y: np.roll(y, 1), lambda y: y[:-1]])
def test_the_comparison_notices(wrong: Callable[[Array], Array]) -> None:
    y = np.linspace(1, 2, 7, dtype=np.float32)
    assert_same(y * np.float32(1 + 1e-7), y)
    with pytest.raises(AssertionError):
        assert_same(wrong(y), y)


def operators() -> dict[str, type[Op]]:
    """The operators of the package ``ir.ops``."""
    return {n: cls for n, cls in OPERATORS.items() if cls.__module__.startswith(f"{ops.__name__}.")}


def test_every_operator_has_a_row() -> None:
    rows = {case.op.name for case in ALL}
    assert {name for name, cls in operators().items() if not issubclass(cls, ControlOp)} == rows


def test_every_operator_is_exported() -> None:
    assert set(operators()) <= set(ops.__all__)
    assert all(getattr(ops, name) is cls for name, cls in operators().items())


@pytest.mark.parametrize("family", FAMILIES)
def test_names_are_unique_and_start_with_the_operator(family: str) -> None:
    names = [case.name for case in FAMILIES[family]]
    assert len(set(names)) == len(names)
    assert all(case.name.startswith(f"{case.op.name}/") for case in FAMILIES[family])
