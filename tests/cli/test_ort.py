"""ORT files on the command line and in whole conversions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mmconvert as package
from mmconvert import registry
from mmconvert.errors import UnsupportedError
from tests import digits
from tests.cli.conftest import Command
from tests.models import zoo


@pytest.mark.parametrize(
    "options", [(), ("--ort-cpu", "any"), ("--ort-style", "runtime"), ("--ort-types", "--opset", "21")]
)
def test_convert(options: tuple[str, ...], mmconvert: Command, tmp_path: Path) -> None:
    done = mmconvert(digits.KERAS, tmp_path / "m.ort", *options, "--json")
    assert done.code == 0, done.err
    assert done.document["format"] == "ort"
    assert done.document["verdict"]["level"] == "executed"
    assert done.document["verdict"]["passed"] is True
    kind = "required_operators_and_types" if "--ort-types" in options else "required_operators"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.ort", f"m.{kind}.config"]


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("m.onnx", ("--ort-style", "fixed"), "writing ONNX has no option style"),
        ("m.ort", ("--ort-style", "runtime", "--ort-cpu", "this"), "are for any CPU"),
        ("m.ort", ("--opset", "5"), "opset 5 cannot be written"),
    ],
)
def test_options_that_do_not_fit(
    target: str,
    options: tuple[str, ...],
    message: str,
    mmconvert: Command,
    tmp_path: Path,
) -> None:
    done = mmconvert(digits.KERAS, tmp_path / target, *options)
    assert done.code == 2
    assert message in done.err
    assert not list(tmp_path.iterdir())


def test_verify_and_run(mmconvert: Command, tmp_path: Path) -> None:
    path = tmp_path / "m.ort"
    assert mmconvert(digits.KERAS, path, "--no-verify").code == 0
    assert mmconvert("verify", digits.KERAS, path).code == 0
    np.save(tmp_path / "x.npy", digits.images())
    for runtime in ("native", "ort", "onnxruntime"):
        done = mmconvert("run", path, "--input", tmp_path / "x.npy", "--runtime", runtime, "--json")
        assert done.code == 0, done.err
        (found,) = done.document.values()
        assert np.argmax(found["values"], -1).shape == (3,)
    assert mmconvert("run", path, "--input", tmp_path / "x.npy", "--runtime", "litert").code == 2


def test_a_wrong_file_is_told_from_a_right_one(mmconvert: Command, tmp_path: Path) -> None:
    other = package.load(digits.KERAS)
    for value in list(other.graph.constants()):
        tensor = value.constant
        if tensor is not None and len(tensor.shape) == 2:
            other.graph.replace_uses(value, other.graph.constant(tensor.map(np.negative)))
    other.save(tmp_path / "wrong.ort")
    assert mmconvert("verify", digits.KERAS, tmp_path / "wrong.ort").code == 1


def test_known_by_its_content_and_not_readable(tmp_path: Path) -> None:
    path = tmp_path / "m.bin"
    package.save(package.load(digits.KERAS), path, format="ort")
    assert registry.identify(path).name == "ort"
    with pytest.raises(UnsupportedError, match="ORT format cannot be read yet"):
        package.load(path)


@pytest.mark.model
@pytest.mark.timeout(900)
@pytest.mark.parametrize("options", [{}, {"cpu": "any"}, {"style": "runtime"}], ids=str)
def test_a_real_model(options: dict[str, str], tmp_path: Path) -> None:
    report = package.convert(zoo.torchvision_onnx("mobilenet_v2"), tmp_path / "m.ort", **options)  # type: ignore[arg-type]
    assert report.passed, report.verdict
    assert report.verdict is not None
    assert report.verdict.level == "executed"
    assert bool(report.warnings) == (not options)
