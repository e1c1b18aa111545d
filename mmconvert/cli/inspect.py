"""``mmconvert inspect MODEL``: what is in a model file."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from mmconvert.cli import console

if TYPE_CHECKING:
    from mmconvert.api import Model


@click.command()
@click.argument("model", type=click.Path())
@click.option("--ops", is_flag=True, help="Count the operators.")
@click.option("--text", is_flag=True, help="Print the whole graph in the IR's text form.")
@click.option("--from", "source_format", metavar="FORMAT", help="Force the format.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def inspect(model: str, ops: bool, text: bool, source_format: str | None, as_json: bool) -> None:
    """Show the inputs, outputs, size and operators of MODEL."""
    from mmconvert import api

    loaded = api.load(model, format=source_format)
    if as_json:
        console.print_json(_document(loaded))
        return
    if text:
        click.echo(str(loaded.graph), nl=False)
        return
    document = _document(loaded)
    producer = f", written by {loaded.metadata.producer}" if loaded.metadata.producer else ""
    opset = f", opset {loaded.metadata.opset}" if loaded.metadata.opset else ""
    click.echo(f"{loaded.graph.name}: {loaded.metadata.format}{opset}{producer}")
    for kind in ("inputs", "outputs"):
        for name, type in document[kind].items():
            click.echo(f"  {kind[:-1]:<7} {name}: {type}")
    weights = document["weights"]
    click.echo(f"  {weights['elements']:,} weights in {weights['tensors']} tensors, {console.megabytes(weights['bytes'])}")
    click.echo(f"  {len(loaded.graph)} operators")
    if ops:
        for name, count in document["operators"].items():
            click.echo(f"    {count:>5} {name}")
    for message in loaded.warnings:
        console.warn(message)


def _document(model: Model) -> dict[str, Any]:
    graph = model.graph
    tensors = list({id(v.constant): v.constant for v in graph.constants() if v.constant is not None}.values())
    counts = Counter(node.op.name for node in graph)
    return {
        "name": graph.name,
        "format": model.metadata.format,
        "producer": model.metadata.producer,
        "opset": model.metadata.opset,
        "inputs": {v.name: str(v.type) for v in graph.inputs},
        "outputs": {n: str(v.type) for n, v in zip(graph.output_names, graph.outputs, strict=True)},
        "weights": {
            "tensors": len(tensors),
            "elements": sum(t.size for t in tensors),
            "bytes": sum(t.nbytes for t in tensors),
        },
        "operators": dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
        "warnings": model.warnings,
    }
