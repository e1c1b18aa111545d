"""Files with several signatures, as TensorFlow writes them: read, written, each one verified."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mmconvert
from mmconvert.errors import InvalidModelError, UsageError
from mmconvert.runtimes.litert import Session, SignatureSession
from mmconvert.tensors import Array
from tests.emitters.tflite.files import parsed

WEIGHTS = 64 * 64


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two functions over one matrix, of any batch."""
    import tensorflow as tf

    class Coder(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            noise = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
            self.matrix = tf.Variable(noise)

        @tf.function(input_signature=[tf.TensorSpec([None, 64], tf.float32, name="plain")])  # type: ignore[misc]
        def encode(self, plain: Any) -> Any:
            return {"code": tf.nn.relu(tf.matmul(plain, self.matrix))}

        @tf.function(input_signature=[tf.TensorSpec([None, 64], tf.float32, name="code")])  # type: ignore[misc]
        def decode(self, code: Any) -> Any:
            return {"plain": tf.tanh(tf.matmul(code, self.matrix)), "size": tf.reduce_sum(code, 1)}

    coder, folder = Coder(), tmp_path_factory.mktemp("coder")
    functions = {"encode": coder.encode, "decode": coder.decode}
    tf.saved_model.save(coder, str(folder / "saved"), signatures=functions)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved"), list(functions))
    (folder / "coder.tflite").write_bytes(converter.convert())
    return folder / "coder.tflite"


def run(path: Path, signature: str, batch: int = 3) -> dict[str, Array]:
    session = SignatureSession(path, signature)
    (name,) = session.inputs
    noise = np.random.default_rng(1).standard_normal((batch, 64)).astype(np.float32)
    return session.run({name: noise})


def test_all_are_read(source: Path) -> None:
    model = mmconvert.load(source)
    graphs = {model.signature: model.graph, **model.signatures}
    ends = {name: (g.inputs[0].name, tuple(g.output_names)) for name, g in graphs.items()}
    assert ends == {"encode": ("plain", ("code",)), "decode": ("code", ("plain", "size"))}
    assert not model.warnings


@pytest.mark.parametrize("name", ["encode", "decode"])
def test_one_is_read(name: str, source: Path) -> None:
    model = mmconvert.load(source, signature=name)
    assert (model.signature, model.signatures) == (name, {})
    feed = np.random.default_rng(1).standard_normal((3, 64)).astype(np.float32)
    found = model.run({model.graph.inputs[0].name: feed})
    wanted = run(source, name)
    assert found.keys() == wanted.keys()
    for output, array in found.items():
        np.testing.assert_allclose(array, wanted[output], rtol=1e-4, atol=1e-4)


def test_one_that_is_not_there(source: Path) -> None:
    with pytest.raises(UsageError, match="no signature 'train'") as caught:
        mmconvert.load(source, signature="train")
    assert "encode" in caught.value.hint
    assert "decode" in caught.value.hint
    with pytest.raises(UsageError, match="no signature 'train'"):
        SignatureSession(source, "train")


def test_all_are_written_over_one_matrix(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "again.tflite"
    report = mmconvert.convert(source, target)
    assert report.passed, report.verdict
    assert report.verdict is not None
    other = next(iter(mmconvert.load(source).signatures))
    named = {o.name for o in report.verdict.outputs}
    assert {name for name in named if "/" in name} == {f"{other}/{n}" for n in run(source, other)}
    assert len(named) == 3
    assert target.stat().st_size < 4 * WEIGHTS + 5000
    model = parsed(target)
    assert {model.SignatureDefs(i).SignatureKey() for i in range(2)} == {b"encode", b"decode"}
    assert {model.SignatureDefs(i).SubgraphIndex() for i in range(2)} == {0, 1}
    for name in ("encode", "decode"):
        for batch in (1, 3):
            found, wanted = run(target, name, batch), run(source, name, batch)
            for output, array in wanted.items():
                np.testing.assert_array_equal(found[output], array)


def test_the_names_of_the_main_graph(source: Path, tmp_path: Path) -> None:
    model = mmconvert.load(source)
    session = Session(source)
    assert session.inputs == [model.graph.inputs[0].name]
    assert session.outputs == model.graph.output_names


def test_with_halves(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "half.tflite"
    report = mmconvert.convert(source, target, precision="fp16")
    assert report.passed, report.verdict
    assert report.verdict is not None
    assert len(report.verdict.losses) == 3
    assert target.stat().st_size < 2 * WEIGHTS + 6000


def test_a_wrong_second_signature_is_found(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = next(iter(mmconvert.load(source).signatures))
    right = SignatureSession.run

    def wrong(self: SignatureSession, inputs: dict[str, Array]) -> dict[str, Array]:
        return {name: array * np.float32(1.001) for name, array in right(self, inputs).items()}

    monkeypatch.setattr(SignatureSession, "run", wrong)
    report = mmconvert.convert(source, tmp_path / "again.tflite")
    assert not report.passed
    assert report.verdict is not None
    failed = {o.name.split("/")[0] for o in report.verdict.outputs if not o.passed}
    assert failed == {other}
    assert any("inner values of the main graph alone" in note for note in report.verdict.notes)


def test_targets_with_one_graph_say_so(source: Path, tmp_path: Path) -> None:
    other = next(iter(mmconvert.load(source).signatures))
    report = mmconvert.convert(source, tmp_path / "m.onnx")
    assert report.passed, report.verdict
    assert report.warnings == [f"ONNX has no place for the signatures {other}"]


def test_inputs_of_a_signature_are_checked(source: Path) -> None:
    session = SignatureSession(source, "encode")
    with pytest.raises(UsageError, match=r"float32 \[-1, 64\], not float32 \[2, 3\]"):
        session.run({"plain": np.ones((2, 3), np.float32)})
    with pytest.raises(UsageError, match="missing or unknown: other, plain"):
        session.run({"other": np.ones((2, 64), np.float32)})
    with pytest.raises(InvalidModelError):
        SignatureSession(b"TFL3" * 10, "encode")


@pytest.mark.parametrize("name", ["encode", "decode"])
def test_one_is_converted(name: str, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    report = mmconvert.convert(source, target, signature=name)
    assert report.passed, report.verdict
    assert not report.warnings
    model = mmconvert.load(target)
    assert {v.name for v in model.graph.inputs} == set(SignatureSession(source, name).inputs)


def test_a_part_has_no_other_signatures(source: Path, tmp_path: Path) -> None:
    model = mmconvert.load(source)
    report = mmconvert.extract(source, tmp_path / "m.tflite", outputs=model.graph.output_names[:1])
    assert report.passed, report.verdict
    assert mmconvert.load(tmp_path / "m.tflite").signatures == {}
