"""Files that were cut off or have a wrong byte: an error that says so or a model, never anything else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

FORMATS = ("onnx", "keras", "h5", "tflite", "mnn")
ERRORS = {"InvalidModelError", "InferenceError", "UnsupportedError"}


def outcomes(sample: Path, folder: Path, kind: str, count: int) -> Counter[str]:
    """What became of each damaged copy."""
    command = [sys.executable, "-m", "tests.damage", sample, folder, kind, count]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=880, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    ended = {line["ended"]: line["outcome"] for line in lines if "ended" in line}
    last = lines[-1] if lines else "nothing was read"
    assert done.returncode == 0, f"{kind} of {sample.name}: {last}\n{done.stderr[-3000:]}"
    assert len(ended) == count
    return Counter(ended.values())


@pytest.mark.parametrize("format", FORMATS)
def test_truncated(format: str, samples: Path, tmp_path: Path) -> None:
    found = outcomes(samples / f"digits.{format}", tmp_path, "truncations", 20)
    assert set(found) <= ERRORS, "a part of a file is no model"


@pytest.mark.parametrize("format", FORMATS)
def test_one_wrong_byte(format: str, samples: Path, tmp_path: Path) -> None:
    found = outcomes(samples / f"digits.{format}", tmp_path, "corruptions", 500)
    assert set(found) <= ERRORS | {"loaded"}
    assert found["loaded"] > 100, "most bytes are weights"
    assert sum(found.values()) - found["loaded"] > 5, "some are not"


@pytest.mark.large
@pytest.mark.timeout(900)
@pytest.mark.parametrize("format", ["keras", "h5"])
def test_one_wrong_byte_in_very_many_files(format: str, samples: Path, tmp_path: Path) -> None:
    assert set(outcomes(samples / f"digits.{format}", tmp_path, "corruptions", 2000)) <= ERRORS | {"loaded"}
