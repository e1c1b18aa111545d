"""NCNN and MNN files: how fast they run and how fast they are made, against pnnx and MNN's own converter.

python -m benchmarks.mobile [--rounds N] [--seconds S] [--conversions N] [--only TEXT]
                            [--part latency|conversion]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mmconvert
from benchmarks import measure, peers
from benchmarks.conversion import convert_command
from benchmarks.measure import MEGABYTE, Side
from tests.models import zoo

THREADS = 2
LEAST_ROUNDS = 15
PACKAGES = ("ncnn", "MNN", "numpy")
NETS: dict[str, Callable[[], Path]] = {
    **{name: (lambda name=name: zoo.torchvision_onnx(name)) for name in zoo.TORCHVISION_MODELS},
    "encoder": zoo.transformer_onnx,
    "lstm": lambda: zoo.sore_onnx("lstm"),
}
SMALLER = ("resnet50", "encoder")
"""Where half of the peer's memory is wanted."""

LATENCY = ["model", "ms, ours", "ms, peer", "ratio", "peer / itself", "greatest difference"]
CONVERSION = ["conversion (peer)", "s, ours", "s, peer", "faster", "MB, ours", "MB, peer", "memory", "wanted"]
Run = Callable[[], NDArray[np.float32]]


@dataclass(frozen=True)
class Runtime:
    """A runtime with its format.

    Attributes:
        title: what the tables call it.
        peer: the other converter.
        suffix: of our files.
        faster: how many times faster than the peer's a conversion is meant to be.
        peer_file: the peer's file for an ONNX file.
        peer_side: the peer's conversion of it.
        load: a file as a function that runs it on an array.
    """

    title: str
    peer: str
    suffix: str
    faster: float
    peer_file: Callable[[Path], Path]
    peer_side: Callable[[Path], Side]
    load: Callable[[Path, NDArray[np.float32]], Run]


def load_ncnn(path: Path, array: NDArray[np.float32]) -> Run:
    """A model in NCNN with its options as they are by default."""
    import ncnn

    net: Any = ncnn.Net()
    net.opt.num_threads = THREADS
    if net.load_param(str(path)) or net.load_model(str(path.with_suffix(".bin"))):
        raise SystemExit(f"NCNN refuses {path}")
    (given,), (made,) = net.input_names(), net.output_names()
    blob = ncnn.Mat(np.ascontiguousarray(array[0])).clone()

    def run() -> NDArray[np.float32]:
        extractor = net.create_extractor()
        extractor.input(given, blob)
        return np.array(extractor.extract(made)[1])

    return run


def load_mnn(path: Path, array: NDArray[np.float32]) -> Run:
    """A model in MNN in high precision."""
    from MNN import expr, nn

    config = {"backend": "CPU", "precision": "high", "numThread": THREADS}
    runtime: Any = nn.create_runtime_manager((config,))
    module: Any = nn.load_module_from_file(str(path), [], [], runtime_manager=runtime)

    def run() -> NDArray[np.float32]:
        given = expr.placeholder(list(array.shape), expr.NCHW, expr.float)
        given.write(array)
        (made,) = module.forward([given])
        plain = expr.convert(made, expr.NCHW) if made.data_format == expr.NC4HW4 else made
        return np.array(plain.read())

    return run


RUNTIMES = (
    Runtime("NCNN", "pnnx", ".param", 3, peers.pnnx_param, peers.pnnx_side, load_ncnn),
    Runtime("MNN", "MNN's converter", ".mnn", 1, peers.mnn_file, peers.mnn_side, load_mnn),
)


@dataclass
class Racer:
    """A loaded file, and how long its runs took."""

    run: Run
    milliseconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The median time of one run."""
        return statistics.median(self.milliseconds)


def race(racers: list[Racer], rounds: int, seconds: float) -> None:
    """Runs each file once a round, in a new order each time, at least 15 times."""
    for racer in racers:
        for _ in range(3):
            racer.run()
    rng, end = np.random.default_rng(0), time.perf_counter() + seconds
    for number in range(rounds):
        if number >= LEAST_ROUNDS and time.perf_counter() > end:
            break
        for index in rng.permutation(len(racers)):
            start = time.perf_counter()
            racers[index].run()
            racers[index].milliseconds.append((time.perf_counter() - start) * 1e3)


def latency(runtime: Runtime, name: str, options: argparse.Namespace) -> tuple[list[str], float]:
    """The row of a model, and our time over the peer's."""
    source = NETS[name]()
    (value,) = mmconvert.load(source).graph.inputs
    array = np.random.default_rng(0).standard_normal(value.type.static_shape).astype(np.float32)
    peer = runtime.peer_file(source)
    with tempfile.TemporaryDirectory() as folder:
        ours = Path(folder) / f"ours{runtime.suffix}"
        measure.run(convert_command(source, ours))
        mine, first, again = (Racer(runtime.load(path, array)) for path in (ours, peer, peer))
        race([mine, first, again], options.rounds, options.seconds)
    found, wanted = mine.run().reshape(-1), first.run().reshape(-1)
    difference = float(np.abs(found - wanted).max() / np.abs(wanted).max())
    ratio = mine.median / first.median
    cells = [f"{name} ({runtime.title})", f"{mine.median:.2f}", f"{first.median:.2f}", f"{ratio:.3f}"]
    return [*cells, f"{again.median / first.median:.3f}", f"{difference:.1e}"], ratio


def conversion(runtime: Runtime, name: str, rounds: int) -> list[str]:
    """The row of a model."""
    source = NETS[name]()
    ours = Side("mmconvert", lambda folder: convert_command(source, folder / f"ours{runtime.suffix}"))
    peer = runtime.peer_side(source)
    measure.compare([ours, peer], rounds)
    if ours.failure or peer.failure:
        raise SystemExit(f"{name}: {ours.failure or peer.failure}")
    wanted = {"time": runtime.faster * ours.seconds <= peer.seconds}
    if name in SMALLER:
        wanted["memory"] = 2 * ours.peak <= peer.peak
    goal = f"{runtime.faster:.0f}x{', 1/2' if name in SMALLER else ''}"
    missed = ", ".join(what for what, met in wanted.items() if not met)
    return [
        f"{name} ({runtime.peer})",
        f"{ours.seconds:.2f}",
        f"{peer.seconds:.2f}",
        f"{peer.seconds / ours.seconds:.1f}x",
        f"{ours.peak / MEGABYTE:.0f}",
        f"{peer.peak / MEGABYTE:.0f}",
        f"1/{peer.peak / ours.peak:.1f}",
        f"{goal}: {f'missed ({missed})' if missed else 'met'}",
    ]


def latencies(runtime: Runtime, names: list[str], options: argparse.Namespace) -> list[str]:
    """The table of a runtime, and the sentence on all models together."""
    rows, ratios = zip(*(latency(runtime, name, options) for name in names), strict=True)
    mean = statistics.geometric_mean(ratios)
    summary = f"{runtime.title}: geometric mean of the ratios {mean:.3f} (at most 1: {_verdict(mean <= 1)})."
    return [measure.table(LATENCY, rows), summary]


def _verdict(met: bool) -> str:
    return "met" if met else "missed"


def latency_page(names: list[str], options: argparse.Namespace) -> None:
    """Measures, prints and writes how fast files run."""
    parts = [measure.machine()]
    for runtime in RUNTIMES:
        parts += latencies(runtime, names, options)
    parts.append(
        f"Medians of {options.rounds} runs of each file, or of those that fit into {options.seconds:g} s (at "
        f"least {LEAST_ROUNDS}), in shuffled order in one process, {THREADS} threads, batch 1; NCNN with its "
        "default options, MNN in high precision. The peer's file takes part twice: that is the noise. "
        f"{measure.versions(PACKAGES)}; {peers.PNNX}."
    )
    measure.publish("mobile-latency", "Running NCNN and MNN files", parts, write=not options.only)


def conversion_page(names: list[str], options: argparse.Namespace) -> None:
    """Measures, prints and writes how fast files are made."""
    parts = [measure.machine()]
    for runtime in RUNTIMES:
        rows = [conversion(runtime, name, options.conversions) for name in names]
        parts.append(measure.table(CONVERSION, rows))
    parts.append(
        f"Medians of {options.conversions} runs after a warm-up, the two sides in turn, from the start of "
        "the process to its end; peak resident memory of the largest process. Ours reads the file back and "
        "has the runtime load it before it ends (MNN: files up to 256 MB). "
        f"{measure.versions(PACKAGES)}; {peers.PNNX}."
    )
    measure.publish("mobile-conversion", "Making NCNN and MNN files", parts, write=not options.only)


PAGES = {"latency": latency_page, "conversion": conversion_page}


def main() -> int:
    """Measures what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=150)
    parser.add_argument("--seconds", type=float, default=20, help="for one model, where it is slow")
    parser.add_argument("--conversions", type=int, default=3, help="how often each conversion runs")
    parser.add_argument("--only", default="", help="only the models whose name contains this")
    parser.add_argument("--part", choices=PAGES, help="only this page")
    options = parser.parse_args()
    names = [name for name in NETS if options.only in name]
    for part in [options.part] if options.part else PAGES:
        PAGES[part](names, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
