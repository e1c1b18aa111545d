"""Real models, end to end: converted, and judged against the source framework's own output."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import mmconvert
from benchmarks.operators import of_tflite
from mmconvert import api
from mmconvert.verification.inputs import Feed, generate
from tests.models import zoo

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]

KERAS = ("MobileNetV2", "ResNet50", "EfficientNetB0", "MobileNetV3Small", "DenseNet121")
TORCHVISION = ("mobilenet_v2", "resnet50", "efficientnet_b0")
PACKAGES = ("fer", "rapidocr-cls", "centerface")
MODELS = (*KERAS, *TORCHVISION, *PACKAGES)


def _source(name: str) -> Path:
    if name in KERAS:
        return zoo.keras_application(name)
    return zoo.torchvision_onnx(name) if name in TORCHVISION else zoo.package_file(name)


def _feeds(name: str, path: Path) -> list[Feed]:
    """Pictures in the range that the network was made for; seeded noise for the others."""
    graph = mmconvert.load(path).graph
    feeds = generate(graph)
    if name in KERAS:
        low, high = zoo.image_range(name)
        rng = np.random.default_rng(0)
        for feed in feeds:
            for key, array in feed.items():
                feed[key] = rng.uniform(low, high, array.shape).astype(np.float32)
    return feeds


@pytest.mark.parametrize("suffix", [".onnx", ".tflite", ".mnn"])
@pytest.mark.parametrize("name", MODELS)
def test_equivalent_to_the_source_framework(name, suffix, tmp_path):
    source, target = _source(name), tmp_path / f"{name}{suffix}"
    report = mmconvert.convert(source, target, verify=False)
    assert not report.warnings
    verdict = api.verify(source, target, inputs=_feeds(name, source), framework=True)
    assert verdict.level == "executed"
    assert not verdict.source.startswith("interpreter"), "the source's own framework gives the reference"
    assert verdict.passed, verdict
    ours = api.verify(source, target, inputs=_feeds(name, source))
    assert ours.passed, ours


@pytest.mark.parametrize("name", [*KERAS, "fer"])
def test_the_same_layout_has_no_transpose(name, tmp_path):
    mmconvert.convert(_source(name), tmp_path / "m.tflite", verify=False)
    assert "TRANSPOSE" not in of_tflite(tmp_path / "m.tflite")


@pytest.mark.parametrize("name", TORCHVISION)
@pytest.mark.parametrize(("io_layout", "allowed"), [("source", 1), ("target", 0)])
def test_the_other_layout_has_none_inside(name, io_layout, allowed, tmp_path):
    report = mmconvert.convert(_source(name), tmp_path / "m.tflite", io_layout=io_layout)
    counts: Counter[str] = Counter(of_tflite(tmp_path / "m.tflite"))
    assert counts["TRANSPOSE"] == allowed
    assert report.passed, report.verdict


@pytest.mark.parametrize("name", KERAS)
def test_no_more_operators_than_tensorflow_writes(name, tmp_path):
    mmconvert.convert(_source(name), tmp_path / "m.tflite", verify=False)
    ours, theirs = of_tflite(tmp_path / "m.tflite"), of_tflite(zoo.keras_application_tflite(name))
    assert sum(ours.values()) <= sum(theirs.values())


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50"])
def test_batch_norms_that_the_exporter_kept_are_folded(name, tmp_path):
    source = zoo.torchvision_onnx(name, keep_batch_norm=True)
    report = mmconvert.convert(source, tmp_path / "m.onnx")
    assert report.passed, report.verdict
    assert "BatchNorm" not in {n.op.name for n in mmconvert.load(tmp_path / "m.onnx").graph}
