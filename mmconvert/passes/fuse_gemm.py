"""A product of two matrices and the sum behind it are one operator."""

from __future__ import annotations

from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Add, Gemm, MatMul
from mmconvert.passes.outcome import Outcome


def fuse_gemm(graph: Graph) -> Outcome:
    """Merges a MatMul and the addition of a constant behind it.

    ::

        %1 = MatMul(x, %w)    →    %2 = Gemm(x, %w, %b)
        %2 = Add(%1, %b)

    Declines when: the product has other uses, or is not of two matrices; the sum has another shape.
    """
    outcome = Outcome()
    for node in graph:
        if not is_op(node, Add):
            continue
        product, bias = _product(node)
        if product is None or bias is None:
            continue
        if len(product.output.uses) > 1:
            outcome.decline(node, "the product is used elsewhere")
        elif any(v.type.rank != 2 for v in (product.operand(0), product.operand(1))):
            outcome.decline(node, "the product is not of two matrices")
        elif node.output.type.shape != product.output.type.shape:
            outcome.decline(node, "the sum has another shape than the product")
        else:
            graph.replace(node, Gemm(), (product.operand(0), product.operand(1), bias))
            graph.remove(product)
            outcome.done += 1
    return outcome


def _product(node: Node[Op]) -> tuple[Node[MatMul] | None, Value | None]:
    for value, bias in ((node.operand(0), node.operand(1)), (node.operand(1), node.operand(0))):
        if is_op(value.producer, MatMul) and bias.constant is not None:
            return value.producer, bias
    return None, None
