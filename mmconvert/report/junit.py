"""A report as JUnit's XML: a suite for each target, in it a case for each output and each invariant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmconvert.errors import MissingDependencyError
from mmconvert.files import atomic_write
from mmconvert.report.cases import Case
from mmconvert.verification.verdict import OutputVerdict, Verdict


def require() -> None:
    """Makes sure that the library is there.

    Raises:
        MissingDependencyError: it is not.
    """
    _library()


def write(path: Path, cases: Sequence[Case]) -> None:
    """Writes ``cases`` to a file.

    Raises:
        UsageError: the file cannot be written.
        MissingDependencyError: junitparser is not installed.
    """
    junit = _library()
    document = junit.JUnitXml("mmconvert")
    for case in cases:
        suite = junit.TestSuite(_clean(case.name))
        suite.add_property("source", _clean(case.source))
        suite.add_property("target", _clean(case.target))
        verdict = case.verdict
        if verdict is not None:
            suite.add_property("level", verdict.level)
            suite.add_property("runtime", _clean(verdict.runtime))
            suite.add_property("culprit", verdict.culprit)
        for name, problem, skipped in _tests(verdict):
            test = junit.TestCase(_clean(name), classname=_clean(case.name))
            if problem:
                test.result = [junit.Failure(_clean(problem), "not equivalent")]
            elif skipped:
                test.result = [junit.Skipped(_clean(skipped))]
            suite.add_testcase(test)
        tests = list(suite)
        if tests:
            tests[0].time = round(sum(case.seconds.values()), 3)
        suite.update_statistics()
        document.add_testsuite(suite)
    document.update_statistics()
    with atomic_write(path) as file:
        file.write(document.tostring())


def _tests(verdict: Verdict | None) -> list[tuple[str, str, str]]:
    """Names of tests, and why they failed or were skipped."""
    if verdict is None:
        return [("equivalent", "", "not verified")]
    if not verdict.was_run:
        return [("equivalent", "", verdict.summary)]
    if verdict.failure:
        return [("runs", verdict.failure, "")]
    blame = "".join(f"\n{fault}" for fault in verdict.faults)
    tests = [(f"output {o.name}", "" if o.passed else _problem(o) + blame, "") for o in verdict.outputs]
    tests += [
        (f"source output {o.name}", "" if o.passed else _problem(o) + blame, "")
        for o in verdict.source_outputs
    ]
    # Budgets alone decide: an invariant that is broken explains a failure, and makes none.
    for i in verdict.invariants:
        broken = "" if i.held else f"not {i.rule}"
        tests.append(
            (f"{i.output}: {i.rule}", "" if verdict.passed else broken, broken if verdict.passed else "")
        )
    return tests


def _problem(output: OutputVerdict) -> str:
    errors = f"error {output.error.maximum:.3e}, l2 {output.error.l2:.3e}"
    allowed = f"budget {output.budget.maximum:.3e}, l2 {output.budget.l2:.3e}"
    return f"{output.name}: {errors}; {allowed}; the source's own {output.source_error.maximum:.3e}"


def _clean(text: str) -> str:
    """``text`` without what XML cannot hold, not even escaped."""
    return "".join(c if c.isprintable() or c in "\t\n\r" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _library() -> Any:
    try:
        import junitparser
    except ImportError as error:
        hint = "pip install 'mmconvert[report]'"
        raise MissingDependencyError("JUnit files are written by junitparser", hint=hint) from error
    return junitparser
