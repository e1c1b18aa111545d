"""Files of PyTorch on the command line: the code and inputs of a module, and the audit."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest
import torch

from mmconvert.cli import invoke
from tests.parsers.pytorch import nets
from tests.parsers.pytorch.gadgets import Reduced

CODE = ("--module", "tests.parsers.pytorch.nets:Small(classes=4)")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.pth"
    torch.save({"state_dict": nets.made().state_dict()}, path)
    return path


def test_weights_with_code_are_converted_and_verified(
    weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = weights.with_name("out.onnx")
    arguments = [str(weights), str(target), *CODE, "--input", "batch,3,8,width@8", "--json"]
    assert invoke(["convert", *arguments]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["verdict"]["passed"]
    assert report["warnings"][0] == "the weights are those under 'state_dict' of the checkpoint"
    more = ["--module", CODE[1], "--input", "x=batch,3,8,8"]
    assert invoke(["verify", str(weights), str(target), *more, "--fix-dims", "batch=2"]) == 0
    assert invoke(["inspect", str(weights), *more]) == 0
    assert "x: f32[batch,3,8,8]" in capsys.readouterr().out
    assert invoke(["run", str(weights), *CODE, "--example", "2,3,8,8", "--seed", "0"]) == 0


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("1,3,8,8:f7", "no element type"),
        ("1,-3,8", "no extent"),
        ("1,h@1", "no extent"),
        ("a b=1,3", "no name of a parameter"),
        ("x:=[", "no number"),
    ],
)
def test_inputs_that_are_none(
    word: str, message: str, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke([str(weights), "o.onnx", *CODE, "--input", word]) == 2
    assert message in capsys.readouterr().err


def test_audit(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["inspect", str(weights), "--audit"]) == 0
    shown = capsys.readouterr().out
    assert "weights/data.pkl" in shown
    assert "ok      torch._utils._rebuild_tensor_v2" in shown
    whole = tmp_path / "whole.pt"
    torch.save(nets.made(), whole)
    assert invoke(["inspect", str(whole), "--audit"]) == 3
    assert "code    tests.parsers.pytorch.nets.Small" in capsys.readouterr().out
    evil = tmp_path / "evil.pth"
    evil.write_bytes(pickle.dumps({"w": Reduced(os.system, "touch canary")}, 2))
    assert invoke(["inspect", str(evil), "--audit"]) == 4
    shown = capsys.readouterr().out
    assert f"HOSTILE {os.name}.system" in shown
    assert f"asks for REDUCE {os.name}.system('touch canary',)" in shown
    assert invoke(["inspect", str(evil), "--audit", "--json"]) == 4
    (found,) = json.loads(capsys.readouterr().out)["pickles"]
    assert found["hostile"] == [f"{os.name}.system"]
    assert found["calls"] == [f"REDUCE {os.name}.system('touch canary',)"]
    evil.write_bytes(evil.read_bytes()[:-3])
    assert invoke(["inspect", str(evil), "--audit"]) == 4
    assert "damaged" in capsys.readouterr().out


def test_trust_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = tmp_path / "whole.pt"
    torch.save(nets.made(), whole)
    target = str(tmp_path / "o.onnx")
    assert invoke([str(whole), target, "--input", "1,3,8,8"]) == 3
    said = capsys.readouterr().err
    assert "--trust-pickle runs whatever" in said
    assert "torch.export.save" in said
    assert invoke([str(whole), target, "--input", "1,3,8,8", "--trust-pickle"]) == 0
    assert "whatever code it asks for has run" in capsys.readouterr().err
