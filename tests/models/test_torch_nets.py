"""Nets of torchvision, timm and transformers, exported by torch: interpreter, ONNX Runtime, LiteRT."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models import zoo
from tests.models.nets.names import EVERY

SAMPLE = {
    ("torchvision", "squeezenet1_1"),
    ("torchvision", "segmentation.lraspp_mobilenet_v3_large"),
    ("timm", "convnext_zepto_rms"),
    ("timm", "efficientvit_m0"),
    ("timm", "starnet_s050"),
    ("transformers", "bert"),
    ("transformers", "llama"),
    ("transformers", "mobilevit"),
}
"""What a run of the model tests takes; all others are long."""

CLOSED = {
    ("torchvision", "inception_v3"): "it is tried with its own extent, 299, which is no multiple of 32",
    ("transformers", "mamba"): "its loop over the sequence is unrolled when torch exports it",
    ("transformers", "wav2vec2"): "torch fixes the length of the waveform when it exports it",
    ("transformers", "whisper-encoder"): "it takes one length",
}
"""Nets of which torch exports fewer open extents than were asked for."""

CANNOT = {("timm", "crossvit_tiny_240", "tflite"): "TFLite has no cubic interpolation"}
"""What does not work, and why."""

ROWS = [
    pytest.param(library, name, marks=[pytest.mark.model if (library, name) in SAMPLE else pytest.mark.large])
    for library, names in EVERY.items()
    for name in names
]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("library", "name"), ROWS)
def test_net(library: str, name: str, tmp_path: Path) -> None:
    found = {each["step"]: each for each in zoo.torch_net(library, name, tmp_path)}
    about = found["interpreter"]
    assert about["range"] > 1e-3, "its outputs are nearly alike"
    assert (about["opened"] < about["of"]) == ((library, name) in CLOSED), about["inputs"]
    for step in ("interpreter", "onnx", "tflite"):
        reason = found[step].get("reason", "")
        assert found[step]["passed"] == ((library, name, step) not in CANNOT), reason
