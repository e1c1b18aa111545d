"""``--tolerance``, ``--thorough`` and ``--inputs`` of what verifies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmconvert import api
from mmconvert.ir.model import Module
from tests.cli.conftest import Command
from tests.verification.graphs import graph_of

NET = """
    graph "net"(x: f32[n,8]) -> (y: f32[n,8])
      %1 = LeakyRelu(x) {alpha=0.1}
      return %1
"""


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two models that differ by a thousandth."""
    paths = tmp_path / "a.onnx", tmp_path / "b.onnx"
    for path, alpha in zip(paths, ("0.1", "0.1005"), strict=True):
        api.save(Module(graph_of(NET.replace("0.1", alpha))), path)
    return paths


def test_a_tolerance_is_said_in_the_table_and_in_json(pair: tuple[Path, Path], mmconvert: Command) -> None:
    assert mmconvert("verify", *pair).code == 1
    done = mmconvert("verify", *pair, "--tolerance", "0.01")
    assert done.code == 0
    assert "tolerance (given)" in done.out
    assert "the tolerance 0.01 was given" in done.out
    assert mmconvert("verify", *pair, "--tolerance", "0.01", "--json").document["tolerance"] == 0.01
    assert mmconvert("verify", *pair, "--tolerance", "0").code == 2


def test_thorough(pair: tuple[Path, Path], tmp_path: Path, mmconvert: Command) -> None:
    assert mmconvert("verify", pair[0], pair[0], "--json").document["inputs"] == 2
    assert mmconvert("verify", pair[0], pair[0], "--thorough", "--json").document["inputs"] == 7
    done = mmconvert(pair[0], tmp_path / "c.tflite", "--thorough", "--json")
    assert done.code == 0
    assert done.document["verdict"]["inputs"] == 7


def test_a_folder_of_arrays(pair: tuple[Path, Path], tmp_path: Path, mmconvert: Command) -> None:
    folder = tmp_path / "inputs"
    folder.mkdir()
    for rows in (1, 2, 5):
        np.save(folder / f"{rows}.npy", np.ones((rows, 8), np.float32))
    done = mmconvert(pair[0], tmp_path / "c.tflite", "--inputs", folder, "--json")
    assert done.document["verdict"]["inputs"] == 3
    done = mmconvert("verify", *pair, "--inputs", folder, "--inputs", folder / "1.npy")
    assert done.code == 2
    assert "the only input" in done.err
