"""Every combination of formats, installed or missing runtimes, and files that are not what they should be."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import mmconvert
from mmconvert import registry
from mmconvert.errors import InvalidModelError, MissingDependencyError, UnsupportedError, UsageError
from mmconvert.runtimes import keras, litert, onnxruntime
from mmconvert.verification import sides
from tests import digits

LEVELS = {
    "onnx": ("executed", "ONNX Runtime"),
    "tflite": ("executed", "LiteRT"),
    "mmir": ("read back", "interpreter"),
}
ORT = b"\x18\0\0\0ORTM"
"""The beginning of a file of a format that is written, not read."""

SOURCES = ("keras", "h5", "onnx", "mmir", "tflite")


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for runtime in (keras, litert, onnxruntime):
        monkeypatch.setattr(runtime, "available", lambda: None)


@pytest.mark.parametrize("target", LEVELS)
@pytest.mark.parametrize("source", SOURCES)
def test_every_pair(source: str, target: str, samples: Path) -> None:
    paths = samples / f"digits.{source}", samples / f"digits.{target}"
    verdict = mmconvert.verify(*paths)
    level, runtime = LEVELS[target]
    assert verdict.passed, verdict
    assert verdict.level == level
    assert verdict.runtime.startswith(runtime)
    assert verdict.inputs == 2
    assert verdict.source.startswith("interpreter")


@pytest.mark.usefixtures("nothing_installed")
def test_without_runtimes_what_can_be_read_is_read_back(samples: Path) -> None:
    verdict = mmconvert.verify(samples / "digits.keras", samples / "digits.onnx")
    assert verdict.passed
    assert verdict.summary == "equivalent (read back)"
    assert verdict.notes[0] == "the runtime of ONNX is not installed: pip install 'mmconvert[onnxruntime]'"


@pytest.mark.usefixtures("nothing_installed")
def test_without_runtimes_what_cannot_be_read_is_not_executed(samples: Path, tmp_path: Path) -> None:
    (tmp_path / "m.ort").write_bytes(ORT)
    verdict = mmconvert.verify(samples / "digits.keras", tmp_path / "m.ort")
    assert not verdict.passed
    assert verdict.summary == "not verified (not executed)"
    assert verdict.notes == [
        "the runtime of ORT format is not installed: pip install 'mmconvert[onnxruntime]'"
    ]


@pytest.mark.usefixtures("nothing_installed")
def test_a_source_that_only_a_missing_runtime_can_run(samples: Path, tmp_path: Path) -> None:
    (tmp_path / "m.ort").write_bytes(ORT)
    with pytest.raises(MissingDependencyError, match=r"ORT format is not installed\n.*\[onnxruntime\]"):
        mmconvert.verify(tmp_path / "m.ort", samples / "digits.onnx")


def test_two_files_of_which_neither_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "m.ort").write_bytes(ORT)
    with pytest.raises(UnsupportedError, match="neither ORT format nor ORT format"):
        mmconvert.verify(tmp_path / "m.ort", tmp_path / "m.ort")


@pytest.mark.usefixtures("nothing_installed")
def test_a_framework_that_is_asked_for_and_missing(samples: Path) -> None:
    with pytest.raises(MissingDependencyError, match=r"Keras .*is not installed\n.*\[keras\]"):
        mmconvert.verify(samples / "digits.keras", samples / "digits.onnx", framework=True)


def test_a_framework_that_there_is_none_of(samples: Path) -> None:
    with pytest.raises(MissingDependencyError, match="there is no runtime for mmconvert's own IR"):
        mmconvert.verify(samples / "digits.mmir", samples / "digits.onnx", framework=True)


def test_onnx_runtime_as_the_source(samples: Path) -> None:
    verdict = mmconvert.verify(samples / "digits.onnx", samples / "digits.tflite", framework=True)
    assert verdict.passed
    assert verdict.source.startswith("ONNX Runtime")
    assert [o.passed for o in verdict.source_outputs] == [True]


def test_a_runtime_without_an_operator_is_replaced_by_reading_back(
    samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise UnsupportedError("ONNX Runtime cannot run this file: no Sin for bfloat16")

    monkeypatch.setattr(onnxruntime, "Session", refuse)
    side, notes = sides.best(samples / "digits.onnx", registry.find("onnx"))
    assert side is not None
    assert side.level == "read back"
    assert notes == ["ONNX Runtime cannot run this file: no Sin for bfloat16"]


def test_the_users_own_inputs(samples: Path) -> None:
    paths = samples / "digits.keras", samples / "digits.onnx"
    verdict = mmconvert.verify(*paths, inputs=[{"image": digits.images(1)}, {"image": digits.images(7)}])
    assert verdict.passed
    assert verdict.inputs == 2
    with pytest.raises(UsageError, match=r"not of shape \[1, 8, 8\]"):
        mmconvert.verify(*paths, inputs=[{"image": digits.images(1)[..., 0]}])


def test_recognised_by_content(samples: Path, tmp_path: Path) -> None:
    for format in ("onnx", "tflite", "keras"):
        shutil.copy(samples / f"digits.{format}", tmp_path / f"{format}.bin")
    verdict = mmconvert.verify(tmp_path / "keras.bin", tmp_path / "tflite.bin")
    assert (verdict.passed, verdict.level) == (True, "executed")
    verdict = mmconvert.verify(tmp_path / "keras.bin", tmp_path / "onnx.bin")
    assert (verdict.passed, verdict.level) == (True, "executed")


def test_files_that_are_missing_or_broken(samples: Path, tmp_path: Path) -> None:
    good, bad = samples / "digits.keras", tmp_path / "bad.onnx"
    for pair in ((good, tmp_path / "none.onnx"), (tmp_path / "none.onnx", good)):
        with pytest.raises(UsageError, match="No such file"):
            mmconvert.verify(*pair)
    bad.write_bytes(b"what is this")
    for pair in ((good, bad), (bad, good)):
        with pytest.raises(InvalidModelError, match=r"bad\.onnx"):
            mmconvert.verify(*pair)
    bad.write_bytes((samples / "digits.onnx").read_bytes()[:5000])
    with pytest.raises(InvalidModelError, match=r"bad\.onnx"):
        mmconvert.verify(good, bad)


def test_another_model(samples: Path, tmp_path: Path) -> None:
    source = mmconvert.load(samples / "digits.keras")
    constants = [v for v in source.graph.constants() if v.constant is not None]
    for value in constants:
        assert value.constant is not None
        if value.constant.shape[:1] == (256,):
            value.constant = value.constant.map(lambda a: np.asarray(a[::-1]))
    source.save(tmp_path / "other.onnx")
    verdict = mmconvert.verify(samples / "digits.keras", tmp_path / "other.onnx")
    assert not verdict.passed
    assert verdict.first_divergence is not None
    assert verdict.first_divergence.place == "Dense 'probabilities'"
