"""PyTorch rules for convolution."""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.emitters.pytorch.code import call, same
from mmconvert.emitters.pytorch.windows import padded, require_nchw, taken
from mmconvert.emitters.pytorch.writer import Writer
from mmconvert.ir import geometry, ops
from mmconvert.ir.geometry import dilated
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.rules import Rules
from mmconvert.tensors import Tensor

rule: Rules[type[Op]] = Rules("PyTorch")


@rule(ops.Conv)
def conv(node: Node[ops.Conv], out: Writer) -> str:
    op, (_, weight, bias) = node.op, _operands(node)
    rank = len(op.strides)
    require_nchw(out, op.layout, rank)
    kernel = weight.type.static_shape[2:]
    source, pads = padded(node, out, dilated(kernel, op.dilations), op.strides, op.padding)
    options = {
        "stride": _unless(op.strides, 1),
        "padding": _unless(pads, 0),
        "dilation": _unless(op.dilations, 1),
        "groups": None if op.groups == 1 else str(op.groups),
    }
    if weight.constant is None or not _is_layer(out, weight, bias):
        operands = [source, out.read(weight), *([out.read(bias)] if bias is not None else [])]
        return call(f"F.conv{rank}d", *operands, **options)
    filters, channels = weight.constant.shape[:2]
    made = call(
        f"nn.Conv{rank}d",
        str(channels * op.groups),
        str(filters),
        same(kernel),
        **options,
        bias="False" if bias is None else None,
        dtype=_dtype(out, weight),
    )
    return f"{out.layers.layer(node, made, _state(weight, bias), [weight, bias])}({source})"


@rule(ops.ConvTranspose)
def conv_transpose(node: Node[ops.ConvTranspose], out: Writer) -> str:
    op, (x, weight, bias) = node.op, _operands(node)
    rank = len(op.strides)
    require_nchw(out, op.layout, rank)
    kernel = weight.type.static_shape[2:]
    pads = geometry.resolve_transposed(
        op.padding, dilated(kernel, op.dilations), op.strides, op.output_padding
    )
    # What torch adds at the end, and what is cut off afterwards where it would have to add less than nothing.
    before = [min(b, a) if b > a else b for b, a in pads]
    more = [e + b - a for e, (_, a), b in zip(op.output_padding, pads, before, strict=True)]
    extra, cut = [max(m, 0) for m in more], [min(m, 0) for m in more]
    front = [b - kept for (b, _), kept in zip(pads, before, strict=True)]
    for e, stride, step in zip(extra, op.strides, op.dilations, strict=True):
        out.require(e < max(stride, step), f"an output padding of {e} is too large for torch")
    out.require(min(before) >= 0, "torch does not crop less than nothing")
    options = {
        "stride": _unless(op.strides, 1),
        "padding": _unless(before, 0),
        "output_padding": _unless(extra, 0),
        "groups": None if op.groups == 1 else str(op.groups),
    }
    dilation = _unless(op.dilations, 1)
    source = out.read(x)
    if weight.constant is None or not _is_layer(out, weight, bias):
        operands = [source, out.read(weight), *([out.read(bias)] if bias is not None else [])]
        text = call(f"F.conv_transpose{rank}d", *operands, **options, dilation=dilation)
    else:
        channels, filters = weight.constant.shape[:2]
        made = call(
            f"nn.ConvTranspose{rank}d",
            str(channels),
            str(filters * op.groups),
            same(kernel),
            **options,
            bias="False" if bias is None else None,
            dilation=dilation,
            dtype=_dtype(out, weight),
        )
        text = f"{out.layers.layer(node, made, _state(weight, bias), [weight, bias])}({source})"
    return taken(text, [(-f, c) for f, c in zip(front, cut, strict=True)])


@rule(ops.ConvInteger)
def conv_integer(node: Node[ops.ConvInteger], out: Writer) -> str:
    """In float64, which is exact for sums of products of bytes."""
    op, x, weight = node.op, node.operand(0), node.operand(1)
    require_nchw(out, op.layout, rank := len(op.strides))
    kernel = weight.type.static_shape[2:]
    parts = []
    for value, zero in ((x, node.optional(2)), (weight, node.optional(3))):
        text = f"{out.tensor(value)}.double()"
        if zero is not None:
            spread = "" if not zero.type.rank else f".reshape(-1{', 1' * (value.type.rank - 1)})"
            text = f"({text} - {out.tensor(zero)}.double(){spread})"
        parts.append(out.let(f"centred_{'x' if value is x else 'weight'}", text))
    source, pads = padded(node, out, dilated(kernel, op.dilations), op.strides, op.padding, text=parts[0])
    made = call(
        f"F.conv{rank}d",
        source,
        parts[1],
        stride=_unless(op.strides, 1),
        padding=_unless(pads, 0),
        dilation=_unless(op.dilations, 1),
        groups=None if op.groups == 1 else str(op.groups),
    )
    return f"{made}.to(torch.int32)"


def _operands(node: Node[Op]) -> tuple[Value, Value, Value | None]:
    return node.operand(0), node.operand(1), node.optional(2)


def _unless(values: tuple[int, ...] | list[int], default: int) -> str | None:
    return None if set(values) == {default} else same(list(values))


def _is_layer(out: Writer, weight: Value, bias: Value | None) -> bool:
    constant = bias is None or bias.constant is not None
    return constant and out.layers.is_module({"weight": weight, "bias": bias})


def _state(weight: Value, bias: Value | None) -> dict[str, Tensor]:
    assert weight.constant is not None
    return {"weight": weight.constant} | (
        {"bias": bias.constant} if bias is not None and bias.constant is not None else {}
    )


def _dtype(out: Writer, weight: Value) -> str | None:
    return None if weight.type.dtype == dtypes.F32 else out.dtype(weight.type.dtype)
