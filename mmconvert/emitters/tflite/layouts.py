"""Rules for operators that TFLite has for channels-last tensors only."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mmconvert.emitters.tflite.fusion import Tail
from mmconvert.emitters.tflite.writer import Writer
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.types import Layout

AnyRule = Callable[[Node[Any], Writer], None]


def channels_last(rule: AnyRule) -> AnyRule:
    """Decorator of a rule that knows NHWC: an operator over NCHW is written between two transpositions.

    The pipeline settles layouts before; this serves what is left over, and what decompositions make.
    """

    @functools.wraps(rule)
    def any_layout(node: Node[Any], out: Writer) -> None:
        if node.op.layout is Layout.NHWC:
            rule(node, out)
            return
        tail, rank = out.tail(node), node.output.type.rank
        to, back = (
            Layout.NCHW.permutation_to(Layout.NHWC, rank),
            Layout.NHWC.permutation_to(Layout.NCHW, rank),
        )
        # Of the operands only the input and a kernel have as many axes as the result, in the same order.
        inputs = tuple(
            out.transpose(v, to) if v is not None and v.type.rank == rank else v for v in node.inputs
        )
        shape = tail.output.type.shape
        inner = Value(tail.output.type.with_shape(tuple(shape[a] for a in to)), f"{out.scope}/nhwc")
        turned: Node[Any] = Node(
            replace(node.op, layout=Layout.NHWC), inputs, (inner,), node.name, node.origin
        )
        out.plan.tails[turned] = Tail(inner, tail.bias, tail.activation)
        rule(turned, out)
        out.transpose_into(inner, back, tail.output)

    return any_layout
