"""What the emitter writes of the case table is read back, and means the same."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from mmconvert.errors import UnsupportedError
from mmconvert.interpreter.session import run
from mmconvert.parsers import mnn as parser
from tests.cases import ALL
from tests.cases.case import Case
from tests.emitters.mnn.files import write
from tests.emitters.mnn.test_cases import CANNOT as UNWRITTEN
from tests.emitters.tflite.files import compare

CANNOT = [
    "Range/*",
]
"""Ranges over bounds that are fed."""
WRITTEN = [case for case in ALL if not any(item.covers(case) for item in UNWRITTEN)]


def check(case: Case, folder: Path) -> None:
    graph, feeds = case.build()
    wanted, exact = run(graph, feeds), run(graph, feeds, precision="float64")
    again = parser.load(write(graph, folder)).graph
    assert [(v.name, v.type) for v in again.inputs] == [(v.name, v.type) for v in graph.inputs]
    for name, array in run(again, feeds).items():
        compare(array, wanted[name], exact[name])


@pytest.mark.parametrize("case", WRITTEN, ids=str)
def test_case(case: Case, tmp_path: Path) -> None:
    if not any(fnmatchcase(case.name, name) for name in CANNOT):
        check(case, tmp_path)
        return
    with pytest.raises(UnsupportedError):
        check(case, tmp_path)
