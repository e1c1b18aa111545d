"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from mmconvert.cli import COMMANDS
from mmconvert.cli.options import pairs
from mmconvert.errors import UsageError
from tests import digits
from tests.cli.conftest import Command

MODEL = """
    m (float[n,3] x, int64[k] axes, bool mean, seq(float[2]) s) => (float[o] y, float[2] t) {
        sum = ReduceSum <keepdims = 0> (x, axes)
        two = Constant <value = float {2}> ()
        half = Div(sum, two)
        y = Where(mean, half, sum)
        i = Constant <value = int64 {1}> ()
        t = SequenceAt(s, i)
    }"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]>\n{MODEL}')
    (tmp_path / "source.onnx").write_bytes(proto.SerializeToString())
    return tmp_path / "source.onnx"


READ = ["--fix", "axes=[1]", "--fix", "mean=True", "--items", "s=2"]


# --- NAME=VALUE --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (["a=1"], [("a", "1")]),
        (["a=1,b=2", "c=3"], [("a", "1"), ("b", "2"), ("c", "3")]),
        (["a,b=c"], [("a,b", "c")]),
        (["a=b=c"], [("a=b", "c")]),
        (["a:0=1,b/c.d=2"], [("a:0", "1"), ("b/c.d", "2")]),
    ],
)
def test_pairs(texts: list[str], found: list[tuple[str, str]]) -> None:
    assert list(pairs("--rename", texts)) == found


@pytest.mark.parametrize("text", ["a", "", "a=", "=b", "a=1,b", "a=1,", "a=1,b="])
def test_no_pairs(text: str) -> None:
    with pytest.raises(UsageError, match="--rename takes NAME=VALUE, not"):
        list(pairs("--rename", [text]))


def test_a_name_twice() -> None:
    with pytest.raises(UsageError, match="--rename has 'a' twice"):
        list(pairs("--rename", ["a=b", "a=c"]))


# --- ends --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["onnx", "tflite"])
def test_extents_and_names(suffix: str, mmconvert: Command, tmp_path: Path) -> None:
    target = tmp_path / f"m.{suffix}"
    names = ["--rename", "image=x,probabilities=p"]
    done = mmconvert(digits.KERAS, target, "--fix-dims", "batch=2", *names, "--json")
    assert done.code == 0, done.err
    assert [o["name"] for o in done.document["verdict"]["outputs"]] == ["p"]
    np.save(tmp_path / "x.npy", digits.images(2))
    np.save(tmp_path / "three.npy", digits.images(3))
    run = ["run", target, "--runtime", "native", "--input"]
    assert mmconvert(*run, f"x={tmp_path / 'x.npy'}", "--json").document["p"]["shape"] == [2, 10]
    assert mmconvert(*run, f"x={tmp_path / 'three.npy'}").code != 0


def test_a_target_of_fixed_size_is_verified_later(mmconvert: Command, tmp_path: Path) -> None:
    target, size = tmp_path / "m.tflite", ["--fix-dims", "batch=3"]
    assert mmconvert(digits.KERAS, target, *size).code == 0
    assert mmconvert("verify", digits.KERAS, target, *size).code == 0
    assert mmconvert("verify", digits.KERAS, target).code == 1


def test_a_look_at_fixed_extents(mmconvert: Command) -> None:
    size = ["--fix-dims", "image:0=3"]
    assert mmconvert("inspect", digits.KERAS, *size, "--json").document["outputs"] == {
        "probabilities": "f32[3,10]"
    }
    document = mmconvert("run", digits.KERAS, *size, "--seed", "0", "--json").document
    assert document["probabilities"]["shape"] == [3, 10]
    assert "--fix-dims is for" in mmconvert("run", digits.KERAS, *size).err


def test_inputs_go_by_the_names_of_the_source(mmconvert: Command, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", digits.images(2))
    for given in (tmp_path / "x.npy", f"image={tmp_path / 'x.npy'}"):
        done = mmconvert(digits.KERAS, tmp_path / "m.onnx", "--rename", "image=x", "--inputs", given)
        assert done.code == 0, done.err
        assert "1 input" in done.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fix-dims", "n=1"], "no input has an extent called 'n'\n  hint: .*image is f32[batch,8,8,1]"),
        (["--fix-dims", "batch=one"], "--fix-dims takes NAME=NUMBER, not 'batch=one'"),
        (["--fix-dims", "batch=-1"], "--fix-dims takes NAME=NUMBER, not 'batch=-1'"),
        (["--fix-dims", "batch=0"], "a number from 1 on"),
        (["--fix-dims", "image:1=9"], "image:1 is 8 in the model, and cannot be 9"),
        (["--rename", "picture=x"], "no input or output called picture\n  hint: its inputs are image"),
        (["--rename", "image=probabilities"], "would both be called 'probabilities'"),
        (["--rename", "image"], "--rename takes NAME=VALUE"),
        (["--fix", "image=3"], "has no option fix"),
        (["--fix", "image"], "--fix takes NAME=VALUE"),
        (["--fix", "a=b"], "--fix does not understand the value 'b'"),
        (["--items", "s=x"], "--items takes NAME=NUMBER"),
        (["--ir-version", "3"], "IR version 3 cannot carry opset 17"),
        (["--ir-version", "new"], "is not a valid int"),
    ],
)
def test_refused(options: list[str], message: str, mmconvert: Command, tmp_path: Path) -> None:
    done = mmconvert(digits.KERAS, tmp_path / "m.onnx", *options)
    assert done.code == 2
    start, _, rest = message.partition(".*")
    assert start in done.err
    assert rest in done.err
    assert mmconvert(digits.KERAS, tmp_path / "m.onnx", *options, "--json").document["exit_code"] == 2
    assert not list(tmp_path.iterdir())


# --- ONNX --------------------------------------------------------------------------------------------------


def test_writing_onnx(mmconvert: Command, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    done = mmconvert(digits.KERAS, path, "--ir-version", "10", "--external-data", "--opset", "15", "--json")
    assert done.code == 0, done.err
    assert done.document["verdict"]["level"] == "executed"
    assert (tmp_path / "m.onnx.data").is_file()
    proto = onnx.load(path)
    assert (proto.ir_version, proto.opset_import[0].version) == (10, 15)
    for option in (["--external-data"], ["--ir-version", "10"]):
        assert mmconvert(digits.KERAS, tmp_path / "m.tflite", *option).code == 2


def test_reading_onnx(model: Path, mmconvert: Command, tmp_path: Path) -> None:
    refused = mmconvert("inspect", model)
    assert refused.code == 3
    assert "--items s=2" in refused.err
    document = mmconvert("inspect", model, *READ, "--json").document
    assert document["inputs"] == {"x": "f32[n,3]", "s_0": "f32[2]", "s_1": "f32[2]"}

    target = tmp_path / "m.tflite"
    done = mmconvert(model, target, *READ)
    assert done.code == 0, done.err
    assert mmconvert("verify", model, target, *READ).code == 0
    part = tmp_path / "part.onnx"
    assert mmconvert("extract", model, part, "--outputs", "y", *READ).code == 0
    assert list(mmconvert("inspect", part, "--json").document["inputs"]) == ["x"]

    done = mmconvert("run", model, "--seed", "0", *READ, "--json")
    assert done.code == 0, done.err
    assert list(done.document) == ["y", "t"]
    np.save(tmp_path / "axes.npy", np.array([0]))
    other = ["--fix", f"axes={tmp_path / 'axes.npy'}", *READ[2:]]
    document = mmconvert("run", model, "--seed", "0", *other, "--json").document
    assert document["y"]["shape"] == [3]


def test_help_says_which_is_which(mmconvert: Command) -> None:
    for name in ("convert", "extract", "inspect", "run", "verify"):
        text = mmconvert(name, "--help").out
        assert "--fix INPUT=VALUE" in text
        assert "--fix-dims DIM=N,..." in text
    for name in COMMANDS:
        assert max(map(len, mmconvert(name, "--help").out.splitlines())) <= 100
