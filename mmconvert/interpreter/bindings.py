"""What the symbolic extents of a graph are in one run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mmconvert.errors import UsageError
from mmconvert.ir.dims import Dim, Extent, substitute
from mmconvert.ir.types import Array, TensorType


class Bindings:
    """Names of extents and their values, learnt from the shapes of inputs and of data-dependent results.

    Args:
        known: what is known already.
    """

    def __init__(self, known: Mapping[str, int] | None = None) -> None:
        self.known: dict[str, int] = dict(known or {})

    def bind(self, type: TensorType, shape: tuple[int, ...], name: str) -> None:
        """Learns from a graph input.

        Raises:
            UsageError: ``shape`` is not a shape of ``type``, or contradicts another input.
        """
        expected = f"the input {name!r} is {type}"
        if len(shape) != type.rank:
            raise UsageError(f"{expected}, not of shape {list(shape)}")
        self.discover(type, shape)
        for extent, actual in zip(type.shape, shape, strict=True):
            if substitute(extent, self.known) != actual:
                known = {
                    n: v for n, v in self.known.items() if isinstance(extent, Dim) and n in extent.symbols
                }
                given = f" with {', '.join(f'{n}={v}' for n, v in known.items())}" if known else ""
                raise UsageError(f"{expected}{given}, not of shape {list(shape)}")

    def discover(self, type: TensorType, shape: tuple[int, ...]) -> None:
        """Learns the names in ``type`` that nothing has bound so far."""
        for extent, actual in zip(type.shape, shape, strict=True):
            if isinstance(extent, Dim) and (line := extent.line) is not None:
                symbol, factor, offset = line
                if (actual - offset) % factor == 0:
                    self.known.setdefault(symbol, (actual - offset) // factor)

    def read(self, names: Iterable[Extent], array: Array) -> None:
        """Learns the elements of ``array`` under their names."""
        for extent, actual in zip(names, array.reshape(-1), strict=False):
            if isinstance(extent, Dim) and (symbol := extent.name) is not None:
                self.known[symbol] = int(actual)
