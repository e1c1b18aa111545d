"""How fast our ORT files load and run, against the ONNX file and what ONNX Runtime's own tool makes of it.

python -m benchmarks.ort [--rounds N] [--only TEXT]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import mmconvert
from benchmarks import measure, nets
from mmconvert.verification.inputs import generate
from tests.models import zoo

THREADS = (1, 2)
PACKAGES = ("onnxruntime",)
NETS = {"encoder": nets.encoder, "lstm": nets.lstm}
MODELS = ("MobileNetV2", "ResNet50", *NETS)
FILES = ["ONNX, ms", "ours", "any CPU", "tool", "ONNX again"]
NOTE = """\
Medians of {rounds} rounds over the files in shuffled order; batch 1, threads that do not spin, other options
as they are by default. The columns after the first are ratios to it: *ours* is what mmconvert writes by
default, *any CPU* with `--ort-cpu any`, *tool* what `onnxruntime.tools.convert_onnx_models_to_ort` writes in
style Fixed; the ONNX file takes part twice, and how the two differ is the noise. *First* is
`InferenceSession(path)` in a new process, *again* in one that has loaded all the files before. {versions}."""
PEER = "onnxruntime.tools.convert_onnx_models_to_ort"


FIRST_LOAD = """
import sys, time
import onnxruntime
start = time.perf_counter()
onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
print(time.perf_counter() - start)
"""


def open_session(path: Path, threads: int) -> Any:
    """A session whose threads do not spin, so that they take no time from the next one."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def timed(work: Callable[[], object]) -> float:
    """How long it takes, in seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def race(measures: Sequence[Callable[[], float]], rounds: int) -> list[str]:
    """The median of the first in ms and the others in terms of it, after two rounds that do not count."""
    found: list[list[float]] = [[] for _ in measures]
    rng = np.random.default_rng(0)
    for number in range(-2, rounds):
        for index in rng.permutation(len(measures)):
            seconds = measures[index]()
            if number >= 0:
                found[index].append(seconds)
    first, *others = (statistics.median(each) for each in found)
    return [f"{first * 1e3:.1f}", *(f"{other / first:.2f}" for other in others)]


def first_load(path: Path) -> float:
    """How long a new process takes to load a file."""
    return float(measure.run([sys.executable, "-c", FIRST_LOAD, str(path)]).output)


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


def loads(paths: list[Path], rounds: int) -> list[list[str]]:
    """How long the files take to load, in a new process and in this one."""
    first = race([partial(first_load, path) for path in paths], rounds)
    again = race([partial(timed, partial(open_session, path, THREADS[0])) for path in paths], rounds)
    return [["first", *first], ["again", *again]]


def runs(paths: list[Path], rounds: int) -> list[list[str]]:
    """How long the files take to run, with each number of threads."""
    (feed,) = generate(mmconvert.load(paths[0]).graph, count=1)
    found = []
    for threads in THREADS:
        sessions = [open_session(path, threads) for path in paths]
        found.append(
            [str(threads), *race([partial(timed, partial(s.run, None, feed)) for s in sessions], rounds)]
        )
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
    loaded, ran = [], []
    for name in (name for name in MODELS if options.only in name):
        with tempfile.TemporaryDirectory(prefix="mmconvert-benchmark-") as folder:
            paths = files(source(name, Path(folder)), Path(folder))
            loaded += [[name, *row] for row in loads(paths, options.rounds)]
            ran += [[name, *row] for row in runs(paths, options.rounds)]
    tables = [
        measure.table(["model", *header], rows)
        for header, rows in ((["load", *FILES], loaded), (["threads", *FILES], ran))
    ]
    note = NOTE.format(rounds=options.rounds, versions=measure.versions(PACKAGES))
    parts = [machine, *tables, note]
    measure.publish("ort", "Loading and running ORT files", parts, write=not options.only)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
