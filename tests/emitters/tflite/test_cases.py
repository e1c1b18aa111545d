"""Every row of the case table, written and run with XNNPACK and without: LiteRT does what the IR means."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest

from mmconvert.errors import MMConvertError
from mmconvert.interpreter.session import run
from tests.cases import ALL
from tests.cases.case import Case
from tests.emitters.tflite.files import compare, execute, write


@dataclass(frozen=True)
class Cannot:
    """Cases that TFLite cannot express, and why; a case that does get through fails its test.

    ``name`` may have wildcards.
    """

    name: str
    reason: str

    def covers(self, case: Case) -> bool:
        return fnmatchcase(case.name, self.name)


CANNOT = [
    Cannot("Div/i64", "TFLite has no division of i64, and nothing wider to carry it"),
    Cannot("FloorDiv/i64", "TFLite has no division of i64, and nothing wider to carry it"),
    Cannot("MaxPool/f64/*", "TFLite's kernels have no f64"),
    *(
        Cannot(f"{kind}/{reduction}_*", "TFLite's SCATTER_ND adds, and has no other reduction")
        for kind in ("ScatterElements", "ScatterND")
        for reduction in ("mul", "max", "min")
    ),
    Cannot(
        "NonMaxSuppression/*", "the emitter has no rule: TFLite's operator is for one picture and one class"
    ),
    Cannot("Unique/*", "TFLite's UNIQUE neither sorts nor counts, and has no axis"),
    *(
        Cannot(f"{kind}/*", "TFLite has no builtin for it, and it has no decomposition")
        for kind in ("ConvInteger", "DeformConv", "Det", "Inverse", "MaxRoiPool", "RoiAlign")
    ),
    Cannot("ReadExtents/*", "the emitter takes extents from shapes, not from values"),
]


@pytest.mark.parametrize("case", ALL, ids=str)
def test_case(case: Case, tmp_path: Path) -> None:
    if not any(item.covers(case) for item in CANNOT):
        check(case, tmp_path)
        return
    with pytest.raises((MMConvertError, AssertionError)):
        check(case, tmp_path)


def test_every_limitation_is_met() -> None:
    assert not [item.name for item in CANNOT if not any(map(item.covers, ALL))]


def check(case: Case, folder: Path) -> None:
    graph, feeds = case.build()
    wanted, exact = run(graph, feeds), run(graph, feeds, precision="float64")
    path = write(graph, folder)
    for delegate in (True, False):
        found = execute(path, feeds, delegate=delegate)
        assert found.keys() == wanted.keys()
        for name, array in found.items():
            compare(array, wanted[name], exact[name])


@pytest.mark.parametrize("shift", [1, 2])
def test_the_comparison_notices_a_shift(shift: int) -> None:
    y = np.linspace(0, 1, 12, dtype=np.float32)
    with pytest.raises(AssertionError):
        compare(np.roll(y, shift), y, y.astype(np.float64))
