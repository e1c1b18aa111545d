"""How fast our ORT files load and run, against the ONNX file and what ONNX Runtime's own tool makes of it.

python -m benchmarks.ort [--rounds N] [--only TEXT]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mmconvert
from benchmarks import measure, nets
from mmconvert.verification.inputs import generate
from tests.models import zoo

THREADS = (1, 2)
PACKAGES = ("onnxruntime",)
NETS = {"encoder": nets.encoder, "lstm": nets.lstm}
MODELS = ("MobileNetV2", "ResNet50", *NETS)
HEADER = [
    "model", "threads", "load ms, ONNX", "load, ours", "load, any CPU", "load, tool",
    "run ms, ONNX", "run, ours", "run, any CPU", "run, tool", "ONNX / itself",
]  # fmt: skip
NOTE = """\
Medians of {rounds} loads and runs of each file in `InferenceSession(path)`, in shuffled order in one process,
batch 1. The columns after one in ms are ratios to it: *ours* is what mmconvert writes by default, *any CPU*
with `--ort-cpu any`, *tool* what `onnxruntime.tools.convert_onnx_models_to_ort` writes in style Fixed. The
last column races a second copy of the ONNX file against the first: that is the noise. {versions}."""
PEER = "onnxruntime.tools.convert_onnx_models_to_ort"


@dataclass
class Loaded:
    """A file, and what loading and running it took."""

    path: Path
    session: Any = None
    loads: list[float] = field(default_factory=list)
    runs: list[float] = field(default_factory=list)

    def load(self, threads: int) -> None:
        """Opens a session, with the options as they are by default."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = None
        start = time.perf_counter()
        self.session = onnxruntime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])
        self.loads.append((time.perf_counter() - start) * 1e3)

    def run(self, feed: Mapping[str, NDArray[Any]]) -> None:
        """Runs once."""
        start = time.perf_counter()
        self.session.run(None, feed)
        self.runs.append((time.perf_counter() - start) * 1e3)

    def medians(self) -> tuple[float, float]:
        """The median times of a load and of a run, in milliseconds."""
        return statistics.median(self.loads), statistics.median(self.runs)


def race(files: list[Path], feed: Mapping[str, NDArray[Any]], threads: int, rounds: int) -> list[Loaded]:
    """Loads and runs each file once a round, in a new order each time, after two rounds that do not count."""
    loaded = [Loaded(path) for path in files]
    rng = np.random.default_rng(0)
    for work in (lambda each: each.load(threads), lambda each: each.run(feed)):
        for number in range(-2, rounds):
            if number == 0:
                for each in loaded:
                    (each.runs or each.loads).clear()
            for index in rng.permutation(len(loaded)):
                work(loaded[index])
    return loaded


def files(source: Path, folder: Path) -> list[Path]:
    """The files of one model, in the order of the columns, and the ONNX file again."""
    onnx, ours, portable = (folder / name for name in ("model.onnx", "ours.ort", "any.ort"))
    mmconvert.convert(source, onnx, verify=False)
    mmconvert.convert(onnx, ours, verify=False)
    mmconvert.convert(onnx, portable, verify=False, cpu="any")
    again = folder / "again.onnx"
    again.write_bytes(onnx.read_bytes())
    tool = folder / "tool"
    measure.run(
        [sys.executable, "-m", PEER, "--optimization_style", "Fixed", "--output_dir", str(tool), str(onnx)]
    )
    return [onnx, ours, portable, tool / "model.ort", again]


def feed_of(path: Path) -> dict[str, NDArray[Any]]:
    """A seeded input that fits the model."""
    (feed,) = generate(mmconvert.load(path).graph, count=1)
    return feed


def rows(name: str, source: Path, rounds: int) -> list[list[str]]:
    """Measures one model with each number of threads."""
    found = []
    with tempfile.TemporaryDirectory(prefix="mmconvert-benchmark-") as folder:
        paths = files(source, Path(folder))
        feed = feed_of(paths[0])
        for threads in THREADS:
            loads, runs = zip(*(each.medians() for each in race(paths, feed, threads, rounds)), strict=True)
            cells = [[f"{t[0]:.1f}", *(f"{x / t[0]:.2f}" for x in t[1:])] for t in (loads, runs)]
            found.append([name, str(threads), *cells[0][:4], *cells[1]])
    return found


def source(name: str, folder: Path) -> Path:
    """The file of a model, made in ``folder`` where it is not one of the cached ones."""
    if name in zoo.KERAS_APPLICATIONS:
        return zoo.keras_application(name)
    path = folder / f"{name}.onnx"
    NETS[name](path)
    return path


def main() -> int:
    """Measures, prints and writes the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--only", default="", help="only the models whose name contains this; writes no page")
    options = parser.parse_args()
    machine = measure.machine()
    with tempfile.TemporaryDirectory() as folder:
        chosen = [name for name in MODELS if options.only in name]
        table = [r for name in chosen for r in rows(name, source(name, Path(folder)), options.rounds)]
    note = NOTE.format(rounds=options.rounds, versions=measure.versions(PACKAGES))
    parts = [machine, measure.table(HEADER, table), note]
    measure.publish("ort", "Loading and running ORT files", parts, write=not options.only)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
