"""Which outputs are on a grid, where one unit is no error."""

from __future__ import annotations

import pytest

from mmconvert.verification.quanta import is_too_many, quantum
from tests.verification.graphs import graph_of


def graph(lines: list[str], result: str) -> str:
    head = f'graph "net"(x: f32[2,3], state: i8[2,3]) -> (y: {result})'
    made = ["%scale: f32[] = 0.25", "%zero: i8[] = 0", "%1 = Quantize(x, %scale, %zero) {dtype=i8}"]
    return "\n".join([head, *(f"  {line}" for line in [*made, *lines])])


@pytest.mark.parametrize(
    ("lines", "result", "unit"),
    [
        (["return %1"], "i8[2,3]", 1.0),
        (["%2 = Concat(state, %1) {axis=1}", "return %2"], "i8[2,6]", 1.0),
        (["%2 = Concat(%1, state) {axis=1}", "%3 = Concat(%2, %2) {axis=0}", "return %3"], "i8[4,6]", 1.0),
        (["%2 = Concat(state, state) {axis=1}", "return %2"], "i8[2,6]", 0.0),
        (["%2 = Dequantize(%1, %scale, %zero)", "return %2"], "f32[2,3]", 0.25),
        (["%2 = Abs(x)", "return %2"], "f32[2,3]", 0.0),
    ],
)
def test_quantum(lines: list[str], result: str, unit: float) -> None:
    assert quantum(graph_of(graph(lines, result)).outputs[0]) == unit


@pytest.mark.parametrize(
    ("moved", "count", "too_many"),
    [(0, 9, False), (1, 1, False), (1, 9, False), (2, 9, True), (2, 20, False), (3, 20, True), (9, 9, True)],
)
def test_how_many_values_rounding_moves(moved: int, count: int, too_many: bool) -> None:
    """One of a few may be moved, and a tenth of many."""
    assert is_too_many(moved / count, count) is too_many
