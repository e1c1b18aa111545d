"""Pooling: ranks, strides, dilations, paddings, ceil mode and divisors, in both layouts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

from mmconvert.ir.geometry import Explicit, Padding, Same
from mmconvert.ir.ops import AveragePool, LpPool, MaxPool, MaxPoolIndices
from mmconvert.ir.types import Layout
from tests.cases.case import Case, data


@dataclass(frozen=True)
class Row:
    """Windows over a tensor of three channels; scalars stand for every spatial axis."""

    name: str
    spatial: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: int | tuple[int, ...] = 1
    dilations: int | tuple[int, ...] = 1
    padding: Padding | int = 0
    ceil: bool = False

    def each(self, value: int | tuple[int, ...]) -> tuple[int, ...]:
        return value if isinstance(value, tuple) else (value,) * len(self.spatial)

    def windows(self, layout: Layout) -> dict[str, Any]:
        rank = len(self.spatial)
        padding = self.padding
        return {
            "kernel": self.kernel,
            "strides": self.each(self.strides),
            "dilations": self.each(self.dilations),
            "padding": Explicit(((padding, padding),) * rank) if isinstance(padding, int) else padding,
            "ceil": self.ceil,
            "layout": layout,
        }

    def shape(self, layout: Layout, dtype: str = "f32") -> str:
        extents = (2, 3, *self.spatial) if layout is Layout.NCHW else (2, *self.spatial, 3)
        return f"{dtype}[{','.join(map(str, extents))}]"


ROWS = [
    Row("1d", (9,), (3,), strides=2),
    Row("1d_same", (9,), (4,), strides=2, padding=Same()),
    Row("1d_pad_asymmetric", (9,), (4,), strides=3, padding=Explicit(((1, 2),))),
    Row("2d_2x2", (6, 8), (2, 2), strides=2),
    Row("2d_3x3_stride2_pad1", (7, 8), (3, 3), strides=2, padding=1),
    Row("2d_overlapping", (6, 7), (3, 2)),
    Row("2d_same_stride1", (6, 7), (3, 2), padding=Same()),
    Row("2d_same_stride2_even", (8, 8), (3, 3), strides=2, padding=Same()),
    Row("2d_same_lower_stride2", (8, 8), (3, 3), strides=2, padding=Same(extra_after=False)),
    Row("2d_same_stride_above_kernel", (8, 7), (2, 1), strides=3, padding=Same()),
    Row("2d_pads_asymmetric", (7, 8), (3, 3), strides=2, padding=Explicit(((0, 1), (2, 0)))),
    Row("2d_strides_differ", (7, 8), (2, 3), strides=(3, 1), padding=1),
    Row("2d_whole", (5, 6), (5, 6)),
    Row("2d_ceil", (6, 7), (3, 3), strides=2, ceil=True),
    Row("2d_ceil_pad1", (6, 7), (3, 3), strides=2, padding=1, ceil=True),
    Row("2d_ceil_window_starts_in_padding", (4, 6), (2, 2), strides=2, padding=1, ceil=True),
    Row("2d_ceil_stride3", (7, 9), (2, 3), strides=3, padding=Explicit(((0, 1), (1, 0))), ceil=True),
    Row("3d", (4, 5, 6), (2, 2, 3), strides=2),
    Row("3d_pad_ceil", (5, 5, 6), (3, 2, 3), strides=2, padding=1, ceil=True),
    Row("3d_same", (4, 5, 5), (3, 3, 2), strides=2, padding=Same()),
]
DILATED = [
    Row("1d_dilated", (10,), (3,), dilations=3),
    Row("2d_dilated", (9, 8), (3, 2), dilations=2, padding=1),
    Row("2d_dilated_stride_ceil", (9, 8), (3, 2), strides=2, dilations=(2, 3), ceil=True),
    Row("2d_dilated_same", (7, 8), (3, 3), strides=2, dilations=2, padding=Same()),
    Row("3d_dilated", (6, 5, 5), (2, 2, 2), dilations=(3, 1, 2)),
]

MAX = [
    Case(f"MaxPool/{row.name}/{layout.value}", MaxPool(**row.windows(layout)), (data(row.shape(layout)),))
    for row, layout in product(ROWS + DILATED, Layout)
] + [
    Case(
        f"MaxPool/{dtype}/{layout.value}",
        MaxPool(**ROWS[4].windows(layout)),
        (data(ROWS[4].shape(layout, dtype), -9, 9),),
    )
    for dtype, layout in product(("i8", "f64"), Layout)
]
INDICES = [
    Case(
        f"MaxPoolIndices/{row.name}/order{order}",
        MaxPoolIndices(**row.windows(Layout.NCHW), storage_order=order),
        (data(row.shape(Layout.NCHW)),),
    )
    for row, order in product(ROWS + DILATED, (0, 1))
]
AVERAGE = [
    Case(
        f"AveragePool/{row.name}/{'with' if include else 'without'}_pad/{layout.value}",
        AveragePool(**row.windows(layout), count_include_pad=include),
        (data(row.shape(layout)),),
    )
    for row, include, layout in product(ROWS + DILATED, (False, True), Layout)
]
LP = [
    Case(
        f"LpPool/{row.name}/p{p}/{layout.value}",
        LpPool(**row.windows(layout), p=p),
        (data(row.shape(layout)),),
    )
    for row, p, layout in product(ROWS + DILATED, (1, 2, 3), Layout)
]
CASES = MAX + INDICES + AVERAGE + LP
