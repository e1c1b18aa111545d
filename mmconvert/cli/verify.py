"""``mmconvert verify A B``: do two model files compute the same?"""

from __future__ import annotations

import click

from mmconvert.cli import console
from mmconvert.errors import MissingDependencyError, NotEquivalentError


@click.command()
@click.argument("source", type=click.Path())
@click.argument("target", type=click.Path())
@click.option("--inputs", multiple=True, metavar="[NAME=]FILE", help="Compare on these arrays (.npy, .npz).")
@click.option("--seed", default=0, show_default=True, help="For the inputs that are generated.")
@click.option("--framework", is_flag=True, help="Let the source's own framework compute the source's outputs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def verify(
    source: str, target: str, inputs: tuple[str, ...], seed: int, framework: bool, as_json: bool
) -> None:
    """Compare TARGET with SOURCE: its error against the float64 truth must be that of float32 itself."""
    from mmconvert import api

    with console.progress() as progress:
        names = [v.name for v in api.load(source).graph.inputs] if inputs else []
        given = [console.read_inputs(inputs, names)] if inputs else None
        verdict = api.verify(source, target, inputs=given, seed=seed, framework=framework, progress=progress)
    if as_json:
        console.print_json(verdict.to_json())
    else:
        console.show_verdict(verdict)
    if not verdict.outputs:
        raise MissingDependencyError("the target could not be run", where=target, hint="\n".join(verdict.notes))
    if not verdict.passed:
        raise NotEquivalentError("the two files do not compute the same", where=target)
