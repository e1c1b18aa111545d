from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import digits
from tests.cli.conftest import Command


def test_a_part(mmconvert: Command, tmp_path: Path) -> None:
    target = tmp_path / "part.onnx"
    done = mmconvert(
        "extract", digits.KERAS, target, "--inputs", "stem_relu", "--outputs", "pool,flatten", "--seed", "2"
    )
    assert done.code == 0, done.err
    assert done.out.startswith(f"{digits.KERAS} -> {target}\n  onnx, ")
    assert "equivalent (executed)" in done.out
    document = mmconvert("inspect", target, "--json").document
    assert document["inputs"] == {"stem_relu": "f32[batch,8,8,24]"}
    assert list(document["outputs"]) == ["pool", "flatten"]


def test_only_outputs(mmconvert: Command, tmp_path: Path) -> None:
    target = tmp_path / "part.tflite"
    names = ["--outputs", "pool", "--rename", "pool=features", "--fix-dims", "batch=1"]
    document = mmconvert("extract", digits.KERAS, target, *names, "--json").document
    assert document["verdict"]["passed"]
    assert [o["name"] for o in document["verdict"]["outputs"]] == ["features"]
    assert target.is_file()


def test_the_arrays_of_a_user(mmconvert: Command, tmp_path: Path) -> None:
    np.save(tmp_path / "f.npy", np.ones((1, 8, 8, 24), np.float32))
    cut = ["extract", digits.KERAS, tmp_path / "m.onnx", "--inputs", "stem_relu"]
    for given in (tmp_path / "f.npy", f"stem_relu={tmp_path / 'f.npy'}"):
        done = mmconvert(*cut, "--feed", given)
        assert done.code == 0, done.err
        assert "1 input" in done.out
    assert mmconvert(*cut, "--feed", f"image={tmp_path / 'f.npy'}").code == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "say where to cut"),
        (["--outputs", "pol"], "no value called 'pol'\n  hint: did you mean 'pool'?"),
        (["--inputs", "pool", "--outputs", "stem_bn"], "image is read by Conv2D 'stem_conv'"),
        (["--inputs", "pool,stem_bn"], "the outputs do not depend on stem_bn"),
        (["--outputs", "pool", "--rename", "flatten=x"], "no input or output called flatten"),
    ],
)
def test_refused(options: list[str], message: str, mmconvert: Command, tmp_path: Path) -> None:
    done = mmconvert("extract", digits.KERAS, tmp_path / "m.onnx", *options)
    assert done.code == 2
    assert message in done.err
    document = mmconvert("extract", digits.KERAS, tmp_path / "m.onnx", *options, "--json").document
    assert document["error"] == "UsageError"
    assert not list(tmp_path.iterdir())


def test_the_names_that_can_be_cut_at(mmconvert: Command, tmp_path: Path) -> None:
    done = mmconvert("inspect", digits.KERAS, "--values")
    header, image, stem, *_ = done.out.splitlines()
    assert header.split() == ["value", "operator", "type"]
    assert image.split() == ["image", "input", "f32[batch,8,8,1]"]
    assert stem.split() == ["stem_conv", "Conv", "f32[batch,8,8,24]"]
    values = mmconvert("inspect", digits.KERAS, "--values", "--json").document["values"]
    assert values[-1] == {"name": "probabilities", "operator": "Softmax", "type": "f32[batch,10]"}
    unnamed = [v["name"] for v in values if v["name"].startswith("%")]
    assert unnamed
    text = mmconvert("inspect", digits.KERAS, "--text").out
    assert all(f"  {name} = " in text for name in unnamed)
    target = tmp_path / "m.mmir"
    for value in values:
        done = mmconvert("extract", digits.KERAS, target, "--outputs", value["name"], "--no-verify")
        assert done.code == 0, done.err
        (type,) = mmconvert("inspect", target, "--json").document["outputs"].values()
        assert type == value["type"]
