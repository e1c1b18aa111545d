"""PyTorch rules for pooling."""

from __future__ import annotations

import math
from typing import Any

from mmconvert import dtypes
from mmconvert.emitters.pytorch.code import call, same
from mmconvert.emitters.pytorch.windows import known_pads, pad, padded, require_nchw
from mmconvert.emitters.pytorch.writer import Writer
from mmconvert.ir import ops
from mmconvert.ir.geometry import dilated
from mmconvert.ir.graph import Node
from mmconvert.ir.op import Op
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("PyTorch")


@rule(ops.MaxPool)
def max_pool(node: Node[ops.MaxPool], out: Writer) -> str:
    source, options = _max(node, out)
    return call(f"F.max_pool{len(node.op.kernel)}d", source, same(node.op.kernel), **options)


@rule(ops.MaxPoolIndices)
def max_pool_indices(node: Node[ops.MaxPoolIndices], out: Writer) -> tuple[str, str]:
    op, x = node.op, node.operand(0)
    rank = len(op.kernel)
    out.require(op.storage_order == 0, "torch counts positions in row-major order")
    pads = known_pads(node, dilated(op.kernel, op.dilations), op.strides, op.padding)
    small = pads is not None and all(b == a <= k // 2 for (b, a), k in zip(pads, op.kernel, strict=True))
    out.require(small and x.type.is_static, "torch counts positions in what was padded")
    _, options = _max(node, out)
    options["return_indices"] = "True"
    name = out.name(x)
    best = out.let("best", call(f"F.max_pool{rank}d", name, same(op.kernel), **options))
    batch, channels, *picture = x.type.static_shape
    ones = ", 1" * rank
    first = f"torch.arange({batch * channels}, device={name}.device) * {math.prod(picture)}"
    return f"{best}[0]", f"{best}[1] + ({first}).reshape({batch}, {channels}{ones})"


def _max(node: Node[Any], out: Writer) -> tuple[str, dict[str, str | None]]:
    """What is pooled, and how."""
    op, dtype = node.op, node.operand(0).type.dtype
    require_nchw(out, op.layout, len(op.kernel))
    out.require(dtypes.is_float(dtype), "torch pools floats")
    covered = dilated(op.kernel, op.dilations)
    halves = [k // 2 for k in op.kernel]
    source, pads = padded(node, out, covered, op.strides, op.padding, value=-math.inf, limit=halves)
    known = known_pads(node, covered, op.strides, op.padding)
    out.require(
        not op.ceil or (known is not None and pads == [b for b, _ in known]), "ceil with uneven padding"
    )
    return source, {
        "stride": None if op.strides == op.kernel else same(op.strides),
        "padding": None if not any(pads) else same(pads),
        "dilation": None if set(op.dilations) == {1} else same(op.dilations),
        "ceil_mode": "True" if op.ceil else None,
    }


@rule(ops.AveragePool)
def average_pool(node: Node[ops.AveragePool], out: Writer) -> str:
    op, rank = node.op, len(node.op.kernel)
    require_nchw(out, op.layout, rank)
    out.require(set(op.dilations) == {1}, "torch averages over neighbours")
    function, kernel = f"F.avg_pool{rank}d", same(op.kernel)
    stride = None if op.strides == op.kernel else same(op.strides)
    pads = known_pads(node, op.kernel, op.strides, op.padding)
    out.require(pads is not None, "SAME padding of unknown extents")
    assert pads is not None
    if all(b == a and 0 <= b <= k // 2 for (b, a), k in zip(pads, op.kernel, strict=True)):
        before = [b for b, _ in pads]
        return call(
            function,
            out.read(node.operand(0)),
            kernel,
            stride=stride,
            padding=None if not any(before) else same(before),
            ceil_mode="True" if op.ceil else None,
            count_include_pad=None if op.count_include_pad or not any(before) else "False",
        )
    out.require(not op.ceil, "ceil with uneven padding")
    if op.count_include_pad:
        return call(function, pad(out.read(node.operand(0)), pads), kernel, stride=stride)
    x = out.name(node.operand(0))
    total = call(function, pad(x, pads), kernel, stride=stride)
    inside = call(function, pad(f"torch.ones_like({x})", pads), kernel, stride=stride)
    # Both are means over whole windows; their quotient is that over what lies inside.
    return f"{total} / {inside}"
