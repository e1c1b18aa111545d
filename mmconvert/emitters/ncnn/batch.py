"""Batches of several members, which NCNN does not have.

A batch of pictures is a stack: a layer over three axes has the extent 1 along the batch. Volumes, and what
else has no such layer, go one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mmconvert.emitters.ncnn.blob import Blob, known
from mmconvert.emitters.ncnn.shape import crop
from mmconvert.emitters.ncnn.writer import Writer
from mmconvert.ir import dims
from mmconvert.ir.geometry import Pads
from mmconvert.ir.graph import Value
from mmconvert.ir.types import Shape


class Pictures:
    """The pictures of a batch, channels first, as layers over their spatial axes take them.

    Attributes:
        stacked: whether they are one blob, with the batch as the first of the spatial axes.
    """

    def __init__(self, x: Value, out: Writer) -> None:
        """
        Raises:
            UnsupportedError: the batch is of unknown extent.
        """
        (batch,) = known(x.type.shape[:1], "the batch, as it has no axis for it")
        self._out, self.stacked = out, batch > 1 and x.type.rank <= 4
        if self.stacked:
            turned = out.permute(out.blob(x), x.type.shape, _exchanged(x.type.rank))
            self._sources = [out.view(turned, self.shape(x.type.shape))]
        else:
            self._sources = items(x, out)

    def shape(self, shape: Shape) -> Shape:
        """The shape of a blob that stands for a value of ``shape``, or for a member of it."""
        return (shape[1], shape[0], *shape[2:]) if self.stacked else shape[1:]

    def sizes(self, sizes: Sequence[int], along_batch: int = 1) -> tuple[int, ...]:
        """Sizes along the spatial axes of a blob."""
        return (along_batch, *sizes) if self.stacked else tuple(sizes)

    def pads(self, pads: Pads) -> Pads:
        """Padding of the spatial axes of a blob."""
        return ((0, 0), *pads) if self.stacked else pads

    def through(self, layer: Callable[[Blob], Blob], output: Value) -> None:
        """Writes ``layer`` over every blob, and makes ``output`` of what comes out."""
        parts = [layer(source) for source in self._sources]
        if not self.stacked:
            join(parts, output, self._out)
            return
        turned = self.shape(output.type.shape)
        self._out.place(output, self._out.permute(parts[0], turned, _exchanged(output.type.rank)))


def _exchanged(rank: int) -> tuple[int, ...]:
    return (1, 0, *range(2, rank))


def items(value: Value, out: Writer) -> list[Blob]:
    """The members of a batch, each without the batch axis."""
    (batch,) = known(value.type.shape[:1], "the batch, as it has no axis for it")
    shape = value.type.shape[1:]
    if batch == 1:
        return [out.blob(value, shape)]
    rows = out.blob(value, (batch, dims.product(shape)))
    return [out.view(crop(rows, rows.shape, [(0, i, 1)], out)[0], shape) for i in range(batch)]


def join(parts: list[Blob], result: Value, out: Writer) -> None:
    """Makes a batch of its members."""
    if len(parts) == 1:
        out.place(result, parts[0])
        return
    size = dims.product(parts[0].shape)
    rows = [out.view(part, (1, size)) for part in parts]
    out.place(result, out.layer("Concat", rows, (len(parts), size), axis=0))
