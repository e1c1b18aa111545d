"""Matrix products."""

from __future__ import annotations

from mmconvert.emitters.onnx.writer import RuleTable, Writer
from mmconvert.ir import ops
from mmconvert.ir.graph import Node
from mmconvert.rules import Rules

rule: RuleTable = Rules("ONNX")


@rule(ops.MatMul)
def mat_mul(node: Node[ops.MatMul], out: Writer) -> None:
    out("MatMul", *node.inputs, into=node)


@rule(ops.Gemm)
def gemm(node: Node[ops.Gemm], out: Writer) -> None:
    op = node.op
    out(
        "Gemm",
        *node.inputs,
        into=node,
        alpha=float(op.alpha),
        beta=float(op.beta),
        transA=op.transpose_a,
        transB=op.transpose_b,
    )


@rule(ops.Einsum)
def einsum(node: Node[ops.Einsum], out: Writer) -> None:
    out("Einsum", *node.inputs, into=node, equation=node.op.equation)
