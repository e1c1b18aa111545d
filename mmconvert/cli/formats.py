"""``mmconvert formats``: what can be read, written and run here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mmconvert.cli import console

if TYPE_CHECKING:
    from mmconvert.registry import Format


@click.command(short_help="List what can be read, written and run here.")
@console.json_option
def formats(as_json: bool) -> None:
    """List the formats that can be read and written, and the runtimes that are installed."""
    from mmconvert import registry

    rows = [_row(format) for format in registry.formats()]
    if as_json:
        console.print_json(rows)
        return
    cells = [
        [
            row["name"],
            row["title"],
            " ".join(row["suffixes"]),
            *("yes" if row[kind] else "-" for kind in ("read", "write")),
            row["runtime"] or row["install"] or "-",
        ]
        for row in rows
    ]
    header = ["format", "", "suffixes", "read", "write", "runtime"]
    console.table(header, cells, left=range(len(header)))


def _row(format: Format) -> dict[str, Any]:
    from mmconvert import registry
    from mmconvert.verification.sides import version_of

    version = version_of(format)
    runtime = None if version is None else f"{registry.load_module(format.runtime).NAME} {version}"
    return {
        "name": format.name,
        "title": format.title,
        "suffixes": list(format.suffixes),
        "read": bool(format.parser),
        "write": bool(format.emitter),
        "runtime": runtime,
        "install": format.install if format.runtime and version is None else None,
    }
