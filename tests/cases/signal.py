"""Fourier transforms; whole sequences, matrices and bits."""

from __future__ import annotations

from typing import Any

from mmconvert.ir.ops import DFT, BitCast, Det, Inverse, ReverseSequence, Unique
from tests.cases.case import Case, data


def dft(name: str, shape: str, axis: int, length: int, **fields: Any) -> Case:
    return Case(f"DFT/{name}", DFT(axis=axis, length=length, **fields), (data(f"f32[{shape}]"),))


MATRICES = data("f32[2,3,3]", values=[2, 0.5, 0, 1, 3, -1, 0.5, 0, 1.5, 1, 0, 0, 2, 1, 4, 0, 3, 1])
REPEATED = [3, 1, 2, 1, 3, 3, 0.5]

CASES = [
    dft("real", "2,6,1", 1, 6),
    dft("complex", "2,5,2", 1, 5),
    dft("inverse", "2,5,2", 1, 5, inverse=True),
    dft("onesided", "2,6,1", 1, 6, onesided=True),
    dft("onesided_odd", "2,7,1", 1, 7, onesided=True),
    dft("inverse_onesided", "2,4,2", 1, 6, inverse=True, onesided=True),
    dft("inverse_onesided_odd", "2,4,2", 1, 7, inverse=True, onesided=True),
    dft("other_axis", "4,3,1", 0, 4),
    dft("cut", "2,8,1", 1, 4),
    dft("filled", "2,5,1", 1, 8),
    Case("Unique/sorted", Unique(count=4), (data("f32[7]", values=REPEATED),)),
    Case("Unique/first_appearance", Unique(count=4, sorted=False), (data("f32[7]", values=REPEATED),)),
    Case("Unique/flattened", Unique(count=3), (data("i64[2,3]", values=[5, 1, 5, 2, 2, 1]),)),
    Case("Unique/rows", Unique(count=2, axis=0), (data("f32[3,2]", values=[1, 2, 0, 3, 1, 2]),)),
    Case(
        "Unique/columns_unsorted",
        Unique(count=2, axis=1, sorted=False),
        (data("f32[2,3]", values=[4, 1, 4, 0, 3, 0]),),
    ),
    Case(
        "ReverseSequence/time_first",
        ReverseSequence(time_axis=0, batch_axis=1),
        (data("f32[4,3,2]"), data("i64[3]", values=[4, 1, 2])),
    ),
    Case(
        "ReverseSequence/batch_first",
        ReverseSequence(time_axis=1, batch_axis=0),
        (data("f32[3,4]"), data("i64[3]", values=[0, 3, 4])),
    ),
    Case(
        "BitCast/f32_i32",
        BitCast(source="f32", to="i32"),
        (data("f32[3,2]", values=[1, -2, 0.5, 3, 8, -0.25]),),
    ),
    Case("BitCast/i8_u8", BitCast(source="i8", to="u8"), (data("i8[5]", -99, 99),)),
    Case("Det/batch", Det(), (MATRICES,)),
    Case("Inverse/batch", Inverse(), (MATRICES,)),
]
