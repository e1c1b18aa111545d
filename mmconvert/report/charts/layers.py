"""The error of every value along the network against its budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bokeh.models import ColumnDataSource

from mmconvert.report.charts.style import BUDGET, TARGET, WRONG, decades, hover, plot, span
from mmconvert.verification.fault import LayerError

LOWEST = -12
"""The decade below which all errors are alike: no error at all stands there as well."""

HOVER = [
    ("", "@operator"),
    ("from", "@place"),
    ("value", "@value"),
    ("error", "@error"),
    ("its own", "@local"),
    ("budget", "@budget"),
    ("axes", "@axes"),
]


def chart(layers: Sequence[LayerError]) -> Any:
    """One point for each layer, in execution order; those over their budget are red."""
    finite = [
        _decade(x) for layer in layers for x in (layer.error.maximum, layer.budget.maximum) if _is_number(x)
    ]
    low = max(LOWEST, math.floor(min(finite, default=-8))) - 1
    high = math.ceil(max([*finite, low + 3])) + 1
    rows = [_row(i, layer, low, high) for i, layer in enumerate(layers)]
    made = plot(340, x_range=span(-0.6, len(layers) - 0.4), y_range=span(low, high))
    decades(made, made.yaxis[0], low + 1, high - 1)
    made.xaxis.axis_label = "layers, from input to output"
    made.yaxis.axis_label = "error over scale"
    step = max(1, -(-len(layers) // 6))
    made.xaxis.ticker = list(range(0, len(layers), step))
    made.xaxis.major_label_overrides = {i: str(i + 1) for i in range(0, len(layers), step)}
    every = ColumnDataSource(_columns(rows))
    made.step(
        "x", "allowed", source=every, mode="center", line_color=BUDGET, line_width=2, line_dash="dashed"
    )
    made.line("x", "y", source=every, line_color=TARGET, line_width=1.5, line_alpha=0.6)
    size = 9 if len(layers) <= 100 else 5
    right, wrong = [row for row in rows if row["within"]], [row for row in rows if not row["within"]]
    dots = made.scatter(
        "x", "y", source=ColumnDataSource(_columns(right)), size=size, color=TARGET, name="layers-right"
    )
    points = [dots]
    if wrong:
        source = ColumnDataSource(_columns(wrong))
        over = made.scatter(
            "x", "y", source=source, size=size + 4, color=WRONG, marker="diamond", name="layers-wrong"
        )
        own = [row for row in wrong if row["at_fault"]]
        points.append(over)
        if own:
            made.scatter(
                "x",
                "y",
                source=ColumnDataSource(_columns(own)),
                size=size + 14,
                fill_alpha=0,
                line_color=WRONG,
                line_width=2,
            )
    hover(made, points, HOVER, mode="mouse", attachment="vertical")
    return made


def number(value: float) -> str:
    """An error for a reader."""
    if math.isnan(value) or math.isinf(value):
        return "not comparable"
    return f"{value:.2e}" if value else "none"


def _row(index: int, layer: LayerError, low: int, high: int) -> dict[str, Any]:
    moved = tuple(layer.permutation) != tuple(range(len(layer.permutation)))
    return {
        "x": index,
        "y": min(max(_decade(layer.error.maximum), low + 0.3), high - 0.4),
        "allowed": min(max(_decade(layer.budget.maximum), low + 0.3), high - 0.4),
        "operator": layer.operator,
        "place": layer.place,
        "value": layer.value,
        "error": number(layer.error.maximum),
        "local": "not asked" if layer.local is None else number(layer.local.maximum),
        "budget": number(layer.budget.maximum),
        "axes": f"permuted {layer.permutation}" if moved else "as in the source",
        "within": layer.is_right,
        "at_fault": layer.is_at_fault,
    }


def _columns(rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    names = ("x", "y", "allowed", "operator", "place", "value", "error", "local", "budget", "axes")
    return {name: [row[name] for row in rows] for name in names}


def _is_number(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _decade(value: float) -> float:
    if not value:
        return float(LOWEST)
    return math.log10(value) if _is_number(value) else float("inf")
