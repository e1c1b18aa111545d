"""What the commands share: numbers for people, progress on stderr, JSON on stdout."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mmconvert.verify.verdict import Verdict

PATIENCE = 1.0
"""Seconds that work may take before a progress bar appears."""

STEPS = 8
"""The steps of a conversion with two inputs, for the bar's length."""


def print_json(document: Any) -> None:
    """One machine-readable document on stdout."""
    click.echo(json.dumps(document, indent=2))


def megabytes(size: int) -> str:
    """``13987829`` -> ``"14.0 MB"``; small sizes in kB."""
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"


class Progress:
    """Named steps, shown as a bar on stderr once the work has taken a second; silent when stderr is a file."""

    def __init__(self, total: int = STEPS) -> None:
        self._total, self._done, self._step = total, -1, ""
        self._bar: Any = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(PATIENCE, self._show)
        self._timer.daemon = True

    def __call__(self, step: str) -> None:
        """The work goes on to ``step``."""
        with self._lock:
            self._step, self._done = step, self._done + 1
            if self._bar is not None:
                self._bar.update(self._task, description=step, completed=min(self._done, self._total))

    def start(self) -> None:
        """Begins to count the seconds."""
        if sys.stderr.isatty():
            self._timer.start()

    def stop(self) -> None:
        """Takes the bar away."""
        self._timer.cancel()
        with self._lock:
            if self._bar is not None:
                self._bar.stop()

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        with self._lock:
            columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(self._step, total=self._total, completed=max(self._done, 0))
            self._bar.start()


@contextmanager
def progress() -> Iterator[Progress]:
    """A progress bar for as long as the block runs."""
    bar = Progress()
    bar.start()
    try:
        yield bar
    finally:
        bar.stop()


def warn(message: str) -> None:
    """A warning on stderr."""
    click.echo(f"{click.style('warning', fg='yellow', bold=True)}: {message}", err=True)


def show_verdict(verdict: Verdict) -> None:
    """The verdict as a table on stdout."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    color = "green" if verdict.passed else "yellow" if verdict.summary.startswith("not") else "red"
    runtime = f", {verdict.runtime}, {verdict.inputs} inputs" if verdict.runtime else ""
    console.print(f"[bold {color}]{verdict.summary}[/]{runtime}")
    if verdict.outputs:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("  output")
        for column in ("error", "source's own", "budget"):
            table.add_column(column, justify="right")
        for o in verdict.outputs:
            mark = "[green]ok[/]" if o.passed else "[red]✗[/]"
            numbers = (o.error.maximum, o.source_error.maximum, o.budget.maximum)
            table.add_row(f"{mark} {o.name}", *(f"{n:.2e}" for n in numbers))
        console.print(table)
    if verdict.first_divergence is not None:
        console.print(f"first divergence: {verdict.first_divergence}")
    for note in verdict.notes:
        console.print(f"note: {note}")


def read_inputs(pairs: tuple[str, ...], names: list[str]) -> dict[str, npt.NDArray[np.generic]]:
    """``("x.npy",)`` or ``("image=x.npy", "mask=m.npy")`` or ``("all.npz",)`` as arrays by input name.

    Raises:
        UsageError: a file is no array file, or it is not clear which input it is for.
    """
    import numpy as np

    from mmconvert.errors import UsageError

    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, file = pair.rpartition("=")
        path = Path(file if equals else pair)
        try:
            loaded = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise UsageError(f"is no .npy or .npz file: {error}", where=str(path)) from error
        if not isinstance(loaded, np.ndarray):
            found |= {key: loaded[key] for key in loaded.files}
        elif equals or len(names) == 1:
            found[name or names[0]] = loaded
        else:
            hint = f"write NAME={path}; the inputs are {', '.join(names)}"
            raise UsageError("which input is this for?", where=str(path), hint=hint)
    return found
