"""The case table of PyTorch."""

from . import layers, numbers, shapes, writes
from .row import Row

ROWS: tuple[Row, ...] = (*layers.ROWS, *numbers.ROWS, *shapes.ROWS, *writes.ROWS)
