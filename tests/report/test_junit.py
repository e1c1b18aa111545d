"""JUnit files, as junitparser reads them."""

from __future__ import annotations

from pathlib import Path

from junitparser import JUnitXml

from mmconvert.report import Case, junit
from mmconvert.verification.verdict import Verdict
from tests.report import samples


def test_cases(tmp_path: Path) -> None:
    cases = [samples.good(tmp_path), samples.edited(tmp_path, "reversed"), samples.hostile(tmp_path)]
    cases += [Case("a\x00\ud800", "b"), Case("a", "b", verdict=Verdict("not executed"))]
    cases.append(Case("a", "b", verdict=Verdict("executed", failure="it refuses\x07 this")))
    junit.write(tmp_path / "junit.xml", cases)
    suites = list(JUnitXml.fromfile(str(tmp_path / "junit.xml")))
    assert [(s.name.split(" ")[0], s.failures > 0, s.skipped) for s in suites] == [
        ("digits.keras", False, 0),
        ("digits.keras", True, 0),
        ("hostile1.onnx", True, 0),
        ("a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}", False, 1),
        ("a", False, 1),
        ("a", True, 0),
    ]
    (failed, *_) = (test for test in suites[1] if test.result)
    assert failed.name == "output probabilities"
    assert "matches with the weight reversed along axis 0" in failed.result[0].message
    assert samples.HOSTILE in next(iter(suites[2])).name
    properties = {p.name: p.value for p in suites[1].properties()}
    assert (properties["level"], properties["culprit"]) == ("executed", "file")
