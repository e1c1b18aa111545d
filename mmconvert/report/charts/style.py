"""The looks that all figures share, and how one becomes plain data with the same bytes every time."""

from __future__ import annotations

from typing import Any

from bokeh.embed import json_item
from bokeh.models import HoverTool, Range1d
from bokeh.plotting import figure

INK, MUTED, GRID = "#1f2937", "#56657a", "#e3e8ef"
TARGET, SOURCE, BUDGET = "#2563eb", "#8a97a8", "#c26a06"
RIGHT, WRONG, CARD, TINT = "#15803d", "#dc2626", "#ffffff", "#eef2f7"

DARK = {
    INK: "#e7ecf3",
    MUTED: "#9fb0c5",
    GRID: "#2b3646",
    TARGET: "#6ea8fe",
    SOURCE: "#7c8ba1",
    BUDGET: "#f5b94a",
    RIGHT: "#4ade80",
    WRONG: "#ff7b7b",
    CARD: "#17202d",
    TINT: "#222e3f",
}
"""What each colour is on a dark screen; the page swaps them."""

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"

EXPONENTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"


def plot(height: int, **options: Any) -> Any:
    """An empty figure as wide as the page: no tool is active, so that a finger scrolls the page."""
    made = figure(
        height=height,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        background_fill_alpha=0,
        border_fill_alpha=0,
        outline_line_color=None,
        min_border_right=14,
        **options,
    )
    made.xgrid.grid_line_color = None
    made.ygrid.grid_line_color = GRID
    for axis in made.axis:
        axis.axis_line_color = GRID
        axis.major_tick_line_color = GRID
        axis.minor_tick_line_color = None
        axis.major_label_text_color = MUTED
        axis.major_label_text_font = FONT
        axis.major_label_text_font_size = "12px"
        axis.axis_label_text_color = MUTED
        axis.axis_label_text_font = FONT
        axis.axis_label_text_font_size = "12px"
        axis.axis_label_text_font_style = "normal"
    return made


def hover(made: Any, renderers: list[Any], rows: list[tuple[str, str]], **options: Any) -> None:
    """Shows ``rows`` of what is under the pointer."""
    made.add_tools(HoverTool(renderers=renderers, tooltips=rows, **options))


def decades(made: Any, axis: Any, first: int, last: int) -> None:
    """Labels an axis of decimal logarithms, with as few labels as can be read."""
    step = max(1, -(-(last - first) // 6))
    ticks = list(range(first, last + 1, step))
    axis.ticker = ticks
    axis.major_label_overrides = {tick: power(tick) for tick in ticks}


def power(exponent: int) -> str:
    """``-7`` -> ``"10⁻⁷"``."""
    digits = "".join(EXPONENTS[int(digit)] for digit in str(abs(exponent)))
    return f"10{'⁻' if exponent < 0 else ''}{digits}"


def span(low: float, high: float) -> Range1d:
    """A range that nothing moves."""
    return Range1d(low, high)


def item(made: Any, target: str) -> dict[str, Any]:
    """A figure as data that the page embeds into the element ``target``.

    Bokeh numbers its models through the life of a process; here they count from 1, so that the same figure
    has the same bytes.
    """
    numbers: dict[str, str] = {}
    data: dict[str, Any] = _renumbered(json_item(made, target), numbers)
    return {**data, "root_id": numbers[data["root_id"]]}


def _renumbered(data: Any, numbers: dict[str, str]) -> Any:
    # What a user named stands in lists: Bokeh writes mappings as lists of entries.
    if isinstance(data, dict):
        return {
            key: numbers.setdefault(value, f"m{len(numbers) + 1}")
            if key == "id" and isinstance(value, str)
            else _renumbered(value, numbers)
            for key, value in data.items()
        }
    if isinstance(data, list):
        return [_renumbered(value, numbers) for value in data]
    return data
