"""Operators that take graphs."""

from __future__ import annotations

from typing import Any

import torch
from functorch.experimental.control_flow import map as mapped
from torch._higher_order_ops import scan

from .row import call


def _over(dim: int = 0, *, reverse: bool = False) -> Any:
    def apply(x: torch.Tensor, weight: torch.Tensor) -> Any:
        def cell(state: torch.Tensor, row: torch.Tensor) -> Any:
            made = torch.tanh(state @ weight + row)
            return made, made * 2

        return scan(cell, torch.zeros(3, 4), x, dim=dim, reverse=reverse)

    return apply


def _pairs(x: torch.Tensor, y: torch.Tensor) -> Any:
    def cell(state: Any, rows: Any) -> Any:
        total, last = state
        return (total + rows[0] * rows[1], rows[0] * 1), total - last

    return scan(cell, (y[0] * 1, y[1] * 1), (x, y))


ROWS = (
    call("scan", _over(), (5, 3, 4), (4, 4)),
    call("scan/axis", _over(1), (3, 5, 4), (4, 4)),
    call("scan/reverse", _over(reverse=True), (5, 3, 4), (4, 4)),
    call("scan/pairs", _pairs, (5, 3), (5, 3)),
    call("map", lambda x, y: mapped(lambda s, y: torch.sin(s) @ y, x, y), (5, 3, 4), (4, 2)),
)
