"""The report as one HTML file: style, script, library and data are all in it, and it asks no network.

Names in it come from a model file and are not to be trusted. Jinja escapes what stands in the text, what
stands in the data is JSON without ``<``, and the page's policy lets a browser run exactly its two scripts.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from mmconvert.files import atomic_write
from mmconvert.report import charts
from mmconvert.report.cases import Case
from mmconvert.verification.evidence import Evidence
from mmconvert.verification.fault import Fault, LayerError
from mmconvert.verification.verdict import OutputVerdict, Verdict

WORST = 12
"""How many layers stand in the table."""

MOST = 8
"""For how many outputs there is a histogram."""

LEVELS = {
    "executed": "its own runtime ran the written file",
    "simulated": "the vendor's tool ran the graph in memory",
    "read back": "mmconvert read the written file and ran it in its interpreter",
    "structure only": "the file was looked at and not run",
    "not executed": "nothing on this machine can run the file",
}


@dataclass(slots=True)
class Figure:
    """A figure and what stands above it.

    Attributes:
        id: of the element that it goes into.
        title: in a few words.
        note: what a reader needs to know, or nothing.
    """

    id: str
    title: str
    note: str = ""


@dataclass(slots=True)
class Section:
    """One case as the template shows it."""

    case: Case
    verdict: Verdict | None
    level: str
    tiles: list[tuple[str, str, str]]
    outputs: list[dict[str, str]] = field(default_factory=list)
    layers: Figure | None = None
    worst: list[dict[str, str]] = field(default_factory=list)
    differences: list[Figure] = field(default_factory=list)
    graphs: list[Figure] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


def require() -> None:
    """Makes sure that the libraries are there.

    Raises:
        MissingDependencyError: they are not.
    """
    charts.require()


def write(path: Path, cases: Sequence[Case], environment: Mapping[str, str], when: datetime) -> None:
    """Writes the page; the same arguments give the same bytes.

    Args:
        path: where to.
        cases: what it is about.
        environment: names and versions.
        when: the report was made.

    Raises:
        UsageError: the file cannot be written.
        MissingDependencyError: Bokeh is not installed.
    """
    with atomic_write(path) as file:
        file.write(render(cases, environment, when).encode("utf-8", "replace"))


def render(cases: Sequence[Case], environment: Mapping[str, str], when: datetime) -> str:
    """The page as text; see ``write``."""
    charts.require()
    from bokeh.resources import Resources
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from mmconvert.report.charts.style import DARK

    items: list[dict[str, Any]] = []
    sections = [_section(case, f"c{i + 1}", items) for i, case in enumerate(cases)]
    templates = Environment(
        loader=PackageLoader("mmconvert.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    library = "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)
    script = templates.get_template("page.js").render()
    page: str = templates.get_template("page.html").render(
        sections=sections,
        environment=environment,
        when=when.strftime("%Y-%m-%d %H:%M %Z").strip(),
        library=library,
        script=script,
        policy=" ".join(_digest(text) for text in (library, script)),
        data=_embedded({"items": items, "dark": DARK}),
        style=templates.get_template("page.css").render(),
    )
    return page


def _section(case: Case, prefix: str, items: list[dict[str, Any]]) -> Section:
    verdict = case.verdict
    section = Section(case, verdict, "" if verdict is None else LEVELS[verdict.level], _tiles(case))
    if verdict is None:
        return section
    section.outputs = [_output(o) for o in verdict.outputs]
    section.faults = verdict.faults
    evidence = verdict.evidence or Evidence()
    if verdict.layers:
        section.layers = _layers(verdict.layers, evidence, prefix, items)
        ranked = sorted(verdict.layers, key=_rank, reverse=True)
        section.worst = [_layer(layer) for layer in ranked[:WORST]]
    _differences(section, verdict, evidence, prefix, items)
    _graphs(section, verdict, evidence, prefix, items)
    return section


def _layers(
    layers: Sequence[LayerError], evidence: Evidence, prefix: str, items: list[dict[str, Any]]
) -> Figure:
    from mmconvert.report.charts import layers as drawing
    from mmconvert.report.charts.style import item

    found = Figure(f"{prefix}-layers", "Error along the network")
    items.append(item(drawing.chart(layers), found.id))
    if evidence.operators:
        found.note = (
            f"{len(layers)} values of {evidence.operators} operators can be told apart in the target."
        )
    return found


def _differences(
    section: Section, verdict: Verdict, evidence: Evidence, prefix: str, items: list[dict[str, Any]]
) -> None:
    from mmconvert.report.charts import differences
    from mmconvert.report.charts.style import item

    budgets = {o.name: o.budget.maximum for o in verdict.outputs}
    for number, histogram in enumerate(evidence.histograms[:MOST]):
        equal = histogram.equal / histogram.elements
        notes = [f"{equal:.0%} of {histogram.elements} elements are exactly the truth"]
        if histogram.incomparable:
            notes.append(f"{histogram.incomparable} are NaN or infinite on one side alone")
        found = Figure("", f"Differences in {histogram.output}", "; ".join(notes) + ".")
        if histogram.target:
            found.id = f"{prefix}-differences-{number + 1}"
            items.append(item(differences.chart(histogram, budgets.get(histogram.output)), found.id))
        section.differences.append(found)


def _graphs(
    section: Section, verdict: Verdict, evidence: Evidence, prefix: str, items: list[dict[str, Any]]
) -> None:
    from mmconvert.report.charts import graph
    from mmconvert.report.charts.style import item

    pairs = (("Source", evidence.source, False), ("Target", evidence.target, True))
    if evidence.source is None:
        return
    for title, found, is_target in pairs:
        figure = Figure(f"{prefix}-{title.lower()}", title)
        if found is None:
            figure.id, figure.note = (
                "",
                "The operator was not found in the target: the file cannot be read back.",
            )
        else:
            centre = found.spots[found.centre]
            figure.note = f"{centre.operator} at {centre.place}"
            items.append(item(graph.chart(found, is_target=is_target), figure.id))
        section.graphs.append(figure)


def _tiles(case: Case) -> list[tuple[str, str, str]]:
    """What stands at the top: a title, a number, and what it stands beside."""
    tiles = []
    if case.size:
        beside = f"source {_bytes(case.source_size)}" if case.source_size else ""
        tiles.append(("size", _bytes(case.size), beside))
    if case.operators:
        tiles.append(("operators", str(case.operators), case.format))
    if case.seconds:
        stages = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in case.seconds.items())
        tiles.append(("time", f"{sum(case.seconds.values()):.2f} s", stages))
    verdict = case.verdict
    if verdict is not None and verdict.outputs:
        worst = max(verdict.outputs, key=lambda o: _share(o.error.over(o.budget)))
        used = _share(worst.error.over(worst.budget))
        tiles.append(("budget used", _percent(used), f"{verdict.inputs} input{'s' * (verdict.inputs != 1)}"))
    return tiles


def _output(output: OutputVerdict) -> dict[str, str]:
    from mmconvert.report.charts.layers import number

    used = _share(output.error.over(output.budget))
    return {
        "name": output.name,
        "state": "right" if output.passed else "wrong",
        "word": "ok" if output.passed else "wrong",
        "error": number(output.error.maximum),
        "own": number(output.source_error.maximum),
        "budget": number(output.budget.maximum),
        "used": _percent(used),
        "fill": f"{min(100, round(100 * used)) if math.isfinite(used) else 100}",
    }


def _layer(layer: LayerError) -> dict[str, str]:
    from mmconvert.report.charts.layers import number

    return {
        "operator": layer.operator,
        "place": layer.place,
        "error": number(layer.error.maximum),
        "own": "" if layer.local is None else number(layer.local.maximum),
        "budget": number(layer.budget.maximum),
        "state": "right" if layer.is_right else "wrong",
        "word": "ok" if layer.is_right else "at fault" if layer.is_at_fault else "passed on",
    }


def _rank(layer: LayerError) -> tuple[bool, float]:
    return layer.is_at_fault, _share(layer.error.over(layer.budget))


def _share(used: float) -> float:
    return math.inf if math.isnan(used) else used


def _percent(used: float) -> str:
    if not math.isfinite(used):
        return "beyond"
    return f"{used:.0%}" if used < 10 else f"{used:,.0f} times"


def _bytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"


def _digest(text: str) -> str:
    """A script as the content security policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _embedded(data: Any) -> str:
    """JSON that no element of a page can end."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
