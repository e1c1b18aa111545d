"""Every row of the case table, written and run: MNN does what the IR means."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from mmconvert.errors import MMConvertError
from tests.cases import ALL
from tests.cases.case import Case
from tests.emitters.mnn.files import round_trip


@dataclass(frozen=True)
class Cannot:
    """Cases that MNN cannot express, and why; a case that does get through fails its test.

    ``name`` may have wildcards.
    """

    name: str
    reason: str

    def covers(self, case: Case) -> bool:
        return fnmatchcase(case.name, self.name)


CANNOT = [
    Cannot("MaxPool/f64/*", "MNN computes in f32"),
    Cannot("BitCast/f32_i32", "MNN has no such operator"),
    Cannot("BitShift/*_u32", "MNN computes in i32"),
    Cannot("BitShift/left_u8", "i32 does not wrap around as u8 does"),
    Cannot("BitwiseNot/u8", "i32 has other bits than u8"),
    *(Cannot(f"MatMul/{kind}", "MNN's MatMul takes floats") for kind in ("i32", "i64")),
    *(
        Cannot(f"{kind}/*", "MNN has no operator for it, and it has no decomposition")
        for kind in ("ConvInteger", "DeformConv", "Det", "Inverse", "MatMulInteger", "MaxRoiPool", "Unique")
    ),
    *(
        Cannot(f"MaxPoolIndices/{kind}", "MNN finds maxima of images, undilated, in row-major order")
        for kind in ("1d*", "3d*", "*dilated*", "*/order1")
    ),
    *(
        Cannot(f"MaxPoolIndices/2d_{kind}", "MNN loses the positions in windows that reach into padding")
        for kind in (
            "*pad*",
            "same_stride1/*",
            "same_stride2_even/*",
            "same_lower*",
            "strides_differ/*",
            "ceil*",
        )
    ),
    Cannot(
        "NonMaxSuppression/*", "MNN's operator is for one class of one picture, and keeps no order of them"
    ),
    Cannot("RoiAlign/max", "MNN takes the maximum of the samples, not of their weighted neighbours"),
    Cannot("NonZero/*", "MNN's Where leaves its result as long as its input"),
    Cannot("ReadExtents/*", "the emitter takes extents from shapes, not from values"),
    Cannot("ReverseSequence/batch_first", "MNN reverses time before the batch"),
    Cannot("Reshape/empty", "MNN has no tensors without elements"),
    *(
        Cannot(f"{kind}/{reduction}_*", "MNN's scatters add and multiply, and have no other reduction")
        for kind in ("ScatterElements", "ScatterND")
        for reduction in ("max", "min")
    ),
    Cannot("TopK/ties_largest", "MNN puts equal elements in an order of its own"),
]


@pytest.mark.parametrize("case", ALL, ids=str)
def test_case(case: Case, tmp_path: Path) -> None:
    if not any(item.covers(case) for item in CANNOT):
        round_trip(*case.build(), tmp_path)
        return
    with pytest.raises((MMConvertError, AssertionError)):
        round_trip(*case.build(), tmp_path)


def test_every_limitation_is_met() -> None:
    assert not [item.name for item in CANNOT if not any(map(item.covers, ALL))]


def test_most_of_what_is_float_is_there() -> None:
    rows = [
        c
        for c in ALL
        if all(d is None or (d.dtype == "f32" and len(d.shape) in range(1, 5)) for d in c.inputs)
    ]
    expressed = [case for case in rows if not any(item.covers(case) for item in CANNOT)]
    assert len(expressed) >= 0.9 * len(rows)
