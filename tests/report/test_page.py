"""The page as text: what is in it, and what never is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mmconvert.errors import MissingDependencyError, UnsupportedError
from mmconvert.report import Case, environment, page
from mmconvert.runtimes import onnxruntime
from mmconvert.verification.verdict import Verdict
from tests.report import samples


def data(text: str) -> list[dict[str, Any]]:
    """The figures in a page."""
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    items: list[dict[str, Any]] = json.loads(found)["items"]
    return items


def without_library(text: str) -> str:
    """A page without Bokeh."""
    first, *_, last = text.split("<script>")
    return first + last


def columns(item: dict[str, Any], name: str) -> list[Any]:
    """What all sources of a figure have in one column."""
    return [
        x for column in re.findall(rf'\["{name}", (\[.*?\])\]', json.dumps(item)) for x in json.loads(column)
    ]


def test_a_good_conversion(tmp_path: Path) -> None:
    case = samples.good(tmp_path)
    text = samples.render(case)
    assert "equivalent (executed)" in text
    assert "NOT equivalent" not in text
    assert [i["target_id"] for i in data(text)] == ["c1-layers", "c1-differences-1", "c1-source", "c1-target"]
    places = columns(data(text)[0], "place")
    assert case.verdict is not None
    assert sorted(set(places)) == sorted({layer.place for layer in case.verdict.layers})
    assert all(layer.is_right for layer in case.verdict.layers)


def test_a_wrong_weight(tmp_path: Path) -> None:
    case = samples.edited(tmp_path, "reversed")
    text = without_library(samples.render(case))
    assert "NOT equivalent (executed)" in text
    assert "matches with the weight reversed along axis 0" in text
    assert case.verdict is not None
    evidence = case.verdict.evidence
    assert evidence is not None
    assert evidence.source is not None
    assert evidence.target is not None
    places = [graph.spots[graph.centre].place for graph in (evidence.source, evidence.target)]
    assert places == ["BatchNormalization 'down_bn'", "Conv 'down_bn'"]
    (wrong,) = (layer for layer in case.verdict.layers if layer.is_at_fault)
    assert wrong.place == "BatchNormalization 'down_bn'"


def test_nan(tmp_path: Path) -> None:
    case = samples.edited(tmp_path, "nan")
    text = samples.render(case)
    assert "not comparable" in text
    assert "NaN or infinite on one side alone" in text
    assert len(data(text)) >= 3


def test_histograms_count_every_element(tmp_path: Path) -> None:
    for change in ("reversed", "nan"):
        verdict = samples.edited(tmp_path, change).verdict
        assert verdict is not None
        assert verdict.evidence is not None
        (histogram,) = verdict.evidence.histograms
        assert histogram.equal + histogram.incomparable + sum(histogram.target) == histogram.elements
        assert histogram.source_equal + sum(histogram.source) == histogram.elements


def test_an_output_may_have_the_name_of_an_inner_value(tmp_path: Path) -> None:
    """In TFLite the tensor before the Softmax is named like the output of the signature."""
    verdict = samples.good(tmp_path, "tflite").verdict
    assert verdict is not None
    assert [(layer.operator, layer.is_right) for layer in verdict.layers[-2:]] == [
        ("Gemm", True),
        ("Softmax", True),
    ]


def test_weights_in_half_precision(tmp_path: Path) -> None:
    import mmconvert
    from tests import digits

    report = mmconvert.convert(digits.KERAS, tmp_path / "half.tflite", precision="fp16", examine=True)
    assert report.verdict is not None
    assert report.verdict.layers
    assert all(layer.is_right for layer in report.verdict.layers)
    assert "dB of signal over noise" in samples.render(Case.of_conversion(report))


def test_a_runtime_that_hides_its_inner_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise UnsupportedError("it hides them")

    monkeypatch.setattr(onnxruntime.Session, "intermediates", refuse)
    case = samples.good(tmp_path)
    text = samples.render(case)
    assert "The runtime hides its inner values: it hides them. What is shown are those of the file" in text
    assert case.verdict is not None
    assert case.verdict.layers
    assert all(layer.is_right for layer in case.verdict.layers)


def test_not_verified() -> None:
    text = without_library(
        samples.render(Case("a.onnx", "b.x"), Case("a", "b", verdict=Verdict("not executed")))
    )
    assert ">not verified<" in text
    assert "not verified (not executed)" in text
    assert data(samples.render(Case("a.onnx", "b.x"))) == []


def test_names_are_escaped(tmp_path: Path) -> None:
    text = without_library(samples.render(samples.hostile(tmp_path)))
    assert "&lt;script&gt;window.pwned=1" in text
    assert "<script>window.pwned" not in text
    assert "<img" not in text


def test_no_network(tmp_path: Path) -> None:
    text = samples.render(samples.good(tmp_path))
    assert not re.search(r"https?://|//cdn|@import|url\(", without_library(text))
    assert not re.search(r"<(link|img|iframe|object|embed)\b|\ssrc=", without_library(text))
    assert "default-src 'none'" in text


def test_the_same_bytes(tmp_path: Path) -> None:
    """Within one process, and in others, where sets have another order."""
    case = samples.edited(tmp_path, "reversed")
    assert samples.render(case) == samples.render(case)
    program = (
        "import sys, hashlib; from pathlib import Path; from tests.report import samples;"
        "text = samples.render(samples.chain(Path(sys.argv[1]), 6));"
        "print(hashlib.sha256(text.encode()).hexdigest())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program, tmp_path],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]


def test_a_thousand_operators(tmp_path: Path) -> None:
    case = samples.chain(tmp_path, 1000)
    assert case.verdict is not None
    assert len(case.verdict.layers) == 1000
    start = time.perf_counter()
    text = samples.render(case)
    assert time.perf_counter() - start < 10
    assert len(text) < 2.5e6
    assert len(without_library(text)) < 6e5


def test_a_missing_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bokeh", None)
    with pytest.raises(MissingDependencyError, match="Bokeh"):
        page.write(tmp_path / "a.html", [], environment(), samples.WHEN)
    assert not (tmp_path / "a.html").exists()
