"""Runs every test, the slow ones included, and writes the table of results to docs/test-results.md."""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "test-results.md"
PACKAGES = ("numpy", "onnx", "onnxruntime", "ai-edge-litert", "tensorflow-cpu", "keras", "torch")


def run(report: Path) -> tuple[int, float]:
    """Runs pytest over everything; its exit code and the seconds it took."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "-n", "2", f"--junitxml={report}", *sys.argv[1:]]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    return code, time.perf_counter() - start


def outcomes(report: Path) -> Iterator[tuple[str, str]]:
    """The group of tests and the outcome, for each test."""
    for case in ElementTree.parse(report).iter("testcase"):
        parts = case.get("classname", "").split(".")
        group = "/".join(parts[1:-1]) or parts[-1]
        kinds = {child.tag for child in case}
        failed = kinds & {"failure", "error"}
        yield group, "failed" if failed else "skipped" if "skipped" in kinds else "passed"


def page(table: dict[str, Counter[str]], seconds: float) -> str:
    """The Markdown page."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    lines = [
        "# Test results",
        "",
        f"Written by `make test-all`: every test, the slow ones included, in {seconds / 60:.0f} minutes.",
        "An expected failure (a limit that is listed with its reason) counts as skipped.",
        "",
        f"Python {platform.python_version()}, {versions}.",
        "",
        "| tests | passed | skipped | failed |",
        "|---|---:|---:|---:|",
    ]
    for group, counts in sorted(table.items()):
        lines.append(f"| {group} | {counts['passed']} | {counts['skipped']} | {counts['failed']} |")
    total = sum(table.values(), Counter())
    lines.append(f"| **all** | **{total['passed']}** | **{total['skipped']}** | **{total['failed']}** |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Runs the tests and writes the page; the exit code is pytest's."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "junit.xml"
        code, seconds = run(report)
        table: dict[str, Counter[str]] = {}
        for group, outcome in outcomes(report):
            table.setdefault(group, Counter())[outcome] += 1
    PAGE.write_text(page(table, seconds), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
