"""``mmconvert run MODEL --input x.npy``: compute a model's outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mmconvert.cli import console
from mmconvert.cli.options import given, only_examples, reading
from mmconvert.errors import UsageError

STEPS = 2
"""What a run tells its progress."""


@click.command(short_help="Run MODEL on inputs from files, or on noise.")
@click.argument("model", type=click.Path())
@click.option(
    "--input", "inputs", multiple=True, metavar="[NAME=]FILE", help="An input (.npy, .npz); repeatable."
)
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), help="Write the outputs to this .npz (or .npy)."
)
@click.option(
    "--runtime",
    metavar="NAME",
    help="interpreter, or native for the file's own runtime; by default the interpreter where it can.",
)
@click.option(
    "--seed", type=click.IntRange(0), help="Run on seeded inputs that fit the model, without --input."
)
@reading
@only_examples
@console.json_option
def run(
    model: str,
    inputs: tuple[str, ...],
    output: Path | None,
    runtime: str | None,
    seed: int | None,
    fix_dims: dict[str, int] | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Run MODEL, in the bundled interpreter or in its own runtime, and print its outputs."""
    import numpy as np

    from mmconvert import api
    from mmconvert.cli import arrays
    from mmconvert.files import require_writable
    from mmconvert.ir.ends import fix_dims as bind
    from mmconvert.verification.inputs import generate

    read = given(**options)
    if output is not None:
        require_writable(output)
    if inputs and seed is not None:
        raise UsageError("--input and --seed exclude each other")
    if fix_dims and seed is None:
        raise UsageError(
            "--fix-dims is for the inputs that --seed makes; those of --input have their own extents"
        )
    with console.progress(STEPS) as progress:
        progress("reading")
        if inputs:
            fed = arrays.read_inputs(inputs, lambda: api.input_names(model, **read))
        elif seed is not None:
            graph = bind(api.load(model, **read).graph, fix_dims or {})
            (fed,) = generate(graph, count=1, seed=seed)
        else:
            fed = {}
            _require_no_inputs(model, api.input_names(model, **read))
        progress("running")
        results = api.run(model, fed, runtime=runtime, **read)
    if output is not None:
        arrays.write_outputs(output, results)
    if as_json:
        console.print_json({name: arrays.as_json(array) for name, array in results.items()})
        return
    for name, array in results.items():
        click.echo(f"{name}: {array.dtype}{list(array.shape)}")
        click.echo(np.array2string(array, threshold=20, edgeitems=4, precision=6))


def _require_no_inputs(model: str, names: list[str]) -> None:
    if names:
        hint = "give them with --input x.npy, or run on noise with --seed 0"
        raise UsageError(f"the model needs its inputs: {', '.join(names)}", where=model, hint=hint)
