"""Trained models to NCNN and from it, judged in NCNN itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mmconvert
from mmconvert.interpreter.session import run
from mmconvert.parsers import ncnn as parser
from mmconvert.runtimes.ncnn import Session
from tests.emitters.tflite.files import error
from tests.models import zoo

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]

PACKAGED = (
    "rapidocr-cls",
    "centerface",
    "dtln-1",
    "dtln-2",
    "basic-pitch",
    "open-nsfw",
    "magika",
    "fer",
    "ocr-det",
    "ocr-rec",
)


@pytest.mark.parametrize("name", ["MobileNetV2", "EfficientNetB0", "MobileNetV3Small"])
def test_keras_applications(name: str, tmp_path: Path) -> None:
    report = mmconvert.convert(zoo.keras_application(name), tmp_path / "m.param")
    assert report.passed
    assert report.verdict is not None
    assert report.verdict.level == "executed"


@pytest.mark.parametrize("name", [*PACKAGED, "face-detection", "hand-landmark"])
def test_trained_models(name: str, tmp_path: Path) -> None:
    assert mmconvert.convert(zoo.package_file(name), tmp_path / "m.param").passed


def test_an_encoder_of_text(tmp_path: Path) -> None:
    source = zoo.bert_onnx(17)
    report = mmconvert.convert(source, tmp_path / "m.param", fix_dims={"batch": 1, "length": 24})
    assert report.passed


@pytest.mark.large
@pytest.mark.parametrize("name", ["ResNet50", "DenseNet121"])
def test_large_keras_applications(name: str, tmp_path: Path) -> None:
    assert mmconvert.convert(zoo.keras_application(name), tmp_path / "m.param").passed


@pytest.mark.large
def test_an_encoder_of_the_size_of_bert(tmp_path: Path) -> None:
    assert mmconvert.convert(zoo.transformer_onnx(), tmp_path / "m.param").passed


NETS = (
    "realesr-animevideov3-x2",
    "realesr-animevideov3-x3",
    "realesr-animevideov3-x4",
)


LARGEST = [
    pytest.param(name, marks=pytest.mark.large) for name in ("realesrgan-x4plus-anime", "realesrgan-x4plus")
]


def released(name: str, folder: Path) -> Path:
    """Both files of a released model."""
    for suffix in ("bin", "param"):
        source = zoo.package_file(f"{name}.{suffix}")
        (folder / f"{name}.{suffix}").write_bytes(source.read_bytes())
    return folder / f"{name}.param"


PICTURE = {"height": 32, "width": 40}
TARGETS = {"onnx": {}, "param": {}, "mnn": PICTURE, "tflite": PICTURE}
"""What the released models become, and the extents that have to be known for that."""


@pytest.mark.parametrize("name", [*NETS, *LARGEST])
def test_released_models(name: str, tmp_path: Path) -> None:
    path = released(name, tmp_path)
    graph = parser.load(path).graph
    feeds = {"data": np.random.default_rng(0).random((1, 3, 32, 40), dtype=np.float32)}
    wanted = Session(path).run(feeds)
    for key, array in run(graph, feeds).items():
        assert error(array, wanted[key].astype(np.float64)) < 1e-5
    for suffix, dims in TARGETS.items():
        target = tmp_path / f"again.{suffix}"
        assert mmconvert.convert(path, target, fix_dims=dims).passed
        (found,) = mmconvert.run(target, feeds, runtime="native").values()
        assert error(found, next(iter(wanted.values())).astype(np.float64)) < 1e-5
