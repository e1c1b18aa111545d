"""``mmconvert verify A B``: do two model files compute the same?"""

from __future__ import annotations

import time
from typing import Any

import click

from mmconvert.cli import console, reports
from mmconvert.cli.options import examples, given, judging, reading, reporting
from mmconvert.errors import MissingDependencyError, NotEquivalentError

STEPS = 9
"""What a verification tells its progress, with the two inputs that are generated."""


@click.command(short_help="Tell whether SOURCE and TARGET compute the same.")
@click.argument("source", type=click.Path())
@click.argument("target", type=click.Path())
@judging
@click.option(
    "--seed", default=0, type=click.IntRange(0), show_default=True, help="For inputs that are generated."
)
@click.option("--framework", is_flag=True, help="Run SOURCE in its own framework as well.")
@reading
@examples
@reporting
@console.json_option
def verify(
    source: str,
    target: str,
    inputs: tuple[str, ...],
    seed: int,
    framework: bool,
    tolerance: float | None,
    thorough: bool,
    fix_dims: dict[str, int] | None,
    page: str | None,
    junit: str | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Tell whether TARGET computes what SOURCE does.

    Both are measured against a float64 run of SOURCE. The error of TARGET may be a few times the error that
    SOURCE itself makes in float32. TARGET runs in its own runtime, where that is installed.
    """
    reports.require(page, junit, others=(source, target))
    from mmconvert import api
    from mmconvert.cli import arrays

    read = given(**options)

    def names() -> list[str]:
        return api.input_names(source, target, **read)

    start = time.perf_counter()
    with console.progress(STEPS) as progress:
        fed = arrays.feeds(inputs, names)
        verdict = api.verify(
            source,
            target,
            inputs=fed,
            seed=seed,
            tolerance=tolerance,
            thorough=thorough,
            fix_dims=fix_dims,
            framework=framework,
            examine=page is not None,
            progress=progress,
            **read,
        )
    if page is not None or junit is not None:
        from mmconvert.report import Case

        seconds = time.perf_counter() - start
        reports.write([Case.of_comparison(source, target, verdict, seconds)], page, junit)
    if as_json:
        console.print_json({"schema": api.SCHEMA, **verdict.to_json()})
    else:
        console.show_verdict(verdict)
    if not verdict.was_run:
        console.error(f"nothing on this machine can run {target}")
        return MissingDependencyError.exit_code
    if not verdict.passed:
        console.error(f"{target} does not compute what {source} does")
        return NotEquivalentError.exit_code
    return 0
