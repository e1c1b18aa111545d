"""Time and memory of whole conversions, against TensorFlow's converter and onnx2tf.

python -m benchmarks.conversion [--rounds N] [--only TEXT] [--peers-only]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measure, operators, peers
from benchmarks.measure import MEGABYTE, Side
from tests.models import zoo

HELP_SECONDS = 0.2
PACKAGES = ("numpy", "tensorflow-cpu", "keras", "onnx")
HEADER = [
    "conversion (peer)", "s, ours", "s, peer", "faster", "MB, ours", "MB, peer", "memory",
    "operators, ours", "operators, peer", "TRANSPOSE, ours", "TRANSPOSE, peer", "wanted",
]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A model to convert with both, and how much faster and smaller ours is meant to be."""

    model: str
    peer: str
    faster: float
    smaller: float

    @property
    def title(self) -> str:
        """What the table calls it."""
        suffix = "keras" if self.peer == "TensorFlow" else "onnx"
        return f"{self.model} .{suffix} to .tflite ({self.peer})"

    @property
    def keeps_operators(self) -> bool:
        """Whether no more operators than the peer's are wanted."""
        return self.peer == "TensorFlow"

    def source(self) -> Path:
        """Returns the file to convert."""
        if self.peer == "TensorFlow":
            return zoo.keras_application(self.model)
        if self.model in zoo.TORCHVISION_MODELS:
            return zoo.torchvision_onnx(self.model)
        return zoo.transformer_onnx() if self.model == "encoder" else zoo.sore_onnx(self.model)

    def peer_side(self) -> Side:
        """Returns the peer's conversion."""
        source = self.source()
        if self.peer == "TensorFlow":
            return Side(self.peer, lambda folder: peers.tensorflow_command(source, folder / "out.tflite"))
        variables = peers.onnx2tf_environment()
        return Side(self.peer, lambda folder: peers.onnx2tf_command(source, folder), variables)

    def peer_file(self) -> Path:
        """Returns what the peer makes of the source."""
        if self.peer == "TensorFlow":
            return zoo.keras_application_tflite(self.model)
        return peers.onnx2tf_tflite(self.source())


CASES = (
    *(Case(name, "TensorFlow", faster=15, smaller=4) for name in zoo.ALL_KERAS_APPLICATIONS),
    Case("mobilenet_v2", "onnx2tf", faster=4, smaller=3),
    Case("efficientnet_b0", "onnx2tf", faster=4, smaller=3),
    Case("resnet50", "onnx2tf", faster=10, smaller=3),
    Case("encoder", "onnx2tf", faster=10, smaller=3),
    Case("lstm", "onnx2tf", faster=4, smaller=3),
    Case("lstm-both", "onnx2tf", faster=4, smaller=3),
)


@dataclass(frozen=True)
class Outcome:
    """What was measured for a case, and what stands in the two files."""

    case: Case
    ours: Side
    peer: Side
    our_operators: Mapping[str, int]
    peer_operators: Mapping[str, int]

    @property
    def complete(self) -> bool:
        """Whether both sides ran."""
        return bool(self.ours.runs and self.peer.runs)

    def cells(self) -> list[str]:
        """Returns the row of the table."""
        sides = (self.ours, self.peer)
        counted = (self.our_operators, self.peer_operators)
        return [
            self.case.title,
            *(f"{side.seconds:.2f}" if side.runs else "-" for side in sides),
            f"{self.peer.seconds / self.ours.seconds:.1f}x" if self.complete else "-",
            *(f"{side.peak / MEGABYTE:.0f}" if side.runs else "-" for side in sides),
            f"1/{self.peer.peak / self.ours.peak:.1f}" if self.complete else "-",
            *(str(sum(found.values())) if found else "-" for found in counted),
            *(str(found.get("TRANSPOSE", 0)) if found else "-" for found in counted),
            f"{self.case.faster:.0f}x, 1/{self.case.smaller:.0f}{self._more_wanted()}: {self.verdict()}",
        ]

    def _more_wanted(self) -> str:
        return ", no more operators" if self.case.keeps_operators else ""

    def verdict(self) -> str:
        """Returns whether all targets are met, or which are not."""
        if not self.complete:
            return "-"
        counts = [sum(found.values()) for found in (self.our_operators, self.peer_operators)]
        met = {
            "time": self.peer.seconds >= self.case.faster * self.ours.seconds,
            "memory": self.peer.peak >= self.case.smaller * self.ours.peak,
            "operators": not self.case.keeps_operators or counts[0] <= counts[1],
        }
        missed = [name for name, good in met.items() if not good]
        return f"missed ({', '.join(missed)})" if missed else "met"


def convert_command(source: Path, out: Path, *options: str) -> list[str]:
    """Returns the command that converts with mmconvert and leaves the verification out."""
    return [sys.executable, "-m", "mmconvert", "convert", str(source), str(out), "--no-verify", *options]


def measured(case: Case, rounds: int, *, ours_too: bool) -> Outcome:
    """Runs both sides of a case in turn, and counts the operators of both files."""
    source = case.source()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "ours.tflite"
        ours = Side("mmconvert", lambda _: convert_command(source, out, "--io-layout", "target"))
        peer = case.peer_side()
        measure.compare([ours, peer] if ours_too else [peer], rounds)
        for side in (ours, peer):
            if side.failure:
                sys.stderr.write(f"{case.title}: {side.name}: {side.failure}\n")
        counted = operators.count(out) if ours.runs else {}
        return Outcome(case, ours, peer, counted, operators.count(case.peer_file()))


def help_line(rounds: int) -> str:
    """Returns the sentence on how long the command line needs to say what it can do."""
    ours = Side("mmconvert --help", lambda _: [sys.executable, "-m", "mmconvert", "--help"])
    floor = Side("python -c pass", lambda _: [sys.executable, "-c", "pass"])
    measure.compare([ours, floor], max(rounds, 10))
    if not ours.runs:
        return f"`{ours.name}` failed."
    verdict = "met" if ours.seconds < HELP_SECONDS else "missed"
    return (
        f"`{ours.name}`: {ours.seconds:.3f} s and {ours.peak / MEGABYTE:.0f} MB (`{floor.name}`: "
        f"{floor.seconds:.3f} s); wanted below {HELP_SECONDS} s: {verdict}."
    )


def note(rounds: int) -> str:
    """Returns how the numbers came about."""
    return (
        f"Medians of {rounds} runs of each after one warm-up, the two sides in turn; wall time and peak "
        "resident memory of the largest process. The last column is how many times faster and "
        f"what part of the memory is wanted. {measure.versions(PACKAGES)}; {peers.ONNX2TF}."
    )


def arguments() -> argparse.Namespace:
    """Returns the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="only the cases whose title contains this")
    parser.add_argument("--peers-only", action="store_true", help="leave mmconvert out; writes no page")
    return parser.parse_args()


def select(wanted: Callable[[Case], bool]) -> list[Case]:
    """Returns the cases to measure, with their sources made first, so that no measurement waits for one."""
    cases = [case for case in CASES if wanted(case)]
    for case in cases:
        case.source()
        case.peer_file()
    return cases


def main() -> int:
    """Measures, prints and writes the page; returns 1 where a side failed."""
    options = arguments()
    machine = measure.machine()
    cases = select(lambda case: options.only in case.title)
    outcomes = [measured(case, options.rounds, ours_too=not options.peers_only) for case in cases]
    parts = [machine, measure.table(HEADER, [outcome.cells() for outcome in outcomes])]
    if not options.peers_only:
        parts.append(help_line(options.rounds))
    parts.append(note(options.rounds))
    complete = all(outcome.complete for outcome in outcomes)
    measure.publish("conversion", "Converting: time and memory", parts, write=complete and not options.only)
    return 0 if complete or options.peers_only else 1


if __name__ == "__main__":
    raise SystemExit(main())
