from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from mmconvert.runtimes import litert, onnxruntime
from tests import digits
from tests.cli.conftest import Command


def test_converts_and_verifies(mmconvert: Command, tmp_path: Path) -> None:
    target = tmp_path / "m.tflite"
    done = mmconvert(digits.KERAS, target)
    assert done.code == 0
    assert not done.err
    first, second, verdict, header, output = done.out.splitlines()
    assert first == f"{digits.KERAS} -> {target}"
    assert second.startswith(f"  tflite, {target.stat().st_size / 1e3:.1f} kB, 9 operators (load ")
    assert verdict.startswith("equivalent (executed), LiteRT ")
    assert verdict.endswith(", 2 inputs")
    assert header.split() == ["output", "error", "source's", "own", "budget"]
    assert output.startswith("ok  probabilities  ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["SOURCE", "TARGET"],
        ["convert", "SOURCE", "TARGET"],
        ["convert", "-sf", "keras", "-iw", "SOURCE", "-df", "onnx", "-om", "TARGET"],
        ["-sf", "keras", "-iw", "SOURCE", "-df", "onnx", "-om", "TARGET"],
        [
            "--srcFramework",
            "keras",
            "--inputWeight",
            "SOURCE",
            "--dstFramework",
            "onnx",
            "--outputModel",
            "TARGET",
        ],
        ["-iw", "SOURCE", "TARGET"],
        ["--from", "KERAS", "--to", "ONNX", "SOURCE", "TARGET", "--seed", "4"],
        ["SOURCE", "--to", "onnxruntime", "TARGET"],
    ],
)
def test_spellings(arguments: list[str], mmconvert: Command, tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    words = {"SOURCE": digits.KERAS, "TARGET": target}
    done = mmconvert(*(words.get(a, a) for a in arguments))
    assert done.code == 0, done.err
    assert onnx.load(target).opset_import[0].version == 17


def test_architecture_and_weights_apart(mmconvert: Command, tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(digits.KERAS) as archive:
        archive.extract("model.weights.h5", tmp_path)
        (tmp_path / "network.json").write_bytes(archive.read("config.json"))
    weights, network = tmp_path / "model.weights.h5", tmp_path / "network.json"
    done = mmconvert(
        "-sf", "keras", "-in", network, "-iw", weights, "-df", "onnx", "-om", tmp_path / "m.onnx"
    )
    assert done.code == 0, done.err
    assert mmconvert("verify", digits.KERAS, tmp_path / "m.onnx").code == 0
    assert "network=" in mmconvert(weights, tmp_path / "n.onnx").err


@pytest.mark.parametrize("opset", [13, 20])
def test_opset(opset: int, mmconvert: Command, tmp_path: Path) -> None:
    assert mmconvert(digits.KERAS, tmp_path / "m.onnx", "--opset", str(opset)).code == 0
    assert onnx.load(tmp_path / "m.onnx").opset_import[0].version == opset


@pytest.mark.parametrize("opset", [8, 99, -1])
def test_opsets_that_cannot_be_written(opset: int, mmconvert: Command, tmp_path: Path) -> None:
    done = mmconvert(digits.KERAS, tmp_path / "m.onnx", "--opset", str(opset))
    assert done.code == 2
    assert f"opset {opset} cannot be written" in done.err
    assert "choose one from 9 to" in done.err
    assert not list(tmp_path.iterdir())


def test_io_layout(mmconvert: Command, tmp_path: Path) -> None:
    assert mmconvert(digits.KERAS, tmp_path / "m.onnx", "--io-layout", "target").code == 0
    (image,) = onnx.load(tmp_path / "m.onnx").graph.input
    assert [d.dim_value for d in image.type.tensor_type.shape.dim[1:]] == [1, 8, 8]
    assert mmconvert(digits.KERAS, tmp_path / "m.onnx", "--io-layout", "nchw").code == 2


def test_without_verifying(mmconvert: Command, tmp_path: Path) -> None:
    done = mmconvert(digits.KERAS, tmp_path / "m.onnx", "--no-verify")
    assert done.code == 0
    assert done.out.splitlines()[-1] == "not verified (--no-verify)"
    assert "equivalent" not in done.out


def test_explain(mmconvert: Command, tmp_path: Path) -> None:
    done = mmconvert(digits.KERAS, tmp_path / "m.onnx", "--explain")
    assert any(line.startswith("fold_batch_norm ") and "3 done" in line for line in done.out.splitlines())
    assert any(line.startswith("assign_layout ") for line in done.out.splitlines())


def test_json(mmconvert: Command, tmp_path: Path) -> None:
    done = mmconvert(digits.KERAS, tmp_path / "m.onnx", "--json")
    assert done.code == 0
    document = done.document
    assert document["format"] == "onnx"
    assert document["size"] == (tmp_path / "m.onnx").stat().st_size
    assert document["verdict"]["level"] == "executed"
    assert document["verdict"]["passed"] is True
    assert {"name", "done", "declined"} == set(document["passes"][0])


# --- inputs ------------------------------------------------------------------------------------------------


def test_inputs_of_the_user(mmconvert: Command, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", digits.images(5))
    np.savez(tmp_path / "x.npz", image=digits.images(5))
    for given in ("x.npy", "image=x.npy", "x.npz"):
        name, equals, file = given.rpartition("=")
        done = mmconvert(digits.KERAS, tmp_path / "m.onnx", "--inputs", f"{name}{equals}{tmp_path / file}")
        assert done.code == 0, done.err
        assert ", 1 input\n" in done.out


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 8, 8, 1), np.int64), "is f32[batch,8,8,1], not int64 [2, 8, 8, 1]"),
        (np.zeros((2, 8, 8), np.float32), "not of shape [2, 8, 8]"),
        (np.zeros((2, 9, 8, 1), np.float32), "not of shape [2, 9, 8, 1]"),
        (np.array(["a"]), "not <U1"),
    ],
)
def test_inputs_that_do_not_fit(array: np.ndarray, message: str, mmconvert: Command, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", array)
    done = mmconvert(digits.KERAS, tmp_path / "m.onnx", "--inputs", tmp_path / "x.npy")
    assert done.code == 2
    assert message in done.err
    assert not (tmp_path / "m.onnx").exists(), "inputs are checked before anything is written"


def test_inputs_that_are_no_arrays(mmconvert: Command, tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", picture=digits.images(1))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    whole = (tmp_path / "other.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    damaged = bytearray(whole)
    damaged[100:140] = b"\0" * 40
    (tmp_path / "damaged.npz").write_bytes(damaged)
    (tmp_path / "text.npy").write_text("1, 2, 3")
    (tmp_path / "empty.npy").write_bytes(b"")
    huge = (
        b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1152921504606846976,)}"
    )
    (tmp_path / "huge.npy").write_bytes(huge.ljust(127) + b"\n")
    for name in ("objects.npy", "cut.npz", "damaged.npz", "text.npy", "empty.npy", "huge.npy"):
        done = mmconvert(digits.KERAS, tmp_path / "m.onnx", "--inputs", tmp_path / name)
        assert (done.code, "is no .npy or .npz file" in done.err) == (2, True), (name, done.err)
    done = mmconvert(digits.KERAS, tmp_path / "m.onnx", "--inputs", tmp_path / "other.npz")
    assert (done.code, "no input called 'picture'" in done.err) == (2, True)
    done = mmconvert(digits.KERAS, tmp_path / "m.onnx", "--inputs", tmp_path / "none.npy")
    assert (done.code, "No such file" in done.err) == (2, True)
    done = mmconvert(digits.KERAS, tmp_path / "m.onnx", "--inputs", f"image={tmp_path / 'other.npz'}")
    assert (done.code, "names its arrays itself" in done.err) == (2, True)
    assert not (tmp_path / "m.onnx").exists()


# --- usage -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["SOURCE"], "a target is missing"),
        (["convert"], "a source is missing"),
        (["convert", "-om", "m.onnx"], "a source is missing"),
        (["SOURCE", "SOURCE"], "source and target are the same file"),
        (["SOURCE", "a.onnx", "-iw", "b.keras"], "the source is given twice"),
        (["SOURCE", "a.onnx", "-om", "b.onnx"], "the target is given twice"),
        (["none.onnx", "m.tflite"], "none.onnx: cannot be read: No such file or directory"),
        (
            ["SOURCE", "m.xyz"],
            "the suffix '.xyz' names no format\n  hint: name the format with --to; it can be onnx",
        ),
        (["SOURCE", "model"], "the name has no suffix"),
        (["SOURCE", "m.onnx", "--to", "tensorflow"], "there is no format 'tensorflow'"),
        (["SOURCE", "m.onnx", "--to", "onx"], "did you mean onnx?"),
        (["SOURCE", "m.onnx", "-sf", "coreml"], "there is no format 'coreml'"),
        (["SOURCE", "no/such/folder/m.onnx"], "there is no such folder"),
        (["SOURCE", "SOURCE/m.onnx"], "is no folder"),
        (["SOURCE", ".", "--to", "onnx"], "this is a folder"),
        (["SOURCE", "/dev/null", "--to", "onnx"], "this is no file"),
        (["/dev/zero", "m.onnx"], "is neither a file nor a folder"),
        (["SOURCE", "m.tflite", "--opset", "13"], "writing TensorFlow Lite has no option opset"),
        (["SOURCE", "m.onnx", "--opset", "new"], "'new' is not a valid integer"),
        (["SOURCE", "m.onnx", "--seed", "-1"], "-1 is not in the range"),
        (["SOURCE", "m.onnx", "--quiet"], "No such option"),
        (["SOURCE", "m.onnx", "x.onnx"], "unexpected extra argument"),
    ],
)
def test_wrong_usage(
    arguments: list[str], message: str, mmconvert: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "digits.keras"
    shutil.copy(digits.KERAS, source)
    before = sorted(tmp_path.iterdir())
    arguments = [a.replace("SOURCE", str(source)) for a in arguments]
    done = mmconvert(*arguments)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err
    assert not done.out
    assert sorted(tmp_path.iterdir()) == before

    document = mmconvert(*arguments, "--json").document
    assert document["exit_code"] == 2
    assert document["error"] == "UsageError"
    assert message.split("\n")[0].split(": ")[-1] in json.dumps(document, ensure_ascii=False)


def test_formats_that_can_only_be_read_or_written(mmconvert: Command, samples: Path, tmp_path: Path) -> None:
    done = mmconvert(digits.KERAS, tmp_path / "m.h5")
    assert (done.code, "can be read, not written" in done.err) == (3, True)
    (tmp_path / "m.ort").write_bytes(b"\x18\0\0\0ORTM")
    done = mmconvert(tmp_path / "m.ort", tmp_path / "m.onnx")
    assert (done.code, "ORT format cannot be read yet" in done.err) == (3, True)


def test_a_folder_as_the_source(mmconvert: Command, samples: Path, tmp_path: Path) -> None:
    done = mmconvert(tmp_path, tmp_path / "m.onnx")
    assert (done.code, "this folder is no model" in done.err) == (4, True)
    assert mmconvert(samples / "digits.mmir", tmp_path / "m.onnx").code == 0


def test_a_folder_as_the_target_of_the_ir(mmconvert: Command, tmp_path: Path) -> None:
    for _ in range(2):
        assert mmconvert(digits.KERAS, tmp_path / "m.mmir").code == 0
    (tmp_path / "mine.mmir").mkdir()
    (tmp_path / "mine.mmir" / "thesis.txt").write_text("precious")
    assert mmconvert(digits.KERAS, tmp_path / "mine.mmir").code == 2
    assert (tmp_path / "mine.mmir" / "thesis.txt").read_text() == "precious"


# --- verdicts and exit codes -------------------------------------------------------------------------------


def test_a_target_that_is_wrong(mmconvert: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = onnxruntime.Session.run
    monkeypatch.setattr(
        onnxruntime.Session, "run", lambda self, x: {n: np.roll(a, 1, -1) for n, a in right(self, x).items()}
    )
    done = mmconvert(digits.KERAS, tmp_path / "m.onnx")
    assert done.code == 1
    assert "NOT equivalent (executed)" in done.out
    assert "WRONG  probabilities" in done.out
    assert done.err.startswith("error: ")
    assert (tmp_path / "m.onnx").exists()
    done = mmconvert(digits.KERAS, tmp_path / "m.onnx", "--json")
    assert done.code == 1
    verdict = done.document["verdict"]
    assert (verdict["passed"], verdict["culprit"]) == (False, "runtime")


def test_a_source_whose_own_runtime_disagrees(
    mmconvert: Command, samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = onnxruntime.Session.run
    monkeypatch.setattr(
        onnxruntime.Session, "run", lambda self, x: {n: np.roll(a, 1, -1) for n, a in right(self, x).items()}
    )
    assert mmconvert(samples / "digits.onnx", tmp_path / "m.tflite").code == 0
    done = mmconvert(samples / "digits.onnx", tmp_path / "m.tflite", "--framework", "--json")
    assert (done.code, done.document["verdict"]["culprit"]) == (1, "parser")


def test_a_target_that_its_runtime_refuses(
    mmconvert: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmconvert.errors import InvalidModelError

    def refuse(path: Path) -> None:
        raise InvalidModelError("LiteRT refuses this file: what is that")

    monkeypatch.setattr(litert, "Session", refuse)
    done = mmconvert(digits.KERAS, tmp_path / "m.tflite")
    assert done.code == 1
    assert "NOT equivalent (executed)" in done.out
    assert "the target does not run: LiteRT refuses this file: what is that" in done.out


def test_nothing_that_can_run_the_target(
    mmconvert: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "available", lambda: None)
    done = mmconvert(digits.KERAS, tmp_path / "m.ort")
    assert done.code == 0
    assert "not verified (not executed)" in done.out
    assert "pip install 'mmconvert[onnxruntime]'" in done.out
    assert "equivalent" not in done.out
    assert (tmp_path / "m.ort").exists()
    document = mmconvert(digits.KERAS, tmp_path / "m.ort", "--json").document
    assert document["verdict"]["passed"] is False
    assert document["verdict"]["level"] == "not executed"


def test_a_target_that_can_only_be_read_back(
    mmconvert: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "available", lambda: None)
    done = mmconvert(digits.KERAS, tmp_path / "m.onnx")
    assert done.code == 0
    assert "equivalent (read back), interpreter (float32)" in done.out
    assert "the runtime of ONNX is not installed" in done.out


def test_precision_and_labels(mmconvert: Command, tmp_path: Path) -> None:
    target, labels = tmp_path / "m.tflite", tmp_path / "labels.txt"
    labels.write_text("".join(f"digit {i}\n" for i in range(10)), encoding="utf-8")
    plain = mmconvert(digits.KERAS, tmp_path / "plain.tflite")
    done = mmconvert(digits.KERAS, target, "--precision", "fp16", "--labels", labels)
    assert (plain.code, done.code) == (0, 0), done.err
    assert target.stat().st_size < 0.8 * (tmp_path / "plain.tflite").stat().st_size
    assert any(
        line.startswith("rounding the weights: probabilities has ")
        and line.endswith(" dB of signal over noise")
        for line in done.out.splitlines()
    )
    assert "10 labels: digit 0, digit 1, digit 2, ..." in mmconvert("inspect", target).out
    document = mmconvert("inspect", target, "--json").document
    assert document["labels"] == [f"digit {i}" for i in range(10)]
    refused = mmconvert("inspect", target, "--signature", "train")
    assert refused.code == 2
    assert "there is serving_default" in refused.err
