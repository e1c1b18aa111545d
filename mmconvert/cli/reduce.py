"""``mmconvert reduce M --against T``: the smallest part of a model that is still converted wrongly."""

from __future__ import annotations

from typing import Any

import click

from mmconvert.cli import console
from mmconvert.cli.options import examples, given, reading

INTERRUPTED = 130
"""The exit code of a search that the user ended, as shells give it."""


@click.command(short_help="Shrink MODEL to the smallest part that is still converted wrongly.")
@click.argument("model", type=click.Path())
@click.argument("out", required=False, type=click.Path())
@click.option(
    "--against", required=True, metavar="FORMAT|FILE", help="What fails: a target format, or a target file."
)
@click.option(
    "--tries", default=200, type=click.IntRange(1), show_default=True, help="How many conversions to try."
)
@click.option(
    "--seed", default=0, type=click.IntRange(0), show_default=True, help="For inputs that are generated."
)
@reading
@examples
@console.json_option
def reduce(
    model: str,
    out: str | None,
    against: str,
    tries: int,
    seed: int,
    fix_dims: dict[str, int] | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Shrink MODEL, whose conversion fails, to the smallest model that fails in the same way.

    \b
    mmconvert reduce model.keras --against tflite
    mmconvert reduce model.onnx small.onnx --against model.mnn

    Operators, outputs, extents, weights and names are taken away as long as the failure stays, so that what
    is left of a private model can be shown. Weights become noise where they may; the words say which do not.
    OUT is .onnx or .mmir, MODEL-reduced.onnx in this folder by default. Ctrl-C writes the smallest so far.

    Exit code 0 says that OUT was written, 2 that there is nothing to reduce, because nothing fails.
    """
    from mmconvert import api

    with console.progress(tries) as progress:
        found = api.reduce(
            model,
            against,
            out,
            seed=seed,
            tries=tries,
            fix_dims=fix_dims,
            progress=progress,
            **given(**options),
        )
    if as_json:
        console.print_json(found.to_json())
    else:
        click.echo(
            f"{found.source} -> {found.path}" + (f" and {found.counterpart}" if found.counterpart else "")
        )
        for sentence in found.words:
            click.echo(f"  {sentence}")
    return INTERRUPTED if found.interrupted else 0
