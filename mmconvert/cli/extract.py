"""``mmconvert extract MODEL OUT --inputs a --outputs b``: convert a part of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from mmconvert.cli import console, reports
from mmconvert.cli.convert import STEPS, conclude, reported
from mmconvert.cli.options import examples, reporting, writing


def _listed(context: click.Context, option: click.Parameter, texts: Sequence[str]) -> list[str] | None:
    return [name for text in texts for name in text.split(",") if name] or None


@click.command(short_help="Convert the part of MODEL between named values.")
@click.argument("model", type=click.Path())
@click.argument("target", metavar="OUT", type=click.Path())
@click.option(
    "--inputs",
    multiple=True,
    metavar="NAME,...",
    callback=_listed,
    help="Values to begin with; else the inputs of MODEL that are needed.",
)
@click.option(
    "--outputs",
    multiple=True,
    metavar="NAME,...",
    callback=_listed,
    help="Values to end with; else the outputs of MODEL.",
)
@writing
@examples
@click.option("--feed", multiple=True, metavar="NAME=FILE", help="Verify on these arrays (.npy, .npz).")
@reporting
@console.json_option
def extract(
    model: str,
    target: str,
    inputs: list[str] | None,
    outputs: list[str] | None,
    no_verify: bool,
    feed: tuple[str, ...],
    explain: bool,
    page: str | None,
    junit: str | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Convert the part of MODEL that computes some values from others, into any format, and verify it.

    \b
    mmconvert extract model.onnx head.onnx --inputs features --outputs logits
    mmconvert extract model.keras body.tflite --outputs block_3,block_7

    Values go by their names in MODEL; in Keras these are the names of layers. `mmconvert inspect MODEL
    --values` lists them. An input may be any value: it gets the type that this value has.
    """
    reports.require(page, junit, others=(model, target))
    from mmconvert import api
    from mmconvert.cli import arrays

    with console.progress(STEPS) as progress:
        feeds = [arrays.read_inputs(feed, lambda: inputs or [])] if feed else None
        report = api.extract(
            model,
            target,
            inputs=inputs,
            outputs=outputs,
            verify=not no_verify,
            feeds=feeds,
            examine=page is not None,
            progress=progress,
            **options,
        )
    reported(report, page, junit)
    return conclude(report, explain=explain, as_json=as_json)
