"""Files of PyTorch that were cut off or have a wrong byte: our errors, or weights, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.parsers.pytorch import nets
from tests.test_robustness_damage import ERRORS
from tests.test_robustness_damage import outcomes as loaded

FILES = ("net.pth", "net.bin", "net.safetensors")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights as an archive, as the stream before that, as safetensors, and as a program."""
    folder = tmp_path_factory.mktemp("files")
    net = nets.made()
    torch.save({"epoch": 2, "state_dict": net.state_dict()}, folder / "net.pth")
    torch.save(net.state_dict(), folder / "net.bin", _use_new_zipfile_serialization=False)
    save_file(net.state_dict(), folder / "net.safetensors")
    torch.export.save(torch.export.export(net, (torch.zeros(1, 3, 8, 8),)), folder / "net.pt2")
    return folder


def outcomes(*arguments: Any) -> Counter[str]:
    command = [sys.executable, "-m", "tests.parsers.pytorch.damaged", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return Counter(json.loads(done.stdout))


@pytest.mark.parametrize("name", FILES)
def test_truncated(name: str, files: Path, tmp_path: Path) -> None:
    found = outcomes(files / name, tmp_path, "truncations", 100)
    assert "read" not in found


@pytest.mark.parametrize("name", FILES)
def test_one_wrong_byte(name: str, files: Path, tmp_path: Path) -> None:
    found = outcomes(files / name, tmp_path, "corruptions", 400)
    assert set(found) <= {*ERRORS, "read", "not recognised"}
    assert found["read"] > 40, "most bytes are weights"
    assert found["InvalidModelError"] > 3, "some are not"


def test_programs(files: Path, tmp_path: Path) -> None:
    assert set(loaded(files / "net.pt2", tmp_path, "truncations", 20)) <= ERRORS
    assert set(loaded(files / "net.pt2", tmp_path, "corruptions", 300)) <= ERRORS | {"loaded"}


@pytest.mark.large
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", FILES)
def test_one_wrong_byte_in_very_many_files(name: str, files: Path, tmp_path: Path) -> None:
    found = outcomes(files / name, tmp_path, "corruptions", 2000)
    assert set(found) <= {*ERRORS, "read", "not recognised"}


@pytest.mark.large
@pytest.mark.timeout(900)
def test_programs_with_very_many_wrong_bytes(files: Path, tmp_path: Path) -> None:
    assert set(loaded(files / "net.pt2", tmp_path, "corruptions", 2000)) <= ERRORS | {"loaded"}
