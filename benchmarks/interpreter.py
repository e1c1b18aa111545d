"""Time and memory of the bundled interpreter, against ONNX Runtime and onnx.reference.

python -m benchmarks.interpreter [--rounds N] [--only TEXT] [--peers-only]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import measure
from benchmarks.conversion import convert_command
from benchmarks.measure import MEGABYTE
from tests.models import zoo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Runner = Callable[[NDArray[np.float32]], NDArray[np.float32]]

THREADS = 2
ENCODER = "Encoder of BERT's size"
MODELS = ("MobileNetV2", "ResNet50", ENCODER)
PACKAGES = ("numpy", "onnxruntime", "onnx", "keras")
HEADER = [
    "model",
    "engine",
    "ms a run",
    "against ONNX Runtime",
    "s to load",
    "peak MB",
    "greatest difference",
    "wanted",
]
WANTED = {
    "MobileNetV2": ("onnx.reference", 1 / 3),
    "ResNet50": ("onnx.reference", 1 / 5),
    ENCODER: ("ONNX Runtime", 2.0),
}
"""How much of an engine's time ours may take."""


def ours(path: str) -> Runner:
    """Returns mmconvert's interpreter in float32."""
    import mmconvert

    model = mmconvert.load(path)
    name = model.graph.inputs[0].name

    def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
        (output,) = model.run({name: image}).values()
        found: NDArray[np.float32] = output
        return found

    return run


def onnx_runtime(path: str) -> Runner:
    """Returns ONNX Runtime on the processor, with as many threads as numpy's BLAS gets."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session: Any = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda image: session.run(None, {name: image})[0]


def onnx_reference(path: str) -> Runner:
    """Returns ONNX's own evaluator, in Python."""
    from onnx.reference import ReferenceEvaluator

    session: Any = ReferenceEvaluator(path)
    return lambda image: session.run(None, {session.input_names[0]: image})[0]


@dataclass
class Engine:
    """One engine, and what was measured of it."""

    name: str
    runs: int
    on_onnx: bool
    milliseconds: list[float] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)
    output: list[float] = field(default_factory=list)
    failure: str = ""

    def measure(self, model: str, path: Path) -> None:
        """Loads and runs the net in a process of its own."""
        arguments = ["--child", self.name, model, str(path), str(self.runs)]
        variables = {"OMP_NUM_THREADS": str(THREADS), "OPENBLAS_NUM_THREADS": str(THREADS)}
        try:
            done = measure.run([sys.executable, "-m", "benchmarks.interpreter", *arguments], variables)
        except measure.CommandFailed as error:
            self.failure = str(error)
            return
        said = json.loads(done.output)
        self.milliseconds += said["milliseconds"]
        self.loads.append(said["load"])
        self.peaks.append(done.peak)
        self.output = said["output"]


RUNNERS: dict[str, Callable[[str], Runner]] = {
    "mmconvert": ours,
    "ONNX Runtime": onnx_runtime,
    "onnx.reference": onnx_reference,
}


def child(engine: str, model: str, path: str, runs: int) -> None:
    """Runs one engine and prints what it took; a single run goes without a warm-up."""
    fed = feed(model)
    start = time.perf_counter()
    run = RUNNERS[engine](path)
    load = time.perf_counter() - start
    taken = []
    for _ in range(runs + (runs > 1)):
        start = time.perf_counter()
        output = run(fed)
        taken.append((time.perf_counter() - start) * 1e3)
    said = {"load": load, "milliseconds": taken[-runs:], "output": output.ravel().astype(float).tolist()}
    json.dump(said, sys.stdout)


def feed(model: str) -> NDArray[np.float32]:
    """Returns what to run the net on."""
    import numpy as np

    from tests.models.pictures import pictures

    if model == ENCODER:
        return np.random.default_rng(1).standard_normal((1, 128, 768), np.float32)
    low, high = zoo.image_range(model)
    return (pictures(1, 224, 1) * (high - low) + low).astype(np.float32)


def onnx_file(model: str, folder: Path) -> tuple[Path, str]:
    """Returns the net as ONNX and who wrote it: mmconvert where it can, else tf2onnx; the encoder PyTorch."""
    if model == ENCODER:
        return zoo.transformer_onnx(), "PyTorch"
    out = folder / f"{model}.onnx"
    try:
        measure.run(convert_command(zoo.keras_application(model), out))
    except measure.CommandFailed:
        return zoo.keras_application_onnx(model), "tf2onnx"
    return out, "mmconvert"


def rows(model: str, engines: list[Engine]) -> list[list[str]]:
    """Returns a row for each engine; times and outputs are set against ONNX Runtime's."""
    reference = next(engine for engine in engines if engine.name == "ONNX Runtime")
    base = statistics.median(reference.milliseconds)
    found = []
    for engine in engines:
        if engine.failure or not engine.milliseconds:
            found.append([model, engine.name, *["-"] * 6])
            continue
        median = statistics.median(engine.milliseconds)
        pairs = zip(engine.output, reference.output, strict=True)
        numbers = [
            f"{median:.0f}",
            f"{median / base:.1f}x",
            f"{statistics.median(engine.loads):.2f}",
            f"{statistics.median(engine.peaks) / MEGABYTE:.0f}",
            f"{max(abs(a - b) for a, b in pairs):.1e}",
            verdict(model, median, engines) if engine.name == "mmconvert" else "",
        ]
        found.append([model, engine.name, *numbers])
    return found


def verdict(model: str, milliseconds: float, engines: list[Engine]) -> str:
    """Returns how fast ours is meant to be, and whether it is."""
    name, factor = WANTED[model]
    base = next(statistics.median(e.milliseconds) for e in engines if e.name == name and e.milliseconds)
    bound = f"at most {factor:g}x" if factor >= 1 else f"{1 / factor:.0f} times faster than"
    return f"{bound} {name}: {'met' if milliseconds <= factor * base else 'missed'}"


def measured(model: str, rounds: int, onnx_path: Path, *, ours_too: bool) -> list[Engine]:
    """Runs the engines in turn, each time in a new process."""
    engines = [Engine("ONNX Runtime", 20, True), Engine("onnx.reference", 1, True)]
    if ours_too:
        engines.insert(0, Engine("mmconvert", 20, False))
    for number in range(rounds):
        for engine in engines:
            # The reference evaluator is so slow that its noise does not matter.
            if engine.failure or (number and engine.runs == 1):
                continue
            engine.measure(
                model, onnx_path if engine.on_onnx or model == ENCODER else zoo.keras_application(model)
            )
    for engine in engines:
        if engine.failure:
            sys.stderr.write(f"{model}: {engine.name}: {engine.failure}\n")
    return engines


def compared(options: argparse.Namespace) -> bool:
    """Measures, prints and writes the page; returns whether every engine ran."""
    parts = [measure.machine()]
    body, writers, complete = [], [], True
    with tempfile.TemporaryDirectory() as folder:
        for model in (name for name in MODELS if options.only in name):
            path, writer = onnx_file(model, Path(folder))
            engines = measured(model, options.rounds, path, ours_too=not options.peers_only)
            body += rows(model, engines)
            writers.append(writer)
            complete = complete and not any(engine.failure for engine in engines)
    parts += [measure.table(HEADER, body), note(options.rounds, writers)]
    write = complete and not options.only and not options.peers_only
    measure.publish("interpreter", "Running a net in the bundled interpreter", parts, write=write)
    return complete


def note(rounds: int, writers: list[str]) -> str:
    """Returns how the numbers came about."""
    return (
        f"1x224x224x3 (the encoder: 1x128x768), float32, {THREADS} threads; medians over "
        f"{rounds} processes of each engine in turn, "
        "each with a warm-up and several runs (onnx.reference: one run). Loading includes importing the "
        "engine; the peak is that of the whole process. ONNX Runtime and onnx.reference ran the file of "
        f"{', '.join(sorted(set(writers)))}. {measure.versions(PACKAGES)}."
    )


def main() -> int:
    """Measures, or is one of the measured processes."""
    if sys.argv[1:2] == ["--child"]:
        engine, model, path, runs = sys.argv[2:]
        child(engine, model, path, int(runs))
        return 0
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="only the models whose name contains this")
    parser.add_argument("--peers-only", action="store_true", help="leave mmconvert out; writes no page")
    return 0 if compared(parser.parse_args()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
