"""The cell of ConvLSTM layers: an LSTM whose products are convolutions."""

from __future__ import annotations

from dataclasses import replace

from mmconvert.ir import geometry
from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Same
from mmconvert.ir.graph import Value
from mmconvert.ir.ops import Add, Mul, Reshape, Split
from mmconvert.ir.types import Extent, Layout, Shape
from mmconvert.parsers.keras.activations import activate
from mmconvert.parsers.keras.cells import Cell
from mmconvert.parsers.keras.conv import convolve, input_major, window_of
from mmconvert.parsers.keras.layer import KerasLayer


class ConvLstmCell(Cell):
    """Gates i, f, c, o along the channels; the state, an image, is the output and the cell.

    Shi et al., "Convolutional LSTM network", 2015, without peepholes.
    """

    def __init__(self, layer: KerasLayer, x: Value) -> None:
        self.layer = layer
        layer.ignore("dropout", "recurrent_dropout", "unit_forget_bias")
        self.window = window_of(layer)
        rank = self.window.rank + 2
        x.type.require_rank(rank + 1)
        self.filters, self.axis = layer.integer("filters"), self.window.layout.channel_axis(rank)
        gates = 4 * self.filters
        shapes: dict[str, tuple[int, ...] | None] = {
            "kernel": (*self.window.kernel, layer.extent(x, self.axis + 1), gates),
            "recurrent_kernel": (*self.window.kernel, self.filters, gates),
        }
        if layer.flag("use_bias", True):
            shapes["bias"] = (gates,)
        self.kernel, self.recurrent, *self.bias = layer.variables(shapes)
        self.state = (x.type.with_shape((x.type.shape[0], *self._image(x.type.shape[2:], self.filters))),) * 2

    def _image(self, extents: Shape, channels: int) -> Shape:
        """The extents of one image behind the convolution; ``extents`` are those of one before it."""
        window = self.window
        axes = [axis - 1 for axis in window.layout.spatial_axes(window.rank + 2)]
        covered = geometry.dilated(window.kernel, window.dilations)
        sizes = geometry.windows([extents[a] for a in axes], covered, window.strides, window.padding)
        return (*sizes, channels) if window.layout is Layout.NHWC else (channels, *sizes)

    def project(self, b: Builder, x: Value) -> Value:
        """See the base class."""
        batch, time, *image = x.type.shape
        steps: Extent = batch * time
        images = b(Reshape(shape=(steps, *image)), x)
        weight = self.layer.weight("kernel", input_major(self.kernel, self.window))
        bias = self.layer.weight("bias", self.bias[0]) if self.bias else None
        y = convolve(b, self.window, 1, images, weight, bias)
        return b(Reshape(shape=(batch, time, *y.type.shape[1:])), y)

    def step(self, layer: KerasLayer, v: Value, state: list[Value]) -> list[Value]:
        """See the base class."""
        b, (h, c) = layer.b, state
        ones = (1,) * self.window.rank
        window = replace(self.window, strides=ones, dilations=ones, padding=Same())
        weight = layer.weight("recurrent_kernel", input_major(self.recurrent, window))
        gates = b(Add(), v, convolve(b, window, 1, h, weight, None))
        parts = b.multi(Split(axis=self.axis, sizes=(self.filters,) * 4), gates)
        i, f, o = (activate(layer, parts[gate], "recurrent_activation") for gate in (0, 1, 3))
        c = b(Add(), b(Mul(), f, c), b(Mul(), i, activate(layer, parts[2])))
        return [b(Mul(), o, activate(layer, c)), c]
