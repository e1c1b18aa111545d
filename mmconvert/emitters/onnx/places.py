"""Where the extents of a graph can be read off, as far as it has been written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mmconvert import dtypes
from mmconvert.ir.dims import Dim, Extent
from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import ReadExtents
from mmconvert.ir.types import Shape


@dataclass(slots=True)
class Places:
    """What has been seen of a graph; it grows with the graph that is written.

    Attributes:
        axes: for each unknown extent, the shapes that it is in, with its axis, and a value of that shape.
        vectors: the int64 vectors whose elements are extents, by these.
        scalars: the int64 scalars that are an extent, by this.
        names: the nodes that say what the run makes of a symbol, by its name.
        lines: extents that say what a symbol is, ``factor * name + offset``, by its name.
    """

    axes: dict[Extent, dict[tuple[Shape, int], Value]] = field(default_factory=dict)
    vectors: dict[Shape, Value] = field(default_factory=dict)
    scalars: dict[Extent, Value] = field(default_factory=dict)
    names: dict[str, Node[ReadExtents]] = field(default_factory=dict)
    lines: dict[str, Dim] = field(default_factory=dict)
    _next: Node[Op] | None = None
    _rest: Iterator[Node[Op]] = field(default_factory=lambda: iter(()))

    def advance(self, graph: Graph, here: Node[Op]) -> None:
        """Goes on to what stands before ``here``: the inputs first, they cost nothing to keep."""
        if self._next is None:
            self._rest = iter(graph)
            self._next = next(self._rest, here)
            for value in graph.inputs:
                self._see(value)
        while self._next is not here:
            outputs = self._next.outputs
            for value in outputs:
                # Of several outputs, the file may lack those that nobody reads.
                if value.uses or len(outputs) == 1:
                    self._see(value)
            self._next = next(self._rest, here)

    def _see(self, value: Value) -> None:
        shape, content = value.type.shape, value.extents
        for axis, extent in enumerate(shape):
            if isinstance(extent, Dim):
                self.axes.setdefault(extent, {})[shape, axis] = value
                if (line := extent.line) is not None:
                    self.lines.setdefault(line[0], extent)
        if is_op(value.producer, ReadExtents):
            for extent in value.producer.op.names:
                if isinstance(extent, Dim) and extent.name:
                    self.names[extent.name] = value.producer
        elif content is not None and value.type.dtype == dtypes.I64:
            if value.type.rank == 1:
                self.vectors[content] = value
            elif value.type.rank == 0:
                self.scalars[content[0]] = value
