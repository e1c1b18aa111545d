"""TFLite rules for transposed convolution."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.conv import conv_2d, flat_padding, heighten, options_3d
from mmconvert.emitters.tflite.fusion import Tail
from mmconvert.emitters.tflite.groups import one_by_one
from mmconvert.emitters.tflite.layouts import channels_last
from mmconvert.emitters.tflite.windows import pad
from mmconvert.emitters.tflite.writer import Writer, known
from mmconvert.errors import UnsupportedError
from mmconvert.ir import dims, geometry
from mmconvert.ir.geometry import Explicit
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Conv, ConvTranspose
from mmconvert.ir.types import Array, Extent, Layout, Shape
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("TFLite")


@rule(ConvTranspose)
@channels_last
def conv_transpose(node: Node[ConvTranspose], out: Writer) -> None:
    op, x, weight = node.op, node.operand(0), node.operand(1)
    tail = out.tail(node)
    bias = node.optional(2) or tail.bias
    if x.type.rank > 5:
        raise UnsupportedError(f"TFLite convolves over 1 to 3 axes, not {x.type.rank - 2}")
    if any(d != 1 for d in op.dilations):
        op, weight = _spread(op, weight, out)
    if x.type.rank == 3:
        _one_axis(op, x, weight, bias, tail, out)
    elif op.groups == 1:
        _dense(op, x, weight, bias, tail, out)
    elif x.type.rank == 4:
        _grouped(op, x, weight, bias, tail, out)
    else:
        single = replace(op, groups=1)
        one_by_one(out, x, weight, bias, tail, op.groups, lambda x, w, b, t: _dense(single, x, w, b, t, out))


def _spread(op: ConvTranspose, weight: Value, out: Writer) -> tuple[ConvTranspose, Value]:
    """A dilated kernel as a larger one with zeros between its elements."""
    if weight.constant is None:
        raise UnsupportedError("TFLite's TRANSPOSE_CONV has no dilation, and the kernel is not a constant")
    shape = weight.constant.shape
    spread = (shape[0], *geometry.dilated(shape[1:-1], op.dilations), shape[-1])
    index = (slice(None), *(slice(None, None, d) for d in op.dilations))

    def fill(array: Array) -> Array:
        large = np.zeros(spread, array.dtype)
        large[index] = array
        return large

    undilated = replace(op, dilations=(1,) * len(op.dilations))
    return undilated, out.tensor(weight.constant.rearrange(fill, spread), weight.name)


def _one_axis(
    op: ConvTranspose, x: Value, weight: Value, bias: Value | None, tail: Tail, out: Writer
) -> None:
    line = tail.output
    inner = Value(line.type.with_shape(heighten(line.type.shape)), f"{out.scope}/rows")
    wide = replace(
        op,
        strides=(1, *op.strides),
        dilations=(1, *op.dilations),
        padding=flat_padding(op.padding),
        output_padding=(0, *op.output_padding),
    )
    image, kernel = (out.reshape(v, heighten(v.type.shape)) for v in (x, weight))
    write = _dense if op.groups == 1 else _grouped
    write(wide, image, kernel, bias, Tail(inner, None, tail.activation), out)
    out.reshape_into(inner, line)


@dataclass(frozen=True, slots=True)
class _Reach:
    """What a transposed convolution covers, and which part of it is wanted.

    Attributes:
        full: the extents of everything that the kernel reaches.
        starts: where the wanted part begins.
        wanted: its extents; it may go on behind ``full``, over zeros.
    """

    extents: Shape
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    full: Shape
    starts: tuple[int, ...]
    wanted: Shape

    @classmethod
    def of(cls, op: ConvTranspose, x: Value, weight: Value, y: Value) -> _Reach:
        kernel = known(weight.type.shape[1:-1], "the kernel")
        extents = x.type.shape[1:-1]
        full = tuple((e - 1) * s + k for e, s, k in zip(extents, op.strides, kernel, strict=True))
        crops = geometry.resolve_transposed(op.padding, kernel, op.strides, op.output_padding)
        return cls(
            extents, kernel, op.strides, full, tuple(before for before, _ in crops), y.type.shape[1:-1]
        )

    @property
    def is_same(self) -> bool:
        """True when SAME crops so: by the padding of a convolution from the result back to the input."""
        for extent, k, s, start, wanted in zip(
            self.extents, self.kernel, self.strides, self.starts, self.wanted, strict=True
        ):
            total = dims.maximum((dims.ceildiv(wanted, s) - 1) * s + k - wanted, 0)
            if dims.ceildiv(wanted, s) != extent or dims.floordiv(total, 2) != start:
                return False
        return True

    @property
    def whole(self) -> Shape:
        """Extents that VALID can give and that contain the wanted part."""
        return tuple(
            dims.maximum(full, start + wanted)
            for full, start, wanted in zip(self.full, self.starts, self.wanted, strict=True)
        )


def _dense(op: ConvTranspose, x: Value, weight: Value, bias: Value | None, tail: Tail, out: Writer) -> None:
    reach = _Reach.of(op, x, weight, tail.output)
    if any(start < 0 for start in reach.starts):
        raise UnsupportedError(f"the padding {op.padding} of a transposed convolution adds elements")
    padding = tfl.Padding.SAME if reach.is_same else tfl.Padding.VALID
    whole = reach.wanted if reach.is_same else reach.whole
    shape = (x.type.shape[0], *whole, tail.output.type.shape[-1])
    covers = shape == tail.output.type.shape
    result = tail.output if covers else Value(x.type.with_shape(shape), f"{out.scope}/whole")
    inner = Tail(result, bias, tail.activation)
    (_write_3d if x.type.rank == 5 else _write_2d)(op, x, weight, inner, padding, out)
    if not covers:
        begin = out.extents.vector((0, *reach.starts, 0))
        out(tfl.SLICE, (result, begin, out.extents.vector(tail.output.type.shape)), tail.output)


def _write_2d(
    op: ConvTranspose, x: Value, weight: Value, tail: Tail, padding: tfl.Padding, out: Writer
) -> None:
    # I H W O -> O H W I
    operands = [out.extents.vector(tail.output.type.shape), out.transpose(weight, (3, 1, 2, 0)), x]
    if tail.bias is not None:
        operands.append(out.reshape(tail.bias, (tail.bias.type.size,)))
    out(
        tfl.TRANSPOSE_CONV,
        operands,
        tail.output,
        padding=padding,
        stride_h=op.strides[0],
        stride_w=op.strides[1],
        fused_activation_function=tail.activation,
    )


def _write_3d(
    op: ConvTranspose, x: Value, weight: Value, tail: Tail, padding: tfl.Padding, out: Writer
) -> None:
    # I D H W O -> D H W O I
    kernel = out.transpose(weight, (1, 2, 3, 4, 0))
    operands = [out.extents.vector(tail.output.type.shape), kernel, x]
    if tail.bias is not None:
        operands.append(out.reshape(tail.bias, (tail.bias.type.size,)))
    out(
        tfl.CONV_3D_TRANSPOSE,
        operands,
        tail.output,
        **options_3d(op.strides, op.dilations, padding, tail),
    )


def _grouped(op: ConvTranspose, x: Value, weight: Value, bias: Value | None, tail: Tail, out: Writer) -> None:
    """As a grouped convolution over the input with zeros between its elements."""
    reach = _Reach.of(op, x, weight, tail.output)
    x = _stretch(x, op.strides, out)
    pads: list[tuple[Extent, Extent]] = []
    for extent, k, start, wanted in zip(
        x.type.shape[1:-1], reach.kernel, reach.starts, reach.wanted, strict=True
    ):
        before = k - 1 - start
        pads.append((before, wanted + k - 1 - before - extent))
    x = _pad_or_crop(x, pads, out)
    straight = Conv(
        strides=(1, 1),
        dilations=(1, 1),
        padding=Explicit.zero(2),
        groups=op.groups,
        layout=Layout.NHWC,
    )
    conv_2d(straight, x, _turned(weight, op.groups, out), vector_of(bias, tail, out), tail, out)


def vector_of(bias: Value | None, tail: Tail, out: Writer) -> Value:
    """The bias over the channels of the result, zeros where there is none."""
    if bias is not None:
        return bias
    (channels,) = known(tail.output.type.shape[-1:], "the number of filters")
    return out.constant(np.zeros(channels, tail.output.type.dtype))


def _turned(weight: Value, groups: int, out: Writer) -> Value:
    """The kernel of the convolution that does the same: ``I H W O/g``, turned by 180 degrees."""
    if weight.constant is None:
        raise UnsupportedError(
            f"{groups} groups of a transposed convolution need a constant kernel in TFLite"
        )
    taken, height, width, kept = weight.constant.shape
    shape = (groups * kept, height, width, taken // groups)

    def turn(array: Array) -> Array:
        split = array[:, ::-1, ::-1].reshape(groups, taken // groups, height, width, kept)
        return np.ascontiguousarray(split.transpose(0, 4, 2, 3, 1)).reshape(shape)

    return out.tensor(weight.constant.rearrange(turn, shape), weight.name)


def _stretch(x: Value, strides: tuple[int, ...], out: Writer) -> Value:
    """``x`` with ``stride - 1`` zeros after each row and column."""
    n, h, w, c = x.type.shape
    down, across = strides
    if across > 1:
        x = out.reshape(x, (n * h, w, 1, c))
        x = pad(out, x, ((0, 0), (0, across - 1)))
    if down > 1:
        x = out.reshape(x, (n, h, 1, w * across * c))
        x = _pad_third(x, down - 1, out)
    return out.reshape(x, (n, h * down, w * across, c))


def _pad_third(x: Value, count: int, out: Writer) -> Value:
    return pad(out, x, ((0, 0), (0, count)))


def _pad_or_crop(x: Value, pads: list[tuple[Extent, Extent]], out: Writer) -> Value:
    """``x`` padded, after a SLICE where a pad is negative."""
    crops = [[-p if isinstance(p, int) and p < 0 else 0 for p in pair] for pair in pads]
    if any(map(any, crops)):
        sizes = tuple(
            e - before - after for e, (before, after) in zip(x.type.shape[1:-1], crops, strict=True)
        )
        shape = (x.type.shape[0], *sizes, x.type.shape[-1])
        begin = out.integers((0, *(before for before, _ in crops), 0))
        x = out.make(tfl.SLICE, (x, begin, out.extents.vector(shape)), x.type.with_shape(shape))
    added = [
        (before + front, after + back) for (before, after), (front, back) in zip(pads, crops, strict=True)
    ]
    return pad(out, x, added)
