from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.errors import InferenceError, InvalidModelError
from mmconvert.ir import dims
from mmconvert.ir.dims import Dim, Extent
from mmconvert.ir.op import Op
from mmconvert.ir.ops import (
    Gather,
    GatherElements,
    GatherND,
    NonZero,
    OneHot,
    ScatterElements,
    ScatterND,
    Slice,
    Trilu,
    UpdateSlice,
)
from mmconvert.ir.types import Array, TensorType
from tests.cases.case import Case
from tests.cases.indexing import CASES
from tests.ir.ops.onnx_oracle import operands, run_node

N, H = Dim.symbol("n"), Dim.symbol("h")


def integers(*values: Extent) -> Array:
    return np.array(values, dtype=np.int64)


def spelled(op: Op, x: list[Array]) -> tuple[list[Array], dict[str, Any]]:
    """The inputs and attributes of an operator in ONNX; all of these have ONNX's name."""
    match op:
        case Slice(axes=axes, starts=starts, sizes=sizes, steps=steps):
            ends = [start + size * step for start, size, step in zip(starts, sizes, steps, strict=True)]
            ends = [end if end >= 0 else -(1 << 40) for end in dims.numbers(ends)]
            return [*x, integers(*starts), integers(*ends), integers(*axes), integers(*steps)], {}
        case Gather(axis=axis) | GatherElements(axis=axis):
            return x, {"axis": axis}
        case GatherND(batch_dims=batch_dims):
            return [x[0], x[1].astype(np.int64)], {"batch_dims": batch_dims}
        case ScatterElements(axis=axis, reduction=reduction):
            return x, {"axis": axis, "reduction": reduction}
        case ScatterND(reduction=reduction):
            return x, {"reduction": reduction}
        case OneHot(depth=depth, axis=axis):
            return [x[0].astype(np.int64), integers(depth), np.stack(x[1:])], {"axis": axis}
        case Trilu(k=k, upper=upper):
            return [*x, np.array(k, dtype=np.int64)], {"upper": int(upper)}
    return x, {}


# ONNX Runtime has no OneHot of a scalar, nor of this pair of types.
LACKING = ("OneHot/scalar", "OneHot/i32")
JUDGED = [c for c in CASES if c.name not in LACKING and not isinstance(c.op, UpdateSlice)]
"""What ONNX has; LiteRT judges UpdateSlice, with the other operators that are written for it."""


@pytest.mark.parametrize("case", JUDGED, ids=str)
def test_operators_are_onnx_runtimes(case: Case) -> None:
    arrays = operands(case)
    inputs, attributes = spelled(case.op, arrays)
    (expected,) = run_node(case.op.name, inputs, attributes=attributes)
    found = case.op.evaluate(*arrays)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def typed(*shape: Extent, dtype: str = "f32") -> TensorType:
    return TensorType(dtypes.BY_NAME[dtype], shape)


def index(*shape: Extent) -> TensorType:
    return typed(*shape, dtype="i64")


def sliced(start: Extent, size: Extent, step: int = 1) -> Slice:
    return Slice(axes=(0,), starts=(start,), sizes=(size,), steps=(step,))


@pytest.mark.parametrize(
    ("op", "types", "expected"),
    [
        (sliced(1, N - 1), [typed(N, H)], "f32[n-1,h]"),
        (sliced(N - 1, N, -1), [typed(N)], "f32[n]"),
        (Gather(axis=1), [typed(N, 4, H), index(2, N)], "f32[n,2,n,h]"),
        (GatherElements(axis=1), [typed(N, 4), index(N, H)], "f32[n,h]"),
        (GatherND(), [typed(N, 4, H), index(N, 2)], "f32[n,h]"),
        (GatherND(batch_dims=1), [typed(N, 4, H), index(N, 7, 1)], "f32[n,7,h]"),
        (ScatterElements(axis=0), [typed(N, 4), index(H, 4), typed(H, 4)], "f32[n,4]"),
        (ScatterND(), [typed(N, 4, H), index(3, 1), typed(3, 4, H)], "f32[n,4,h]"),
        (OneHot(depth=H, axis=1), [index(N, 2), typed(), typed()], "f32[n,h,2]"),
        (Trilu(k=0, upper=True), [typed(N, H)], "f32[n,h]"),
        (NonZero(count=H), [typed(N, 3)], "i64[2,h]"),
    ],
    ids=str,
)
def test_extents_may_be_symbols(op: Op, types: list[TensorType], expected: str) -> None:
    assert str(op.infer(*types)) == expected


@pytest.mark.parametrize(
    ("op", "types", "message"),
    [
        (
            Slice(axes=(0,), starts=(0,), sizes=(1, 1), steps=(1,)),
            [typed(4)],
            "one start, size and non-zero step",
        ),
        (sliced(0, 2, 0), [typed(4)], "one start, size and non-zero step"),
        (Slice(axes=(0, 0), starts=(0, 0), sizes=(1, 1), steps=(1, 1)), [typed(4)], "an axis is named twice"),
        (sliced(2, 3), [typed(4)], "an axis with an element 4"),
        (sliced(-1, 1), [typed(4)], "an axis with an element -1"),
        (sliced(4, 1, -1), [typed(4)], "an axis with an element 4"),
        (sliced(1, 3, -1), [typed(4)], "an axis with an element -1"),
        (sliced(1, -1), [typed(4)], "a size of -1 is not possible"),
        (sliced(1, N), [typed(N)], "an axis with an element n"),
        (Gather(axis=2), [typed(4, 4), index(1)], "there is no axis 2"),
        (Gather(axis=0), [typed(4), typed(1)], "an integer tensor"),
        (GatherElements(axis=0), [typed(4, 4), index(1)], "rank 2"),
        (GatherElements(axis=0), [typed(4, 4), index(9, 5)], "indices no larger than"),
        (GatherND(), [typed(4, 4), index(2, 3)], "index tuples of 1 to 2 positions"),
        (GatherND(), [typed(4, 4), index(2, N)], "index tuples of 1 to 2 positions"),
        (GatherND(batch_dims=1), [typed(4, 4), index(1)], "a rank above 1"),
        (GatherND(batch_dims=1), [typed(4, 4), index(3, 1)], "the batch axes of"),
        (ScatterElements(axis=0), [typed(4), index(2), typed(3)], "updates of shape"),
        (ScatterElements(axis=0), [typed(4), index(2), typed(2, dtype="f64")], "updates of shape"),
        (ScatterND(), [typed(4, 2), index(3, 1), typed(3)], "updates of shape"),
        (OneHot(depth=3, axis=2), [index(2), typed(), typed()], "room for a new axis 2"),
        (OneHot(depth=3, axis=0), [index(2), typed(1), typed()], "rank 0"),
        (OneHot(depth=3, axis=0), [index(2), typed(), index()], "a scalar like"),
        (Trilu(k=0, upper=True), [typed(3)], "a matrix"),
        (NonZero(count=N), [typed()], "an axis"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(op: Op, types: list[TensorType], message: str) -> None:
    with pytest.raises(InferenceError, match=message):
        op.infer(*types)


@pytest.mark.parametrize(
    ("op", "arrays"),
    [
        (Gather(axis=0), [np.zeros(3), integers(3)]),
        (Gather(axis=0), [np.zeros(3), integers(-4)]),
        (GatherElements(axis=0), [np.zeros(3), integers(0, 3)]),
        (GatherND(), [np.zeros(3), integers(-4).reshape(1, 1)]),
        (ScatterND(), [np.zeros(3), integers(3).reshape(1, 1), np.ones(1)]),
        (ScatterElements(axis=0), [np.zeros(3), integers(7), np.ones(1)]),
    ],
    ids=str,
)
def test_an_index_outside_is_an_error(op: Op, arrays: list[Array]) -> None:
    with pytest.raises(InvalidModelError, match="is outside an axis of 3"):
        op.evaluate(*arrays)


def test_a_symbolic_slice_that_turns_out_too_long_is_an_error() -> None:
    op = sliced(0, N)
    assert op.bind({"n": 3}).evaluate(np.arange(4)).tolist() == [0, 1, 2]
    with pytest.raises(InvalidModelError, match="a slice of 5 from 0 by 1 does not lie inside an axis of 4"):
        op.bind({"n": 5}).evaluate(np.arange(4))


def test_unsigned_indices_and_narrow_ones() -> None:
    x = np.arange(300)
    assert Gather(axis=0).evaluate(x, np.array([200, 255], dtype=np.uint8)).tolist() == [200, 255]
    hot = OneHot(depth=300, axis=0).evaluate(np.array(255, dtype=np.uint8), np.array(0.0), np.array(1.0))
    assert np.flatnonzero(hot).tolist() == [255]


def test_one_hot_by_hand() -> None:
    off, on = np.array(0, np.int32), np.array(5, np.int32)
    assert OneHot(depth=3, axis=0).evaluate(np.array(2), off, on).tolist() == [0, 0, 5]
    found = OneHot(depth=2, axis=0).evaluate(integers(1, -1, -2, -3, 2), off, on)
    assert found.tolist() == [[0, 0, 5, 0, 0], [5, 5, 0, 0, 0]]


def test_nothing_is_gathered_from_nothing() -> None:
    assert Gather(axis=0).evaluate(np.zeros((0, 2)), integers()).shape == (0, 2)


def test_scatter_leaves_its_operand_alone() -> None:
    x = np.zeros(3)
    assert ScatterND(reduction="add").evaluate(x, integers(1, 1).reshape(2, 1), np.ones(2)).tolist() == [
        0,
        2,
        0,
    ]
    assert x.tolist() == [0, 0, 0]
