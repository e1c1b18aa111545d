"""Every version of every operator is read and computes what it should, from operator set 1 on."""

from __future__ import annotations

from pathlib import Path

from mmconvert.parsers.onnx.convert import NEWEST
from tests.onnx_suite.deviations import READING
from tests.onnx_suite.test_reading import outcome, reason
from tests.onnx_suite.versions import by_version, history


def test_every_version_has_a_case() -> None:
    assert max(max(versions) for versions in history().values()) <= NEWEST
    assert not [version for version, cases in by_version().items() if not cases]


def test_older_versions(tmp_path: Path) -> None:
    """The suite's own cases are in the other test; these are those that it lacks."""
    older = {
        case.name: case
        for cases in by_version().values()
        for case in cases
        if case.kind == "made" or "_at_" in case.name
    }
    found = {name: outcome(case, tmp_path) for name, case in older.items()}
    failed = {name: why for name, why in found.items() if why}
    unknown = {name: why for name, why in failed.items() if not reason(name, READING)}
    assert not unknown, "\n".join(f"{name}: {why}" for name, why in unknown.items())
    print(f"{len(found) - len(failed)} of {len(found)} cases of older versions pass")
