"""``mmconvert demo``: convert the embedded model and show what came out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from mmconvert.cli import console, reports
from mmconvert.cli.options import reporting
from mmconvert.errors import NotEquivalentError

if TYPE_CHECKING:
    from mmconvert.demo import Row


@click.command(short_help="Convert an embedded model to everything, and show the proof.")
@reporting
@console.json_option
def demo(page: str | None, junit: str | None, as_json: bool) -> int:
    """Convert the embedded digit classifier to every format, and run it on 200 images it has not seen."""
    reports.require(page, junit)
    from mmconvert.demo import STEPS, demonstrate

    with console.progress(STEPS) as progress:
        rows = demonstrate(progress, examine=page is not None)
    if page is not None or junit is not None:
        reports.write([row.case for row in rows if row.case is not None], page, junit)
    if as_json:
        console.print_json([row.to_json() for row in rows])
    else:
        _show(rows)
    wrong = [row.target for row in rows if row.verdict is not None and row.verdict.was_run and not row.passed]
    if wrong:
        console.error(f"not equivalent: {', '.join(wrong)}")
        return NotEquivalentError.exit_code
    return 0


def _show(rows: Sequence[Row]) -> None:
    click.echo("A digit classifier, trained in Keras, on 200 images that it has not seen.")
    click.echo(
        "Errors are against a float64 run of the source; the source's own is that of its float32 run.\n"
    )
    header = ["target", "size", "operators", "largest error", "source's own", "accuracy", "time", "verdict"]
    console.table(header, [row.cells() for row in rows], left=(0, 7))
    for note in dict.fromkeys(n for row in rows if row.verdict is not None for n in row.verdict.notes):
        click.echo(f"note: {note}")
