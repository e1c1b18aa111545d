"""PyTorch rules for convolutions."""

from __future__ import annotations

from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.geometry import Explicit, Padding, Same
from mmconvert.ir.graph import Value
from mmconvert.ir.types import Layout
from mmconvert.parsers.pytorch.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("PyTorch")

LAYOUT = Layout.NCHW


def batched(b: Builder, x: Value, rank: int) -> Value:
    """``x`` with a batch axis, where it has none."""
    return b(ops.Unsqueeze(axes=(0,)), x) if x.type.rank == rank - 1 else x


def unbatched(b: Builder, y: Value, x: Value) -> Value:
    """``y`` without the batch axis that ``x`` did not have."""
    return b(ops.Squeeze(axes=(0,)), y) if y.type.rank == x.type.rank + 1 else y


@rule("aten.conv1d.default", "aten.conv2d.default", "aten.conv3d.default")
def conv(n: Source, b: Builder) -> Value:
    count = n.value("weight").type.rank - 2
    pads = n.integers("padding", 0, count=count)
    return _conv(n, b, Explicit(tuple((p, p) for p in pads)))


@rule("aten.conv1d.padding", "aten.conv2d.padding", "aten.conv3d.padding")
def conv_named(n: Source, b: Builder) -> Value:
    count = n.value("weight").type.rank - 2
    match n.text("padding", "valid"):
        case "same":
            return _conv(n, b, Same(extra_after=True))  # strides are 1
        case "valid":
            return _conv(n, b, Explicit.zero(count))
        case other:
            raise n.invalid(f"padding={other!r}")


def _conv(n: Source, b: Builder, padding: Padding) -> Value:
    x, weight = n.value("input"), n.value("weight")
    count = weight.type.rank - 2
    op = ops.Conv(
        strides=n.integers("stride", 1, count=count),
        dilations=n.integers("dilation", 1, count=count),
        padding=padding,
        groups=n.integer("groups", 1),
        layout=LAYOUT,
    )
    return unbatched(b, b(op, batched(b, x, weight.type.rank), weight, n.optional("bias")), x)


@rule("aten.conv_transpose1d.default", "aten.conv_transpose2d.input", "aten.conv_transpose3d.input")
def conv_transpose(n: Source, b: Builder) -> Value:
    return _conv_transpose(n, b)


def _conv_transpose(n: Source, b: Builder) -> Value:
    x, weight = n.value("input"), n.value("weight")
    count = weight.type.rank - 2
    op = ops.ConvTranspose(
        strides=n.integers("stride", 1, count=count),
        dilations=n.integers("dilation", 1, count=count),
        padding=Explicit(tuple((p, p) for p in n.integers("padding", 0, count=count))),
        output_padding=n.integers("output_padding", 0, count=count),
        groups=n.integer("groups", 1),
        layout=LAYOUT,
    )
    return unbatched(b, b(op, batched(b, x, weight.type.rank), weight, n.optional("bias")), x)


@rule("aten.convolution.default", "aten._convolution.default")
def convolution(n: Source, b: Builder) -> Value:
    n.ignore("benchmark", "deterministic", "cudnn_enabled", "allow_tf32")
    if n.flag("transposed"):
        return _conv_transpose(n, b)
    n.ignore("output_padding")
    return conv(n, b)
