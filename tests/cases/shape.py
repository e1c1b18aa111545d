"""Operators that move elements, make tensors out of numbers, or trade extents."""

from __future__ import annotations

from itertools import product

from mmconvert import dtypes
from mmconvert.ir.op import Op
from mmconvert.ir.ops import (
    BatchToSpace,
    Concat,
    DepthToSpace,
    Expand,
    Fill,
    Range,
    ReadExtents,
    Reshape,
    Reverse,
    Shape,
    SpaceToBatch,
    SpaceToDepth,
    Split,
    Squeeze,
    Tile,
    Transpose,
    Unsqueeze,
)
from mmconvert.ir.ops.blocks import BlockMode
from mmconvert.ir.types import Layout
from tests.cases.case import Case, Data, const, data


def row(name: str, op: Op, *inputs: Data | str) -> Case:
    """A case whose operands may be given by their types alone."""
    return Case(f"{op.name}/{name}", op, tuple(data(i) if isinstance(i, str) else i for i in inputs))


MOVING = [
    row("flatten", Reshape(shape=(2, 60)), "f32[2,3,4,5]"),
    row("split_axis", Reshape(shape=(2, 3, 2, 2)), "f32[6,4]"),
    row("to_scalar", Reshape(shape=()), "f32[1,1]"),
    row("from_scalar", Reshape(shape=(1, 1)), "f32[]"),
    row("add_ones", Reshape(shape=(1, 4, 1, 3)), "f32[4,3]"),
    row("i32", Reshape(shape=(6,)), data("i32[2,3]", -9, 9)),
    row("bool", Reshape(shape=(6,)), "bool[2,3]"),
    row("empty", Reshape(shape=(0, 4)), "f32[2,0,3]"),
    row("2d", Transpose(perm=(1, 0)), "f32[3,4]"),
    row("to_nhwc", Transpose(perm=(0, 2, 3, 1)), "f32[2,3,4,5]"),
    row("to_nchw", Transpose(perm=(0, 3, 1, 2)), "f32[2,3,4,5]"),
    row("reversed", Transpose(perm=(2, 1, 0)), "f32[2,3,4]"),
    row("identity", Transpose(perm=(0, 1, 2)), "f32[2,3,4]"),
    row("5d", Transpose(perm=(3, 0, 4, 2, 1)), "f32[2,3,4,2,3]"),
    row("i64", Transpose(perm=(1, 0)), data("i64[3,4]", -9, 9)),
    row("middle", Expand(shape=(2, 4, 3)), "f32[2,1,3]"),
    row("more_axes", Expand(shape=(2, 3, 4)), "f32[3,1]"),
    row("scalar", Expand(shape=(2, 3)), "f32[]"),
    row("i32", Expand(shape=(3, 2)), data("i32[1,2]", -9, 9)),
    row("bool", Expand(shape=(2, 3)), "bool[2,1]"),
    row("one", Squeeze(axes=(1,)), "f32[2,1,3]"),
    row("two", Squeeze(axes=(0, 3)), "f32[1,2,3,1]"),
    row("to_scalar", Squeeze(axes=(0, 1)), "f32[1,1]"),
    row("front", Unsqueeze(axes=(0,)), "f32[2,3]"),
    row("both_ends", Unsqueeze(axes=(0, 3)), "f32[2,3]"),
    row("neighbours", Unsqueeze(axes=(1, 2)), "f32[2,3]"),
    row("scalar", Unsqueeze(axes=(0,)), "f32[]"),
    row("last", Reverse(axes=(2,)), "f32[2,3,4]"),
    row("two", Reverse(axes=(0, 1)), "f32[2,3,4]"),
    row("i32", Reverse(axes=(0,)), data("i32[5]", -9, 9)),
]
JOINING = [
    row("channels", Concat(axis=1), "f32[2,3,4,4]", "f32[2,2,4,4]"),
    row("last", Concat(axis=3), "f32[2,3,4,1]", "f32[2,3,4,4]"),
    row("batch", Concat(axis=0), "f32[1,3]", "f32[2,3]"),
    row("three", Concat(axis=2), "f32[1,2,3]", "f32[1,2,1]", "f32[1,2,2]"),
    row("one", Concat(axis=0), "f32[2,3]"),
    row("with_constant", Concat(axis=1), "f32[2,3]", const("f32[2,2]")),
    row("i64", Concat(axis=0), data("i64[2]", -9, 9), data("i64[3]", -9, 9)),
    row("halves", Split(axis=1, sizes=(2, 2)), "f32[2,4,3]"),
    row("uneven", Split(axis=2, sizes=(1, 4, 2)), "f32[1,2,7]"),
    row("first", Split(axis=0, sizes=(1, 2)), "f32[3,4]"),
    row("one", Split(axis=1, sizes=(4,)), "f32[2,4]"),
    row("i32", Split(axis=0, sizes=(2, 3)), data("i32[5,2]", -9, 9)),
    row("each", Tile(repeats=(2, 3)), "f32[2,3]"),
    row("middle", Tile(repeats=(1, 2, 1, 1)), "f32[1,3,2,2]"),
    row("ones", Tile(repeats=(1, 1)), "f32[2,3]"),
    row("i32", Tile(repeats=(3,)), data("i32[4]", -9, 9)),
]
MAKING = [
    row("4d", Shape(), "f32[2,3,4,5]"),
    row("scalar", Shape(), "f32[]"),
    row("f32", Fill(shape=(2, 3), value=1.5, dtype=dtypes.F32)),
    row("i64", Fill(shape=(4,), value=-7, dtype=dtypes.I64)),
    row("bool", Fill(shape=(2,), value=True, dtype=dtypes.BOOL)),
    row("scalar", Fill(shape=(), value=0.0, dtype=dtypes.F32)),
    row(
        "i64",
        Range(size=5),
        data("i64[]", values=2),
        data("i64[]", values=12),
        data("i64[]", values=2),
    ),
    row(
        "i32_down",
        Range(size=4),
        data("i32[]", values=10),
        data("i32[]", values=0),
        data("i32[]", values=-3),
    ),
    row("f32", Range(size=5), data("f32[]", values=0.5), data("f32[]", values=3), data("f32[]", values=0.5)),
    row("empty", Range(size=0), data("i64[]", values=3), data("i64[]", values=1), data("i64[]", values=1)),
]


def image(channels: int, height: int, width: int, layout: Layout) -> str:
    """The type of a batch of two images."""
    shape = (2, channels, height, width) if layout is Layout.NCHW else (2, height, width, channels)
    return f"f32[{','.join(map(str, shape))}]"


MODES: tuple[BlockMode, ...] = ("DCR", "CRD")
BLOCKS = [
    *(
        row(
            f"{mode}_block{k}/{layout.value}",
            DepthToSpace(block=k, mode=mode, layout=layout),
            image(18 * k, 2, 3, layout),
        )
        for mode, k, layout in product(MODES, (2, 3), Layout)
    ),
    *(
        row(f"block{k}/{layout.value}", SpaceToDepth(block=k, layout=layout), image(3, 2 * k, 3 * k, layout))
        for k, layout in product((2, 3), Layout)
    ),
    row("2x2", SpaceToBatch(block=(2, 2), pads=((0, 0), (0, 0))), "f32[1,4,6,3]"),
    row("2x3_pads", SpaceToBatch(block=(2, 3), pads=((1, 0), (1, 2))), "f32[2,5,3,2]"),
    row("1d", SpaceToBatch(block=(3,), pads=((1, 1),)), "f32[2,4,3]"),
    row("2x2", BatchToSpace(block=(2, 2), crops=((0, 0), (0, 0))), "f32[8,2,3,3]"),
    row("2x3_crops", BatchToSpace(block=(2, 3), crops=((1, 0), (1, 2))), "f32[12,3,2,2]"),
    row("1d", BatchToSpace(block=(3,), crops=((1, 1),)), "f32[6,3,2]"),
    row("vector", ReadExtents(names=(3, 3)), data("i64[2]", 3, 4)),
    row("scalar", ReadExtents(names=(5,)), data("i32[]", 5, 6)),
]
CASES = MOVING + JOINING + MAKING + BLOCKS
