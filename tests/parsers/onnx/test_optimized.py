"""Whole models as ONNX Runtime's optimizers and quantizers leave them, against ONNX Runtime."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnxruntime import quantization

from mmconvert.errors import UnsupportedError
from mmconvert.interpreter import run
from mmconvert.ir.types import Array
from mmconvert.parsers.onnx import load
from tests.parsers.onnx.cases import run_oracle

torch = pytest.importorskip("torch")
nn = torch.nn

Feeds = dict[str, Array]


class Encoder(nn.Module):
    """A small BERT: embeddings of words, positions and segments, and attention under a mask."""

    def __init__(self, width: int = 32, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.words, self.places, self.segments = (nn.Embedding(n, width) for n in (50, 16, 2))
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=1e-12) for _ in range(3))
        self.linears = nn.ModuleList(nn.Linear(width, width) for _ in range(4))
        self.up, self.down, self.last = nn.Linear(width, 64), nn.Linear(64, width), nn.Linear(width, 3)
        self.register_buffer("numbers", torch.arange(16)[None])

    def forward(self, ids, mask, segments):
        places = self.places(self.numbers[:, : ids.shape[1]])
        x = self.norms[0](self.words(ids) + self.segments(segments) + places)
        n, t, width = x.shape
        parts = [linear(x).view(n, t, self.heads, width // self.heads) for linear in self.linears[:3]]
        query, key, value = (part.permute(0, 2, 1, 3) for part in parts)
        hidden = (1.0 - mask[:, None, None, :].float()) * -10000.0
        shares = (query @ key.transpose(-1, -2) / (width // self.heads) ** 0.5 + hidden).softmax(-1)
        seen = (shares @ value).permute(0, 2, 1, 3).contiguous().view(n, t, width)
        x = self.norms[1](self.linears[3](seen) + x)
        x = self.norms[2](self.down(nn.functional.gelu(self.up(x))) + x)
        return self.last(torch.tanh(x[:, 0]))


class Pictures(nn.Module):
    """A small convolutional network with what such networks are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        self.block = nn.Sequential(
            *(nn.Conv2d(16, 32, 1), nn.BatchNorm2d(32), nn.ReLU6()),
            *(nn.Conv2d(32, 32, 3, 1, 1, groups=32), nn.Hardswish(), nn.Conv2d(32, 16, 1)),
        )
        self.more = nn.Sequential(
            nn.Conv2d(16, 24, 3, padding=1), nn.SiLU(), nn.LeakyReLU(0.2), nn.AvgPool2d(2)
        )
        self.gate, self.last = nn.Conv2d(24, 24, 1), nn.Linear(48, 5)

    def forward(self, x):
        x = self.stem(x)
        x = self.more(x + self.block(x))
        y = x * torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True)))
        pooled = nn.functional.adaptive_avg_pool2d(torch.cat([x, y], 1), 1)
        return torch.softmax(self.last(torch.flatten(pooled, 1)), -1)


class Reader(quantization.CalibrationDataReader):
    def __init__(self, feeds: Feeds) -> None:
        self.left: Iterator[Feeds] = iter([feeds])

    def get_next(self) -> Feeds | None:
        return next(self.left, None)


@pytest.fixture(scope="module", params=["encoder", "pictures"])
def exported(request, tmp_path_factory) -> tuple[Path, Feeds]:
    """A model in a file, and what it is run on."""
    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    if request.param == "encoder":
        mask = np.array([[1] * 7, [1] * 5 + [0] * 2])
        ids, segments = generator.integers(0, 50, (2, 7)), generator.integers(0, 2, (2, 7))
        model, feeds, axes = Encoder(), {"ids": ids, "mask": mask, "segments": segments}, {0: "n", 1: "t"}
    else:
        images = generator.standard_normal((1, 3, 32, 32)).astype(np.float32)
        model, feeds, axes = Pictures(), {"x": images}, {0: "n", 2: "h", 3: "w"}
    path = tmp_path_factory.mktemp(request.param) / "m.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of traces, and of the exporter's age
        torch.onnx.export(
            model.eval(),
            tuple(map(torch.from_numpy, feeds.values())),
            str(path),
            dynamo=False,
            opset_version=17,
            input_names=list(feeds),
            dynamic_axes=dict.fromkeys(feeds, axes),
        )
    logging.getLogger().setLevel(logging.ERROR)  # the quantizer advises on the root logger
    return path, feeds


def quantized(path: Path, feeds: Feeds, way: str, folder: Path) -> Path:
    """The model quantized in one of the ways that there are."""
    made = folder / "quantized.onnx"
    match way:
        case "":
            return path
        case "dynamic":
            quantization.quantize_dynamic(path, made)
        case _:
            kind, _, per_channel = way.partition(" ")
            form = quantization.QuantFormat[kind]
            quantization.quantize_static(
                path, made, Reader(feeds), quant_format=form, per_channel=bool(per_channel)
            )
    return made


def optimized(path: Path, level: str, folder: Path) -> Path:
    """The model as ONNX Runtime saves it after optimizing."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return folder / "optimized.onnx"


@pytest.mark.parametrize("level", ["ORT_DISABLE_ALL", "ORT_ENABLE_EXTENDED"])
@pytest.mark.parametrize("way", ["", "dynamic", "QDQ", "QDQ by channel", "QOperator", "QOperator by channel"])
def test_optimized_and_quantized(exported: tuple[Path, Feeds], way: str, level: str, tmp_path: Path) -> None:
    path, feeds = exported
    path = optimized(quantized(path, feeds, way, tmp_path), level, tmp_path)
    (wanted,) = run_oracle(onnx.load(path), feeds)
    (found,) = run(load(path).graph, feeds).values()
    # The fused softmax of 8 bits looks its powers up in a table, and may differ in the last bit.
    step = 1.01 / 256 if "x" in feeds and way.startswith("QDQ") and level != "ORT_DISABLE_ALL" else 1e-6
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=step)


def test_blocked_weights_are_refused_with_what_to_do(exported: tuple[Path, Feeds], tmp_path: Path) -> None:
    path = optimized(exported[0], "ORT_ENABLE_ALL", tmp_path)
    blocked = any(node.domain == "com.microsoft.nchwc" for node in onnx.load(path).graph.node)
    if not blocked:
        assert load(path)
        return
    with pytest.raises(UnsupportedError, match="save the model at ORT_ENABLE_EXTENDED"):
        load(path)


@pytest.mark.parametrize("exported", ["encoder"], indirect=True)
@pytest.mark.parametrize("apart", [False, True])
def test_fused_for_transformers(exported: tuple[Path, Feeds], apart: bool, tmp_path: Path) -> None:
    path, feeds = exported
    optimizer = pytest.importorskip("onnxruntime.transformers.optimizer")
    options = pytest.importorskip("onnxruntime.transformers.fusion_options").FusionOptions("bert")
    options.use_multi_head_attention = apart
    model = optimizer.optimize_model(
        str(path), "bert", num_heads=4, hidden_size=32, optimization_options=options, opt_level=1
    )
    model.save_model_to_file(str(tmp_path / "fused.onnx"))
    proto = onnx.load(tmp_path / "fused.onnx")
    kinds = {node.op_type for node in proto.graph.node}
    assert {
        "EmbedLayerNormalization",
        "SkipLayerNormalization",
        "MultiHeadAttention" if apart else "Attention",
    } <= kinds
    (found,) = run(load(tmp_path / "fused.onnx").graph, feeds).values()
    np.testing.assert_allclose(found, run_oracle(proto, feeds)[0], rtol=1e-4, atol=1e-6)
