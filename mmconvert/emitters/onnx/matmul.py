"""Matrix products."""

from __future__ import annotations

from mmconvert.emitters.onnx.writer import Operand, RuleTable, Writer
from mmconvert.ir import ops
from mmconvert.ir.graph import Node, Value
from mmconvert.rules import Rules

rule: RuleTable = Rules("ONNX")


@rule(ops.MatMul)
def mat_mul(node: Node[ops.MatMul], out: Writer) -> None:
    out("MatMul", *node.inputs, into=node)


@rule(ops.Gemm)
def gemm(node: Node[ops.Gemm], out: Writer) -> None:
    op, addend = node.op, node.optional(2)
    # Before opset 11 it had to be there.
    zero = out.constant(0, node.output.type.dtype, "zero") if addend is None and out.opset < 11 else None
    out(
        "Gemm",
        *(node.operand(0), node.operand(1), addend or zero),
        into=node,
        alpha=float(op.alpha),
        beta=float(op.beta),
        transA=op.transpose_a,
        transB=op.transpose_b,
    )


@rule(ops.Einsum)
def einsum(node: Node[ops.Einsum], out: Writer) -> None:
    terms = "".join(node.op.equation.split()).partition("->")[0].split(",")
    xs = [node.operand(i) for i in range(len(terms))]
    unnamed = [_unnamed(term, x) for term, x in zip(terms, xs, strict=True)]
    aligned = [_align(out, t, x, max(unnamed) - u) for t, x, u in zip(terms, xs, unnamed, strict=True)]
    out("Einsum", *aligned, into=node, equation=node.op.equation)


def _unnamed(term: str, x: Value) -> int:
    """The number of axes that "..." stands for."""
    return x.type.rank - len(term.replace("...", "")) if "..." in term else 0


def _align(out: Writer, term: str, x: Value, missing: int) -> Operand:
    """``x`` with as many axes for "..." as the others have; ONNX wants one number of them."""
    if not missing or "..." not in term:
        return x
    start = term.index("...")
    return out("Unsqueeze", x, out.ints(range(start, start + missing)))
