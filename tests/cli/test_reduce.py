"""``mmconvert reduce``: exit codes, words and JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmconvert import api
from mmconvert.ir import ops
from mmconvert.ir.model import Module
from tests.cli.conftest import Command
from tests.mutations import devices
from tests.mutations.faults import EMITTERS
from tests.verification.graphs import graph_of

NET = """
    graph "net"(x: f32[n,8]) -> (y: f32[n,8])
      %1 = Tanh(x)
      %2 = LeakyRelu(%1) {alpha=0.1}
      %3 = Exp(%2)
      return %3
"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.mmir"
    api.save(Module(graph_of(NET)), path)
    return path


def test_it_says_what_fails(
    net: Path, tmp_path: Path, mmconvert: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices.emitter(monkeypatch, EMITTERS["tflite"], ops.LeakyRelu, devices.attribute(alpha=0.7))
    monkeypatch.chdir(tmp_path)
    done = mmconvert("reduce", net, "--against", "tflite")
    assert done.code == 0
    assert (tmp_path / "net-reduced.onnx").exists()
    assert "3 operators became 1 (LeakyRelu)" in done.out
    assert "the emitter writes something else" in done.out
    document = mmconvert("reduce", net, "small.onnx", "--against", "tflite", "--json").document
    assert document["operators"] == [3, 1]
    assert document["failure"]["kind"] == "not equivalent"
    assert document["complete"] is True
    assert document["verdict"]["culprit"] == "emitter"


def test_nothing_to_reduce_is_a_matter_of_usage(net: Path, tmp_path: Path, mmconvert: Command) -> None:
    done = mmconvert("reduce", net, tmp_path / "small.onnx", "--against", "tflite")
    assert done.code == 2
    assert "nothing to reduce" in done.err
    assert not (tmp_path / "small.onnx").exists()


@pytest.mark.parametrize(
    ("against", "out", "code"),
    [("nonsense", "small.onnx", 2), ("tflite", "small.tflite", 2), ("keras", "small.onnx", 3)],
)
def test_what_cannot_be_done(
    net: Path, tmp_path: Path, mmconvert: Command, against: str, out: str, code: int
) -> None:
    assert mmconvert("reduce", net, tmp_path / out, "--against", against).code == code


def test_interrupted(net: Path, tmp_path: Path, mmconvert: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    devices.emitter(monkeypatch, EMITTERS["tflite"], ops.LeakyRelu, devices.attribute(alpha=0.7))
    from mmconvert.reduction.search import Search

    def stop(search: Search) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Search, "_shrink", stop)
    done = mmconvert("reduce", net, tmp_path / "small.onnx", "--against", "tflite")
    assert done.code == 130
    assert "smallest so far" in done.out
    assert (tmp_path / "small.onnx").exists()
