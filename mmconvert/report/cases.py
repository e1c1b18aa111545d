"""What a report is about: one conversion or comparison, and where it was made."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from mmconvert.conversion import Report
from mmconvert.passes.outcome import Outcome
from mmconvert.verification.verdict import Verdict
from mmconvert.version import VERSION

LIBRARIES = (
    *("numpy", "onnx", "onnxruntime", "ai-edge-litert", "ncnn", "MNN", "torch"),
    *("tensorflow", "tensorflow-cpu", "keras", "bokeh"),
)
"""Whose versions a reader may want to know, by the names of their distributions."""


@dataclass(frozen=True, slots=True)
class Case:
    """One target, and what is known of it.

    Attributes:
        source, target: the two files, as they were given.
        format: the target's format, where it is known.
        source_size, size: their bytes; 0 where that is not known.
        operators: of the target; 0 where that is not known.
        seconds: time by stage.
        passes: what each pass did.
        warnings: what the user should know.
        verdict: None when it was not asked for.
    """

    source: str
    target: str
    format: str = ""
    source_size: int = 0
    size: int = 0
    operators: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    passes: Sequence[tuple[str, Outcome]] = ()
    warnings: Sequence[str] = ()
    verdict: Verdict | None = None

    @classmethod
    def of_conversion(cls, report: Report) -> Case:
        """What a conversion did."""
        return cls(
            report.source,
            report.target,
            report.format,
            size_of(Path(report.source)),
            report.size,
            report.operators,
            report.seconds,
            report.passes,
            report.warnings,
            report.verdict,
        )

    @classmethod
    def of_comparison(cls, source: str, target: str, verdict: Verdict, seconds: float) -> Case:
        """What comparing two files found.

        Args:
            source, target: the files.
            verdict: on the second.
            seconds: what it took.
        """
        sizes = size_of(Path(source)), size_of(Path(target))
        return cls(source, target, "", *sizes, seconds={"verify": seconds}, verdict=verdict)

    @property
    def name(self) -> str:
        """What to call it."""
        return f"{Path(self.source).name} → {Path(self.target).name}"

    @property
    def summary(self) -> str:
        """The verdict in a few words."""
        return "not verified" if self.verdict is None else self.verdict.summary

    @property
    def state(self) -> str:
        """``right``, ``wrong`` or ``unknown``."""
        if self.verdict is None or not self.verdict.was_run:
            return "unknown"
        return "right" if self.verdict.passed else "wrong"


def environment() -> dict[str, str]:
    """Where this runs, and with which versions; nothing is imported to find out."""
    found = {
        "mmconvert": VERSION,
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": str(os.cpu_count() or "unknown"),
    }
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files in a folder; 0 where there is none."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
