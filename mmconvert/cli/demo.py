"""``mmconvert demo``: convert the embedded model and show what came out."""

from __future__ import annotations

import click

from mmconvert.cli import console
from mmconvert.errors import NotEquivalentError


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def demo(as_json: bool) -> None:
    """Convert the embedded digit classifier, and run source and targets on 200 held-out images."""
    from mmconvert.demo import demonstrate

    with console.progress() as progress:
        rows = demonstrate(progress)
    if as_json:
        console.print_json([row.to_json() for row in rows])
    else:
        _show(rows)
    if not all(row.passed for row in rows):
        raise NotEquivalentError("a target of the demo was not verified as equivalent")


def _show(rows: list) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="A digit classifier, trained in Keras, on 200 held-out images", title_justify="left")
    table.add_column("target")
    for column in ("size", "operators", "largest error", "source's own", "accuracy", "time"):
        table.add_column(column, justify="right")
    table.add_column("verdict")
    for row in rows:
        table.add_row(*row.cells())
    Console(highlight=False).print(table)
