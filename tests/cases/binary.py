"""Arithmetic on two tensors: operators, element types, broadcasting, signs."""

from __future__ import annotations

from mmconvert.ir import ops
from mmconvert.ir.op import Op
from tests.cases.case import Case, const, data

BROADCASTS = {
    "same": ("f32[2,3,4]", "f32[2,3,4]"),
    "scalar": ("f32[2,3]", "f32[]"),
    "scalar_first": ("f32[]", "f32[2,3]"),
    "row": ("f32[3,4]", "f32[4]"),
    "column": ("f32[3,4]", "f32[3,1]"),
    "both": ("f32[3,1]", "f32[1,4]"),
    "channels_first": ("f32[2,3,4,5]", "f32[3,1,1]"),
    "channels_last": ("f32[2,4,5,3]", "f32[3]"),
    "rank5": ("f32[1,2,3,2,2]", "f32[2,1,1,2,1]"),
    "vectors": ("f32[5]", "f32[5]"),
}
ARITHMETIC: list[Op] = [
    ops.Add(),
    ops.Sub(),
    ops.Mul(),
    ops.Div(),
    ops.FloorDiv(),
    ops.Mod(),
    ops.Fmod(),
    ops.Pow(),
    ops.Min(),
    ops.Max(),
    ops.SquaredDifference(),
    ops.Atan2(),
]
WHOLE: list[Op] = [op for op in ARITHMETIC if not isinstance(op, ops.Pow | ops.Atan2 | ops.SquaredDifference)]
NEEDS_SIZE = (ops.Div, ops.FloorDiv, ops.Mod, ops.Fmod)
COMMON = (ops.Add, ops.Sub, ops.Mul, ops.Div)


def pair(op: Op, name: str, a: str, b: str) -> Case:
    """Operands over which ``op`` is defined and continuous."""
    first = data(a, 0.5, 3) if isinstance(op, ops.Pow) else data(a, -7, 7)
    second = data(b, 1.1, 2.9) if isinstance(op, NEEDS_SIZE) else data(b, -3, 3)
    return Case(f"{op.name}/{name}", op, (first, second))


BROADCASTING = [
    pair(op, name, a, b)
    for op in ARITHMETIC
    for name, (a, b) in BROADCASTS.items()
    if isinstance(op, COMMON) or name in ("same", "row", "channels_first")
]
WEIGHTS = [
    Case(f"{op.name}/constant_{name}", op, operands)
    for op in (ops.Add(), ops.Sub(), ops.Mul(), ops.Div())
    for name, operands in {
        "scalar": (data("f32[2,3,4]"), const("f32[]", 0.5, 2)),
        "row": (data("f32[2,3,4]"), const("f32[4]", 0.5, 2)),
        "first": (const("f32[]", 0.5, 2), data("f32[2,3,4]", 0.5, 2)),
        "picture": (data("f32[2,3,4,5]"), const("f32[1,3,4,5]", 0.5, 2)),
    }.items()
]
INTEGERS = [
    Case(
        f"{op.name}/{dtype}",
        op,
        (
            data(f"{dtype}[8]", values=[7, -7, 7, -7, 6, -6, 0, 1]),
            data(f"{dtype}[8]", values=[2, 2, -2, -2, 3, -3, 5, -5]),
        ),
    )
    for op in WHOLE
    for dtype in ("i32", "i64")
]
SIGNS = [
    Case(
        f"{op.name}/signs",
        op,
        (
            data("f32[6]", values=[7.5, -7.5, 7.5, -7.5, 0.0, 6.0]),
            data("f32[6]", values=[2, 2, -2, -2, 3, 3]),
        ),
    )
    for op in (ops.FloorDiv(), ops.Mod(), ops.Fmod(), ops.Div())
]
POWERS = [
    *(
        Case(f"Pow/constant_{name}", ops.Pow(), (data("f32[2,3]", low, 3), const("f32[]", values=[exponent])))
        for name, low, exponent in (
            ("2", -3, 2.0),
            ("3", -3, 3.0),
            ("half", 0.1, 0.5),
            ("minus_half", 0.1, -0.5),
        )
    ),
    Case("Pow/negative_base", ops.Pow(), (data("f32[4]", -3, 3), data("f32[4]", values=[2, 3, 4, 5]))),
    Case(
        "Pow/i32",
        ops.Pow(),
        (data("i32[6]", values=[2, -2, 3, 0, 1, -3]), data("i32[6]", values=[3, 3, 2, 0, 9, 1])),
    ),
    Case("SquaredDifference/i32", ops.SquaredDifference(), (data("i32[3,4]", -9, 9), data("i32[4]", -9, 9))),
]
QUADRANTS = [
    Case(
        "Atan2/quadrants",
        ops.Atan2(),
        (
            data("f32[8]", values=[1, 1, -1, -1, 0, 0, 2, -2]),
            data("f32[8]", values=[2, -2, 2, -2, 1, -1, 0, 0]),
        ),
    ),
    Case("Atan2/origin", ops.Atan2(), (data("f32[1]", values=[0]), data("f32[1]", values=[0]))),
]
HALVES = [
    Case(f"{op.name}/f16", op, (data("f16[3,4]", 0.5, 3), data("f16[4]", 0.5, 3)))
    for op in (ops.Add(), ops.Sub(), ops.Mul(), ops.Div(), ops.Min(), ops.Max(), ops.Pow())
]
BITS = [
    *(
        Case(f"{op.name}/{dtype}", op, (data(f"{dtype}[3,4]", 0, 99), data(f"{dtype}[4]", 0, 99)))
        for op in (ops.BitwiseAnd(), ops.BitwiseOr(), ops.BitwiseXor())
        for dtype in ("i32", "u8")
    ),
    *(
        Case(
            f"BitShift/{'left' if left else 'right'}_{dtype}",
            ops.BitShift(left=left),
            (data(f"{dtype}[3,4]", 0, 99), data(f"{dtype}[4]", 0, 7)),
        )
        for left in (True, False)
        for dtype in ("u8", "u32", "i32")
    ),
    Case(
        "BitShift/right_negative",
        ops.BitShift(left=False),
        (data("i32[4]", values=[-8, -7, -1, 8]), data("i32[4]", values=[1, 1, 3, 2])),
    ),
]
CASES = BROADCASTING + WEIGHTS + INTEGERS + SIGNS + POWERS + QUADRANTS + HALVES + BITS
