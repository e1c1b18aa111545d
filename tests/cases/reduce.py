"""Reductions, extreme positions, TopK and running sums: axes, keepdims, directions, ties, element types."""

from __future__ import annotations

from itertools import product

from mmconvert import dtypes
from mmconvert.ir import ops
from tests.cases.case import Case, data

SHAPES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((6,), (0,)),
    ((3, 5), (1,)),
    ((3, 5), (0,)),
    ((2, 3, 4), (1,)),
    ((2, 3, 4, 5), (2, 3)),
    ((2, 4, 5, 3), (1, 2)),
    ((2, 3, 4), (0, 1, 2)),
    ((2, 3, 4, 5), (0, 2)),
    ((2, 3, 2, 2, 3), (1, 3, 4)),
]
EVERYWHERE = (ops.ReduceSum, ops.ReduceMean, ops.ReduceMax)
FLOATS = (
    *EVERYWHERE,
    ops.ReduceMin,
    ops.ReduceProd,
    ops.ReduceL1,
    ops.ReduceL2,
    ops.ReduceLogSum,
    ops.ReduceLogSumExp,
    ops.ReduceSumSquare,
)


def spec_of(shape: tuple[int, ...], dtype: str = "f32") -> str:
    """``(2, 3)`` -> ``"f32[2,3]"``."""
    return f"{dtype}[{','.join(map(str, shape))}]"


def name_of(shape: tuple[int, ...], axes: tuple[int, ...], *, keepdims: bool) -> str:
    """``"rank3_axes01_keep"``."""
    return f"rank{len(shape)}_axes{''.join(map(str, axes)) or 'none'}{'_keep' if keepdims else ''}"


REDUCTIONS = [
    Case(
        f"{cls.__name__}/{name_of(shape, axes, keepdims=keepdims)}",
        cls(axes=axes, keepdims=keepdims),
        (data(spec_of(shape), 0.2 if cls is ops.ReduceLogSum else -2, 2),),
    )
    for cls in FLOATS
    for index, (shape, axes) in enumerate(SHAPES)
    for keepdims in (True, False)
    if cls in EVERYWHERE or (index + keepdims) % 2
]
EMPTY = [
    Case(
        f"{cls.__name__}/{name_of((2, 3), (), keepdims=True)}",
        cls(axes=(), keepdims=True),
        (data("f32[2,3]", 0.2, 2),),
    )
    for cls in (ops.ReduceSum, ops.ReduceMean, ops.ReduceL1, ops.ReduceSumSquare, ops.ReduceMax)
]
INTEGERS = [
    Case(f"{cls.__name__}/{dtype}", cls(axes=(1,), keepdims=False), (data(f"{dtype}[3,4]", -9, 9),))
    for cls in (ops.ReduceSum, ops.ReduceMax, ops.ReduceMin, ops.ReduceProd, ops.ReduceMean, ops.ReduceL1)
    for dtype in ("i32", "i64")
]
HALVES = [
    Case(f"{cls.__name__}/f16", cls(axes=(1,), keepdims=True), (data("f16[3,4]", -2, 2),))
    for cls in (ops.ReduceSum, ops.ReduceMean, ops.ReduceMax)
]
BOOLEANS = [
    Case(
        f"{cls.__name__}/{name_of(shape, axes, keepdims=keepdims)}",
        cls(axes=axes, keepdims=keepdims),
        (data(spec_of(shape, "bool")),),
    )
    for cls in (ops.ReduceAny, ops.ReduceAll)
    for shape, axes, keepdims in (
        ((2, 3), (1,), False),
        ((2, 3, 2), (0, 2), True),
        ((4,), (0,), False),
        ((2, 2), (0, 1), True),
    )
]
LARGE = [
    Case(
        "ReduceLogSumExp/large", ops.ReduceLogSumExp(axes=(1,), keepdims=False), (data("f32[2,3]", 500, 900),)
    ),
    Case("ReduceMean/offset", ops.ReduceMean(axes=(1, 2), keepdims=True), (data("f32[1,16,16,3]", 90, 110),)),
]
POSITIONS = [
    *(
        Case(
            f"{cls.__name__}/axis{axis}_rank{len(shape)}{'_keep' * keepdims}{'_last' * last}",
            cls(axis=axis, keepdims=keepdims, select_last=last),
            (data(spec_of(shape), -9, 9),),
        )
        for cls in (ops.ArgMax, ops.ArgMin)
        for (shape, axis), keepdims, last in product(
            (((6,), 0), ((3, 5), 1), ((2, 3, 4), 1), ((2, 3, 4, 2), 0)), (True, False), (True, False)
        )
        if not last or len(shape) > 2
    ),
    *(
        Case(
            f"{cls.__name__}/ties{'_last' if last else ''}",
            cls(axis=1, keepdims=False, select_last=last),
            (data("f32[2,5]", values=[1, 3, 3, 0, 0, 2, 2, 2, 2, 2]),),
        )
        for cls in (ops.ArgMax, ops.ArgMin)
        for last in (True, False)
    ),
    *(
        Case(f"{cls.__name__}/to_i32", cls(axis=1, keepdims=False, dtype=dtypes.I32), (data("f32[3,5]"),))
        for cls in (ops.ArgMax, ops.ArgMin)
    ),
    *(
        Case(f"{cls.__name__}/i32", cls(axis=1, keepdims=False), (data("i32[3,5]", -9, 9),))
        for cls in (ops.ArgMax, ops.ArgMin)
    ),
]
RANKINGS = [
    *(
        Case(
            f"TopK/k{k}_axis{axis}_rank{len(shape)}_{'largest' if largest else 'smallest'}",
            ops.TopK(k=k, axis=axis, largest=largest),
            (data(spec_of(shape), -9, 9),),
        )
        for k, shape, axis in ((1, (6,), 0), (3, (6,), 0), (5, (2, 5), 1), (2, (2, 3, 4), 1), (2, (3, 4), 0))
        for largest in (True, False)
    ),
    *(
        Case(
            f"TopK/ties_{'largest' if largest else 'smallest'}",
            ops.TopK(k=4, axis=0, largest=largest),
            (data("f32[6]", values=[1, 3, 3, 1, 2, 3]),),
        )
        for largest in (True, False)
    ),
    Case("TopK/i32", ops.TopK(k=2, axis=1), (data("i32[3,5]", -99, 99),)),
    Case("TopK/i64_smallest", ops.TopK(k=2, axis=1, largest=False), (data("i64[3,5]", -99, 99),)),
]
RUNNING = [
    *(
        Case(
            f"{cls.__name__}/axis{axis}_rank{len(shape)}{'_exclusive' * exclusive}{'_reverse' * reverse}",
            cls(axis=axis, exclusive=exclusive, reverse=reverse),
            (data(spec_of(shape)),),
        )
        for cls in (ops.CumSum, ops.CumProd)
        for shape, axis in (((7,), 0), ((3, 4), 1), ((2, 5, 3), 1))
        for exclusive, reverse in product((False, True), (False, True))
    ),
    *(
        Case(f"{cls.__name__}/{dtype}", cls(axis=1), (data(f"{dtype}[3,4]", -5, 5),))
        for cls in (ops.CumSum, ops.CumProd)
        for dtype in ("i32", "i64")
    ),
    Case("CumSum/single_exclusive", ops.CumSum(axis=1, exclusive=True), (data("f32[3,1]"),)),
]
CASES = REDUCTIONS + EMPTY + INTEGERS + HALVES + BOOLEANS + LARGE + POSITIONS + RANKINGS + RUNNING
