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

COUNTS = {
    "rapidocr-cls": (115, 1, 114, 0),
    "ocr-det": (209, 1, 206, 0),
    "ocr-rec": (217, 5, 216, 4),
    "centerface": (87, 4, 82, 0),
    "page-layout": (237, 1, 236, 0),
    "yolov8n": (351, 6, 350, 5),
    "open-nsfw": (75, 0, 75, 0),
    "magika": (80, 1, 80, 1),
    "basic-pitch": (155, 2, 155, 2),
    "dtln-1": (43, 0, 43, 0),
    "dtln-2": (66, 0, 66, 0),
    "silero-vad": (114, 2, 114, 2),
    "silero-vad-ifless": (110, 2, 110, 2),
    "silero-vad-sequence": (71, 0, 71, 0),
    "romanizer-encoder": (190, 3, 190, 3),
    "romanizer-decoder": (63, 0, 63, 0),
    "minilm": (322, 18, 322, 18),
    "rapidocr-cls, QDQ": (367, 1, 366, 0),
    "bert, opset 17": (153, 8, 153, 8),
    "bert, opset 13": (153, 8, 153, 8),
    "mobilenet_v2": (70, 1, 69, 0),
    "resnet50": (78, 1, 77, 0),
    "efficientnet_b0": (244, 1, 243, 0),
}
"""Operators and Transposes of ours: with inputs and outputs kept, and with those in the order of NHWC."""

SORE = {
    "channel-shuffle": (4, 2, 2, 0),
    "pixel-shuffle": (7, 3, 5, 1),
    "windows": (13, 4, 11, 2),
    "einsum": (6, 2, 4, 0),
    "prelu": (5, 2, 3, 0),
    "channel-norm": (11, 2, 9, 0),
    "channel-softmax": (5, 2, 3, 0),
    "flatten": (4, 1, 3, 0),
    "anchors": (12, 3, 11, 2),
    "patches": (25, 3, 24, 2),
    "lines": (10, 1, 9, 0),
    "lstm": (7, 0, 7, 0),
    "lstm-both": (7, 0, 7, 0),
    "gru": (30, 0, 30, 0),
    "rnn": (7, 0, 7, 0),
    "conv-1d": (8, 2, 6, 0),
    "conv-3d": (4, 2, 2, 0),
}
"""The same of the nets whose forms are hard to bring over."""

ENCODER_OPERATORS, ENCODER_TRANSPOSES = 372, 24


def counted(path: Path) -> tuple[int, int]:
    """How many operators a file has, and how many of them are Transposes."""
    found = of_tflite(path)
    return sum(found.values()), found.get("TRANSPOSE", 0)


@pytest.mark.parametrize("name", MODELS)
def test_equivalent_and_no_larger_than_the_peers(name: str, tmp_path: Path) -> None:
    source, target = path_of(name), tmp_path / "m.tflite"
    mmconvert.convert(source, target, verify=False)
    verdict = api.verify(source, target, inputs=feeds_of(name, source))
    assert verdict.level == "executed"
    assert verdict.passed, verdict
    kept = counted(target)
    mmconvert.convert(source, target, verify=False, io_layout="target")
    moved = counted(target)
    assert (*kept, *moved) == COUNTS[name]
    if name in PEER:  # which lets the layouts of inputs and outputs change
        assert moved[0] <= PEER[name]


@pytest.mark.parametrize("name", zoo.TORCHVISION_MODELS)
def test_networks_of_torchvision_keep_their_size(name: str, tmp_path: Path) -> None:
    source, target = zoo.torchvision_onnx(name), tmp_path / "m.tflite"
    found = []
    for layout in ("source", "target"):
        mmconvert.convert(source, target, verify=False, io_layout=layout)
        found += counted(target)
    assert tuple(found) == COUNTS[name]


@pytest.mark.parametrize("name", SORE)
def test_no_transpose_that_is_not_needed(name: str, tmp_path: Path) -> None:
    source, target = zoo.sore_onnx(name), tmp_path / "m.tflite"
    kept = mmconvert.convert(source, target)
    assert kept.passed, kept.verdict
    before = counted(target)
    moved = mmconvert.convert(source, target, io_layout="target")
    assert moved.passed, moved.verdict
    assert (*before, *counted(target)) == SORE[name]


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
