"""The demonstration: the embedded model in every format, judged on held-out images.

``digits.keras`` is a small CNN trained on scikit-learn's digits by ``tools/train_digits.py``; ``digits.npz``
holds 200 images that it has not seen, with their labels.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np

from mmconvert import api, registry
from mmconvert.ir.types import Array
from mmconvert.report import Case
from mmconvert.verification.verdict import Verdict

TARGETS = ("onnx", "tflite")

STEPS = 1 + len(TARGETS)
"""What a demonstration tells its progress."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: the source itself, or a target.

    Attributes:
        target: the format.
        size: bytes of the file.
        operators: how many operators it has.
        accuracy: on the held-out images; None when nothing here can run the file.
        seconds: what converting and verifying took.
        verdict: the verification; None for the source.
        case: the conversion as reports take it; None for the source.
    """

    target: str
    size: int
    operators: int
    accuracy: float | None
    seconds: float
    verdict: Verdict | None = None
    case: Case | None = None

    @property
    def passed(self) -> bool:
        """True for the source, and for a target that was verified."""
        return self.verdict is None or self.verdict.passed

    def cells(self) -> list[str]:
        """The row as text."""
        return [
            self.target,
            f"{self.size / 1e3:.1f} kB",
            str(self.operators),
            *self._errors(),
            "-" if self.accuracy is None else f"{self.accuracy:.1%}",
            f"{self.seconds:.2f} s",
            "the source" if self.verdict is None else self.verdict.summary,
        ]

    def to_json(self) -> dict[str, Any]:
        """The row as plain data."""
        return {
            "target": self.target,
            "size": self.size,
            "operators": self.operators,
            "accuracy": self.accuracy,
            "seconds": self.seconds,
            "verdict": None if self.verdict is None else self.verdict.to_json(),
        }

    def _errors(self) -> tuple[str, str]:
        if self.verdict is None or not self.verdict.outputs:
            return "-", "-"
        largest = max(o.error.maximum for o in self.verdict.outputs)
        own = max(o.source_error.maximum for o in self.verdict.outputs)
        return f"{largest:.1e}", f"{own:.1e}"


def demonstrate(progress: Callable[[str], None], *, examine: bool = False) -> list[Row]:
    """Converts the embedded model to every target, and runs source and targets on the held-out images.

    Args:
        progress: is told what is being done.
        examine: gather what a report shows beside the verdicts.
    """
    with as_file(files("mmconvert") / "demo") as folder, tempfile.TemporaryDirectory() as out:
        source = Path(folder) / "digits.keras"
        held_out = np.load(Path(folder) / "digits.npz")
        images, labels = held_out["images"], held_out["labels"]
        progress("running the source")
        start = time.perf_counter()
        model = api.load(source)
        (name,) = (v.name for v in model.graph.inputs)
        accuracy = _accuracy(model.run({name: images}), labels)
        elapsed = time.perf_counter() - start
        rows = [Row("keras", source.stat().st_size, len(model.graph), accuracy, elapsed)]
        for target in TARGETS:
            progress(f"converting to {target}")
            rows.append(_row(source, Path(out), target, {name: images}, labels, examine=examine))
        return rows


def _row(
    source: Path, out: Path, target: str, feed: dict[str, Array], labels: Array, *, examine: bool
) -> Row:
    path = out / f"digits{registry.find(target).suffixes[0]}"
    start = time.perf_counter()
    report = api.convert(source, path, inputs=[feed], examine=examine)
    elapsed = time.perf_counter() - start
    accuracy = None
    if report.verdict is not None and report.verdict.outputs:
        runtime = "native" if report.verdict.level == "executed" else "interpreter"
        accuracy = _accuracy(api.run(path, feed, runtime=runtime), labels)
    return Row(
        target, report.size, report.operators, accuracy, elapsed, report.verdict, Case.of_conversion(report)
    )


def _accuracy(outputs: dict[str, Array], labels: Array) -> float:
    (probabilities,) = outputs.values()
    return float(np.mean(np.argmax(probabilities, axis=-1) == labels))
