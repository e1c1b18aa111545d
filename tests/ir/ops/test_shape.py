from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.errors import InferenceError, InvalidModelError
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim, Extent
from mmconvert.ir.graph import Graph, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import (
    BatchToSpace,
    Concat,
    DepthToSpace,
    Expand,
    Fill,
    Gather,
    Range,
    Reshape,
    Reverse,
    Shape,
    Slice,
    SpaceToBatch,
    SpaceToDepth,
    Split,
    Squeeze,
    Tile,
    Transpose,
    Unsqueeze,
)
from mmconvert.ir.types import Array, Layout, TensorType
from tests.cases.case import Case
from tests.cases.shape import CASES
from tests.ir.ops.onnx_oracle import fields, operands, run_node

N, H = Dim.symbol("n"), Dim.symbol("h")


def integers(*values: Extent) -> Array:
    return np.array(values, dtype=np.int64)


def spelled(op: Op, x: list[Array]) -> tuple[str, list[Array], dict[str, Any]] | None:
    """ONNX's name, inputs and attributes for an operator; None where ONNX lacks it."""
    match op:
        case Reshape(shape=shape):
            return "Reshape", [*x, integers(*shape)], {"allowzero": 1}
        case Transpose(perm=perm):
            return "Transpose", x, {"perm": perm}
        case Expand(shape=shape):
            return "Expand", [*x, integers(*shape)], {}
        case Squeeze(axes=axes) | Unsqueeze(axes=axes):
            return op.name, [*x, integers(*axes)], {}
        case Concat(axis=axis):
            return "Concat", x, {"axis": axis}
        case Split(axis=axis, sizes=sizes):
            return "Split", [*x, integers(*sizes)], {"axis": axis}
        case Tile(repeats=repeats):
            return "Tile", [*x, integers(*repeats)], {}
        case Reverse(axes=axes):
            first, last = [-1] * len(axes), [-(1 << 40)] * len(axes)
            return "Slice", [*x, integers(*first), integers(*last), integers(*axes), integers(*first)], {}
        case DepthToSpace(block=block, mode=mode, layout=Layout.NCHW):
            return "DepthToSpace", x, {"blocksize": block, "mode": mode}
        case SpaceToDepth(block=block, layout=Layout.NCHW):
            return "SpaceToDepth", x, {"blocksize": block}
        case Shape() | Range():
            return op.name, x, {}
    return None


IN_ONNX = [case for case in CASES if spelled(case.op, []) is not None]


@pytest.mark.parametrize("case", IN_ONNX, ids=str)
def test_operators_are_onnx_runtimes(case: Case) -> None:
    arrays = operands(case)
    found = case.op.evaluate(*arrays)
    results = list(found) if isinstance(found, tuple) else [found]
    kind, inputs, attributes = spelled(case.op, arrays) or ("", [], {})
    for ours, theirs in zip(
        results, run_node(kind, inputs, attributes=attributes, outputs=len(results)), strict=True
    ):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


NHWC_BLOCKS = [
    c for c in CASES if isinstance(c.op, DepthToSpace | SpaceToDepth) and fields(c).layout is Layout.NHWC
]


@pytest.mark.parametrize("case", NHWC_BLOCKS, ids=str)
def test_the_layouts_of_block_operators_agree(case: Case) -> None:
    (x,) = operands(case)
    op = fields(case)
    mode = {"mode": op.mode} if isinstance(op, DepthToSpace) else {}
    (expected,) = run_node(
        op.name, [np.ascontiguousarray(np.moveaxis(x, -1, 1))], attributes={"blocksize": op.block, **mode}
    )
    np.testing.assert_array_equal(np.moveaxis(op.evaluate(x), -1, 1), expected)


def test_space_to_batch_by_hand() -> None:
    # The example of TensorFlow's documentation: every second pixel makes an image.
    x = np.arange(1, 17).reshape(1, 4, 4, 1)
    y = SpaceToBatch(block=(2, 2), pads=((0, 0), (0, 0))).evaluate(x)
    assert y.reshape(4, 4).tolist() == [[1, 3, 9, 11], [2, 4, 10, 12], [5, 7, 13, 15], [6, 8, 14, 16]]
    padded = SpaceToBatch(block=(2,), pads=((1, 0),)).evaluate(np.array([[[1], [2], [3]], [[4], [5], [6]]]))
    assert padded.reshape(4, 2).tolist() == [[0, 2], [0, 5], [1, 3], [4, 6]]


@pytest.mark.parametrize("case", [c for c in CASES if isinstance(c.op, SpaceToBatch)], ids=str)
def test_batch_to_space_is_the_inverse(case: Case) -> None:
    (x,) = operands(case)
    back = BatchToSpace(block=fields(case).block, crops=fields(case).pads)
    np.testing.assert_array_equal(back.evaluate(case.op.evaluate(x)), x)


def test_fill_by_hand() -> None:
    assert Fill(shape=(2, 1), value=3, dtype=dtypes.I32).evaluate().tolist() == [[3], [3]]


def typed(*shape: Extent, dtype: str = "f32") -> TensorType:
    return TensorType(dtypes.BY_NAME[dtype], shape)


@pytest.mark.parametrize(
    ("op", "types", "expected"),
    [
        (Reshape(shape=(N, H * 3)), [typed(N, H, 3)], "f32[n,3*h]"),
        (Reshape(shape=(N, 4)), [typed(H, 2)], "f32[n,4]"),
        (Transpose(perm=(1, 2, 0)), [typed(N, 3, H)], "f32[3,h,n]"),
        (Expand(shape=(N, H)), [typed(1, H)], "f32[n,h]"),
        (Squeeze(axes=(1,)), [typed(N, H)], "f32[n]"),
        (Unsqueeze(axes=(0, 2)), [typed(N, H)], "f32[1,n,1,h]"),
        (Concat(axis=1), [typed(N, H), typed(N, 3), typed(N, H)], "f32[n,2*h+3]"),
        (Concat(axis=1), [typed(N, 1), typed(5, 3)], "f32[5,4]"),
        (Tile(repeats=(2, N)), [typed(H, 3)], "f32[2*h,3*n]"),
        (Shape(), [typed(N, 3)], "i64[2]"),
        (Range(size=N), [typed(dtype="i64")] * 3, "i64[n]"),
        (Fill(shape=(N, 2), value=0.0, dtype=dtypes.F32), [], "f32[n,2]"),
        (DepthToSpace(block=2, mode="DCR", layout=Layout.NHWC), [typed(N, H, 5, 8)], "f32[n,2*h,10,2]"),
        (SpaceToDepth(block=2, layout=Layout.NCHW), [typed(N, 3, H * 2, 8)], "f32[n,12,h,4]"),
        (SpaceToBatch(block=(2,), pads=((0, 2),)), [typed(N, H * 2, 3)], "f32[2*n,h+1,3]"),
        (BatchToSpace(block=(2,), crops=((1, 0),)), [typed(N * 2, H, 3)], "f32[n,2*h-1,3]"),
    ],
    ids=str,
)
def test_extents_may_be_symbols(op: Op, types: list[TensorType], expected: str) -> None:
    assert str(op.infer(*types)) == expected


def test_split_over_symbols() -> None:
    parts = Split(axis=0, sizes=(2, N - 2)).infer(typed(N, 3))
    assert [str(t) for t in parts] == ["f32[2,3]", "f32[n-2,3]"]


@pytest.mark.parametrize(
    ("op", "types", "message"),
    [
        (Reshape(shape=(2, 4)), [typed(3, 3)], r"as many elements as \[2,4\] has"),
        (Reshape(shape=(N, 2)), [typed(N * 2 + 1)], "as many elements"),
        (Transpose(perm=(0, 0)), [typed(2, 3)], "one axis for each of"),
        (Expand(shape=(2, 3)), [typed(2, 2)], "broadcasts to"),
        (Expand(shape=(3,)), [typed(1, 3)], "at most 1 axes"),
        (Squeeze(axes=(0,)), [typed(2, 3)], "1 along"),
        (Squeeze(axes=(2,)), [typed(1, 1)], "there is no axis 2"),
        (Unsqueeze(axes=(3,)), [typed(2, 3)], "rank to which axes can be added"),
        (Unsqueeze(axes=(0, 0)), [typed(2)], "rank to which axes can be added"),
        (Concat(axis=0), [], "nothing to concatenate"),
        (Concat(axis=0), [typed(2, 3), typed(2, 4)], "the extents of"),
        (Concat(axis=0), [typed(2), typed(2, dtype="i32")], "the type and rank of"),
        (Split(axis=0, sizes=(1, 2)), [typed(4)], "an axis 0 as long as"),
        (Split(axis=0, sizes=(5, -1)), [typed(4)], "a negative extent in"),
        (Reshape(shape=(-2, -3)), [typed(6)], "a negative extent in"),
        (Fill(shape=(-1,), value=0, dtype=dtypes.I64), [], "a negative extent in"),
        (Range(size=-1), [typed(dtype="i64")] * 3, "a negative extent in"),
        (Expand(shape=(-1, 3)), [typed(1, 3)], "a negative extent in"),
        (Tile(repeats=(2,)), [typed(2, 3)], "one axis for each of"),
        (Range(size=3), [typed(dtype="i64"), typed(dtype="i32"), typed(dtype="i64")], "a scalar like"),
        (Range(size=3), [typed(1, dtype="i64")] * 3, "a scalar like"),
        (
            DepthToSpace(block=2, mode="CRD", layout=Layout.NCHW),
            [typed(1, 6, 2, 2)],
            "channels in blocks of 2x2",
        ),
        (SpaceToDepth(block=2, layout=Layout.NCHW), [typed(1, 6, 3, 2)], "multiples of 2"),
        (SpaceToDepth(block=0, layout=Layout.NCHW), [typed(1, 6, 3, 2)], "a block of at least 1"),
        (SpaceToBatch(block=(2,), pads=((0, 0),)), [typed(1, 3, 1)], "multiples of 2"),
        (SpaceToBatch(block=(2, 2, 2), pads=((0, 0),) * 3), [typed(1, 2, 2)], "spatial axes for a block"),
        (BatchToSpace(block=(2,), crops=((0, 0),)), [typed(3, 2, 1)], "multiples of 2"),
        (BatchToSpace(block=(2,), crops=((-1, 0),)), [typed(2, 2, 1)], "nothing negative"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(op: Op, types: list[TensorType], message: str) -> None:
    with pytest.raises(InferenceError, match=message):
        op.infer(*types)


def test_symbols_must_be_bound_before_evaluation() -> None:
    op = Reshape(shape=(N, 2))
    assert op.bind({"n": 3}).evaluate(np.zeros(6)).shape == (3, 2)
    with pytest.raises(InvalidModelError, match="a number is needed where the extent is n"):
        op.evaluate(np.zeros(6))


class Shapes:
    """A graph over ``x: f32[n, 3, h, 8]``, and its shape as a value."""

    def __init__(self) -> None:
        graph = Graph()
        self.b = Builder(graph)
        self.shape = self.b(Shape(), graph.input("x", typed(N, 3, H, 8)))

    def element(self, index: int) -> Value:
        return self.b(Gather(axis=0), self.shape, integers(index))


def test_content_follows_shape_arithmetic() -> None:
    s = Shapes()
    b = s.b
    assert s.shape.extents == (N, 3, H, 8)
    assert s.element(-2).extents == (H,)
    assert b(Concat(axis=0), s.element(0), integers(-1)).extents == (N, -1)
    assert b(Slice(axes=(0,), starts=(3,), sizes=(2,), steps=(-2,)), s.shape).extents == (8, 3)
    assert b(Squeeze(axes=(0,)), s.element(2)).extents == (H,)
    assert b(Unsqueeze(axes=(0,)), b(Squeeze(axes=(0,)), s.element(2))).extents == (H,)
    assert b(Reverse(axes=(0,)), s.shape).extents == (8, H, 3, N)
    assert b(Tile(repeats=(2,)), s.element(0)).extents == (N, N)
    assert b(Expand(shape=(2,)), s.element(0)).extents == (N, N)
    square = b(Reshape(shape=(2, 2)), s.shape)
    assert b(Transpose(perm=(1, 0)), square).extents == (N, H, 3, 8)
    assert b(Fill(shape=(2,), value=7, dtype=dtypes.I64)).extents == (7, 7)
    start = b(Squeeze(axes=(0,)), s.element(2))
    one = b.constant(np.array(1, dtype=np.int64))
    assert b(Range(size=2), start, start, one).extents == (H, H + 1)


def test_content_is_unknown_where_it_depends_on_data() -> None:
    s = Shapes()
    index = s.b.graph.input("index", typed(1, dtype="i64"))
    assert s.b(Gather(axis=0), s.shape, index).content is None
    assert s.b(Concat(axis=0), s.shape, index).content is None
    assert (
        s.b(Gather(axis=0), integers(5, 6, 7), s.element(0)).content is None
    )  # at a position that is a symbol
    assert s.b(Range(size=2), *[s.b.graph.input(n, typed(dtype="i64")) for n in "abc"]).content is None
    symbolic = Slice(axes=(0,), starts=(N,), sizes=(2,), steps=(1,))
    assert s.b(symbolic, s.shape).content is None
    assert s.b(Fill(shape=(N,), value=1, dtype=dtypes.I64)).content is None
