"""Comparisons, connectives and Where: element types, ties, broadcasting."""

from __future__ import annotations

from mmconvert.ir import ops
from mmconvert.ir.op import Op
from tests.cases.case import Case, const, data

RELATIONS: list[Op] = [
    ops.Equal(),
    ops.NotEqual(),
    ops.Less(),
    ops.LessEqual(),
    ops.Greater(),
    ops.GreaterEqual(),
]
CONNECTIVES: list[Op] = [ops.And(), ops.Or(), ops.Xor()]

COMPARISONS = [
    *(
        Case(f"{op.name}/{dtype}", op, (data(f"{dtype}[3,4]", -2, 3), data(f"{dtype}[3,4]", -2, 3)))
        for op in RELATIONS
        for dtype in ("i32", "i64")
    ),
    *(
        Case(
            f"{op.name}/ties",
            op,
            (data("f32[5]", values=[1, 2, -1, 0, 0.5]), data("f32[5]", values=[1, 1, 1, 0, 0.25])),
        )
        for op in RELATIONS
    ),
    *(
        Case(
            f"{op.name}/nan",
            op,
            (data("f32[3]", values=[float("nan"), 1, 2]), data("f32[3]", values=[1, float("nan"), 2])),
        )
        for op in RELATIONS
    ),
    *(Case(f"{op.name}/broadcast", op, (data("f32[2,3,4,5]"), data("f32[3,1,1]"))) for op in RELATIONS),
    *(Case(f"{op.name}/constant", op, (data("f32[3,4]"), const("f32[]"))) for op in RELATIONS),
    *(Case(f"{op.name}/bool", op, (data("bool[3,4]"), data("bool[4]"))) for op in RELATIONS[:2]),
]
LOGIC = [
    *(
        Case(
            f"{op.name}/table",
            op,
            (data("bool[4]", values=[0, 0, 1, 1]), data("bool[4]", values=[0, 1, 0, 1])),
        )
        for op in CONNECTIVES
    ),
    *(Case(f"{op.name}/broadcast", op, (data("bool[2,3,4]"), data("bool[3,1]"))) for op in CONNECTIVES),
    Case("Not/rank1", ops.Not(), (data("bool[5]"),)),
    Case("Not/rank3", ops.Not(), (data("bool[2,3,4]"),)),
]
CHOICES = [
    Case(f"Where/{name}", ops.Where(), (data(condition), data(a, -9, 9), data(b, -9, 9)))
    for name, (condition, a, b) in {
        "same": ("bool[2,3,4]", "f32[2,3,4]", "f32[2,3,4]"),
        "scalars": ("bool[2,3]", "f32[]", "f32[]"),
        "mask": ("bool[2,1,4]", "f32[2,3,4]", "f32[]"),
        "all": ("bool[3,1,1]", "f32[4,1]", "f32[5]"),
        "rank4": ("bool[1,1,4,4]", "f32[2,3,4,4]", "f32[1]"),
        "scalar_condition": ("bool[]", "f32[2,3]", "f32[2,3]"),
        "i32": ("bool[3,4]", "i32[3,4]", "i32[4]"),
        "i64": ("bool[4]", "i64[3,4]", "i64[]"),
        "bool": ("bool[4]", "bool[3,4]", "bool[]"),
        "f16": ("bool[3,4]", "f16[3,4]", "f16[3,4]"),
    }.items()
]
CASES = COMPARISONS + LOGIC + CHOICES
