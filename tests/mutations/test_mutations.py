"""Every fault is found, blamed on who made it and on the right operator, and explained."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutations import report
from tests.mutations.table import FAULTS
from tests.mutations.trial import Trial

STAGE, OPERATOR, DIAGNOSIS = 0.95, 0.9, 0.7
"""The shares that have to be right; of what is detected it is all."""


def test_there_are_enough_and_no_two_are_the_same() -> None:
    assert len({str(fault) for fault in FAULTS}) == len(FAULTS) >= 60
    assert {fault.target for fault in FAULTS} == {"onnx", "tflite", "ncnn", "mnn"}
    assert {fault.stage for fault in FAULTS} == {"parser", "pass", "emitter", "file", "runtime"}
    assert {fault.model for fault in FAULTS} >= {"cnn", "lstm", "transformer", "quantized"}


@pytest.mark.timeout(1200)
def test_all_of_them(tmp_path: Path) -> None:
    """One test, as all of them have to be run before anything can be said about the shares."""
    trials = report.all_trials(tmp_path)
    assert share(trials, "is_detected") == 1, report.listed(trials, "is_detected")
    assert share(trials, "is_right_stage") >= STAGE, report.listed(trials, "is_right_stage")
    assert share(trials, "is_right_operator") >= OPERATOR, report.listed(trials, "is_right_operator")
    assert share(trials, "is_diagnosed") >= DIAGNOSIS, report.listed(trials, "is_diagnosed")
    assert report.DOCUMENT.read_text() == report.document(trials), "make docs writes it anew"


def share(trials: list[Trial], flag: str) -> float:
    return sum(getattr(trial, flag) for trial in trials) / len(trials)
