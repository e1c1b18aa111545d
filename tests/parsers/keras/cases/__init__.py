"""One row for each layer and each setting that changes what it computes."""

from __future__ import annotations

from . import activation, attention, conv, keras2, merge, norm, pool, preprocessing, recurrent, shape
from .row import Row

FAMILIES = (conv, pool, norm, shape, activation, merge, recurrent, attention, preprocessing)

ROWS: list[Row] = [row for family in FAMILIES for row in family.ROWS]

ROWS_2: list[Row] = [*(row for row in ROWS if not keras2.is_later(row)), *keras2.ROWS]
"""What Keras 2 has."""
