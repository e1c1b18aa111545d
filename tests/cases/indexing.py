"""Operators that read or write elements by position."""

from __future__ import annotations

from itertools import product
from typing import Any

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
from mmconvert.ir.ops.scatter import Reduction
from tests.cases.case import Case, Data, const, data


def sliced(name: str, shape: tuple[int, ...], **where: tuple[int, int, int]) -> Case:
    """A Slice whose axes ``a0``, ``a1``, ... have (start, size, step)."""
    op = Slice(
        axes=tuple(int(axis[1:]) for axis in where),
        starts=tuple(start for start, _, _ in where.values()),
        sizes=tuple(size for _, size, _ in where.values()),
        steps=tuple(step for _, _, step in where.values()),
    )
    return Case(f"Slice/{name}", op, (data(f"f32[{','.join(map(str, shape))}]"),))


def indices(spec: str, values: Any, *, constant: bool = False) -> Data:
    """Positions, as an input or a constant."""
    return const(spec, values=values) if constant else data(spec, values=values)


SLICES = [
    sliced("one_axis", (4, 5), a1=(1, 3, 1)),
    sliced("two_axes", (4, 5, 6), a0=(1, 2, 1), a2=(2, 4, 1)),
    sliced("step2", (2, 7), a1=(1, 3, 2)),
    sliced("step3_both", (7, 8), a0=(0, 3, 3), a1=(1, 3, 3)),
    sliced("reverse", (2, 5), a1=(4, 5, -1)),
    sliced("backwards_step2", (2, 7), a1=(5, 3, -2)),
    sliced("to_first_backwards", (5,), a0=(2, 3, -1)),
    sliced("signs_differ", (5, 6), a0=(4, 2, -2), a1=(0, 2, 4)),
    sliced("nothing", (3, 4), a1=(2, 0, 1)),
    sliced("all", (3, 4), a0=(0, 3, 1)),
    sliced("4d_crop", (1, 3, 6, 6), a2=(1, 4, 1), a3=(2, 3, 1)),
    sliced("5d", (1, 2, 3, 4, 5), a1=(1, 1, 1), a4=(0, 3, 2)),
    Case("Slice/i64", Slice(axes=(0,), starts=(1,), sizes=(2,), steps=(1,)), (data("i64[4]", -9, 9),)),
    Case("Slice/bool", Slice(axes=(0,), starts=(3,), sizes=(2,), steps=(-2,)), (data("bool[4,2]"),)),
]
GATHERS = [
    Case(f"Gather/axis{axis}", Gather(axis=axis), (data("f32[3,4,5]"), indices("i64[3]", [2, 0, 1])))
    for axis in range(3)
] + [
    Case("Gather/negative", Gather(axis=1), (data("f32[3,4]"), indices("i64[3]", [-1, -4, 2]))),
    Case("Gather/scalar_index", Gather(axis=1), (data("f32[3,4,2]"), indices("i64[]", 2))),
    Case(
        "Gather/scalar_negative_constant",
        Gather(axis=0),
        (data("f32[3,4]"), indices("i64[]", -1, constant=True)),
    ),
    Case("Gather/2d_index", Gather(axis=1), (data("f32[2,4,3]"), indices("i32[2,2]", [0, 3, 3, 1]))),
    Case("Gather/embedding", Gather(axis=0), (const("f32[7,4]"), indices("i64[2,3]", [0, 6, 2, 2, 5, 1]))),
    Case("Gather/i32", Gather(axis=0), (data("i32[5]", -9, 9), indices("i32[2]", [4, 1], constant=True))),
    Case(
        "GatherElements/axis0", GatherElements(axis=0), (data("f32[3,2]"), indices("i64[2,2]", [2, 0, 1, 2]))
    ),
    Case(
        "GatherElements/axis1",
        GatherElements(axis=1),
        (data("f32[2,3]"), indices("i64[2,4]", [0, 2, 1, 1, 2, 2, 0, 1])),
    ),
    Case(
        "GatherElements/negative",
        GatherElements(axis=1),
        (data("f32[2,3]"), indices("i64[2,2]", [-1, 0, -3, 1])),
    ),
    Case(
        "GatherElements/3d", GatherElements(axis=2), (data("f32[2,2,3]"), indices("i32[2,2,1]", [2, 0, 1, 2]))
    ),
    Case(
        "GatherElements/fewer_rows",
        GatherElements(axis=1),
        (data("f32[4,3]"), indices("i64[2,2]", [2, 0, 1, 2])),
    ),
    Case("GatherND/elements", GatherND(), (data("f32[3,4]"), indices("i64[3,2]", [0, 3, 2, 1, 1, 0]))),
    Case("GatherND/rows", GatherND(), (data("f32[3,4]"), indices("i64[2,1]", [2, 0]))),
    Case("GatherND/negative", GatherND(), (data("f32[3,4,2]"), indices("i64[2,2]", [-1, 0, 1, -2]))),
    Case("GatherND/2d_tuples", GatherND(), (data("f32[3,4,2]"), indices("i64[2,1,2]", [2, 0, 1, 3]))),
    Case(
        "GatherND/batch1", GatherND(batch_dims=1), (data("f32[2,3,4]"), indices("i64[2,2,1]", [1, 0, 2, 2]))
    ),
    Case(
        "GatherND/batch1_elements",
        GatherND(batch_dims=1),
        (data("f32[2,3,4]"), indices("i64[2,2]", [1, 3, 2, 0])),
    ),
    Case(
        "GatherND/batch2",
        GatherND(batch_dims=2),
        (data("f32[2,2,4]"), indices("i64[2,2,1,1]", [3, 0, 1, 2])),
    ),
]
REDUCTIONS: tuple[Reduction, ...] = ("none", "add", "mul", "max", "min")
SCATTERS = [
    Case(
        f"ScatterElements/{reduction}_axis{axis}",
        ScatterElements(axis=axis, reduction=reduction),
        (data("f32[3,3]"), indices("i64[2,3]", [0, 1, 2, 2, 0, 1]), data("f32[2,3]")),
    )
    for reduction, axis in product(REDUCTIONS, (0, 1))
]
SCATTERS += [
    Case(
        f"ScatterElements/{reduction}_repeated_negative",
        ScatterElements(axis=1, reduction=reduction),
        (data("f32[2,4]"), indices("i64[2,3]", [-1, 3, 0, 1, 1, -3]), data("f32[2,3]")),
    )
    for reduction in REDUCTIONS[1:]
]
SCATTERS += [
    Case(
        f"ScatterND/{reduction}_rows",
        ScatterND(reduction=reduction),
        (data("f32[4,3]"), indices("i64[2,1]", [3, 1]), data("f32[2,3]")),
    )
    for reduction in REDUCTIONS
]
SCATTERS += [
    Case(
        f"ScatterND/{reduction}_elements_repeated",
        ScatterND(reduction=reduction),
        (data("f32[3,3]"), indices("i64[4,2]", [0, 1, 2, 2, 0, 1, 1, 0]), data("f32[4]")),
    )
    for reduction in REDUCTIONS[1:]
]
SCATTERS += [
    Case(
        "ScatterND/negative",
        ScatterND(),
        (data("f32[2,3,2]"), indices("i64[1,2,2]", [-1, 0, 0, -1]), data("f32[1,2,2]")),
    ),
    Case(
        "ScatterND/i32",
        ScatterND(),
        (data("i32[4]", -9, 9), indices("i64[2,1]", [0, 2]), data("i32[2]", -9, 9)),
    ),
]


def one_hot(
    name: str, depth: int, axis: int, index: Data, off: Any = 0.0, on: Any = 1.0, dtype: str = "f32"
) -> Case:
    """A OneHot with constant values."""
    values = const(f"{dtype}[]", values=off), const(f"{dtype}[]", values=on)
    return Case(f"OneHot/{name}", OneHot(depth=depth, axis=axis), (index, *values))


SELECTIONS = [
    one_hot("last", 4, 1, data("i64[3]", values=[1, 3, 0])),
    one_hot("first", 4, 0, data("i64[3]", values=[1, 3, 0])),
    one_hot("middle", 3, 1, data("i32[2,2]", values=[0, 1, 2, 2])),
    one_hot("values", 3, 2, data("i64[2,2]", values=[0, 1, 2, 2]), off=-1.5, on=2.5),
    one_hot("negative_and_outside", 3, 1, data("i64[6]", values=[-1, -3, -4, 3, 2, 7])),
    one_hot("scalar", 3, 0, data("i64[]", values=2)),
    one_hot("i32", 3, 1, data("i64[2]", values=[0, 2]), off=0, on=5, dtype="i32"),
    *(
        Case(f"Trilu/{'upper' if upper else 'lower'}_{k}", Trilu(k=k, upper=upper), (data("f32[2,3,4]"),))
        for upper, k in product((False, True), (-5, -1, 0, 1, 5))
    ),
    Case("Trilu/i64", Trilu(k=0, upper=True), (data("i64[4,3]", -9, 9),)),
    Case("NonZero/2d", NonZero(count=3), (data("f32[2,3]", values=[0, 1, 0, -2, 0, 3]),)),
    Case("NonZero/none", NonZero(count=0), (data("f32[3]", values=[0, 0, 0]),)),
    Case("NonZero/bool", NonZero(count=2), (data("bool[2,2]", values=[True, False, False, True]),)),
]

UPDATES = [
    Case(
        f"UpdateSlice/{name}",
        UpdateSlice(axis=axis),
        (data(f"{dtype}[3,4,2]"), data(f"{dtype}[{shape}]"), data("i32[]", values=index)),
    )
    for name, axis, shape, index, dtype in (
        ("first", 0, "1,4,2", 2, "f32"),
        ("middle", 1, "3,1,2", 0, "f32"),
        ("last", 2, "3,4,1", 1, "i32"),
        ("bool", 1, "3,1,2", 3, "bool"),
        ("f16", 0, "1,4,2", 1, "f16"),
    )
]
CASES = SLICES + GATHERS + SCATTERS + SELECTIONS + UPDATES
