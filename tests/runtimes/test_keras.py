"""Keras as a runtime, and as the witness of a verification."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mmconvert
from mmconvert.errors import InvalidModelError, MissingDependencyError, UsageError
from mmconvert.runtimes import keras as runtime
from mmconvert.runtimes.keras import Session, available
from tests import digits

X = digits.images(3)


@pytest.fixture(scope="session")
def keras() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    pytest.importorskip("tensorflow")
    return pytest.importorskip("keras")


@pytest.fixture(scope="session")
def two(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with two inputs of different types, two outputs, a layer used twice, and a model inside."""
    layers = keras.layers
    inner_input = layers.Input((3,), name="inner_in")
    inner = keras.Model(inner_input, layers.Dense(2, name="inner_dense")(inner_input), name="inner")
    ids, weights = layers.Input((5,), dtype="int32", name="ids"), layers.Input((3,), name="weights")
    rows = layers.Embedding(7, 3, name="rows")(ids)
    total = layers.Dot(axes=(2, 1), name="total")([rows, weights])
    both = layers.Add(name="both")([inner(weights), inner(layers.GlobalMaxPooling1D(name="top")(rows))])
    path = tmp_path_factory.mktemp("keras") / "two.keras"
    keras.Model([ids, weights], [total, both], name="two").save(path)
    return path


IDS = np.array([[0, 1, 2, 3, 6], [4, 4, 4, 4, 4]], np.int32)
WEIGHTS = np.array([[1, 2, 3], [-1, 0, 1]], np.float32)


@pytest.mark.usefixtures("keras")
@pytest.mark.parametrize("format", ["keras", "h5"])
def test_runs(format: str, samples: Path) -> None:
    session = Session(samples / f"digits.{format}")
    assert (session.inputs, session.outputs) == (["image"], ["probabilities"])
    found = session.run({"image": X})["probabilities"]
    np.testing.assert_allclose(
        found, mmconvert.load(digits.KERAS).run({"image": X})["probabilities"], atol=1e-5
    )


def test_two_inputs_and_outputs(two: Path) -> None:
    session = Session(str(two), threads=2)
    assert (session.inputs, session.outputs) == (["ids", "weights"], ["total", "both"])
    found = session.run({"weights": WEIGHTS, "ids": IDS})
    ours = mmconvert.load(two).run({"ids": IDS, "weights": WEIGHTS})
    assert list(found) == list(ours)
    for name, array in ours.items():
        np.testing.assert_allclose(found[name], array, atol=1e-6)


def test_intermediates(two: Path) -> None:
    session = Session(two)
    feed = {"ids": IDS, "weights": WEIGHTS}
    inner = session.intermediates(feed)
    assert {"rows", "top", "total", "both", "inner", "inner_1"} <= set(inner)
    np.testing.assert_array_equal(inner["top"], inner["rows"].max(axis=1))
    np.testing.assert_array_equal(inner["both"], inner["inner"] + inner["inner_1"])
    np.testing.assert_array_equal(inner["total"], session.run(feed)["total"])


@pytest.mark.usefixtures("keras")
@pytest.mark.parametrize(
    ("feed", "message"),
    [
        ({}, "the inputs are image; missing or unknown: image"),
        ({"image": X, "mask": X}, "missing or unknown: mask"),
        ({"image": X[:, 1:]}, "the inputs do not fit: .*expected shape"),
    ],
)
def test_inputs_that_do_not_fit(feed: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Session(digits.KERAS).run(feed)


def test_an_operation_that_fails(two: Path) -> None:
    with pytest.raises(InvalidModelError, match=r"Keras failed: .*is not in \[0, 7\)"):
        Session(two).run({"ids": np.full((2, 5), 99, np.int32), "weights": WEIGHTS})


def test_files_that_keras_refuses(keras: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        Session(tmp_path / "none.keras")
    (tmp_path / "text.keras").write_text("no model")
    (tmp_path / "text.h5").write_text("no model")
    (tmp_path / "cut.keras").write_bytes(digits.KERAS.read_bytes()[:10_000])
    for name in ("text.keras", "text.h5", "cut.keras"):
        with pytest.raises(InvalidModelError, match="Keras refuses this file"):
            Session(tmp_path / name)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_code_in_a_file_is_not_run(suffix: str, keras: Any, tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    x = keras.layers.Input((2,))
    model = keras.Model(
        x, keras.layers.Lambda(eval(f"lambda t: (open({str(marker)!r}, 'a').close(), t)[1]"))(x)
    )
    path = tmp_path / f"lambda.{suffix}"
    model.save(path)
    marker.unlink(missing_ok=True)
    with pytest.raises(InvalidModelError, match=r"Keras refuses this file: .*Lambda"):
        Session(path)
    assert not marker.exists()


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_code_in_a_file_of_keras_2_is_not_run(suffix: str, tmp_path: Path) -> None:
    keras2 = pytest.importorskip("tf_keras")
    marker = tmp_path / "executed"
    x = keras2.layers.Input((2,))
    model = keras2.Model(
        x, keras2.layers.Lambda(eval(f"lambda t: (open({str(marker)!r}, 'a').close(), t)[1]"))(x)
    )
    path = tmp_path / f"lambda.{suffix}"
    model.save(path)
    marker.unlink(missing_ok=True)
    with pytest.raises(InvalidModelError, match="Keras refuses this file"):
        Session(path)
    assert not marker.exists()


def test_nothing_is_said_on_stderr(two: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Session(digits.KERAS).run({"image": X})
    Session(two).intermediates({"ids": IDS, "weights": WEIGHTS})
    assert capfd.readouterr().err == ""


def test_version(keras: Any) -> None:
    assert available() == keras.__version__


@pytest.mark.parametrize("missing", ["keras", "tensorflow"])
def test_not_installed(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n == missing else real(n, *a))
    assert available() is None
    with pytest.raises(
        MissingDependencyError, match=r"are needed to run a Keras file.*\n.*mmconvert\[keras\]"
    ):
        Session(digits.KERAS)


# --- as a witness ------------------------------------------------------------------------------------------


def test_three_ways(two: Path, tmp_path: Path) -> None:
    for suffix in ("onnx", "tflite"):
        mmconvert.convert(two, tmp_path / f"m.{suffix}")
        verdict = mmconvert.verify(two, tmp_path / f"m.{suffix}", framework=True)
        assert verdict.passed, verdict
        assert verdict.source == f"Keras {available()}"
        assert [o.passed for o in verdict.source_outputs] == [True, True]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("package", ["keras", "tf_keras"])
def test_stateful_models(package: str, suffix: str, tmp_path: Path) -> None:
    """What layers keep goes in and comes out: of a cell, of both directions, of a layer called twice."""
    keras = pytest.importorskip(package)
    layers = keras.layers
    x = keras.Input(batch_shape=(2, 3, 4))
    shared = layers.LSTM(4, return_sequences=True, stateful=True)
    y = layers.RNN(layers.LSTMCell(3), stateful=True, return_sequences=True)(shared(shared(x)))
    model = keras.Model(x, layers.Bidirectional(layers.GRU(3, stateful=True))(y))
    model.save(tmp_path / f"m.{suffix}")
    for target in ("onnx", "tflite"):
        mmconvert.convert(tmp_path / f"m.{suffix}", tmp_path / f"m.{target}")
        verdict = mmconvert.verify(tmp_path / f"m.{suffix}", tmp_path / f"m.{target}", framework=True)
        assert verdict.passed, verdict
        assert verdict.source_agrees, verdict
        assert len(verdict.outputs) == 1 + 2 + 2 + 2


@pytest.mark.usefixtures("keras")
def test_who_is_wrong(samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = Session.run
    monkeypatch.setattr(
        runtime.Session, "run", lambda self, x: {n: np.roll(a, 1, -1) for n, a in right(self, x).items()}
    )
    verdict = mmconvert.verify(samples / "digits.keras", samples / "digits.onnx", framework=True)
    assert not verdict.passed
    assert not verdict.source_agrees
    assert verdict.outputs[0].passed


@pytest.mark.usefixtures("keras")
def test_a_keras_file_as_the_target(samples: Path) -> None:
    verdict = mmconvert.verify(samples / "digits.onnx", samples / "digits.h5")
    assert verdict.passed
    assert verdict.runtime.startswith("Keras ")
    assert verdict.level == "executed"
