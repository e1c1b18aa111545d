"""TFLite rules for convolution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.fusion import Tail
from mmconvert.emitters.tflite.groups import one_by_one
from mmconvert.emitters.tflite.layouts import channels_last
from mmconvert.emitters.tflite.windows import Windows, settle
from mmconvert.emitters.tflite.writer import Writer, known
from mmconvert.errors import UnsupportedError
from mmconvert.ir import geometry
from mmconvert.ir.geometry import Explicit, Padding
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Conv
from mmconvert.ir.types import Shape
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("TFLite")


@rule(Conv)
@channels_last
def conv(node: Node[Conv], out: Writer) -> None:
    op, x, weight = node.op, node.operand(0), node.operand(1)
    tail = out.tail(node)
    bias = node.optional(2) or tail.bias
    if x.type.rank == 3:
        _conv_1d(op, x, weight, bias, tail, out)
    elif x.type.rank == 4:
        conv_2d(op, x, weight, bias, tail, out)
    elif x.type.rank == 5:
        _conv_3d(op, x, weight, bias, tail, out)
    else:
        raise UnsupportedError(f"TFLite convolves over 1 to 3 axes, not {x.type.rank - 2}")


def flat_padding(padding: Padding) -> Padding:
    """The padding of one axis for two, of which the first has the extent 1."""
    return Explicit(((0, 0), *padding.pads)) if isinstance(padding, Explicit) else padding


def heighten(shape: Shape) -> Shape:
    """A shape with an axis of extent 1 after the batch: a line as an image of one row."""
    return (shape[0], 1, *shape[1:])


def _conv_1d(op: Conv, x: Value, weight: Value, bias: Value | None, tail: Tail, out: Writer) -> None:
    image = out.reshape(x, heighten(x.type.shape))
    kernel = out.reshape(weight, heighten(weight.type.shape))
    line = tail.output
    inner = Value(line.type.with_shape(heighten(line.type.shape)), f"{out.scope}/rows")
    wide = replace(
        op, strides=(1, *op.strides), dilations=(1, *op.dilations), padding=flat_padding(op.padding)
    )
    conv_2d(wide, image, kernel, bias, Tail(inner, None, tail.activation), out)
    out.reshape_into(inner, line)


def conv_2d(op: Conv, x: Value, weight: Value, bias: Value | None, tail: Tail, out: Writer) -> None:
    """Writes a convolution over images; ``tail.bias`` is passed as ``bias``."""
    kernel = known(weight.type.shape[1:3], "the kernel")
    windows = Windows.over(x, tail.output, geometry.dilated(kernel, op.dilations), op.strides, op.padding)
    x, padding = settle(out, x, windows)
    options = {
        "padding": padding,
        "stride_h": op.strides[0],
        "stride_w": op.strides[1],
        "dilation_h_factor": op.dilations[0],
        "dilation_w_factor": op.dilations[1],
        "fused_activation_function": tail.activation,
    }
    filters, seen = weight.type.shape[0], weight.type.shape[3]
    bias = vector(out, bias, weight)
    if op.groups != 1 and seen == 1 and isinstance(filters, int):
        depthwise = out.transpose(weight, (3, 1, 2, 0))
        options["depth_multiplier"] = filters // op.groups
        out(tfl.DEPTHWISE_CONV_2D, (x, depthwise, bias), tail.output, **options)
    else:
        out(tfl.CONV_2D, (x, weight, bias), tail.output, **options)


def vector(out: Writer, bias: Value | None, weight: Value) -> Value:
    """The bias as a vector over the filters; zeros where there is none, because kernels crash without."""
    if bias is not None:
        return out.reshape(bias, (bias.type.size,))
    (filters,) = known(weight.type.shape[:1], "the number of filters")
    return out.constant(np.zeros(filters, weight.type.dtype))


def _conv_3d(op: Conv, x: Value, weight: Value, bias: Value | None, tail: Tail, out: Writer) -> None:
    if op.groups != 1:
        single = replace(op, groups=1)
        one_by_one(
            out, x, weight, bias, tail, op.groups, lambda x, w, b, t: _conv_3d(single, x, w, b, t, out)
        )
        return
    kernel = known(weight.type.shape[1:4], "the kernel")
    windows = Windows.over(x, tail.output, geometry.dilated(kernel, op.dilations), op.strides, op.padding)
    x, padding = settle(out, x, windows)
    out(
        tfl.CONV_3D,
        (x, out.transpose(weight, (1, 2, 3, 4, 0)), vector(out, bias, weight)),
        tail.output,
        **options_3d(op.strides, op.dilations, padding, tail),
    )


def options_3d(
    strides: tuple[int, ...], dilations: tuple[int, ...], padding: tfl.Padding, tail: Tail
) -> dict[str, int]:
    """The options of CONV_3D and its transpose."""
    return {
        "padding": padding,
        "fused_activation_function": tail.activation,
        **{f"stride_{axis}": s for axis, s in zip("dhw", strides, strict=True)},
        **{f"dilation_{axis}_factor": d for axis, d in zip("dhw", dilations, strict=True)},
    }
