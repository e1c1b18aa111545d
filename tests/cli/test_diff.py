"""``mmconvert diff``: exit codes, words and JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmconvert import api
from mmconvert.ir.model import Module
from tests.cli.conftest import Command
from tests.verification.graphs import graph_of

NET = """
    graph "net"(x: f32[n,8]) -> (y: f32[n,8])
      %1 = Tanh(x)
      %2 = LeakyRelu(%1) {alpha=0.1}
      return %2
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    paths = tmp_path / "a.onnx", tmp_path / "b.tflite", tmp_path / "c.onnx"
    for path, alpha in zip(paths, ("0.1", "0.1", "0.3"), strict=True):
        api.save(Module(graph_of(NET.replace("0.1", alpha))), path)
    return paths


def test_no_difference(files: tuple[Path, Path, Path], mmconvert: Command) -> None:
    done = mmconvert("diff", files[0], files[1])
    assert done.code == 0
    assert "no difference (read back)" in done.out
    assert "2 and 2 operators, 2 of them paired" in done.out


def test_a_difference(files: tuple[Path, Path, Path], mmconvert: Command) -> None:
    done = mmconvert("diff", files[1], files[2])
    assert done.code == 1
    assert "alpha is 0.1, and 0.3 in the second" in done.out
    done = mmconvert("diff", files[0], files[2], "--json", "--no-run")
    assert done.code == 1
    document = done.document
    assert document["same"] is False
    assert document["level"] == "structure only"
    assert document["verdict"] is None
    (change,) = document["changes"]
    assert (change["kind"], change["operator"]) == ("attribute", "LeakyRelu")
    assert document["operators"] == {"first": 2, "second": 2, "paired": 2}


def test_extents_for_whichever_has_them(
    files: tuple[Path, Path, Path], tmp_path: Path, mmconvert: Command
) -> None:
    api.convert(files[0], tmp_path / "fixed.onnx", fix_dims={"n": 2})
    assert mmconvert("diff", files[0], tmp_path / "fixed.onnx").code == 1
    assert mmconvert("diff", files[0], tmp_path / "fixed.onnx", "--fix-dims", "n=2").code == 0


def test_what_cannot_be_read(files: tuple[Path, Path, Path], tmp_path: Path, mmconvert: Command) -> None:
    assert mmconvert("diff", files[0], tmp_path / "missing.onnx").code == 2
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\x08")
    assert mmconvert("diff", files[0], broken).code == 4
