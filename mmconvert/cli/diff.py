"""``mmconvert diff A B``: what is different between two models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mmconvert.cli import console
from mmconvert.cli.options import extents
from mmconvert.errors import NotEquivalentError

if TYPE_CHECKING:
    from mmconvert.difference.compare import Difference

STEPS = 11
"""What a comparison tells its progress, with the two inputs that are generated."""


@click.command(short_help="Say what is different between the models FIRST and SECOND.")
@click.argument("first", type=click.Path())
@click.argument("second", type=click.Path())
@click.option("--no-run", is_flag=True, help="Compare what is written, and not what is computed.")
@click.option(
    "--seed", default=0, type=click.IntRange(0), show_default=True, help="For inputs that are generated."
)
@extents
@console.json_option
def diff(
    first: str, second: str, no_run: bool, seed: int, fix_dims: dict[str, int] | None, as_json: bool
) -> int:
    """Say what is different between two models, of whatever formats.

    \b
    mmconvert diff model.keras model.onnx
    mmconvert diff old.onnx new.onnx --no-run

    Both are optimized and brought into one layout; so a difference is one of the models, and not of how a
    format spells them. Inputs and outputs, operators, attributes and weights are compared, and both are run.

    Exit code 0 says that there is no difference, 1 that there is one.
    """
    from mmconvert import api

    with console.progress(STEPS) as progress:
        found = api.diff(first, second, run=not no_run, seed=seed, fix_dims=fix_dims, progress=progress)
    if as_json:
        console.print_json(found.to_json())
    else:
        _show(found)
    return 0 if found.same else NotEquivalentError.exit_code


def _show(found: Difference) -> None:
    for change in found.changes:
        click.echo(str(change))
    ours, theirs, paired = found.operators
    click.echo(f"{ours} and {theirs} operators, {paired} of them paired; {found.weights} weights compared")
    if found.verdict is not None:
        console.show_verdict(found.verdict)
    for note in found.notes:
        click.echo(f"note: {note}")
    word = "no difference" if found.same else "different"
    click.echo(f"{click.style(word, fg='green' if found.same else 'red', bold=True)} ({found.level})")
