"""Custom activations and layers, which the user explains; nothing of the file is executed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mmconvert
from mmconvert.cli import invoke
from mmconvert.errors import UnsupportedError, UsageError
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import Mul
from mmconvert.parsers.keras import custom, load, register
from mmconvert.parsers.keras.layer import KerasLayer

from .compare import compare, randomize


@pytest.fixture
def lambdas(keras: Any, tmp_path: Path) -> tuple[Any, Path]:
    """A model with activations that have no name, in a dense layer and in a recurrent one."""
    leaky = keras.ops.leaky_relu
    model = keras.Sequential(
        [
            keras.Input((5, 4)),
            keras.layers.Dense(3, activation=lambda x: leaky(x, 0.3)),
            keras.layers.LSTM(2, activation=lambda x: leaky(x, 0.3)),
        ]
    )
    randomize(model)
    model.save(tmp_path / "model.keras")
    return model, tmp_path / "model.keras"


def test_activation_without_a_name_is_refused_with_the_way_out(lambdas: tuple[Any, Path]) -> None:
    with pytest.raises(UnsupportedError) as caught:
        load(lambdas[1])
    problems = caught.value.problems
    assert [problem.what for problem in problems] == ["activation '<lambda>'"] * len(problems)
    assert all("--keras-activation '<lambda>=leaky_relu:0.2'" in problem.hint for problem in problems)


@pytest.mark.parametrize("meaning", ["leaky_relu:0.3", lambda b, x: custom._parsed("leaky_relu:0.3")(b, x)])
def test_activation_is_what_the_user_says(lambdas: tuple[Any, Path], meaning: Any) -> None:
    compare(lambdas[0], load(lambdas[1], activations={"<lambda>": meaning}))


def test_activation_on_the_command_line(lambdas: tuple[Any, Path], tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    arguments = [str(lambdas[1]), str(target), "--keras-activation", "<lambda>=leaky_relu:0.3"]
    assert invoke(["convert", *arguments]) == 0
    assert target.exists()


def test_activation_in_python(lambdas: tuple[Any, Path], tmp_path: Path) -> None:
    report = mmconvert.convert(
        lambdas[1], tmp_path / "model.tflite", activations={"<lambda>": "leaky_relu:0.3"}
    )
    assert report.passed


@pytest.mark.parametrize(
    ("meaning", "says"),
    [
        ("leeky", "'leeky' is no activation of Keras"),
        ("leaky_relu:a", "behind the name stand numbers"),
        ("leaky_relu:1:2", "leaky_relu takes 1 numbers, not 2"),
    ],
)
def test_activation_that_means_nothing(lambdas: tuple[Any, Path], meaning: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        load(lambdas[1], activations={"<lambda>": meaning})


@pytest.fixture
def scale() -> Iterator[None]:
    @register("Scale")
    def rule(layer: KerasLayer, b: Builder) -> Value:
        (factor,) = layer.variables({"factor": (layer.extent(layer.input(), -1),)})
        return b(Mul(), b(Mul(), layer.input(), layer.weight("factor", factor)), layer.number("times"))

    yield
    custom.unregister("Scale")


def scaled(keras: Any) -> Any:
    class Scale(keras.layers.Layer):
        def __init__(self, times: float, **options: Any) -> None:
            super().__init__(**options)
            self.times = times

        def build(self, shape: Any) -> None:
            self.factor = self.add_weight(shape=shape[-1:], name="factor", initializer="ones")

        def call(self, x: Any) -> Any:
            return x * self.factor * self.times

        def compute_output_shape(self, shape: Any) -> Any:
            return shape

        def get_config(self) -> Any:
            return super().get_config() | {"times": self.times}

    x = keras.Input((5, 4))
    model = keras.Model(x, keras.layers.TimeDistributed(Scale(2.0))(Scale(3.0)(x)))
    randomize(model)
    return model


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_layer_is_what_the_user_says(scale: None, keras: Any, tmp_path: Path, suffix: str) -> None:
    model = scaled(keras)
    model.save(tmp_path / f"model{suffix}")
    compare(model, load(tmp_path / f"model{suffix}"))


def test_layer_is_refused_with_the_way_out(keras: Any, tmp_path: Path) -> None:
    scaled(keras).save(tmp_path / "model.keras")
    with pytest.raises(UnsupportedError) as caught:
        load(tmp_path / "model.keras")
    assert "mmconvert.parsers.keras.register('Scale')" in caught.value.problems[0].hint


def test_a_name_is_registered_once(scale: None) -> None:
    with pytest.raises(UsageError, match="registered already"):
        register("Scale")
