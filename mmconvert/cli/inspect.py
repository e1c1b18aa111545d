"""``mmconvert inspect MODEL``: what is in a model file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmconvert.cli import console
from mmconvert.cli.options import examples, given, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mmconvert.api import Model
    from mmconvert.ir.graph import Graph
    from mmconvert.parsers.pytorch.audit import Asked


@click.command(short_help="Show the inputs, outputs, size and operators of MODEL.")
@click.argument("model", type=click.Path())
@click.option("--ops", is_flag=True, help="Count the operators.")
@click.option("--values", is_flag=True, help="List every value by its name: where `extract` can cut.")
@click.option("--text", is_flag=True, help="Print the whole graph in the IR's text form.")
@click.option("--audit", is_flag=True, help="PyTorch: tell what pickles in MODEL ask for, and run none.")
@click.option("--from", "source_format", metavar="FORMAT", help="Format of MODEL; else by content.")
@reading
@examples
@console.json_option
def inspect(
    model: str,
    ops: bool,
    values: bool,
    text: bool,
    audit: bool,
    source_format: str | None,
    fix_dims: dict[str, int] | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Show the inputs, outputs, size and operators of MODEL.

    With --audit: what the pickles in a file of PyTorch ask for. None of it is run. Exit code 0 says that
    all is plain weights, 3 that something asks for code, 4 that the file is damaged or hostile.
    """
    if audit:
        return _audit(Path(model), as_json=as_json)
    from mmconvert import api
    from mmconvert.ir.ends import fix_dims as bind

    loaded = api.load(model, format=source_format, **given(**options))
    loaded.graph = bind(loaded.graph, fix_dims or {})
    document = _document(loaded)
    listed = list(_values(loaded.graph)) if values else []
    if as_json:
        more: dict[str, Any] = {"text": str(loaded.graph)} if text else {}
        if values:
            more["values"] = [dict(zip(("name", "operator", "type"), row, strict=True)) for row in listed]
        console.print_json(document | more)
    elif text:
        click.echo(str(loaded.graph), nl=False)
    elif values:
        console.table(["value", "operator", "type"], listed, left=(0, 1, 2))
    else:
        _show(document, ops=ops)
    for message in loaded.warnings:
        console.warn(message)
    return 0


def _audit(path: Path, *, as_json: bool) -> int:
    from dataclasses import asdict

    from mmconvert.files import require_file
    from mmconvert.parsers.pytorch.audit import audit, exit_code

    require_file(path)
    found = audit(path)
    if as_json:
        console.print_json({"exit_code": exit_code(found), "pickles": [asdict(each) for each in found]})
        return exit_code(found)
    for each in found:
        _show_asked(each)
    if not found:
        click.echo("there is no pickle in this file")
    return exit_code(found)


def _show_asked(asked: Asked) -> None:
    click.echo(f"{asked.name}: {asked.size:,} bytes, {asked.steps:,} instructions, protocol {asked.protocol}")
    for name, count in asked.globals.items():
        mark = "HOSTILE" if name in asked.hostile else "code" if name in asked.foreign else "ok"
        click.echo(f"  {mark:<8}{name}{f' ({count}x)' if count > 1 else ''}")
    unsafe = (*asked.hostile, *asked.foreign)
    told = [call for call in asked.calls if any(name in call for name in unsafe)] if unsafe else []
    for call in told:
        click.echo(f"  asks for {call}")
    calls = len(asked.calls) + asked.more_calls
    click.echo(f"  {calls:,} calls, {asked.persistent:,} references to storages")
    if asked.damage:
        click.echo(f"  damaged: {asked.damage}")


def _show(document: dict[str, Any], *, ops: bool) -> None:
    opset = f", opset {document['opset']}" if document["opset"] else ""
    producer = f", written by {document['producer']}" if document["producer"] else ""
    click.echo(f"{document['name'] or 'model'}: {document['format']}{opset}{producer}")
    for kind in ("inputs", "outputs"):
        for name, type in document[kind].items():
            click.echo(f"  {kind[:-1]:<7} {name}: {type}")
    weights = document["weights"]
    size = console.megabytes(weights["bytes"])
    click.echo(f"  {weights['elements']:,} weights in {weights['tensors']} tensors, {size}")
    if labels := document["labels"]:
        click.echo(f"  {len(labels)} labels: {', '.join(labels[:3])}{', ...' if len(labels) > 3 else ''}")
    for key, text in document["properties"].items():
        if key.startswith("input_"):
            click.echo(f"  {key} {text}")
    counts = document["operators"]
    click.echo(f"  {sum(counts.values())} operators")
    for name, count in counts.items() if ops else ():
        click.echo(f"    {count:>5} {name}")


def _values(graph: Graph) -> Iterator[list[str]]:
    """The name, the operator and the type of each value but the constants, inputs first."""
    from mmconvert.ir.extract import best_names, named_values

    names = best_names(named_values(graph))
    for value in graph.values():
        if value.constant is None:
            yield [names[value], value.producer.op.name if value.producer else "input", str(value.type)]


def _document(model: Model) -> dict[str, Any]:
    from mmconvert.passes.pipeline import subgraphs

    graphs = [model.graph, *subgraphs(model.graph)]
    found = (v.constant for graph in graphs for v in graph.constants() if v.constant is not None)
    tensors = list({id(tensor): tensor for tensor in found}.values())
    counts = Counter(node.op.name for graph in graphs for node in graph)
    graph = model.graph
    return {
        "name": graph.name,
        "format": model.metadata.format,
        "producer": model.metadata.producer,
        "opset": model.metadata.opset,
        "labels": list(model.metadata.labels),
        "properties": model.metadata.properties,
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
