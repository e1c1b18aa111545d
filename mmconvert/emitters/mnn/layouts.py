"""Rules for operators that MNN has for channels-first tensors only."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mmconvert.emitters.mnn.writer import Writer
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.types import Layout

AnyRule = Callable[[Node[Any], Writer], None]


def channels_first(rule: AnyRule) -> AnyRule:
    """Decorator of a rule that knows NCHW: an operator over NHWC is written between two transpositions.

    The pipeline settles layouts before; this serves what is left over, and what decompositions make.
    """

    @functools.wraps(rule)
    def any_layout(node: Node[Any], out: Writer) -> None:
        if node.op.layout is Layout.NCHW:
            rule(node, out)
            return
        tail, rank = out.tail(node), node.output.type.rank
        to = Layout.NHWC.permutation_to(Layout.NCHW, rank)
        back = Layout.NCHW.permutation_to(Layout.NHWC, rank)
        # Of the operands only the input and a kernel have as many axes as the result, in the same order.
        inputs = tuple(
            out.transpose(v, to) if v is not None and v.type.rank == rank else v for v in node.inputs
        )
        shape = tail.output.type.shape
        inner = Value(tail.output.type.with_shape(tuple(shape[a] for a in to)), f"{out.scope}/nchw")
        turned: Node[Any] = Node(
            replace(node.op, layout=Layout.NCHW), inputs, (inner,), node.name, node.origin
        )
        out.plan.tails[turned] = replace(tail, output=inner)
        rule(turned, out)
        out.transpose(inner, back, tail.output)

    return any_layout
