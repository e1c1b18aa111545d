"""One row for each layer and each setting that changes what it computes."""

from __future__ import annotations

from . import activation, attention, conv, merge, norm, pool, recurrent, shape
from .row import Row

FAMILIES = (conv, pool, norm, shape, activation, merge, recurrent, attention)

ROWS: list[Row] = [row for family in FAMILIES for row in family.ROWS]
