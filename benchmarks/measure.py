"""Runs commands, and says how long they took and how much memory they held.

The modules that call `run` import nothing heavy: Linux counts the memory of the process that forks into the
peak of the child, so a small parent is what makes the peak of a small child visible.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
MEGABYTE = 1 << 20


class CommandFailed(RuntimeError):
    """A measured command did not end with exit code 0."""


@dataclass(frozen=True)
class Run:
    """One run of a command, from its start to its end."""

    seconds: float
    peak: int
    output: str


@dataclass
class Side:
    """One of the two programs that are compared.

    `command` is given an empty folder, outside the measured time, and returns the command to measure.
    """

    name: str
    command: Callable[[Path], list[str]]
    environment: Mapping[str, str] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    failure: str = ""

    @property
    def seconds(self) -> float:
        """The median wall time."""
        return statistics.median(run.seconds for run in self.runs)

    @property
    def peak(self) -> float:
        """The median peak of resident memory, in bytes."""
        return statistics.median(run.peak for run in self.runs)


def run(
    command: Sequence[str], environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> Run:
    """Runs `command`, in `folder`, and waits; its peak covers the children that it waited for itself."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    variables = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONPATH": path, **(environment or {})}
    # What is installed runs from bytecode, and the peers are: the warm-up leaves ours in the same state.
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        child = subprocess.Popen(
            command, env=variables, cwd=folder, stdout=out, stderr=err, stdin=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        output = out.read().decode(errors="replace")
        if child.returncode != 0:
            said = err.read().decode(errors="replace")[-1500:]
            raise CommandFailed(f"exit code {child.returncode} of {' '.join(command)}\n{said}")
    return Run(seconds, usage.ru_maxrss * 1024, output)


def compare(sides: Sequence[Side], rounds: int, *, warm: bool = True) -> None:
    """Runs the sides in turn, `rounds` times, so that a busy moment hits all of them.

    One run of each comes before, as a warm-up, if `warm`. A side that fails is left out from
    then on, with the reason in `failure`.
    """
    for number in range(-warm, rounds):
        for side in sides if number % 2 else reversed(sides):
            if side.failure:
                continue
            with tempfile.TemporaryDirectory(prefix="mmconvert-benchmark-") as folder:
                try:
                    result = run(side.command(Path(folder)), side.environment, Path(folder))
                except CommandFailed as error:
                    side.failure = str(error)
                    continue
            if number >= 0:
                side.runs.append(result)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table; columns after the first are aligned to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def machine() -> str:
    """Returns what the numbers depend on: processor, cores, memory, load, Python."""
    names = {
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    }
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    cores = len(os.sched_getaffinity(0))
    return (
        f"{', '.join(sorted(names)) or platform.machine()}, {cores} cores, {memory:.0f} GiB; "
        f"load average {os.getloadavg()[0]:.1f} at the start; Python {platform.python_version()}"
    )


def versions(packages: Iterable[str]) -> str:
    """Returns the installed versions of `packages`."""
    return ", ".join(f"{package} {_version(package)}" for package in packages)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def publish(name: str, title: str, parts: Sequence[str], *, write: bool) -> None:
    """Prints a result page, and keeps it as `results/<name>.md` unless a side is missing from it."""
    page = "\n\n".join([f"# {title}", *parts]) + "\n"
    sys.stdout.write(page)
    if write:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.md").write_text(page)
    else:
        sys.stderr.write(f"incomplete, so results/{name}.md stays as it is\n")
