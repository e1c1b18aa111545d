"""Signals, sequences, matrices and bits."""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.emitters.onnx import flat
from mmconvert.emitters.onnx.extents import scalar
from mmconvert.emitters.onnx.schema import element_type
from mmconvert.emitters.onnx.writer import Operand, RuleTable, Writer
from mmconvert.ir import ops
from mmconvert.ir.graph import Node
from mmconvert.rules import Rules

rule: RuleTable = Rules("ONNX")


@rule(ops.DFT, since=17)
def dft(node: Node[ops.DFT], out: Writer) -> None:
    op, x = node.op, node.operand(0)
    # The inverse of one side came later than the operator, and runtimes do not have it.
    out.require(not (op.onesided and op.inverse), "runtimes have no inverse of one side")
    length = None if op.length == x.type.shape[op.axis] else scalar(out, op.length)
    inverse, onesided = int(op.inverse), int(op.onesided)
    out("DFT", x, length, out.integer(op.axis), into=node, inverse=inverse, onesided=onesided)


@rule(ops.Unique)
def unique(node: Node[ops.Unique], out: Writer) -> None:
    out("Unique", node.operand(0), into=node, axis=node.op.axis, sorted=int(node.op.sorted))


@rule(ops.ReverseSequence)
def reverse_sequence(node: Node[ops.ReverseSequence], out: Writer) -> None:
    op, lengths = node.op, node.operand(1)
    wide: Operand = lengths
    if lengths.type.dtype != dtypes.I64:
        wide = out("Cast", lengths, to=element_type(dtypes.I64))
    if out.opset < 10:
        flat.reverse_sequence(node, wide, out)
        return
    out("ReverseSequence", node.operand(0), wide, into=node, time_axis=op.time_axis, batch_axis=op.batch_axis)


@rule(ops.BitCast, since=26)
def bit_cast(node: Node[ops.BitCast], out: Writer) -> None:
    out("BitCast", node.operand(0), into=node, to=element_type(dtypes.BY_NAME[node.op.to]))


@rule(ops.Det)
def det(node: Node[ops.Det], out: Writer) -> None:
    out("Det", node.operand(0), into=node)
