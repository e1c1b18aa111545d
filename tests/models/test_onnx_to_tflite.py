"""ONNX models as TFLite: real ones, and small ones of the forms that are hard to bring there."""

from __future__ import annotations

from pathlib import Path

import pytest

import mmconvert
from benchmarks.operators import of_tflite
from mmconvert import api
from tests.models import zoo
from tests.models.test_onnx import MODELS, feeds_of, path_of

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

PEER = {
    "ocr-det": 521,
    "centerface": 85,
    "page-layout": 633,
    "yolov8n": 884,
    "open-nsfw": 88,
    "magika": 109,
    "basic-pitch": 574,
    "dtln-1": 61,
    "dtln-2": 81,
    "silero-vad": 712,
    "silero-vad-sequence": 89,
    "romanizer-decoder": 86,
    "minilm": 701,
    "bert, opset 17": 403,
    "bert, opset 13": 392,
}
"""The operators that onnx2tf 2.6.9 writes, where it can convert a model at all."""

LEFT = {
    "channel-shuffle": 1,
    "pixel-shuffle": 1,
    "windows": 2,
    "einsum": 0,
    "prelu": 0,
    "channel-norm": 0,
    "channel-softmax": 0,
    "flatten": 0,
    "anchors": 2,
    "patches": 2,
    "lines": 0,
    "lstm": 0,
    "lstm-both": 0,
    "gru": 0,
    "rnn": 0,
    "conv-1d": 0,
    "conv-3d": 0,
}
"""The Transposes that elements of these nets cannot do without, when inputs and outputs go along."""

ENCODER_OPERATORS, ENCODER_TRANSPOSES = 420, 36


@pytest.mark.parametrize("name", MODELS)
def test_equivalent_and_no_larger_than_the_peers(name: str, tmp_path: Path) -> None:
    source, target = path_of(name), tmp_path / "m.tflite"
    mmconvert.convert(source, target, verify=False)
    verdict = api.verify(source, target, inputs=feeds_of(name, source))
    assert verdict.level == "executed"
    assert verdict.passed, verdict
    if name in PEER:  # which lets the layouts of inputs and outputs change
        mmconvert.convert(source, target, verify=False, io_layout="target")
        assert sum(of_tflite(target).values()) <= PEER[name]


@pytest.mark.parametrize("name", LEFT)
def test_no_transpose_that_is_not_needed(name: str, tmp_path: Path) -> None:
    source, target = zoo.sore_onnx(name), tmp_path / "m.tflite"
    kept = mmconvert.convert(source, target)
    assert kept.passed, kept.verdict
    moved = mmconvert.convert(source, target, io_layout="target")
    assert moved.passed, moved.verdict
    assert of_tflite(target).get("TRANSPOSE", 0) == LEFT[name]


@pytest.mark.large
def test_the_encoder(tmp_path: Path) -> None:
    source, target = zoo.transformer_onnx(), tmp_path / "m.tflite"
    report = mmconvert.convert(source, target)
    assert report.passed, report.verdict
    found = of_tflite(target)
    assert sum(found.values()) <= ENCODER_OPERATORS
    assert found["TRANSPOSE"] <= ENCODER_TRANSPOSES
    before, after = (mmconvert.load(path).graph for path in (source, target))
    assert [(v.name, v.type) for v in before.inputs] == [(v.name, v.type) for v in after.inputs]
    assert before.output_names == after.output_names
