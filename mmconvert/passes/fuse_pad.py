"""Padding by zeros before a convolution becomes the convolution's own."""

from __future__ import annotations

import dataclasses
from typing import cast

from mmconvert.ir.geometry import Explicit
from mmconvert.ir.graph import Graph, Node, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import AveragePool, Conv, MaxPool, Pad
from mmconvert.ir.types import Layout
from mmconvert.passes.outcome import Outcome


def fuse_pad(graph: Graph) -> Outcome:
    """Merges a constant Pad into the convolution or pooling behind it.

    ::

        %1 = Pad(x) {pads=((0,0),(1,1),(1,1),(0,0))}        →    %2 = Conv(x, %w) {padding=((1,1),(1,1))}
        %2 = Conv(%1, %w) {padding=((0,0),(0,0))}

    An average pool takes the padding over when it then counts it (``count_include_pad``), a max pool when the
    padding is minus infinity.

    Declines when: batch or channels are padded; the value is another; the window's padding is not explicit;
    an average is asked to count padding that has to be there for others in any case.
    """
    outcome = Outcome()
    for node in graph:
        if not is_op(node, Conv, AveragePool, MaxPool):
            continue
        pad = node.operand(0).producer
        if not is_op(pad, Pad):
            continue
        merged = _merge(pad, node) if _is_worth_it(pad, node) else "others need the padded values"
        if isinstance(merged, str):
            outcome.decline(node, merged)
            continue
        graph.replace(node, merged, (pad.operand(0), *node.inputs[1:]))
        if not pad.output.uses:
            graph.remove(pad)
        outcome.done += 1
    return outcome


def _is_worth_it(pad: Node[Pad], node: Node[Op]) -> bool:
    """Not where the Pad stays: a convolution is cheaper without it, an average that counts padding is not."""
    return not is_op(node, AveragePool) or all(
        is_op(user, Conv, AveragePool, MaxPool) and not isinstance(_merge(pad, user), str)
        for user in pad.output.users
    )


def _merge(pad: Node[Pad], node: Node[Op]) -> Op | str:
    op = cast(Conv | AveragePool | MaxPool, node.op)
    if pad.op.mode != "constant" or pad.op.value != (float("-inf") if isinstance(op, MaxPool) else 0.0):
        return "the padding is not neutral for it"
    if not isinstance(op.padding, Explicit):
        return "its padding depends on the padded extent"
    spatial = _spatial(pad.op, op.layout, pad.output.type.rank)
    if spatial is None:
        return "batch or channels are padded, or by an unknown amount, or cropped"
    if isinstance(op, AveragePool):
        if op.ceil or not (op.count_include_pad or op.padding.is_zero):
            return "it does not count its padding"
        return dataclasses.replace(op, padding=_sum(spatial, op.padding), count_include_pad=True)
    if isinstance(op, MaxPool) and op.ceil:
        return "it rounds up"
    return dataclasses.replace(op, padding=_sum(spatial, op.padding))


def _spatial(pad: Pad, layout: Layout, rank: int) -> tuple[tuple[int, int], ...] | None:
    axes = layout.spatial_axes(rank)
    if any(before != 0 or after != 0 for a, (before, after) in enumerate(pad.pads) if a not in axes):
        return None
    found = []
    for axis in axes:
        before, after = pad.pads[axis]
        if not isinstance(before, int) or not isinstance(after, int) or before < 0 or after < 0:
            return None
        found.append((before, after))
    return tuple(found)


def _sum(outer: tuple[tuple[int, int], ...], inner: Explicit) -> Explicit:
    return Explicit(tuple((a + c, b + d) for (a, b), (c, d) in zip(outer, inner.pads, strict=True)))
