"""How far the elements of one output are from the truth: those of the target beside the source's own."""

from __future__ import annotations

import math
from typing import Any

from bokeh.models import ColumnDataSource, Span

from mmconvert.report.charts.style import BUDGET, SOURCE, TARGET, decades, hover, plot, power, span
from mmconvert.verification.evidence import LOWEST, STEP, Histogram


def chart(histogram: Histogram, budget: float | None) -> Any:
    """Bars for the target, an outline for the source; the budget as a line.

    Args:
        histogram: with at least one bin.
        budget: what the largest difference may be; None where that is no single number.
    """
    count = len(histogram.target)
    left = [histogram.first + STEP * i for i in range(count)]
    low, high = math.floor(left[0]), math.ceil(left[-1] + STEP)
    drawn = budget is not None and math.isfinite(budget) and budget > 0
    if drawn and budget is not None:
        low, high = min(low, math.floor(math.log10(budget))), max(high, math.ceil(math.log10(budget) + 0.2))
    top = 1.12 * max(max(histogram.target), max(histogram.source), 1)
    made = plot(280, x_range=span(low, high), y_range=span(0, top))
    decades(made, made.xaxis[0], low, high)
    made.xaxis.axis_label = "difference to the truth, over scale"
    if left[0] == LOWEST:
        made.xaxis.major_label_overrides |= {low: f"≤{power(low)}"}
    made.yaxis.axis_label = "elements"
    data = ColumnDataSource(
        {
            "left": left,
            "right": [x + STEP for x in left],
            "target": histogram.target,
            "source": histogram.source,
            "range": [f"{10**x:.1e} to {10 ** (x + STEP):.1e}" for x in left],
        }
    )
    sides = {"left": "left", "right": "right", "bottom": 0, "source": data}
    bars = made.quad(top="target", fill_color=TARGET, fill_alpha=0.65, line_color=None, name="bars", **sides)
    made.quad(top="source", fill_color=SOURCE, fill_alpha=0.25, line_color=SOURCE, line_width=1.5, **sides)
    if drawn and budget is not None:
        made.add_layout(
            Span(
                location=math.log10(budget),
                dimension="height",
                line_color=BUDGET,
                line_width=2,
                line_dash="dashed",
            )
        )
    hover(made, [bars], [("difference", "@range"), ("target", "@target"), ("source", "@source")])
    return made
