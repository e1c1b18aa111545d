"""NCNN rules for convolution.

A batch of several pictures is a stack: NCNN convolves over three axes as well, and over the batch the kernel
has the extent 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mmconvert.emitters.ncnn.blob import Blob, known
from mmconvert.emitters.ncnn.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir import geometry
from mmconvert.ir.dims import Dim
from mmconvert.ir.geometry import Padding, Pads, Same
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Conv, ConvTranspose
from mmconvert.ir.types import Layout, Shape
from mmconvert.ncnnlib.records import Parameter
from mmconvert.rules import Rules
from mmconvert.tensors import Tensor

rule: Rules[type[Op]] = Rules("NCNN")

SUFFIX = {1: "1D", 2: "", 3: "3D"}
LETTERS = {1: "w", 2: "hw", 3: "dhw"}
"""What NCNN calls the spatial axes, in NumPy's order."""

_SIDES = {"w": ("pad_left", "pad_right"), "h": ("pad_top", "pad_bottom"), "d": ("pad_front", "pad_behind")}
_SAME = {True: -233, False: -234}
"""What stands for padding of which NCNN itself finds out how much it is, by where the odd one goes."""


def along(name: str, sizes: Sequence[int]) -> dict[str, Parameter]:
    """A parameter for each spatial axis: ``along("stride", (2, 1))`` is ``stride_h=2, stride_w=1``."""
    return {f"{name}_{letter}": size for letter, size in zip(LETTERS[len(sizes)], sizes, strict=True)}


def sides(pads: Pads) -> dict[str, Parameter]:
    """Padding as parameters."""
    names = [name for letter in LETTERS[len(pads)] for name in _SIDES[letter]]
    return dict(zip(names, (p for pair in pads for p in pair), strict=True))


def require_layout(layout: Layout) -> None:
    """Refuses what is not channels-first."""
    if layout is not Layout.NCHW:
        raise UnsupportedError("NCNN has the channels first")


def stacked(x: Value, out: Writer) -> tuple[Blob, bool]:
    """``x`` without its batch axis, or channels first with the batch as a further spatial axis."""
    batch = x.type.shape[0]
    if batch == 1:
        return out.blob(x, x.type.shape[1:]), False
    if isinstance(batch, Dim) or x.type.rank > 4:
        raise UnsupportedError(f"NCNN has no batch axis, and the batch is {batch}")
    turned = out.permute(out.blob(x), x.type.shape, (1, 0, *range(2, x.type.rank)))
    return out.view(turned, stacked_shape(x.type.shape, True)), True


def unstacked(made: Blob, shape: Shape, node: Node[Op], output: Value, is_stack: bool, out: Writer) -> None:
    """Places the result of a layer over ``stacked``; ``shape`` is that of ``output``."""
    if is_stack:
        turned = (shape[1], shape[0], *shape[2:])
        made = out.permute(made, turned, (1, 0, *range(2, len(shape))))
    out.place(output, made)


def stacked_shape(shape: Shape, is_stack: bool) -> Shape:
    """The shape of the blob that a layer over ``stacked`` makes for a result of ``shape``."""
    return (shape[1], shape[0], *shape[2:]) if is_stack else shape[1:]


def padding(
    padding: Padding, x: Value, kernel: Sequence[int], strides: Sequence[int], is_stack: bool
) -> dict[str, Parameter]:
    """Padding as parameters; ``kernel`` is dilated."""
    extents = x.type.shape[2:]
    unknown = any(isinstance(e, Dim) for e in extents)
    if isinstance(padding, Same) and unknown and any(s > 1 for s in strides):
        if is_stack or len(kernel) == 3:
            raise UnsupportedError("NCNN pads two spatial axes by itself, not three")
        sign = _SAME[padding.extra_after]
        return {name: sign for letter in LETTERS[len(kernel)] for name in _SIDES[letter]}
    if unknown:  # with strides of 1 the extents do not matter
        extents = tuple(1 for _ in extents)
    pads = geometry.resolve(padding, known(extents, "the picture"), kernel, strides)
    if any(p < 0 for pair in pads for p in pair):
        raise UnsupportedError("NCNN takes nothing away before it convolves")
    return sides((((0, 0),) if is_stack else ()) + pads)


def widened(sizes: Sequence[int], is_stack: bool) -> tuple[int, ...]:
    """Sizes along the spatial axes, and 1 along the batch of a stack."""
    return (1, *sizes) if is_stack else tuple(sizes)


@rule(Conv)
def conv(node: Node[Conv], out: Writer) -> None:
    op, x, weight = node.op, node.operand(0), node.operand(1)
    require_layout(op.layout)
    kernel = known(weight.type.shape[2:], "the kernel")
    if len(kernel) > 3:
        raise UnsupportedError(f"NCNN convolves over 1 to 3 axes, not {len(kernel)}")
    source, is_stack = stacked(x, out)
    tail = out.tail(node)
    pads = padding(op.padding, x, geometry.dilated(kernel, op.dilations), op.strides, is_stack)
    parameters: dict[str, Parameter] = {
        **along("kernel", widened(kernel, is_stack)),
        **along("dilation", widened(op.dilations, is_stack)),
        **along("stride", widened(op.strides, is_stack)),
        **pads,
        **({"group": op.groups} if op.groups > 1 else {}),
        **tail.parameters,
    }
    filters, _ = known(weight.type.shape[:2], "the number of channels")
    bias = node.optional(1 + 1) or tail.bias
    axes = len(kernel) + is_stack
    kind = f"Convolution{'DepthWise' if op.groups > 1 else ''}{SUFFIX[axes]}"
    shape = stacked_shape(tail.output.type.shape, is_stack)
    if weight.constant is None or (bias is not None and bias.constant is None):
        if axes == 3:
            raise UnsupportedError(
                "NCNN convolves over three axes, or in a batch, with constant weights only"
            )
        operands = [source, out.blob(weight, weight.type.shape)]
        operands += [out.blob(bias, (filters,))] if bias is not None else []
        parameters |= {"dynamic_weight": 1}
        weights: list[Tensor] = []
    else:
        operands, weights = [source], constants(weight.constant, bias)
        parameters |= {"weight_data_size": weight.constant.size}
    made = out.layer(
        kind,
        operands,
        shape,
        weights=weights,
        num_output=filters,
        bias_term=int(bias is not None),
        **parameters,
    )
    unstacked(made, tail.output.type.shape, node, tail.output, is_stack, out)


def constants(weight: Tensor, bias: Value | None) -> list[Tensor]:
    """Weight and bias as a layer has them."""
    if bias is None:
        return [weight]
    assert bias.constant is not None
    return [weight, bias.constant.reshape((bias.constant.size,))]


@rule(ConvTranspose)
def conv_transpose(node: Node[ConvTranspose], out: Writer) -> None:
    op, x, weight = node.op, node.operand(0), node.operand(1)
    require_layout(op.layout)
    bias = node.optional(2) or out.tail(node).bias
    if weight.constant is None or (bias is not None and bias.constant is None):
        raise UnsupportedError("NCNN's transposed convolution has constant weights")
    kernel = known(weight.type.shape[2:], "the kernel")
    if len(kernel) > 3:
        raise UnsupportedError(f"NCNN convolves over 1 to 3 axes, not {len(kernel)}")
    source, is_stack = stacked(x, out)
    tail = out.tail(node)
    crops, more = _crops(op, geometry.dilated(kernel, op.dilations))
    axes = len(kernel) + is_stack
    kept = weight.constant.shape[1]
    made = out.layer(
        f"Deconvolution{'DepthWise' if op.groups > 1 else ''}{SUFFIX[axes]}",
        (source,),
        stacked_shape(tail.output.type.shape, is_stack),
        weights=constants(_turned(weight.constant, op.groups), bias),
        num_output=kept * op.groups,
        weight_data_size=weight.constant.size,
        bias_term=int(bias is not None),
        **along("kernel", widened(kernel, is_stack)),
        **along("dilation", widened(op.dilations, is_stack)),
        **along("stride", widened(op.strides, is_stack)),
        **sides((((0, 0),) if is_stack else ()) + crops),
        **_output_padding(((0,) if is_stack else ()) + more),
        **({"group": op.groups} if op.groups > 1 else {}),
        **tail.parameters,
    )
    unstacked(made, tail.output.type.shape, node, tail.output, is_stack, out)


def _crops(op: ConvTranspose, kernel: tuple[int, ...]) -> tuple[Pads, tuple[int, ...]]:
    """What is cut off on each side, and what is added behind."""
    pads = geometry.resolve_transposed(op.padding, kernel, op.strides, op.output_padding)
    if any(before < 0 for before, _ in pads):
        raise UnsupportedError("NCNN's transposed convolution adds nothing before its output")
    more = tuple(extra + max(-after, 0) for extra, (_, after) in zip(op.output_padding, pads, strict=True))
    return tuple((before, max(after, 0)) for before, after in pads), more


def _output_padding(more: tuple[int, ...]) -> dict[str, Parameter]:
    names = {"w": "output_pad_right", "h": "output_pad_bottom", "d": "output_pad_behind"}
    return {names[letter]: extra for letter, extra in zip(LETTERS[len(more)], more, strict=True)}


def _turned(weight: Tensor, groups: int) -> Tensor:
    """The weight with the outputs of each group before its inputs."""
    channels, kept, *kernel = weight.shape
    grouped = weight.reshape((groups, channels // groups, kept, math.prod(kernel)))
    return grouped.transpose((0, 2, 1, 3))
