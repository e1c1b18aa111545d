"""How fast the emitted TFLite files run, against the files that TensorFlow's own converter writes.

python -m benchmarks.latency [--rounds N] [--seconds S] [--only TEXT] [--peers-only]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import measure, operators
from benchmarks.conversion import convert_command
from tests.models import zoo
from tests.models.pictures import pictures

THREADS = 2
GREATEST_RATIO = 1.05
GREATEST_MEAN = 1.0
LEAST_ROUNDS = 15
PACKAGES = ("ai-edge-litert", "tensorflow-cpu", "keras")
HEADER = [
    "model", "ms, ours", "ms, TensorFlow", "ratio", "TensorFlow / itself",
    "operators, ours", "operators, TensorFlow", "TRANSPOSE, ours", "greatest difference",
    f"<= {GREATEST_RATIO}, no more operators",
]  # fmt: skip


@dataclass
class Loaded:
    """A TFLite file in LiteRT, with XNNPACK, ready to run."""

    path: Path
    interpreter: Any
    milliseconds: list[float] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> Loaded:
        """Loads a file and makes room for its tensors."""
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(model_path=str(path), num_threads=THREADS)
        interpreter.allocate_tensors()
        return cls(path, interpreter)

    def feed(self, image: NDArray[np.float32]) -> None:
        """Sets the one input."""
        self.interpreter.set_tensor(self.interpreter.get_input_details()[0]["index"], image)

    def invoke(self) -> None:
        """Runs once, and keeps how long that took."""
        start = time.perf_counter()
        self.interpreter.invoke()
        self.milliseconds.append((time.perf_counter() - start) * 1e3)

    def output(self) -> NDArray[np.float32]:
        """Returns the one output."""
        found: NDArray[np.float32] = self.interpreter.get_tensor(
            self.interpreter.get_output_details()[0]["index"]
        )
        return found

    @property
    def median(self) -> float:
        """The median time of one run, in milliseconds."""
        return statistics.median(self.milliseconds)


def race(files: Sequence[Path], image: NDArray[np.float32], rounds: int, seconds: float) -> list[Loaded]:
    """Runs each file once a round, in a new order each time: what ran before has an influence.

    There are ``rounds`` of them, or as many as ``seconds`` allow, but never fewer than 15.
    """
    loaded = [Loaded.load(path) for path in files]
    for each in loaded:
        each.feed(image)
        for _ in range(3):
            each.invoke()
        each.milliseconds.clear()
    rng = np.random.default_rng(0)
    end = time.perf_counter() + seconds
    for number in range(rounds):
        if number >= LEAST_ROUNDS and time.perf_counter() > end:
            break
        for index in rng.permutation(len(loaded)):
            loaded[index].invoke()
    return loaded


@dataclass(frozen=True)
class Measured:
    """The row of a model, and our time over TensorFlow's where there is one of ours."""

    cells: list[str]
    ratio: float | None


def measured(model: str, ours: Path | None, rounds: int, seconds: float) -> Measured:
    """Measures one model; without a file of ours, only the noise is measured."""
    peer = zoo.keras_application_tflite(model)
    low, high = zoo.image_range(model)
    image = (pictures(1, 224, 1) * (high - low) + low).astype(np.float32)
    # The peer's file stands in twice: how far its two medians differ is what the ratio may be off.
    first, again, *rest = race([peer, peer, *([ours] if ours else [])], image, rounds, seconds)
    counted = operators.count(peer)
    noise = f"{again.median / first.median:.3f}"
    if not rest:
        blank = ["-", f"{first.median:.1f}", "-", noise, "-", str(sum(counted.values())), "-", "-", "-"]
        return Measured([model, *blank], None)
    mine = operators.count(rest[0].path)
    relative = rest[0].median / first.median
    difference = float(np.abs(rest[0].output() - first.output()).max())
    met = relative <= GREATEST_RATIO and sum(mine.values()) <= sum(counted.values())
    cells = [
        model,
        f"{rest[0].median:.1f}",
        f"{first.median:.1f}",
        f"{relative:.3f}",
        noise,
        str(sum(mine.values())),
        str(sum(counted.values())),
        str(mine.get("TRANSPOSE", 0)),
        f"{difference:.1e}",
        "met" if met else "missed",
    ]
    return Measured(cells, relative)


def convert(model: str, folder: Path) -> Path | None:
    """Returns our file of a model, or None where it could not be made."""
    out = folder / f"{model}.tflite"
    try:
        measure.run(convert_command(zoo.keras_application(model), out))
    except measure.CommandFailed as error:
        sys.stderr.write(f"{model}: {error}\n")
        return None
    return out


def summary(ratios: Sequence[float]) -> str:
    """Returns the sentence on all models together."""
    mean = statistics.geometric_mean(ratios)
    verdict = "met" if mean < GREATEST_MEAN else "missed"
    return (
        f"Geometric mean of the {len(ratios)} ratios: {mean:.3f} (wanted below {GREATEST_MEAN}: {verdict}); "
        f"the greatest is {max(ratios):.3f}."
    )


def note(rounds: int, seconds: float) -> str:
    """Returns how the numbers came about."""
    return (
        f"Medians of {rounds} runs of each file, or of those that fit into {seconds:.0f} s (at least "
        f"{LEAST_ROUNDS}), in shuffled order in one process; LiteRT with XNNPACK, "
        f"{THREADS} threads, float32, batch 1, one seeded picture. The fifth column races TensorFlow's file "
        f"against a second copy of itself: that is the noise. {measure.versions(PACKAGES)}."
    )


def main() -> int:
    """Measures, prints and writes the page; returns 1 where a model could not be converted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=150)
    parser.add_argument("--seconds", type=float, default=30, help="for one model, where it is slow")
    parser.add_argument("--only", default="", help="only the models whose name contains this")
    parser.add_argument("--peers-only", action="store_true", help="leave mmconvert out; writes no page")
    options = parser.parse_args()
    machine = measure.machine()
    rows: list[Measured] = []
    for model in (name for name in zoo.ALL_KERAS_APPLICATIONS if options.only in name):
        with tempfile.TemporaryDirectory() as folder:
            ours = None if options.peers_only else convert(model, Path(folder))
            rows.append(measured(model, ours, options.rounds, options.seconds))
            sys.stderr.write(" ".join(rows[-1].cells) + "\n")
    ratios = [row.ratio for row in rows if row.ratio is not None]
    complete = bool(rows) and len(ratios) == len(rows)
    parts = [machine, measure.table(HEADER, [row.cells for row in rows])]
    parts += [*([summary(ratios)] if ratios else []), note(options.rounds, options.seconds)]
    measure.publish("latency", "Running the emitted TFLite files", parts, write=complete and not options.only)
    return 0 if complete or options.peers_only else 1


if __name__ == "__main__":
    raise SystemExit(main())
