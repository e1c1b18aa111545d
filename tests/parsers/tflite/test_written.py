"""Everything that our emitter writes is read again, and the interpreter does what LiteRT does with it."""

from __future__ import annotations

from pathlib import Path

import pytest

import mmconvert
from mmconvert.interpreter.session import run
from tests.cases import ALL
from tests.cases.case import Case
from tests.emitters.tflite.files import compare, execute, write
from tests.emitters.tflite.test_cases import CANNOT

WRITTEN = [case for case in ALL if not any(item.covers(case) for item in CANNOT)]


@pytest.mark.parametrize("case", WRITTEN, ids=str)
def test_case(case: Case, tmp_path: Path) -> None:
    graph, feeds = case.build()
    path = write(graph, tmp_path)
    again = mmconvert.load(path).graph
    assert [v.name for v in again.inputs] == [v.name for v in graph.inputs]
    assert again.output_names == graph.output_names
    wanted = execute(path, feeds, delegate=False)
    found, exact = run(again, feeds), run(again, feeds, precision="float64")
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        compare(array, found[name], exact[name])
