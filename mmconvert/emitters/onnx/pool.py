"""Pooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from mmconvert.emitters.onnx import schema, windows
from mmconvert.emitters.onnx.writer import Operand, RuleTable, Writer
from mmconvert.ir import dims, geometry, ops
from mmconvert.ir.geometry import Explicit, Pads
from mmconvert.ir.graph import Node, is_op
from mmconvert.rules import Rules

rule: RuleTable = Rules("ONNX")

AnyPool: TypeAlias = "Node[ops.MaxPool] | Node[ops.MaxPoolIndices] | Node[ops.AveragePool] | Node[ops.LpPool]"


@dataclass(frozen=True)
class Placement:
    """Where the windows lie.

    Attributes:
        pads: the padding, None where it follows from extents that are unknown.
        ceil: whether the last window may overhang what is padded.
        overhang: by how much it does, where ONNX would place another window than meant if it were told so.
    """

    pads: Pads | None
    ceil: bool = False
    overhang: Pads | None = None

    @property
    def total(self) -> Pads | None:
        """The padding with the overhang: the same windows, without rounding up."""
        if self.pads is None or self.overhang is None:
            return self.pads
        return tuple(
            (before, after + extra)
            for (before, after), (_, extra) in zip(self.pads, self.overhang, strict=True)
        )


@rule(ops.MaxPool)
def max_pool(node: Node[ops.MaxPool], out: Writer) -> None:
    placement = _place(node, out)
    attributes = _attributes(node, out, placement)
    padded = is_op(node.operand(0).producer, ops.Pad)
    if padded and not placement.ceil and placement.total == ((0, 0),) * len(node.op.kernel):
        # ONNX Runtime 1.31 moves the zeros of a Pad into the pool, where they would count as minus infinity;
        # a pool that is spelled like this it leaves alone.
        attributes |= {"auto_pad": "VALID", "pads": None}
    out("MaxPool", node.operand(0), into=node, dilations=node.op.dilations, **attributes)


@rule(ops.MaxPoolIndices)
def max_pool_indices(node: Node[ops.MaxPoolIndices], out: Writer) -> None:
    attributes = _attributes(node, out, _place(node, out))
    order = node.op.storage_order
    out("MaxPool", node.operand(0), into=node, dilations=node.op.dilations, storage_order=order, **attributes)


@rule(ops.AveragePool)
def average_pool(node: Node[ops.AveragePool], out: Writer) -> None:
    source: Operand = node.operand(0)
    placement, count = _place(node, out), node.op.count_include_pad
    if count and placement.pads is not None and placement.overhang is not None:
        # The padding counts and the overhang does not: only one of them can be left to the pooling.
        source = out("Pad", source, out.ints(windows.flat(((0, 0), (0, 0), *placement.pads))))
        placement, count = Placement(placement.overhang), False
    attributes = _attributes(node, out, placement)
    dilations = node.op.dilations
    out("AveragePool", source, into=node, dilations=dilations, count_include_pad=count, **attributes)


@rule(ops.LpPool)
def lp_pool(node: Node[ops.LpPool], out: Writer) -> None:
    attributes = _attributes(node, out, _place(node, out))
    out("LpPool", node.operand(0), into=node, p=node.op.p, dilations=node.op.dilations, **attributes)


def _place(node: AnyPool, out: Writer) -> Placement:
    op, extents = node.op, node.operand(0).type.shape[2:]
    windows.require_nchw(out, op.layout)
    covered = geometry.dilated(op.kernel, op.dilations)
    pads = windows.resolved(op.padding, extents, covered, op.strides)
    if not op.ceil or not isinstance(op.padding, Explicit):
        return Placement(pads)
    if pads is None or not all(isinstance(e, int) for e in extents):
        return Placement(pads, ceil=True)
    kind = "MaxPool" if isinstance(op, ops.MaxPoolIndices) else op.name
    native = "ceil_mode" in (schema.attributes(kind, out.opset) or ())
    return _round_up(node, dims.numbers(extents), covered, pads, native=native)


def _round_up(
    node: AnyPool, extents: tuple[int, ...], covered: tuple[int, ...], pads: Pads, *, native: bool
) -> Placement:
    """Placement for known extents, with ``ceil_mode`` only where it makes a difference and all agree on it.

    A last window that would start behind the input is not one; ONNX's own inference of shapes counts it.
    """
    strides = node.op.strides
    down, up = (
        dims.numbers(geometry.windows(extents, covered, strides, Explicit(pads), ceil=ceil))
        for ceil in (False, True)
    )
    if down == up:
        return Placement(pads)
    sums = [e + before + after for e, (before, after) in zip(extents, pads, strict=True)]
    counted = tuple(
        dims.ceildiv(total - k, s) + 1 for total, k, s in zip(sums, covered, strides, strict=True)
    )
    if native and counted == up:
        return Placement(pads, ceil=True)
    reach = [(count - 1) * s + k for count, s, k in zip(up, strides, covered, strict=True)]
    return Placement(
        pads, overhang=tuple((0, max(r - total, 0)) for r, total in zip(reach, sums, strict=True))
    )


def _attributes(node: AnyPool, out: Writer, placement: Placement) -> dict[str, Any]:
    op = node.op
    return {
        "kernel_shape": op.kernel,
        "strides": op.strides,
        "ceil_mode": 1 if placement.ceil else None,
        **windows.attributes(out, op.padding, placement.total, op.dilations),
    }
