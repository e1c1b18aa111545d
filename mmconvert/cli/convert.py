"""``mmconvert SOURCE TARGET``: convert a model file and verify the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mmconvert.cli import console, reports
from mmconvert.cli.options import examples, given, judging, reporting, writing
from mmconvert.errors import NotEquivalentError, UsageError

if TYPE_CHECKING:
    from mmconvert.api import Report

STEPS = 8
"""What a conversion tells its progress, with the two inputs that are generated."""


@click.command(short_help="Convert SOURCE into TARGET, and verify the result.")
@click.argument("source", required=False, type=click.Path())
@click.argument("target", required=False, type=click.Path())
@click.option("-iw", "--inputWeight", "weights", type=click.Path(), hidden=True)
@click.option("-om", "--outputModel", "output", type=click.Path(), hidden=True)
@writing
@examples
@judging
@click.option("--framework", is_flag=True, help="Run SOURCE in its own framework as well.")
@reporting
@console.json_option
def convert(
    source: str | None,
    target: str | None,
    weights: str | None,
    output: str | None,
    no_verify: bool,
    inputs: tuple[str, ...],
    explain: bool,
    page: str | None,
    junit: str | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Convert SOURCE into TARGET, and verify that both compute the same.

    \b
    mmconvert model.keras model.tflite
    mmconvert model.onnx smaller.onnx --opset 13 --fix-dims batch=1,image:2=224
    mmconvert convert -sf keras -iw model.h5 -df onnx -om model.onnx

    The last line is in the spelling of MMdnn, whose -sf, -in, -iw, -df and -om are understood.

    Exit code 0 says that TARGET is equivalent, or that it was written and that nothing on this machine can
    run it: then the words are "not verified (not executed)". Where TARGET runs and is not equivalent, it is
    written all the same, and the exit code is 1.
    """
    source, target = _paths(source, target, weights, output)
    reports.require(page, junit, others=(source, target))
    from mmconvert import api
    from mmconvert.cli import arrays

    def names() -> list[str]:
        reading = (
            *("network", "fix", "items", "activations", "signature", "hybrid"),
            *("module", "examples", "state_key", "trust_pickle"),
        )
        read = given(**{name: options[name] for name in reading})
        return [v.name for v in api.load(source, format=options["source_format"], **read).graph.inputs]

    with console.progress(STEPS) as progress:
        fed = arrays.feeds(inputs, names)
        report = api.convert(
            source,
            target,
            verify=not no_verify,
            inputs=fed,
            examine=page is not None,
            progress=progress,
            **options,
        )
    reported(report, page, junit)
    return conclude(report, explain=explain, as_json=as_json)


def reported(report: Report, page: str | None, junit: str | None) -> None:
    """Writes the files that were asked for."""
    if page is not None or junit is not None:
        from mmconvert.report import Case

        reports.write([Case.of_conversion(report)], page, junit)


def conclude(report: Report, *, explain: bool, as_json: bool) -> int:
    """Shows what a conversion did; returns the exit code."""
    if as_json:
        console.print_json(report.to_json())
    else:
        _show(report, explain=explain)
    if report.verdict is None or not report.verdict.was_run or report.passed:
        return 0
    console.error(f"{report.target} was written, and does not compute what {report.source} does")
    return NotEquivalentError.exit_code


def _paths(
    source: str | None, target: str | None, weights: str | None, output: str | None
) -> tuple[str, str]:
    """Source and target, in whichever way they were given.

    Raises:
        UsageError: one is missing, or given twice.
    """
    if weights is not None and target is None:
        source, target = None, source  # mmconvert -iw SOURCE TARGET
    for name, first, second in (("source", source, weights), ("target", target, output)):
        if first is not None and second is not None:
            raise UsageError(f"the {name} is given twice: {first} and {second}")
    source, target = source or weights, target or output
    if source is None or target is None:
        missing = "a source" if source is None else "a target"
        hint = "mmconvert SOURCE TARGET" + (f", or mmconvert inspect {source}" if source else "")
        raise UsageError(f"{missing} is missing", hint=hint)
    return source, target


def _show(report: Report, *, explain: bool) -> None:
    if explain:
        for name, outcome in report.passes:
            if outcome.done or outcome.declined:
                click.echo(f"{name:<34}{outcome}")
    for message in report.warnings:
        console.warn(message)
    times = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in report.seconds.items())
    operators = f"{report.operators} operator{'s' if report.operators != 1 else ''}"
    click.echo(f"{report.source} -> {report.target}")
    click.echo(f"  {report.format}, {console.megabytes(report.size)}, {operators} ({times})")
    if report.verdict is None:
        click.echo(f"{click.style('not verified', fg='yellow', bold=True)} (--no-verify)")
    else:
        console.show_verdict(report.verdict)
