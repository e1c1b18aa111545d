"""``mmconvert SOURCE TARGET``: convert a model file and verify the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mmconvert.cli import console
from mmconvert.errors import NotEquivalentError, UsageError

if TYPE_CHECKING:
    from mmconvert.api import Report


@click.command()
@click.argument("source", required=False, type=click.Path())
@click.argument("target", required=False, type=click.Path())
@click.option("--to", "-df", "--dstFramework", "to", metavar="FORMAT", help="The target format; else TARGET's suffix.")
@click.option("--from", "-sf", "--srcFramework", "source_format", metavar="FORMAT", help="Force the source format.")
@click.option("-iw", "--inputWeight", "weights", type=click.Path(), help="The source file, in MMdnn's spelling.")
@click.option("-om", "--outputModel", "output", type=click.Path(), help="The target file, in MMdnn's spelling.")
@click.option("--opset", type=int, help="ONNX: the operator set to write.")
@click.option(
    "--io-layout",
    type=click.Choice(["source", "target"]),
    default="source",
    show_default=True,
    help="Keep the source's order of axes at inputs and outputs, or take the target's.",
)
@click.option("--no-verify", is_flag=True, help="Write the file and do not run it.")
@click.option("--inputs", multiple=True, metavar="[NAME=]FILE", help="Verify on these arrays (.npy, .npz).")
@click.option("--seed", default=0, show_default=True, help="For the inputs that are generated.")
@click.option("--explain", is_flag=True, help="Show what each pass did, and why it did not.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def convert(
    source: str | None,
    target: str | None,
    weights: str | None,
    output: str | None,
    no_verify: bool,
    inputs: tuple[str, ...],
    explain: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Convert SOURCE into TARGET, and verify that both compute the same.

    \b
    mmconvert model.keras model.tflite
    mmconvert model.onnx model.onnx --opset 13
    mmconvert convert -sf keras -iw model.h5 -df onnx -om model.onnx
    """
    source, target = source or weights, target or output
    if source is None or target is None:
        raise UsageError("a source and a target are needed", hint="mmconvert SOURCE TARGET")
    from mmconvert import api

    with console.progress() as progress:
        given = [console.read_inputs(inputs, _input_names(source, inputs))] if inputs else None
        report = api.convert(source, target, verify=not no_verify, inputs=given, progress=progress, **options)
    if as_json:
        console.print_json(report.to_json())
    else:
        _show(report, explain=explain)
    if report.verdict is not None and report.verdict.outputs and not report.verdict.passed:
        raise NotEquivalentError("the target was written and does not compute what the source does", where=target)


def _input_names(source: str, inputs: tuple[str, ...]) -> list[str]:
    """The inputs' names, when an array comes without one."""
    if all("=" in pair or pair.endswith(".npz") for pair in inputs):
        return []
    from mmconvert import api

    return [v.name for v in api.load(source).graph.inputs]


def _show(report: Report, *, explain: bool) -> None:
    if explain:
        for name, outcome in report.passes:
            if outcome.done or outcome.declined:
                click.echo(f"{name:<34}{outcome}")
    for message in report.warnings:
        console.warn(message)
    times = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in report.seconds.items())
    click.echo(f"{report.source} -> {report.target}")
    click.echo(f"  {report.format}, {console.megabytes(report.size)}, {report.operators} operators ({times})")
    if report.verdict is None:
        click.echo("not verified (--no-verify)")
    else:
        console.show_verdict(report.verdict)
