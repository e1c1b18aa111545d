"""Real ONNX models: read, run and written again, against ONNX Runtime on the original, at several sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import pytest

import mmconvert
from benchmarks.simplifier import DEFAULT, OLDEST, count, opset_of
from mmconvert import api
from mmconvert.ir.dims import symbols
from mmconvert.runtimes.onnxruntime import Session
from mmconvert.verification.inputs import Feed, generate
from tests.models import zoo

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

STEPS = 6


@dataclass(frozen=True)
class Real:
    """How a model is run.

    Attributes:
        sizes: numbers for its unknown extents, in the order in which the inputs have them; each is one run.
        fixed: what the other inputs would not make sense without.
        state: the output that each input takes over from the step before.
        fewest: the least number of nodes that onnxslim or onnxsim leave, as `benchmarks.simplifier` found.
    """

    sizes: tuple[tuple[int, ...], ...]
    fewest: int
    fixed: Mapping[str, np.ndarray] = field(default_factory=dict)
    state: Mapping[str, str] = field(default_factory=dict)


RATE = {"sr": np.array(16000)}

QUANTIZED = "rapidocr-cls, QDQ"

MODELS = {
    "rapidocr-cls": Real(((1, 48, 192), (2, 64, 100)), 179),
    "ocr-det": Real(((1, 64, 96), (2, 96, 160)), 326),
    "ocr-rec": Real(((1, 48, 64), (2, 48, 160)), 393),
    "centerface": Real(((),), 119),
    "page-layout": Real(((),), 521),
    "yolov8n": Real(((1, 96, 64), (2, 64, 160)), 323),
    "open-nsfw": Real(((1,), (2,)), 125),
    "magika": Real(((1,), (3,)), 93),
    "basic-pitch": Real(((1,), (2,)), 180),
    "dtln-1": Real(((),), 36, state={"input_3": "tf_op_layer_stack_2"}),
    "dtln-2": Real(((),), 68, state={"input_5": "tf_op_layer_stack_5"}),
    "silero-vad": Real(((1, 576, 1), (3, 576, 3)), 308, RATE, {"state": "stateN"}),
    "silero-vad-ifless": Real(((1, 576), (3, 576)), 90, RATE, {"state": "stateN"}),
    "silero-vad-sequence": Real(((3,), (7,)), 25, state={"h": "hn", "c": "cn"}),
    "romanizer-encoder": Real(((1, 5), (3, 9)), 23),
    "romanizer-decoder": Real(((1, 5, 4), (3, 9, 6)), 59, state={"hidden": "hidden_out"}),
    "minilm": Real(((1, 7), (3, 20)), 302),
    QUANTIZED: Real(((1, 48, 192), (2, 64, 100)), 551),
    "bert, opset 17": Real(((1, 5), (3, 17)), 242),
    "bert, opset 13": Real(((1, 5), (3, 17)), 296),
}


def path_of(name: str) -> Path:
    """The file of a model."""
    first, _, variant = name.partition(", ")
    if variant == "QDQ":
        return zoo.quantized_onnx(first)
    return zoo.bert_onnx(int(variant.split()[1])) if first == "bert" else zoo.package_file(name)


def feeds_of(name: str, path: Path) -> list[Feed]:
    """Seeded inputs, one feed for each of the model's sizes."""
    real = MODELS[name]
    # Fixed while sizes are tried: the branch that is not taken may not work on them.
    graph = mmconvert.load(path, fix=real.fixed).graph
    names = list(dict.fromkeys(s for v in graph.inputs for e in v.type.shape for s in sorted(symbols(e))))
    feeds = []
    for seed, size in enumerate(real.sizes):
        extents = dict(zip(names, size, strict=False))
        (feed,) = generate(graph, 1, seed, extents)
        feeds.append(feed | dict(real.fixed))
    return feeds


@pytest.mark.parametrize("name", [name for name in MODELS if name != QUANTIZED])
def test_equivalent_to_the_original(name: str, tmp_path: Path) -> None:
    source, target = path_of(name), tmp_path / "m.onnx"
    mmconvert.convert(source, target, verify=False)
    verdict = api.verify(source, target, inputs=feeds_of(name, source), framework=True)
    assert verdict.level == "executed"
    assert verdict.source_agrees, verdict
    assert verdict.passed, verdict


@pytest.mark.parametrize("optimize", [True, False])
def test_a_quantized_model_gives_the_same_codes(optimize: bool, tmp_path: Path) -> None:
    """Equal to the last bit: with ONNX Runtime's integer kernels, which round their own way, and without."""
    source, target = path_of(QUANTIZED), tmp_path / "m.onnx"
    mmconvert.convert(source, target, verify=False)
    assert _weights_in_8_bits(target) == _weights_in_8_bits(source)
    for feed in feeds_of(QUANTIZED, source):
        (wanted,) = Session(source, optimize=optimize).run(feed).values()
        (found,) = Session(target, optimize=optimize).run(feed).values()
        np.testing.assert_array_equal(found, wanted)
        if not optimize:
            (ours,) = mmconvert.load(source).run(feed).values()
            np.testing.assert_array_equal(ours, wanted)


def _weights_in_8_bits(path: Path) -> int:
    tensors = onnx.load(path).graph.initializer
    return sum(
        int(np.prod(t.dims)) for t in tensors if t.data_type == onnx.TensorProto.INT8 and len(t.dims) > 1
    )


@pytest.mark.parametrize("name", [name for name, real in MODELS.items() if real.state])
def test_state_is_carried_from_step_to_step(name: str, tmp_path: Path) -> None:
    source, target = path_of(name), tmp_path / "m.onnx"
    mmconvert.convert(source, target, verify=False)
    for feed in feeds_of(name, source):
        wanted, found = (_steps(Session(path), name, feed) for path in (source, target))
        for step, (a, b) in enumerate(zip(wanted, found, strict=True)):
            for key, array in a.items():
                np.testing.assert_allclose(b[key], array, rtol=1e-4, atol=1e-5, err_msg=f"{key}, step {step}")


def _steps(session: Session, name: str, feed: Feed) -> list[Mapping[str, np.ndarray]]:
    """The outputs of a few steps; noise goes in anew, the state as the step before left it."""
    results: list[Mapping[str, np.ndarray]] = []
    state = MODELS[name].state
    for step in range(STEPS):
        if results:
            rng = np.random.default_rng(step)
            fresh = {
                key: rng.standard_normal(a.shape).astype(a.dtype)
                for key, a in feed.items()
                if a.dtype == np.float32 and key not in MODELS[name].fixed
            }
            feed = feed | fresh | {key: results[-1][output] for key, output in state.items()}
        results.append(session.run(feed))
    return results


@pytest.mark.parametrize("name", MODELS)
def test_no_more_nodes_than_simplifiers_leave(name: str, tmp_path: Path) -> None:
    source = path_of(name)
    for opset in {max(opset_of(source), OLDEST), DEFAULT}:
        mmconvert.convert(source, tmp_path / "m.onnx", verify=False, opset=opset)
        assert count(tmp_path / "m.onnx") <= MODELS[name].fewest, f"opset {opset}"
