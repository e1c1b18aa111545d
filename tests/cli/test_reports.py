"""``--report`` and ``--junit``."""

from __future__ import annotations

from pathlib import Path

from junitparser import JUnitXml

from tests import digits
from tests.cli.conftest import Command


def test_conversion(mmconvert: Command, tmp_path: Path) -> None:
    page, junit = tmp_path / "a.html", tmp_path / "a.xml"
    done = mmconvert(digits.KERAS, tmp_path / "a.onnx", "--report", page, "--junit", junit, "--json")
    assert done.code == 0
    assert done.document["schema"] == 1
    assert done.document["verdict"]["evidence"]["operators"] == 17
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert [suite.failures for suite in JUnitXml.fromfile(str(junit))] == [0]


def test_comparison(mmconvert: Command, tmp_path: Path) -> None:
    done = mmconvert(
        "verify", digits.KERAS, digits.KERAS, "--report", tmp_path / "a.html", "--junit", tmp_path / "a.xml"
    )
    assert done.code == 0
    assert "equivalent (executed)" in (tmp_path / "a.html").read_text()
    assert [suite.failures for suite in JUnitXml.fromfile(str(tmp_path / "a.xml"))] == [0]


def test_demonstration(mmconvert: Command, tmp_path: Path) -> None:
    assert mmconvert("demo", "--report", tmp_path / "a.html", "--junit", tmp_path / "a.xml").code == 0
    assert len(list(JUnitXml.fromfile(str(tmp_path / "a.xml")))) == 2
    assert "c2-layers" in (tmp_path / "a.html").read_text()


def test_refused_before_any_work(mmconvert: Command, tmp_path: Path) -> None:
    target = tmp_path / "a.onnx"
    for where in (tmp_path / "no" / "a.html", target, tmp_path):
        assert mmconvert(digits.KERAS, target, "--report", where).code == 2
        assert not target.exists()
