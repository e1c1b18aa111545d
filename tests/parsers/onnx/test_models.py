"""Whole models of other people's exporters."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest

from mmconvert.parsers.onnx import load, sniff
from tests.models import zoo
from tests.parsers.onnx.cases import run_oracle
from tests.parsers.onnx.evaluate import assert_close, evaluate

pytestmark = pytest.mark.model

MODELS = {
    "rapidocr-cls": (lambda: zoo.package_file("rapidocr-cls"), (2, 3, 48, 192)),
    "centerface": (lambda: zoo.package_file("centerface"), None),
    "mobilenet_v2": (lambda: zoo.torchvision_onnx("mobilenet_v2"), None),
    "mobilenet_v2-bn": (lambda: zoo.torchvision_onnx("mobilenet_v2", keep_batch_norm=True), None),
    "efficientnet_b0": (lambda: zoo.torchvision_onnx("efficientnet_b0"), None),
    "MobileNetV3Small": (lambda: zoo.keras_application_onnx("MobileNetV3Small"), None),
}


@pytest.mark.parametrize("name", MODELS)
def test_against_the_runtime(name: str) -> None:
    make, shape = MODELS[name]
    path = make()
    with path.open("rb") as file:
        assert sniff(path, file.read(4096))
    graph = load(path).graph
    (value,) = graph.inputs
    rng = np.random.default_rng(0)
    feeds = {value.name: rng.uniform(-1, 1, shape or value.type.static_shape).astype(np.float32)}
    expected = run_oracle(onnx.load(path), feeds)
    for actual, want in zip(evaluate(graph, feeds), expected, strict=True):
        assert_close(actual, want, rtol=1e-3)


def test_a_hundred_megabytes_are_opened_and_not_read() -> None:
    path: Path = zoo.torchvision_onnx("resnet50")
    load(path)  # imports
    tracemalloc.start()
    started = time.perf_counter()
    graph = load(path).graph
    seconds = time.perf_counter() - started
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    weights = sum(v.constant.nbytes for v in graph.constants() if v.constant is not None)
    assert weights > 100e6
    assert peak < 5e6
    assert seconds < 1, "about 0.02 s on an idle machine"
