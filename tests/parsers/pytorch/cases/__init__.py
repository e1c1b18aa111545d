"""The case table of PyTorch."""

from . import graphs, layers, numbers, quantized, shapes, writes
from .row import Row

ROWS: tuple[Row, ...] = (
    *layers.ROWS,
    *numbers.ROWS,
    *shapes.ROWS,
    *writes.ROWS,
    *graphs.ROWS,
    *quantized.ROWS,
)
