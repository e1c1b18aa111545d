"""The surroundings of an operator as a picture, from input to output down the page."""

from __future__ import annotations

from typing import Any

from bokeh.core.properties import value
from bokeh.models import ColumnDataSource

from mmconvert.report.charts.layers import number
from mmconvert.report.charts.style import (
    CARD,
    FONT,
    INK,
    MUTED,
    RIGHT,
    SOURCE,
    TINT,
    WRONG,
    hover,
    plot,
    span,
)
from mmconvert.verification.neighbourhood import Neighbourhood, Spot

HEIGHT, ROW = 0.62, 74
"""Of a box as a share of its row; of a row in pixels."""

LETTERS = 26
"""As much of a name as fits into a box."""

HOVER = [
    ("", "@operator"),
    ("from", "@place"),
    ("attributes", "@attributes"),
    ("makes", "@type"),
    ("error", "@error"),
    ("its own", "@local"),
    ("budget", "@budget"),
]


def chart(graph: Neighbourhood, *, is_target: bool) -> Any:
    """Boxes and lines; the operator in the middle has a thick frame, what is over its budget is red."""
    places = _places(graph)
    rows = 1 + max(spot.depth for spot in graph.spots)
    made = plot(rows * ROW + 16, x_range=span(0, 1), y_range=span(rows - 0.5, -0.5))
    made.axis.visible = False
    made.grid.visible = False
    _lines(made, graph, places)
    width = 0.96 / max(1, *(sum(s.depth == spot.depth for s in graph.spots) for spot in graph.spots))
    boxes = []
    for colour, fill, thick in _kinds():
        chosen = [i for i, s in enumerate(graph.spots) if (_colour(s), i == graph.centre) == (colour, thick)]
        if not chosen:
            continue
        data = ColumnDataSource(_columns(graph, chosen, places, width))
        boxes.append(
            made.rect(
                "x",
                "y",
                "width",
                HEIGHT,
                source=data,
                border_radius=8,
                fill_color=fill,
                line_color=colour,
                line_width=3.5 if thick else 1.5,
                name="centre" if thick else "box",
            )
        )
        common = {"source": data, "text_align": "center", "text_baseline": "middle", "text_font": value(FONT)}
        made.text(
            "x",
            "y",
            "operator",
            text_color=INK,
            text_font_size="13px",
            text_font_style="bold",
            y_offset=-9,
            **common,
        )
        made.text("x", "y", "short", text_color=MUTED, text_font_size="11px", y_offset=9, **common)
    hover(made, boxes, HOVER, attachment="vertical")
    made.name = "target" if is_target else "source"
    return made


def _kinds() -> list[tuple[str, str, bool]]:
    return [
        (c, TINT if c == SOURCE else CARD, thick) for c in (SOURCE, RIGHT, WRONG) for thick in (False, True)
    ]


def _colour(spot: Spot) -> str:
    if spot.layer is None:
        return SOURCE
    return RIGHT if spot.layer.is_right else WRONG


def _places(graph: Neighbourhood) -> list[tuple[float, int]]:
    """The middle of each box: side by side where several have the same depth."""
    found: list[tuple[float, int]] = []
    for i, spot in enumerate(graph.spots):
        row = [j for j, other in enumerate(graph.spots) if other.depth == spot.depth]
        found.append(((row.index(i) + 0.5) / len(row), spot.depth))
    return found


def _lines(made: Any, graph: Neighbourhood, places: list[tuple[float, int]]) -> None:
    ends = [(places[a], places[b]) for a, b in graph.edges]
    half = HEIGHT / 2
    made.bezier(
        x0=[a[0] for a, _ in ends],
        y0=[a[1] + half for a, _ in ends],
        cx0=[a[0] for a, _ in ends],
        cy0=[a[1] + 0.5 for a, _ in ends],
        cx1=[b[0] for _, b in ends],
        cy1=[b[1] - 0.5 for _, b in ends],
        x1=[b[0] for _, b in ends],
        y1=[b[1] - half - 0.06 for _, b in ends],
        line_color=SOURCE,
        line_width=1.5,
    )
    made.scatter(
        [b[0] for _, b in ends],
        [b[1] - half - 0.06 for _, b in ends],
        marker="inverted_triangle",
        size=7,
        color=SOURCE,
    )


def _columns(
    graph: Neighbourhood, chosen: list[int], places: list[tuple[float, int]], width: float
) -> dict[str, list[Any]]:
    spots = [graph.spots[i] for i in chosen]
    return {
        "x": [places[i][0] for i in chosen],
        "y": [places[i][1] for i in chosen],
        "width": [min(width, 0.7)] * len(chosen),
        "short": [_short(spot.place, int(LETTERS * width) + 6) for spot in spots],
        "operator": [spot.operator for spot in spots],
        "place": [spot.place for spot in spots],
        "attributes": [spot.attributes for spot in spots],
        "type": [spot.type for spot in spots],
        "error": [_error(spot) for spot in spots],
        "local": [_local(spot) for spot in spots],
        "budget": ["-" if spot.layer is None else number(spot.layer.budget.maximum) for spot in spots],
    }


def _error(spot: Spot) -> str:
    return "not known" if spot.layer is None else number(spot.layer.error.maximum)


def _local(spot: Spot) -> str:
    if spot.layer is None or spot.layer.local is None:
        return "-"
    return number(spot.layer.local.maximum) + (": at fault" if spot.layer.is_at_fault else "")


def _short(text: str, letters: int) -> str:
    """The end of a long name, which tells it from its likes."""
    return text if len(text) <= letters else f"…{text[-letters + 1 :]}"
