"""Pad: every mode, growing, cropping, and both at once."""

from __future__ import annotations

from mmconvert.ir.ops import Pad
from mmconvert.ir.ops.pad import PadMode
from tests.cases.case import Case, data

MODES: tuple[PadMode, ...] = ("constant", "edge", "reflect", "symmetric", "wrap")
ROWS = {
    "one_axis": ((4,), ((2, 1),)),
    "2d": ((4, 5), ((1, 2), (3, 0))),
    "2d_before": ((3, 4), ((2, 0), (0, 0))),
    "4d_spatial": ((1, 2, 4, 5), ((0, 0), (0, 0), (1, 2), (3, 1))),
    "4d_middle": ((1, 4, 5, 2), ((0, 0), (2, 1), (1, 1), (0, 0))),
    "crop": ((4, 6), ((-1, -1), (0, -2))),
    "crop_and_grow": ((5, 6), ((-1, 2), (2, -1))),
    "nothing": ((2, 3), ((0, 0), (0, 0))),
}

CASES = [
    Case(f"Pad/{mode}_{name}", Pad(pads=pads, mode=mode), (data(f"f32[{','.join(map(str, shape))}]"),))
    for mode in MODES
    for name, (shape, pads) in ROWS.items()
] + [
    Case("Pad/constant_value", Pad(pads=((1, 0), (2, 1)), value=-3.5), (data("f32[2,3]"),)),
    Case("Pad/constant_lowest", Pad(pads=((1, 1), (0, 1)), value=float("-inf")), (data("f32[2,3]"),)),
    Case("Pad/constant_i32", Pad(pads=((1, 1),), value=7.0), (data("i32[4]", -9, 9),)),
    Case("Pad/constant_5d", Pad(pads=((0, 0), (1, 0), (0, 1), (2, 0), (0, 2))), (data("f32[1,2,2,3,3]"),)),
    Case("Pad/constant_batch", Pad(pads=((1, 1), (0, 0), (0, 0), (2, 0))), (data("f32[1,3,3,2]"),)),
    Case("Pad/reflect_i64", Pad(pads=((2, 2),), mode="reflect"), (data("i64[4]", -9, 9),)),
    Case("Pad/reflect_all_that_is_there", Pad(pads=((3, 3),), mode="reflect"), (data("f32[4]"),)),
    Case("Pad/symmetric_all_that_is_there", Pad(pads=((4, 4),), mode="symmetric"), (data("f32[4]"),)),
    Case("Pad/wrap_all_that_is_there", Pad(pads=((4, 4),), mode="wrap"), (data("f32[4]"),)),
]
