"""Every fault is found, blamed on who made it and on the right operator, and explained."""

from __future__ import annotations

import pytest

from tests.mutations import report
from tests.mutations.table import FAULTS
from tests.mutations.trial import Trial


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> list[Trial]:
    """All of them, one after the other."""
    return report.all_trials(tmp_path_factory.mktemp("mutations"))


def share(flags: list[bool]) -> float:
    return sum(flags) / len(flags)


def test_there_are_enough_and_no_two_are_the_same() -> None:
    assert len({str(fault) for fault in FAULTS}) == len(FAULTS) >= 60
    assert {fault.target for fault in FAULTS} == {"onnx", "tflite", "ncnn", "mnn"}
    assert {fault.stage for fault in FAULTS} == {"parser", "pass", "emitter", "file", "runtime"}


def test_all_are_detected(trials: list[Trial]) -> None:
    assert [str(t.fault) for t in trials if not t.is_detected] == []


def test_blamed_on_the_right_stage(trials: list[Trial]) -> None:
    assert share([t.is_right_stage for t in trials]) >= 0.95, report.listed(trials, "is_right_stage")


def test_blamed_on_the_right_operator(trials: list[Trial]) -> None:
    assert share([t.is_right_operator for t in trials]) >= 0.9, report.listed(trials, "is_right_operator")


def test_explained(trials: list[Trial]) -> None:
    assert share([t.is_diagnosed for t in trials]) >= 0.7, report.listed(trials, "is_diagnosed")


def test_the_document_is_what_comes_of_them(trials: list[Trial]) -> None:
    """``make docs`` writes it anew."""
    assert report.DOCUMENT.read_text() == report.document(trials)
