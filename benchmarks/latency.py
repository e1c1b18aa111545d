"""How fast the emitted TFLite files run, against the files that TensorFlow's own converter writes.

python -m benchmarks.latency [--rounds N] [--only TEXT] [--peers-only]
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
PACKAGES = ("ai-edge-litert", "tensorflow-cpu", "keras")
HEADER = [
    "model", "ms, ours", "ms, TensorFlow", "ratio", "TensorFlow / itself",
    "operators, ours", "operators, TensorFlow", "TRANSPOSE, ours", "greatest difference",
    f"<= {GREATEST_RATIO}",
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


def race(files: Sequence[Path], image: NDArray[np.float32], rounds: int) -> list[Loaded]:
    """Runs each file once a round, in a new order each time: what ran before has an influence."""
    loaded = [Loaded.load(path) for path in files]
    for each in loaded:
        each.feed(image)
        for _ in range(3):
            each.invoke()
        each.milliseconds.clear()
    rng = np.random.default_rng(0)
    for _ in range(rounds):
        for index in rng.permutation(len(loaded)):
            loaded[index].invoke()
    return loaded


def row(model: str, rounds: int, ours: Path | None) -> list[str]:
    """Measures one model and returns its row; without a file of ours, only the noise is measured."""
    peer = zoo.keras_application_tflite(model)
    low, high = zoo.image_range(model)
    image = (pictures(1, 224, 1) * (high - low) + low).astype(np.float32)
    # The peer's file stands in twice: how far its two medians differ is what the ratio may be off.
    first, again, *rest = race([peer, peer, *([ours] if ours else [])], image, rounds)
    counted = operators.count(peer)
    noise = f"{again.median / first.median:.3f}"
    if not rest:
        return [model, "-", f"{first.median:.1f}", "-", noise, "-", str(sum(counted.values())), "-", "-", "-"]
    mine = operators.count(rest[0].path)
    relative = rest[0].median / first.median
    difference = float(np.abs(rest[0].output() - first.output()).max())
    return [
        model,
        f"{rest[0].median:.1f}",
        f"{first.median:.1f}",
        f"{relative:.3f}",
        noise,
        str(sum(mine.values())),
        str(sum(counted.values())),
        str(mine.get("TRANSPOSE", 0)),
        f"{difference:.1e}",
        "met" if relative <= GREATEST_RATIO else "missed",
    ]


def convert(model: str, folder: Path) -> Path | None:
    """Returns our file of a model, or None where it could not be made."""
    out = folder / f"{model}.tflite"
    try:
        measure.run(convert_command(zoo.keras_application(model), out))
    except measure.CommandFailed as error:
        sys.stderr.write(f"{model}: {error}\n")
        return None
    return out


def note(rounds: int) -> str:
    """Returns how the numbers came about."""
    return (
        f"Medians of {rounds} runs of each file, in shuffled order in one process; LiteRT with XNNPACK, "
        f"{THREADS} threads, float32, batch 1, one seeded picture. The fifth column races TensorFlow's file "
        f"against a second copy of itself: that is the noise. {measure.versions(PACKAGES)}."
    )


def main() -> int:
    """Measures, prints and writes the page; returns 1 where a model could not be converted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=150)
    parser.add_argument("--only", default="", help="only the models whose name contains this")
    parser.add_argument("--peers-only", action="store_true", help="leave mmconvert out; writes no page")
    options = parser.parse_args()
    machine = measure.machine()
    models = [name for name in zoo.KERAS_APPLICATIONS if options.only in name]
    with tempfile.TemporaryDirectory() as folder:
        ours = {name: None if options.peers_only else convert(name, Path(folder)) for name in models}
        rows = [row(name, options.rounds, ours[name]) for name in models]
    complete = all(ours.values())
    parts = [machine, measure.table(HEADER, rows), note(options.rounds)]
    measure.publish("latency", "Running the emitted TFLite files", parts, write=complete and not options.only)
    return 0 if complete or options.peers_only else 1


if __name__ == "__main__":
    raise SystemExit(main())
