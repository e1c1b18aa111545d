"""Sampling at computed positions, and boxes."""

from __future__ import annotations

from itertools import product
from typing import Any, Literal

from mmconvert.ir.ops import Col2Im, DeformConv, GridSample, MaxRoiPool, NonMaxSuppression, RoiAlign
from tests.cases.case import Case, Data, const, data

MODES: tuple[Literal["nearest", "linear", "cubic"], ...] = ("nearest", "linear", "cubic")
PADDINGS: tuple[Literal["zeros", "border", "reflection"], ...] = ("zeros", "border", "reflection")
PICTURE = data("f32[2,2,5,4]")


def deform(name: str, groups: int = 1, offsets: int = 1, mask: bool = False, **fields: Any) -> Case:
    plain = {"strides": (1, 1), "dilations": (1, 1), "pads": ((0, 0), (0, 0))} | fields
    out = [
        (e + sum(p) - (k - 1) * d - 1) // s + 1
        for e, k, s, d, p in zip(
            (6, 5), (3, 2), *(plain[f] for f in ("strides", "dilations", "pads")), strict=True
        )
    ]
    operands: list[Data | None] = [
        data("f32[2,4,6,5]"),
        const(f"f32[6,{4 // groups},3,2]"),
        data(f"f32[2,{12 * offsets},{out[0]},{out[1]}]", -1.3, 1.3),
    ]
    if mask:
        operands += [const("f32[6]"), data(f"f32[2,{6 * offsets},{out[0]},{out[1]}]", 0, 1)]
    op = DeformConv(groups=groups, offset_groups=offsets, **plain)
    return Case(f"DeformConv/{name}", op, tuple(operands))


def col2im(name: str, rows: int, windows: int, **fields: Any) -> Case:
    plain = {"strides": (1, 1), "dilations": (1, 1), "pads": ((0, 0), (0, 0))}
    return Case(f"Col2Im/{name}", Col2Im(**(plain | fields)), (data(f"f32[2,{rows},{windows}]"),))


ROIS = data("f32[3,4]", values=[[0, 0, 3.3, 4.1], [1.2, 0.7, 2.9, 2.2], [-1.5, -2, 9, 3]])
PICTURES = data("i64[3]", values=[0, 1, 1])
CORNERS = [
    [0, 0, 1, 1],
    [0, 0.1, 1, 1.1],
    [0, -0.1, 1, 0.9],
    [0, 10, 1, 11],
    [0, 10.1, 1, 11.1],
    [0, 100, 1, 101],
]
CENTRES = [
    [0.5, 0.5, 1, 1],
    [0.5, 0.6, 1, 1],
    [0.5, 0.4, 1, 1],
    [0.5, 10.5, 1, 1],
    [0.5, 10.6, 1, 1],
    [0.5, 100, 1, 1],
]
SCORES = [0.9, 0.75, 0.6, 0.95, 0.5, 0.3]


def nms(name: str, count: int, boxes: Any, limit: int | None, *more: float, **fields: Any) -> Case:
    numbers = [data("f32[1]", values=[m]) for m in more]
    most = [] if limit is None else [data("i64[1]", values=[limit])]
    operands = (data("f32[1,6,4]", values=boxes), data("f32[1,1,6]", values=SCORES), *most, *numbers)
    return Case(f"NonMaxSuppression/{name}", NonMaxSuppression(count=count, **fields), operands)


CASES = [
    *(
        Case(
            f"GridSample/{mode}_{padding}{'_corners' if corners else ''}",
            GridSample(mode=mode, padding=padding, align_corners=corners),
            (PICTURE, data("f32[2,3,3,2]", -1.6, 1.6)),
        )
        for mode, padding, corners in product(MODES, PADDINGS, (False, True))
    ),
    *(
        Case(
            f"GridSample/3d_{mode}",
            GridSample(mode=mode),
            (data("f32[1,2,3,4,5]"), data("f32[1,2,2,2,3]", -1.2, 1.2)),
        )
        for mode in MODES[:2]
    ),
    deform("plain"),
    deform("mask_bias", mask=True),
    deform("groups", groups=2, offsets=2, mask=True),
    deform("strides_dilations", strides=(2, 1), dilations=(2, 1), pads=((1, 2), (0, 1))),
    col2im("plain", 12, 9, image=(5, 4), block=(3, 2)),
    col2im("strides", 12, 6, image=(5, 5), block=(3, 2), strides=(1, 2)),
    col2im("pads_dilations", 4, 25, image=(5, 4), block=(2, 2), dilations=(2, 1), pads=((1, 1), (1, 1))),
    Case("RoiAlign/avg", RoiAlign(height=2, width=3, ratio=2), (PICTURE, ROIS, PICTURES)),
    Case("RoiAlign/adaptive", RoiAlign(height=2, width=2, scale=0.7), (PICTURE, ROIS, PICTURES)),
    Case(
        "RoiAlign/unaligned",
        RoiAlign(height=3, width=2, ratio=2, half_pixel=False),
        (PICTURE, ROIS, PICTURES),
    ),
    Case("RoiAlign/max", RoiAlign(height=2, width=2, ratio=2, mode="max"), (PICTURE, ROIS, PICTURES)),
    Case(
        "MaxRoiPool/scale",
        MaxRoiPool(height=2, width=2, scale=0.6),
        (PICTURE, data("f32[2,5]", values=[[0, 0, 0, 5, 6], [1, 1, 2, 3, 9]])),
    ),
    nms("iou", 3, CORNERS, 3, 0.5),
    nms("scores", 2, CORNERS, 3, 0.5, 0.4),
    nms("limit", 2, CORNERS, 2, 0.5),
    nms("center_point", 3, CENTRES, 3, 0.5, center_point=True),
    nms("nothing", 0, CORNERS, None),
]
