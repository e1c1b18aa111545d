"""What the commands share: text and tables for people, progress on stderr, JSON on stdout."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mmconvert.verification.verdict import OutputVerdict, Verdict

PATIENCE = 1.0
"""Seconds that work may take before a progress bar appears."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
"""What every command has."""


def print_json(document: Any) -> None:
    """One machine-readable document on stdout."""
    click.echo(json.dumps(document, indent=2, allow_nan=False))


def megabytes(size: int) -> str:
    """``13987829`` -> ``"14.0 MB"``; small sizes in kB."""
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"


def warn(message: str) -> None:
    """A warning on stderr."""
    click.echo(f"{click.style('warning', fg='yellow', bold=True)}: {message}", err=True)


def error(message: str) -> None:
    """An error on stderr."""
    click.echo(f"{click.style('error', fg='red', bold=True)}: {message}", err=True)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,)) -> None:
    """Columns on stdout, as wide as they need to be: output that is piped is not cut to a terminal's width.

    Args:
        header: the titles of the columns.
        rows: the cells.
        left: the columns that are aligned to the left; the others hold numbers.
    """
    lines = [header, *rows]
    widths = [max(len(click.unstyle(line[i])) for line in lines) for i in range(len(header))]
    for number, line in enumerate(lines):
        cells = [_pad(cell, widths[i], left=i in left) for i, cell in enumerate(line)]
        text = "  ".join(cells).rstrip()
        click.echo(click.style(text, bold=True) if number == 0 else text)


def _pad(cell: str, width: int, *, left: bool) -> str:
    blank = " " * (width - len(click.unstyle(cell)))
    return cell + blank if left else blank + cell


def show_verdict(verdict: Verdict) -> None:
    """The verdict on stdout."""
    color = "green" if verdict.passed else "red" if verdict.was_run else "yellow"
    inputs = f", {verdict.inputs} input{'s' if verdict.inputs != 1 else ''}" if verdict.inputs else ""
    runtime = f", {verdict.runtime}" if verdict.runtime else ""
    click.echo(f"{click.style(verdict.summary, fg=color, bold=True)}{runtime}{inputs}")
    if verdict.failure:
        click.echo(f"the target does not run: {verdict.failure}")
    if verdict.outputs:
        _show_outputs("output", verdict.outputs)
    for name, decibels in verdict.losses.items():
        click.echo(f"rounding the weights: {name} has {decibels:.1f} dB of signal over noise")
    if not verdict.source_agrees:
        click.echo(f"{verdict.source} itself computes something else than what mmconvert read:")
        _show_outputs("output of the source", verdict.source_outputs)
    if verdict.first_divergence is not None:
        click.echo(f"first divergence: {verdict.first_divergence}")
    for fault in verdict.faults:
        click.echo(f"{click.style(fault.stage, fg='red', bold=True)}: {fault}")
    for note in verdict.notes:
        click.echo(f"note: {note}")


def _show_outputs(title: str, outputs: Sequence[OutputVerdict]) -> None:
    rows = [
        [
            click.style("ok", fg="green") if o.passed else click.style("WRONG", fg="red"),
            o.name,
            *(f"{n:.2e}" for n in (o.error.maximum, o.source_error.maximum, o.budget.maximum)),
        ]
        for o in outputs
    ]
    budget = "budget" if all(o.derived is None for o in outputs) else "tolerance (given)"
    table(["", title, "error", "source's own", budget], rows, left=(0, 1))


class Progress:
    """Named steps, shown as a bar once the work has taken a second, and when stderr is a terminal."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._step = total, -1, ""
        self._bar: Any = None
        self._stopped = False
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
            self._stopped = True
            if self._bar is not None:
                self._bar.stop()

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        with self._lock:
            if self._stopped:  # while rich was being imported
                return
            columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(self._step, total=self._total, completed=max(self._done, 0))
            self._bar.start()


@contextmanager
def progress(total: int) -> Iterator[Progress]:
    """A progress bar over ``total`` steps, for as long as the block runs."""
    bar = Progress(total)
    bar.start()
    try:
        yield bar
    finally:
        bar.stop()
