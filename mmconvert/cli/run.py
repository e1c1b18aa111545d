"""``mmconvert run MODEL --input x.npy``: compute a model's outputs."""

from __future__ import annotations

from pathlib import Path

import click

from mmconvert.cli import console
from mmconvert.errors import UsageError


@click.command()
@click.argument("model", type=click.Path())
@click.option("--input", "inputs", multiple=True, metavar="[NAME=]FILE", help="An input (.npy, .npz); repeatable.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Write the outputs to this .npz file.")
@click.option("--runtime", metavar="NAME", help="interpreter, or the format whose own runtime shall run the file.")
@click.option("--seed", type=int, help="Without --input: run on seeded inputs that fit the model.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document, the outputs included.")
def run(
    model: str, inputs: tuple[str, ...], output: Path | None, runtime: str | None, seed: int | None, as_json: bool
) -> None:
    """Run MODEL, in the bundled interpreter or in its own runtime."""
    import numpy as np

    from mmconvert import api
    from mmconvert.files import atomic_write
    from mmconvert.verify import inputs as feeds

    if inputs:
        named = all("=" in pair or pair.endswith(".npz") for pair in inputs)
        fed = console.read_inputs(inputs, [] if named else [v.name for v in api.load(model).graph.inputs])
    elif seed is not None:
        (fed,) = feeds.generate(api.load(model).graph, count=1, seed=seed)
    else:
        raise UsageError("the model needs inputs", hint="give them with --input x.npy, or run on noise with --seed 0")
    results = api.run(model, fed, runtime=runtime)
    if output is not None:
        with atomic_write(output) as file:
            np.savez(file, **results)
    if as_json:
        console.print_json({name: {"dtype": str(a.dtype), "shape": a.shape, "values": a.tolist()} for name, a in results.items()})
        return
    for name, array in results.items():
        click.echo(f"{name}: {array.dtype}{list(array.shape)}")
        click.echo(np.array2string(array, threshold=20, edgeitems=4, precision=6))
