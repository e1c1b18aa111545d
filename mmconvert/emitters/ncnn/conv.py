"""NCNN rules for convolution."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mmconvert.emitters.ncnn.batch import Pictures
from mmconvert.emitters.ncnn.blob import Blob, known
from mmconvert.emitters.ncnn.matmul import dense
from mmconvert.emitters.ncnn.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir import geometry
from mmconvert.ir.dims import Dim
from mmconvert.ir.geometry import Padding, Pads, Same
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Conv, ConvTranspose
from mmconvert.ir.types import Layout
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


def padding(
    padding: Padding, x: Value, kernel: Sequence[int], strides: Sequence[int], pictures: Pictures
) -> dict[str, Parameter]:
    """Padding as parameters; ``kernel`` is dilated."""
    extents = x.type.shape[2:]
    unknown = any(isinstance(e, Dim) for e in extents)
    if isinstance(padding, Same) and unknown and any(s > 1 for s in strides):
        if pictures.stacked or len(kernel) == 3:
            raise UnsupportedError("NCNN pads two spatial axes by itself, not three")
        sign = _SAME[padding.extra_after]
        return {name: sign for letter in LETTERS[len(kernel)] for name in _SIDES[letter]}
    if unknown:  # with strides of 1 the extents do not matter
        extents = tuple(1 for _ in extents)
    pads = geometry.resolve(padding, known(extents, "the picture"), kernel, strides)
    if any(p < 0 for pair in pads for p in pair):
        raise UnsupportedError("NCNN takes nothing away before it convolves")
    return sides(pictures.pads(pads))


@rule(Conv)
def conv(node: Node[Conv], out: Writer) -> None:
    op, x, weight = node.op, node.operand(0), node.operand(1)
    kernel = _kernel(op, weight)
    filters, _ = known(weight.type.shape[:2], "the number of channels")
    tail = out.tail(node)
    bias = node.optional(2) or tail.bias
    if _is_dense(node) and weight.constant is not None and (bias is None or bias.constant is not None):
        matrix = weight.constant.reshape(weight.constant.shape[:2])
        dense(node, out.blob(x, matrix.shape[1:]), matrix, bias, out)
        return
    pictures = Pictures(x, out)
    axes = len(kernel) + pictures.stacked
    others: list[Blob] = []
    if weight.constant is not None and (bias is None or bias.constant is not None):
        weights = constants(weight.constant, bias)
        held: dict[str, Parameter] = {"weight_data_size": weight.constant.size}
    elif axes == 3:
        raise UnsupportedError("NCNN convolves over three axes, or in a batch, with constant weights only")
    else:
        others = [out.blob(weight, weight.type.shape)]
        others += [out.blob(bias, (filters,))] if bias is not None else []
        weights, held = [], {"dynamic_weight": 1}
    parameters = {
        **held,
        **_windows(op, kernel, pictures),
        **padding(op.padding, x, geometry.dilated(kernel, op.dilations), op.strides, pictures),
        **tail.parameters,
    }

    def layer(source: Blob) -> Blob:
        return out.layer(
            f"Convolution{'DepthWise' if op.groups > 1 else ''}{SUFFIX[axes]}",
            (source, *others),
            pictures.shape(tail.output.type.shape),
            weights=weights,
            num_output=filters,
            bias_term=int(bias is not None),
            **parameters,
        )

    pictures.through(layer, tail.output)


def _is_dense(node: Node[Conv]) -> bool:
    """Whether the picture and the kernel are one element each, so that a vector is multiplied."""
    x, weight = node.operand(0).type, node.operand(1).type
    elements = (x.shape[0], *x.shape[2:], *weight.shape[2:], *node.output.type.shape[2:])
    return node.op.groups == 1 and all(e == 1 for e in elements)


def _kernel(op: Conv | ConvTranspose, weight: Value) -> tuple[int, ...]:
    if op.layout is not Layout.NCHW:
        raise UnsupportedError("NCNN has the channels first")
    kernel = known(weight.type.shape[2:], "the kernel")
    if len(kernel) > 3:
        raise UnsupportedError(f"NCNN convolves over 1 to 3 axes, not {len(kernel)}")
    return kernel


def _windows(op: Conv | ConvTranspose, kernel: tuple[int, ...], pictures: Pictures) -> dict[str, Parameter]:
    return {
        **along("kernel", pictures.sizes(kernel)),
        **along("dilation", pictures.sizes(op.dilations)),
        **along("stride", pictures.sizes(op.strides)),
        **({"group": op.groups} if op.groups > 1 else {}),
    }


def constants(weight: Tensor, bias: Value | None) -> list[Tensor]:
    """Weight and bias as a layer has them."""
    if bias is None:
        return [weight]
    assert bias.constant is not None
    return [weight, bias.constant.reshape((bias.constant.size,))]


@rule(ConvTranspose)
def conv_transpose(node: Node[ConvTranspose], out: Writer) -> None:
    op, weight = node.op, node.operand(1)
    kernel, tail = _kernel(op, weight), out.tail(node)
    bias = node.optional(2) or tail.bias
    if weight.constant is None or (bias is not None and bias.constant is None):
        raise UnsupportedError("NCNN's transposed convolution has constant weights")
    pictures = Pictures(node.operand(0), out)
    crops, more = _crops(op, geometry.dilated(kernel, op.dilations))
    weights, filters = (
        constants(_turned(weight.constant, op.groups), bias),
        weight.constant.shape[1] * op.groups,
    )
    parameters = {
        **_windows(op, kernel, pictures),
        **sides(pictures.pads(crops)),
        **_output_padding(pictures.sizes(more, 0)),
        **tail.parameters,
    }

    def layer(source: Blob) -> Blob:
        return out.layer(
            f"Deconvolution{'DepthWise' if op.groups > 1 else ''}{SUFFIX[len(kernel) + pictures.stacked]}",
            (source,),
            pictures.shape(tail.output.type.shape),
            weights=weights,
            num_output=filters,
            weight_data_size=weights[0].size,
            bias_term=int(bias is not None),
            **parameters,
        )

    pictures.through(layer, tail.output)


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
