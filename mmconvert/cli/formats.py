"""``mmconvert formats``: what can be read, written and run here."""

from __future__ import annotations

import click

from mmconvert.cli import console


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def formats(as_json: bool) -> None:
    """List the formats, and which runtimes are installed."""
    from mmconvert import registry

    rows = []
    for format in registry.formats():
        version = registry.load_module(format.runtime).available() if format.runtime else None
        rows.append(
            {
                "name": format.name,
                "title": format.title,
                "suffixes": list(format.suffixes),
                "read": bool(format.parser),
                "write": bool(format.emitter),
                "runtime": version,
                "install": f"pip install 'mmconvert[{format.extra}]'" if format.extra and version is None else None,
            }
        )
    if as_json:
        console.print_json(rows)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("format", "", "suffixes", "read", "write", "runtime"):
        table.add_column(column)
    for row in rows:
        runtime = row["runtime"] or row["install"] or ""
        marks = ("yes" if row[kind] else "-" for kind in ("read", "write"))
        table.add_row(str(row["name"]), str(row["title"]), " ".join(row["suffixes"]), *marks, str(runtime).replace("[", r"\["))  # type: ignore[arg-type]
    Console(highlight=False).print(table)
