"""Time and memory with a model of gigabytes, against `cp`, onnxsim and onnxslim.

python -m benchmarks.large [--layers N] [--rounds N] [--folder DIR] [--peers-only]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measure, peers
from benchmarks.conversion import convert_command
from benchmarks.measure import MEGABYTE, Side

SINGLE_LAYERS = 10
"""As many as one file takes; protobuf ends at 2 GB."""

CONVERT_MEGABYTES, CONVERT_TIMES = 600, 4.0
OPEN_MEGABYTES, OPEN_SECONDS = 200, 1.0
PEER_SECONDS, PEER_MEGABYTES = 300, 16_384
PACKAGES = ("numpy", "onnx")
HEADER = ["what", "s", "times cp", "peak MB", "wanted"]


@dataclass(frozen=True)
class Limit:
    """What a side is meant to keep to; times are those of `cp` when `relative`, else seconds."""

    time: float
    relative: bool
    megabytes: int

    def verdict(self, side: Side, copy: Side) -> str:
        """Returns the limit and whether the side keeps to it."""
        bound = self.time * copy.seconds if self.relative else self.time
        met = side.seconds <= bound and side.peak <= self.megabytes * MEGABYTE
        unit = "x" if self.relative else " s"
        return f"{self.time:g}{unit}, {self.megabytes} MB: {'met' if met else 'missed'}"


CONVERSION = Limit(CONVERT_TIMES, relative=True, megabytes=CONVERT_MEGABYTES)
OPENING = Limit(OPEN_SECONDS, relative=False, megabytes=OPEN_MEGABYTES)


def size(path: Path) -> int:
    """Returns the bytes of a model with its weights beside it."""
    return sum(part.stat().st_size for part in path.parent.glob(f"{path.name}*"))


def copy_side(path: Path) -> Side:
    """Returns `cp` of a model and what lies beside it."""
    parts = sorted(str(part) for part in path.parent.glob(f"{path.name}*"))
    return Side("cp", lambda folder: ["cp", *parts, str(folder)])


def convert_side(path: Path) -> Side:
    """Returns our conversion to ONNX."""
    return Side("mmconvert", lambda folder: convert_command(path, folder / "out.onnx"))


def open_side(path: Path) -> Side:
    """Returns a process that opens a model with us."""
    code = "import sys, mmconvert; mmconvert.load(sys.argv[1])"
    return Side("mmconvert.load", lambda _: [sys.executable, "-c", code, str(path)])


def peer_side(requirement: str, path: Path) -> Side:
    """Returns a simplifier of ONNX files, held to a time and to an amount of memory."""
    limited = f'ulimit -v {PEER_MEGABYTES * 1024}; exec timeout {PEER_SECONDS} "$@"'
    program = peers.environment(requirement, peers.PYTHON) / "bin" / requirement.partition("==")[0]

    def command(folder: Path) -> list[str]:
        arguments = [str(program), str(path), str(folder / "out.onnx"), "--save-as-external-data"]
        return ["sh", "-c", limited, "sh", *arguments]

    return Side(requirement, command, {"PYTHONPATH": ""})


def row(title: str, side: Side, copy: Side | None, limit: Limit | None) -> list[str]:
    """Returns the row of a side; all that a side said when it failed goes to stderr."""
    if not side.runs:
        sys.stderr.write(f"{title}: {side.failure}\n")
        return [title, "-", "-", "-", reason(side.failure)]
    times = f"{side.seconds / copy.seconds:.1f}x" if copy else "-"
    wanted = limit.verdict(side, copy) if limit and copy else ""
    return [title, f"{side.seconds:.2f}", times, f"{side.peak / MEGABYTE:.0f}", wanted]


def reason(failure: str) -> str:
    """Returns the gist of a failure for the table."""
    if failure.startswith("exit code 124 "):
        return f"not done after {PEER_SECONDS} s"
    return failure.strip().splitlines()[-1][:120].replace("|", "/")


def measured(path: Path, title: str, options: argparse.Namespace) -> list[list[str]]:
    """Returns the rows of a model."""
    copy, converting, opening = copy_side(path), convert_side(path), open_side(path)
    measure.compare([copy] if options.peers_only else [copy, converting, opening], options.rounds)
    found = [(copy, None), (converting, CONVERSION), (opening, OPENING)]
    return [row(f"{title}: {side.name}", side, copy, limit) for side, limit in found]


def rows(folder: Path, options: argparse.Namespace) -> list[list[str]]:
    """Makes one model at a time, measures it and deletes it."""
    found = []
    for what, layers, flags in (
        ("weights beside it", options.layers, []),
        ("the same with a Transpose behind each weight", options.layers, ["--transposed"]),
        ("one file", min(options.layers, SINGLE_LAYERS), ["--single"]),
    ):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            path = Path(place) / "in.onnx"
            making = ["--layers", str(layers), *flags]
            measure.run([sys.executable, "-m", "benchmarks.transformer", str(path), *making])
            title = f"{size(path) / 1e9:.1f} GB, {what}"
            found += measured(path, title, options)
            for requirement in () if flags else (peers.ONNXSIM, peers.ONNXSLIM):
                side = peer_side(requirement, path)
                measure.compare([side], 1, warm=False)
                found.append(row(f"{title}: {side.name}", side, None, None))
    return found


def note(options: argparse.Namespace) -> str:
    """Returns how the numbers came about."""
    return (
        f"Medians of {options.rounds} runs after one warm-up, in turn; whole processes with their imports; "
        "the peak of resident memory counts pages of mapped files. `mmconvert IN OUT --no-verify` ends "
        "when the file is on the disk, `cp` when it is in the file cache. The simplifiers ran once, with "
        f"{PEER_SECONDS} s and {PEER_MEGABYTES} MB of address space at most. {measure.versions(PACKAGES)}."
    )


def main() -> int:
    """Measures, prints and writes the page; returns 1 where one of our runs failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layers", type=int, default=12, help="0.2 GB each")
    parser.add_argument("--folder", type=Path, help="where 5 GB can be written; by default that of tempfile")
    parser.add_argument("--peers-only", action="store_true", help="leave mmconvert out; writes no page")
    options = parser.parse_args()
    machine = measure.machine()
    found = rows(options.folder, options)
    complete = not any(cells[1] == "-" for cells in found if "mmconvert" in cells[0])
    write = complete and options.layers == parser.get_default("layers")
    parts = [machine, measure.table(HEADER, found), note(options)]
    measure.publish("large", "A model of gigabytes", parts, write=write and not options.peers_only)
    return 0 if complete or options.peers_only else 1


if __name__ == "__main__":
    raise SystemExit(main())
