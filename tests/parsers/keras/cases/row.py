"""A row of the table of cases: a name, an input, and the layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """A model of one layer, or of a few that belong together.

    Attributes:
        name: unique.
        shapes: of the inputs, without the batch.
        make: from ``keras.layers`` and the inputs to the outputs.
        dtype: of the inputs.
        tolerance: in units of the usual one.
        suffixes: of the formats that Keras itself can save the model in.
    """

    name: str
    shapes: tuple[tuple[int | None, ...], ...]
    make: Callable[..., Any]
    dtype: str = "float32"
    tolerance: float = 1.0
    suffixes: tuple[str, ...] = (".keras", ".h5")

    def build(self, keras: Any) -> Any:
        inputs = [keras.Input(shape, dtype=self.dtype) for shape in self.shapes]
        return keras.Model(inputs, self.make(keras, *inputs))


def rows(shape: tuple[int | None, ...], **layers: Callable[[Any], Any]) -> list[Row]:
    """Rows of layers over one input; ``layers`` make a layer from ``keras.layers``."""
    return [
        Row(name, (shape,), lambda keras, x, make=make: make(keras.layers)(x))
        for name, make in layers.items()
    ]


LINE, IMAGE, VOLUME = (9, 4), (7, 8, 4), (5, 6, 4, 2)
