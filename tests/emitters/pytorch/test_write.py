"""The folder that is written, its own test, and what runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import mmconvert
from mmconvert import demo
from mmconvert.errors import MissingDependencyError, UnsupportedError, UsageError
from mmconvert.runtimes import pytorch as runtime
from tests.emitters.pytorch.nets import Listed, Picture, convert, randomised

DIGITS = Path(demo.__file__).parent / "digits.keras"
FILES = {"model.py", "weights.safetensors", "test_model.py", "test_data.safetensors", "README.md"}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written") / "digits"
    assert mmconvert.convert(DIGITS, folder, to="pytorch").passed
    return folder


def run_test(folder: Path) -> subprocess.CompletedProcess[str]:
    """Its own test, in a process that cannot import mmconvert."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    code = (
        "import sys, runpy; sys.modules['mmconvert'] = None; sys.path.insert(0, '.');"
        "runpy.run_path('test_model.py', run_name='__main__')"
    )
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_files(written: Path) -> None:
    assert {p.name for p in written.iterdir()} == FILES


def test_its_own_test_passes_without_mmconvert(written: Path) -> None:
    done = run_test(written)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ok\n"


def test_its_own_test_fails_with_other_weights(written: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(written, folder)
    weights = load_file(folder / "weights.safetensors")
    name = next(n for n in weights if n.endswith("weight"))
    weights[name].view(-1)[0] += 0.05
    save_file(weights, folder / "weights.safetensors")
    done = run_test(folder)
    assert done.returncode != 0
    assert "AssertionError" in done.stderr


def test_same_bytes(written: Path, tmp_path: Path) -> None:
    mmconvert.convert(DIGITS, tmp_path / "again", to="pytorch")
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (written / name).read_bytes(), name


def test_a_folder_of_ours_is_replaced_and_another_is_not(tmp_path: Path) -> None:
    target = tmp_path / "out"
    mmconvert.convert(DIGITS, target, to="pytorch", verify=False)
    (target / "stale.txt").write_text("old")
    mmconvert.convert(DIGITS, target, to="pytorch", verify=False)
    assert {p.name for p in target.iterdir()} == FILES
    (other := tmp_path / "mine").mkdir()
    (other / "thesis.txt").write_text("dear")
    with pytest.raises(UsageError, match="holds something else"):
        mmconvert.convert(DIGITS, other, to="pytorch", verify=False)
    assert (other / "thesis.txt").read_text() == "dear"
    assert not list(tmp_path.glob(".*part*"))


def test_only_code_that_was_written_just_now_is_run(tmp_path: Path) -> None:
    target = tmp_path / "out"
    mmconvert.convert(DIGITS, target, to="pytorch", verify=False)
    assert runtime.Session(target).inputs
    mark = tmp_path / "mark"
    with (target / "model.py").open("a") as file:
        file.write(f"\nopen({str(mark)!r}, 'w').close()\n")
    with pytest.raises(UnsupportedError, match="it is not run"):
        runtime.Session(target)
    moved = tmp_path / "moved"
    shutil.copytree(target, moved)
    with pytest.raises(UnsupportedError, match="it is not run"):
        runtime.Session(moved)
    assert not mark.exists()


def test_without_torch_it_is_written_and_not_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "available", lambda: None)
    report = mmconvert.convert(DIGITS, tmp_path / "out", to="pytorch")
    assert report.verdict is not None
    assert report.verdict.level == "not executed"
    assert any("not installed" in note for note in report.verdict.notes)
    with pytest.raises(MissingDependencyError, match="PyTorch is needed"):
        runtime.Session(tmp_path / "out")


def test_session_names_what_is_missing(written: Path, tmp_path: Path) -> None:
    mmconvert.convert(DIGITS, tmp_path / "out", to="pytorch", verify=False)
    session = runtime.Session(tmp_path / "out")
    with pytest.raises(UsageError, match="missing or unknown"):
        session.run({})
    with pytest.raises(UsageError, match=r"no model\.py"):
        runtime.Session(tmp_path)


def test_inner_values_have_the_names_of_layers(tmp_path: Path) -> None:
    convert(randomised(Picture()), (torch.randn(1, 3, 8, 8),), tmp_path / "out")
    session = runtime.Session(tmp_path / "out")
    found = session.intermediates({session.inputs[0]: np.zeros((1, 3, 8, 8), np.float32)})
    assert found["stem"].shape == (1, 8, 8, 8)
    assert set(session.outputs) <= found.keys()


def test_layout_of_the_target(tmp_path: Path) -> None:
    report = mmconvert.convert(DIGITS, tmp_path / "out", to="pytorch", io_layout="target")
    assert report.passed
    assert ".permute(0, 3, 1, 2)" not in (tmp_path / "out" / "model.py").read_text()
    assert run_test(tmp_path / "out").returncode == 0


def test_modules_with_numbers_for_names(tmp_path: Path) -> None:
    assert convert(randomised(Listed()), (torch.randn(3, 6),), tmp_path / "out").passed
    text = (tmp_path / "out" / "model.py").read_text()
    assert "class Model(nn.ModuleList):" in text
    assert "self.append(nn.Identity())" in text


def test_code_is_formatted(written: Path, tmp_path: Path) -> None:
    ruff = shutil.which("ruff") or str(Path(sys.executable).with_name("ruff"))
    if not Path(ruff).exists():
        pytest.skip("ruff is not installed")
    convert(randomised(Picture()), (torch.randn(1, 3, 8, 8),), tmp_path / "out")
    for folder in (written, tmp_path / "out"):
        for command in (["format", "--check"], ["check", "--select", "E,F,B,UP,I,ANN"]):
            words = [ruff, *command, "--isolated", "--line-length", "100", "."]
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout
