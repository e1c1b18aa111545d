"""Every row of the case table, written and run: PyTorch does what the IR means."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from mmconvert.errors import MMConvertError
from tests.cases import ALL
from tests.cases.case import Case
from tests.emitters.pytorch.files import round_trip


@dataclass(frozen=True)
class Cannot:
    """Cases that cannot be written in PyTorch, and why; a case that does get through fails its test.

    ``name`` may have wildcards.
    """

    name: str
    reason: str

    def covers(self, case: Case) -> bool:
        return fnmatchcase(case.name, self.name)


CANNOT = [
    Cannot("BitShift/*_u32", "torch hardly computes with wide unsigned integers"),
    Cannot("ConvTranspose/2d_same_stride_above_kernel/*", "torch does not put zeros between rows at the end"),
    *(
        Cannot(f"LRN/size{size}_axis3", "torch's window of even size lies otherwise, and the formula is NHWC")
        for size in (2, 4)
    ),
    Cannot("MaxPoolIndices/*/order1", "torch counts positions in row-major order"),
    *(
        Cannot(f"MaxPoolIndices/{name}/order0", "torch counts positions in what was padded")
        for name in (
            "1d_same",
            "1d_pad_asymmetric",
            "2d_same_stride1",
            "2d_same_stride2_even",
            "2d_same_lower_stride2",
            "2d_pads_asymmetric",
            "2d_ceil_stride3",
            "3d_same",
            "2d_dilated_same",
        )
    ),
    Cannot("MaxRoiPool/*", "torch has no such operator"),
    Cannot("Quantize/u16", "torch hardly computes with wide unsigned integers"),
    *(Cannot(f"RoiAlign/{kind}", "the samples depend on the regions") for kind in ("adaptive", "max")),
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


def test_nearly_all_is_there() -> None:
    expressed = [case for case in ALL if not any(item.covers(case) for item in CANNOT)]
    assert len(expressed) >= 0.97 * len(ALL)
