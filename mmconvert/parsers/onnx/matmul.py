"""ONNX rules for matrix products."""

from __future__ import annotations

from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.parsers.onnx.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("ONNX")


@rule("MatMul")
def matmul(n: Source, b: Builder) -> Value:
    return b(ops.MatMul(), n.operand(0), n.operand(1))


@rule("Gemm", since=7)
def gemm(n: Source, b: Builder) -> Value:
    op = ops.Gemm(
        alpha=n.real("alpha", 1.0),
        beta=n.real("beta", 1.0),
        transpose_a=n.flag("transA"),
        transpose_b=n.flag("transB"),
    )
    return b(op, n.operand(0), n.operand(1), n.optional(2))


@rule("Einsum")
def einsum(n: Source, b: Builder) -> Value:
    return b(ops.Einsum(equation=n.text("equation").replace(" ", "")), *n.operands())
