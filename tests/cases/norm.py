"""Normalisations: axes, layouts, groups, epsilons, optional parameters."""

from __future__ import annotations

from itertools import product

from mmconvert.ir import ops
from mmconvert.ir.types import Layout
from tests.cases.case import Case, Data, const, data

PICTURES = {1: (6,), 2: (5, 4), 3: (3, 4, 2)}


def picture(channels: int, rank: int, layout: Layout, batch: int = 2) -> Data:
    """Activations with ``rank`` spatial axes."""
    spatial = PICTURES[rank]
    shape = (batch, channels, *spatial) if layout is Layout.NCHW else (batch, *spatial, channels)
    return data(f"f32[{','.join(map(str, shape))}]", -2, 3)


def statistics(extent: int, dtype: str = "f32") -> tuple[Data, Data, Data, Data]:
    """Scale, bias, mean and variance."""
    spec = f"{dtype}[{extent}]"
    return const(spec, 0.5, 1.5), const(spec), const(spec), const(spec, 0.3, 2)


BATCH = [
    *(
        Case(
            f"BatchNorm/axis{axis}_rank{rank}",
            ops.BatchNorm(epsilon=1e-3, axis=axis),
            (data(f"f32[{shape}]", -3, 3), *statistics(int(shape.split(",")[axis]))),
        )
        for rank, shape, axis in (
            (2, "4,3", 1),
            (3, "2,3,5", 1),
            (3, "2,3,5", 2),
            (4, "2,3,4,5", 1),
            (4, "2,3,4,5", 3),
            (5, "1,3,2,4,2", 1),
            (5, "1,3,2,4,2", 4),
        )
    ),
    Case(
        "BatchNorm/large_epsilon",
        ops.BatchNorm(epsilon=0.1, axis=3),
        (data("f32[2,4,5,3]"), *statistics(3)),
    ),
    Case(
        "BatchNorm/one_channel", ops.BatchNorm(epsilon=1e-5, axis=1), (data("f32[2,1,4,5]"), *statistics(1))
    ),
    Case("BatchNorm/f16", ops.BatchNorm(epsilon=1e-3, axis=1), (data("f16[2,3,4]"), *statistics(3, "f16"))),
]
LAYER = [
    Case(
        f"LayerNorm/axes{''.join(map(str, axes))}_rank{len(shape)}_{kind}",
        ops.LayerNorm(axes=axes, epsilon=epsilon),
        (data(f"f32[{','.join(map(str, shape))}]", -2, 3), *parameters),
    )
    for shape, axes, epsilon in (
        ((4, 6), (1,), 1e-5),
        ((2, 3, 8), (2,), 1e-6),
        ((2, 3, 8), (1, 2), 1e-5),
        ((2, 3, 4, 5), (3,), 1e-2),
        ((2, 3, 4, 5), (1,), 1e-5),
        ((2, 3, 4, 5), (1, 2, 3), 1e-5),
        ((2, 3, 4, 5), (1, 3), 1e-5),
    )
    for spec in ("f32[" + ",".join(str(shape[a]) for a in axes) + "]",)
    for kind, parameters in (
        ("both", (const(spec, 0.5, 1.5), const(spec))),
        ("scale", (const(spec, 0.5, 1.5),)),
        ("bias", (None, const(spec))),
        ("plain", ()),
    )
    if kind in ("both", "plain") or len(shape) == 3
]
LAYER.append(
    Case(
        "LayerNorm/offset",
        ops.LayerNorm(axes=(1,), epsilon=1e-5),
        (data("f32[3,8]", 8, 9), const("f32[8]"), const("f32[8]")),
    )
)
RMS = [
    Case(
        f"RMSNorm/axes{''.join(map(str, axes))}_rank{len(shape)}_{kind}",
        ops.RMSNorm(axes=axes, epsilon=epsilon),
        (data(f"f32[{','.join(map(str, shape))}]"), *parameters),
    )
    for shape, axes, epsilon in (
        ((4, 6), (1,), 1e-5),
        ((2, 3, 8), (2,), 1e-6),
        ((2, 3, 4, 5), (2, 3), 1e-2),
        ((2, 3, 4, 5), (1,), 1e-5),
    )
    for spec in ("f32[" + ",".join(str(shape[a]) for a in axes) + "]",)
    for kind, parameters in (("scale", (const(spec, 0.5, 1.5),)), ("plain", ()))
]
INSTANCE = [
    Case(
        f"InstanceNorm/{layout.value}_{rank}d",
        ops.InstanceNorm(epsilon=1e-5 if rank == 2 else 1e-2, layout=layout),
        (picture(3, rank, layout), const("f32[3]", 0.5, 1.5), const("f32[3]")),
    )
    for rank, layout in product((1, 2, 3), Layout)
]
GROUP = [
    Case(
        f"GroupNorm/{layout.value}_{rank}d_groups{groups}",
        ops.GroupNorm(groups=groups, epsilon=1e-5 if rank == 2 else 1e-2, layout=layout),
        (picture(6, rank, layout), const("f32[6]", 0.5, 1.5), const("f32[6]")),
    )
    for rank, groups in ((1, 2), (2, 1), (2, 2), (2, 3), (2, 6), (3, 3))
    for layout in Layout
]
LOCAL = [
    *(
        Case(
            f"LRN/size{size}_axis{axis}",
            ops.LRN(size=size, alpha=0.3, beta=0.75, bias=1.0, axis=axis),
            (data("f32[2,7,3,7]", -3, 3),),
        )
        for size, axis in product((1, 2, 3, 4, 5), (1, 3))
    ),
    Case(
        "LRN/parameters",
        ops.LRN(size=3, alpha=1.5, beta=0.5, bias=2.0, axis=1),
        (data("f32[1,5,3,3]", -3, 3),),
    ),
    Case("LRN/wide", ops.LRN(size=9, alpha=0.3, beta=0.75, bias=1.0, axis=3), (data("f32[1,3,3,4]", -3, 3),)),
    Case("LRN/rank3", ops.LRN(size=3, alpha=0.3, beta=0.75, bias=1.0, axis=1), (data("f32[2,5,4]", -3, 3),)),
]
LENGTH = [
    *(
        Case(
            f"LpNormalization/p{p}_axis{axis}_rank{len(shape)}",
            ops.LpNormalization(axis=axis, p=p),
            (data(f"f32[{','.join(map(str, shape))}]"),),
        )
        for p in (1, 2)
        for shape, axis in (((6,), 0), ((3, 5), 1), ((2, 3, 4), 1), ((2, 3, 4, 5), 3))
    ),
    Case("LpNormalization/zeros", ops.LpNormalization(axis=1, p=2), (data("f32[2,2]", values=[0, 0, 3, 4]),)),
    *(
        Case(
            f"L2Normalization/axes{''.join(map(str, axes))}_rank{len(shape)}",
            ops.L2Normalization(axes=axes, epsilon=epsilon),
            (data(f"f32[{','.join(map(str, shape))}]"),),
        )
        for shape, axes, epsilon in (
            ((6,), (0,), 1e-12),
            ((3, 5), (1,), 1e-12),
            ((2, 3, 4, 5), (3,), 1e-4),
            ((2, 3, 4), (1, 2), 1e-12),
            ((2, 3, 4, 5), (1,), 1e-12),
        )
    ),
    Case(
        "L2Normalization/floor",
        ops.L2Normalization(axes=(1,), epsilon=0.5),
        (data("f32[3,2]", values=[0, 0, 0.1, 0.2, 3, 4]),),
    ),
]
CASES = BATCH + LAYER + RMS + INSTANCE + GROUP + LOCAL + LENGTH
