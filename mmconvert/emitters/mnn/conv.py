"""MNN rules for convolution."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mmconvert.emitters.flat import Table
from mmconvert.emitters.mnn.fusion import Tail
from mmconvert.emitters.mnn.layouts import channels_first
from mmconvert.emitters.mnn.schema import table
from mmconvert.emitters.mnn.shape import take
from mmconvert.emitters.mnn.weights import floats, weights
from mmconvert.emitters.mnn.windows import CAFFE, SAME, heighten, higher, settle, spell
from mmconvert.emitters.mnn.writer import Writer, known
from mmconvert.errors import UnsupportedError
from mmconvert.ir import geometry
from mmconvert.ir.geometry import Pads
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Conv, ConvTranspose
from mmconvert.rules import Rules
from mmconvert.tensors import Tensor

rule: Rules[type[Op]] = Rules("MNN")


@rule(Conv, ConvTranspose)
@channels_first
def conv(node: Node[Conv | ConvTranspose], out: Writer) -> None:
    op, x, weight = node.op, node.operand(0), node.operand(1)
    tail = out.tail(node)
    bias = node.optional(2) or tail.bias
    if op.groups > 1 and (
        x.type.rank == 5 or (isinstance(op, ConvTranspose) and not _is_depthwise(op, x, tail))
    ):
        _one_by_one(node, bias, tail, out)
    elif x.type.rank == 3:
        _conv_1d(op, x, weight, bias, tail, out)
    elif x.type.rank == 4:
        _conv_2d(op, x, weight, bias, tail, out)
    elif x.type.rank == 5:
        _conv_3d(op, x, weight, bias, tail, out)
    else:
        raise UnsupportedError(f"MNN convolves over 1 to 3 axes, not {x.type.rank - 2}")


def _is_depthwise(op: Conv | ConvTranspose, x: Value, tail: Tail) -> bool:
    return op.groups > 1 and op.groups == x.type.shape[1] == tail.output.type.shape[1]


def _one_by_one(node: Node[Conv | ConvTranspose], bias: Value | None, tail: Tail, out: Writer) -> None:
    """Writes each group apart."""
    op, x, weight, y = node.op, node.operand(0), node.operand(1), tail.output
    if weight.constant is None or (bias is not None and bias.constant is None):
        raise UnsupportedError("MNN has groups of constant weights")
    channels = known((x.type.shape[1], y.type.shape[1]), "the number of channels")
    seen, made = (c // op.groups for c in channels)
    rows = weight.constant.shape[0] // op.groups
    parts = []
    for g in range(op.groups):
        part = Value(x.type.with_shape((x.type.shape[0], seen, *x.type.shape[2:])), f"{out.scope}/group")
        take(out, x, (1,), (g * seen,), (seen,), (1,), part)
        kernel = out.tensor(_rows(weight.constant, g * rows, rows), weight.name)
        own = None
        if bias is not None and bias.constant is not None:
            own = out.tensor(_rows(bias.constant.reshape((channels[1],)), g * made, made), bias.name)
        result = Value(y.type.with_shape((y.type.shape[0], made, *y.type.shape[2:])), f"{out.scope}/group")
        single: Node[Any] = Node(
            replace(op, groups=1), (part, kernel, own), (result,), node.name, node.origin
        )
        out.plan.tails[single] = replace(tail, output=result, bias=None)
        conv(single, out)
        parts.append(result)
    out("Concat", parts, y, packed=out.is_packed(*parts), axis=1)


def _rows(tensor: Tensor, start: int, count: int) -> Tensor:
    return tensor.rearrange(lambda a: a[start : start + count], (count, *tensor.shape[1:]))


def _conv_1d(
    op: Conv | ConvTranspose, x: Value, weight: Value, bias: Value | None, tail: Tail, out: Writer
) -> None:
    image = out.reshape(x, heighten(x.type.shape))
    kernel = out.reshape(weight, heighten(weight.type.shape))
    line = tail.output
    inner = Value(line.type.with_shape(heighten(line.type.shape)), f"{out.scope}/row")
    wide: Conv | ConvTranspose = replace(
        op, strides=(1, *op.strides), dilations=(1, *op.dilations), padding=higher(op.padding)
    )
    if isinstance(wide, ConvTranspose):
        wide = replace(wide, output_padding=(0, *wide.output_padding))
    _conv_2d(wide, image, kernel, bias, replace(tail, output=inner), out)
    out.reshape_into(inner, line)


def _conv_2d(
    op: Conv | ConvTranspose, x: Value, weight: Value, bias: Value | None, tail: Tail, out: Writer
) -> None:
    kernel = known(weight.type.shape[2:], "the kernel")
    transposed = isinstance(op, ConvTranspose)
    channels = known((x.type.shape[1], tail.output.type.shape[1]), "the number of channels")
    depthwise = _is_depthwise(op, x, tail)
    common = {
        "kernelX": kernel[1],
        "kernelY": kernel[0],
        "strideX": op.strides[1],
        "strideY": op.strides[0],
        "dilateX": op.dilations[1],
        "dilateY": op.dilations[0],
        "group": op.groups,
        "inputCount": channels[0],
        "outputCount": channels[1],
        "relu": tail.relu,
        "relu6": tail.relu6,
    }
    if isinstance(op, ConvTranspose):
        common |= _cropping(op, x, kernel)
    else:
        common |= spell(_padding(op, x, tail.output, kernel))
    kind = ("Deconvolution" if transposed else "Convolution") + ("Depthwise" if depthwise else "")
    operands, slots = constants(weight, bias, channels[1], out)
    out(
        kind, (x, *operands), tail.output, packed=True, common=table("Convolution2DCommon", **common), **slots
    )


def constants(
    weight: Value, bias: Value | None, channels: int, out: Writer
) -> tuple[list[Value], dict[str, Any]]:
    """The weights and the bias: as slots where they are constant, else as operands."""
    if weight.constant is None or (bias is not None and bias.constant is None):
        return [weight] if bias is None else [weight, out.reshape(bias, (channels,))], {}
    fixed = None if bias is None else bias.constant
    numbers = np.zeros(channels, np.float32) if fixed is None else fixed.numpy().reshape(-1)
    return [], {**weights(weight.constant), "bias": numbers.tolist()}


def _padding(op: Conv, x: Value, y: Value, kernel: tuple[int, ...]) -> Pads | None:
    covered = geometry.dilated(kernel, op.dilations)
    return settle(op.padding, x.type.shape[2:], y.type.shape[2:], covered, op.strides)


def _cropping(op: ConvTranspose, x: Value, kernel: tuple[int, ...]) -> dict[str, Any]:
    covered = geometry.dilated(kernel, op.dilations)
    pads = geometry.resolve_transposed(op.padding, covered, op.strides, op.output_padding)
    if any(before < 0 for before, _ in pads):
        raise UnsupportedError(f"MNN has no negative padding, as in {pads}")
    extra = [o - min(after, 0) for o, (_, after) in zip(op.output_padding, pads, strict=True)]
    spelled = spell(tuple((before, max(after, 0)) for before, after in pads))
    return spelled | ({"outPads": extra} if any(extra) else {})


def _conv_3d(
    op: Conv | ConvTranspose, x: Value, weight: Value, bias: Value | None, tail: Tail, out: Writer
) -> None:
    if weight.constant is None or (bias is not None and bias.constant is None):
        raise UnsupportedError("MNN convolves over three axes with constant weights")
    kernel = known(weight.type.shape[2:], "the kernel")
    channels = known((x.type.shape[1], tail.output.type.shape[1]), "the number of channels")
    common: dict[str, Any] = {
        "kernels": kernel,
        "strides": op.strides,
        "dilates": op.dilations,
        "inputCount": channels[0],
        "outputCount": channels[1],
        "relu": tail.relu,
        "relu6": tail.relu6,
        "group": 1,
    }
    if isinstance(op, ConvTranspose):
        covered = geometry.dilated(kernel, op.dilations)
        pads: Pads | None = geometry.resolve_transposed(op.padding, covered, op.strides, op.output_padding)
        common["outPads"] = op.output_padding
    else:
        pads = _padding(op, x, tail.output, kernel)
    if pads is None:
        common["padMode"] = SAME
    else:
        common |= {"padMode": CAFFE, "pads": [*(p for p, _ in pads), *(p for _, p in pads)]}
    _, slots = constants(weight, bias, channels[1], out)
    slots = {"weight": floats(weight.constant), "bias": slots["bias"]}
    kind = "ConvTranspose3D" if isinstance(op, ConvTranspose) else "Convolution3D"
    parameters: Table = table("Convolution3DCommon", **common)
    out(kind, (x,), tail.output, common=parameters, **slots)
