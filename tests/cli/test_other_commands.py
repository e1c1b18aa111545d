"""verify, inspect, run, formats, demo, help."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from mmconvert.cli import COMMANDS
from mmconvert.runtimes import keras, litert, onnxruntime
from mmconvert.version import VERSION
from tests import digits
from tests.cli.conftest import Command


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for runtime in (keras, litert, onnxruntime):
        monkeypatch.setattr(runtime, "available", lambda: None)


# --- help --------------------------------------------------------------------------------------------------


def test_help(mmconvert: Command) -> None:
    done = mmconvert("--help")
    assert done.code == 0
    for name, command in COMMANDS.items():
        line = next(line for line in done.out.splitlines() if line.startswith(f"  {name} "))
        assert command.short_help in line, "not cut"
    assert "Exit codes: 0 done, 1 not equivalent" in done.out


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_of_a_command(name: str, flag: str, mmconvert: Command) -> None:
    done = mmconvert(name, flag)
    assert done.code == 0
    assert done.out.startswith(f"Usage: mmconvert {name} [OPTIONS]")
    assert "--json" in done.out


def test_help_after_files(mmconvert: Command) -> None:
    assert mmconvert("a.onnx", "b.tflite", "--help").out.startswith("Usage: mmconvert convert")


def test_version(mmconvert: Command) -> None:
    assert mmconvert("--version").out == f"mmconvert, version {VERSION}\n"


def test_a_misspelled_command(mmconvert: Command) -> None:
    done = mmconvert("verfy", "a.onnx", "b.onnx")
    assert done.code == 2
    assert "There is no command and no file 'verfy'. Did you mean 'verify'?" in done.err
    assert mmconvert("verfy", "--json").document["message"].endswith("Did you mean 'verify'?")


def test_no_command(mmconvert: Command) -> None:
    done = mmconvert()
    assert done.code == 2
    assert "Usage: mmconvert" in done.err


def test_a_wrong_flag_is_told_from_its_likes(mmconvert: Command) -> None:
    done = mmconvert("verify", "a.onnx", "b.onnx", "--inptus", "x.npy")
    assert done.code == 2
    assert "--inputs" in done.err


def test_a_flag_for_modules_is_told_from_the_one_for_arrays(mmconvert: Command, samples: Path) -> None:
    done = mmconvert("verify", samples / "digits.onnx", samples / "digits.onnx", "--input", "x.npy")
    assert done.code == 2
    assert (
        "reading ONNX has no option examples (--input EXTENTS; arrays to compare on are --inputs)" in done.err
    )


# --- verify ------------------------------------------------------------------------------------------------


def test_verify(mmconvert: Command, samples: Path) -> None:
    done = mmconvert("verify", samples / "digits.keras", samples / "digits.onnx")
    assert done.code == 0
    assert done.out.startswith("equivalent (executed), ONNX Runtime ")


def rename_ends(source: Path, target: Path) -> None:
    model = onnx.load(source)
    names = {model.graph.input[0].name: "in:0", model.graph.output[0].name: "out:0"}
    for node in model.graph.node:
        node.input[:] = [names.get(n, n) for n in node.input]
        node.output[:] = [names.get(n, n) for n in node.output]
    model.graph.input[0].name, model.graph.output[0].name = "in:0", "out:0"
    onnx.save(model, target)


def test_verify_other_names(mmconvert: Command, samples: Path, tmp_path: Path) -> None:
    rename_ends(samples / "digits.onnx", tmp_path / "renamed.onnx")
    done = mmconvert("verify", samples / "digits.keras", tmp_path / "renamed.onnx")
    assert done.code == 0
    assert "matched in order: image = in:0" in done.out
    assert "matched in order: probabilities = out:0" in done.out


def test_verify_what_is_not_equivalent(mmconvert: Command, samples: Path, tmp_path: Path) -> None:
    model = onnx.load(samples / "digits.onnx")
    pool = next(n for n in model.graph.node if n.op_type == "MaxPool")
    pool.op_type = "AveragePool"
    pool.attribute.remove(next(a for a in pool.attribute if a.name == "dilations"))
    onnx.save(model, tmp_path / "other.onnx")
    done = mmconvert("verify", samples / "digits.keras", tmp_path / "other.onnx")
    assert done.code == 1
    assert "NOT equivalent (executed)" in done.out
    assert "first divergence: MaxPool at MaxPooling2D 'pool' (error " in done.out
    assert "file: the file says something else than the source: MaxPool at MaxPooling2D 'pool' (" in done.out
    assert "; matches with AveragePool for MaxPool" in done.out
    assert "does not compute what" in done.err
    document = mmconvert("verify", samples / "digits.keras", tmp_path / "other.onnx", "--json").document
    assert document["first_divergence"]["operator"] == "MaxPool"
    assert document["culprit"] == "file"
    (fault,) = document["faults"]
    assert (fault["operator"], fault["diagnosis"]) == ("MaxPool", "matches with AveragePool for MaxPool")


@pytest.mark.usefixtures("nothing_installed")
def test_verify_what_nothing_can_run(mmconvert: Command, samples: Path, tmp_path: Path) -> None:
    ort = tmp_path / "m.ort"
    ort.write_bytes(b"\x18\0\0\0ORTM")
    done = mmconvert("verify", samples / "digits.keras", ort)
    assert done.code == 5
    assert done.out.startswith("not verified (not executed)")
    assert "equivalent" not in done.out
    done = mmconvert("verify", samples / "digits.keras", ort, "--json")
    assert (done.code, done.document["level"], done.document["passed"]) == (5, "not executed", False)
    done = mmconvert("verify", samples / "digits.keras", samples / "digits.onnx", "--framework", "--json")
    assert (done.code, done.document["error"]) == (5, "MissingDependencyError")
    assert done.document["hint"] == "pip install 'mmconvert[keras]'"


def test_verify_on_the_users_inputs(mmconvert: Command, samples: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", digits.images(4))
    for source in ("keras", "tflite"):
        pair = samples / f"digits.{source}", samples / "digits.onnx"
        done = mmconvert("verify", *pair, "--inputs", tmp_path / "x.npy")
        assert done.code == 0
        assert ", 1 input\n" in done.out


def test_verify_what_is_missing(mmconvert: Command, samples: Path, tmp_path: Path) -> None:
    assert mmconvert("verify", samples / "digits.keras", "none.onnx").code == 2
    assert mmconvert("verify", samples / "digits.keras").code == 2
    (tmp_path / "m.ort").write_bytes(b"\x18\0\0\0ORTM")
    assert mmconvert("verify", tmp_path / "m.ort", tmp_path / "m.ort").code == 3


# --- inspect -----------------------------------------------------------------------------------------------


def test_inspect(mmconvert: Command, samples: Path) -> None:
    done = mmconvert("inspect", samples / "digits.onnx", "--ops")
    assert done.code == 0
    assert "digits: onnx, opset 17, written by mmconvert" in done.out
    assert "  input   image: f32[batch,8,8,1]" in done.out
    assert "  output  probabilities: f32[batch,10]" in done.out
    assert "        5 Conv" in done.out


def test_inspect_text(mmconvert: Command, samples: Path) -> None:
    done = mmconvert("inspect", digits.KERAS, "--text")
    assert done.out.startswith('graph "digits"(image: f32[batch,8,8,1])')
    assert mmconvert("inspect", digits.KERAS, "--text", "--json").document["text"] == done.out


def test_inspect_json(mmconvert: Command, samples: Path) -> None:
    document = mmconvert("inspect", samples / "digits.h5", "--json").document
    assert document["inputs"] == {"image": "f32[batch,8,8,1]"}
    assert document["operators"]["Conv"] == 5
    assert document["weights"]["bytes"] == 4 * document["weights"]["elements"] > 30_000


def test_inspect_what_cannot_be_read(mmconvert: Command, samples: Path, tmp_path: Path) -> None:
    (tmp_path / "m.ort").write_bytes(b"\x18\0\0\0ORTM")
    assert mmconvert("inspect", tmp_path / "m.ort").code == 3
    (tmp_path / "m.onnx").write_text("hello")
    done = mmconvert("inspect", tmp_path / "m.onnx", "--json")
    assert (done.code, done.document["error"]) == (4, "InvalidModelError")


# --- run ---------------------------------------------------------------------------------------------------


def test_run_on_noise(mmconvert: Command, samples: Path) -> None:
    first, second = (mmconvert("run", samples / "digits.onnx", "--seed", "3") for _ in range(2))
    assert first.code == 0
    assert first.out.startswith("probabilities: float32[1, 10]\n")
    assert first.out == second.out
    assert first.out != mmconvert("run", samples / "digits.onnx", "--seed", "4").out


@pytest.mark.parametrize("format", ["keras", "onnx", "tflite", "mmir"])
def test_run_on_a_file(format: str, mmconvert: Command, samples: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", digits.images(2))
    model = samples / f"digits.{format}"
    done = mmconvert("run", model, "--input", tmp_path / "x.npy", "-o", tmp_path / "y.npz", "--json")
    assert done.code == 0, done.err
    output = done.document["probabilities"]
    assert output["dtype"] == "float32"
    assert output["shape"] == [2, 10]
    with np.load(tmp_path / "y.npz") as written:
        np.testing.assert_allclose(written["probabilities"], output["values"], rtol=1e-6)
    assert mmconvert("run", model, "--input", tmp_path / "x.npy", "-o", tmp_path / "y.npy").code == 0
    assert np.load(tmp_path / "y.npy").shape == (2, 10)


def test_run_in_its_own_runtime(mmconvert: Command, samples: Path) -> None:
    values = [
        mmconvert("run", samples / "digits.onnx", "--seed", "0", "--json", *more).document["probabilities"][
            "values"
        ]
        for more in ((), ("--runtime", "native"), ("--runtime", "onnxruntime"), ("--runtime", "interpreter"))
    ]
    assert values[0] == values[3]
    assert values[1] == values[2]
    np.testing.assert_allclose(values[0], values[1], atol=1e-5)
    assert mmconvert("run", samples / "digits.onnx", "--seed", "0", "--runtime", "tflite").code == 2


def test_run_without_inputs(mmconvert: Command, samples: Path, tmp_path: Path) -> None:
    done = mmconvert("run", samples / "digits.onnx")
    assert done.code == 2
    assert "the model needs its inputs: image" in done.err
    assert "--seed 0" in done.err
    np.save(tmp_path / "x.npy", digits.images(2))
    done = mmconvert("run", samples / "digits.onnx", "--seed", "0", "--input", tmp_path / "x.npy")
    assert (done.code, "exclude each other" in done.err) == (2, True)


TWO = """
graph "two"(a: f32[2], b: f32[2]) -> ("file": f32[2], "x/y:0": bf16[2], nan: f32[2])
  %1 = Add(a, b)
  %2 = Cast(%1) {to=bf16}
  %3 = Log(%1)
  return %1, %2, %3
"""


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A model with two inputs, and outputs with names and values that need care."""
    from mmconvert.ir import store
    from mmconvert.ir.model import Module
    from mmconvert.ir.text import parse_graph

    store.save(Module(parse_graph(TWO.lstrip())), tmp_path / "two.mmir")
    return tmp_path / "two.mmir"


def test_two_inputs_and_odd_outputs(mmconvert: Command, two: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([1, -2], np.float32))
    x = tmp_path / "x.npy"
    done = mmconvert("run", two, "--input", x)
    assert (done.code, "which input is this for?" in done.err) == (2, True)
    assert f"write NAME={x}; the inputs are a, b" in done.err
    done = mmconvert("run", two, "--input", f"a={x}", "--input", f"a={x}")
    assert (done.code, "'a' is given twice" in done.err) == (2, True)
    done = mmconvert("run", two, "--input", f"a={x}")
    assert (done.code, "'b' is missing" in done.err) == (2, True)
    done = mmconvert("run", two, "--input", f"a={x}", "--input", f"b={x}", "--json", "-o", tmp_path / "y.npz")
    assert done.code == 0
    assert done.document["nan"]["values"] == [pytest.approx(np.log(2)), "nan"]
    assert done.document["x/y:0"]["dtype"] == "bfloat16"
    with np.load(tmp_path / "y.npz") as written:
        assert {n: written[n].tolist() for n in ("file", "x/y:0")} == {"file": [2, -4], "x/y:0": [2, -4]}
    done = mmconvert("run", two, "--seed", "0", "-o", tmp_path / "y.npy")
    assert (done.code, "the model has 3 outputs" in done.err) == (2, True)


# --- formats and demo --------------------------------------------------------------------------------------


def test_formats(mmconvert: Command) -> None:
    done = mmconvert("formats")
    assert done.code == 0
    lines = {line.split()[0]: line for line in done.out.splitlines()[1:]}
    names = {"keras", "onnx", "ort", "tflite", "pytorch", "pytorch-module", "ncnn", "mnn", "mmir"}
    assert set(lines) == names
    assert "LiteRT" in lines["tflite"]


@pytest.mark.usefixtures("nothing_installed")
def test_formats_without_runtimes(mmconvert: Command) -> None:
    assert "pip install 'mmconvert[litert]'" in mmconvert("formats").out
    rows = {row["name"]: row for row in mmconvert("formats", "--json").document}
    assert rows["onnx"]["runtime"] is None
    assert rows["onnx"]["install"] == "pip install 'mmconvert[onnxruntime]'"
    assert (rows["keras"]["read"], rows["keras"]["write"]) == (True, False)


def test_demo(mmconvert: Command) -> None:
    done = mmconvert("demo")
    assert done.code == 0
    header, *rows = [line for line in done.out.splitlines() if line][2:]
    for column in (
        "target",
        "size",
        "operators",
        "largest error",
        "source's own",
        "accuracy",
        "time",
        "verdict",
    ):
        assert column in header
    assert [row.split()[0] for row in rows] == ["keras", "onnx", "tflite"]
    assert all("98.0%" in row for row in rows)
    assert rows[1].endswith("equivalent (executed)")
    assert rows[2].endswith("equivalent (executed)")


def test_demo_json(mmconvert: Command) -> None:
    rows = mmconvert("demo", "--json").document
    assert [row["target"] for row in rows] == ["keras", "onnx", "tflite"]
    assert rows[1]["verdict"]["passed"] is True
    assert rows[1]["accuracy"] == rows[0]["accuracy"] > 0.97


@pytest.mark.usefixtures("nothing_installed")
def test_demo_without_runtimes(mmconvert: Command) -> None:
    done = mmconvert("demo")
    assert done.code == 0
    assert done.out.count("equivalent (read back)") == 2
    assert "note: the runtime of TensorFlow Lite is not installed" in done.out


def test_demo_with_a_wrong_target(mmconvert: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    right = litert.Session.run
    monkeypatch.setattr(
        litert.Session, "run", lambda self, x: {n: a[:, ::-1] for n, a in right(self, x).items()}
    )
    done = mmconvert("demo")
    assert done.code == 1
    assert "not equivalent: tflite" in done.err


# --- all of them -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_json_for_errors(name: str, mmconvert: Command) -> None:
    done = mmconvert(name, "--json", "--no-such-flag")
    assert done.code == 2
    assert json.loads(done.out)["error"] == "UsageError"
    assert done.err
