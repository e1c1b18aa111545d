"""Two products with a softmax between them are an attention."""

from __future__ import annotations

from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Add, MatMul, ScaledDotProductAttention, Softmax, Transpose
from mmconvert.passes.eliminate_dead_code import eliminate_dead_code
from mmconvert.passes.match import scaled
from mmconvert.passes.outcome import Outcome
from mmconvert.tensors import Tensor


def fuse_attention(graph: Graph) -> Outcome:
    """Writes ``softmax(q @ k.T * scale + mask) @ v`` over four axes as one operator.

    ::

        %1 = Transpose(k) {perm=(0,1,3,2)}    →    %5 = ScaledDotProductAttention(q, k, v) {scale=0.125}
        %2 = MatMul(q, %1)
        %3 = Mul(%2, 0.125)
        %4 = Softmax(%3) {axis=3}
        %5 = MatMul(%4, v)

    The scale may stand at the queries, at the keys, or at both.

    Declines when: a step of it is used elsewhere; heads broadcast; a constant mask hides all keys from a
    query, which gives 0 in an attention and an average in the formula.
    """
    outcome = Outcome()
    for node in graph:
        if is_op(node, MatMul) and (found := _attention(node)) is not None:
            operands, scale = found
            b = Builder(graph, before=node, origin=node.origin)
            operands = (operands[0], _turned(b, operands[1]), *operands[2:])
            graph.replace(node, ScaledDotProductAttention(scale=scale), operands)
            outcome.done += 1
    if outcome.done:
        eliminate_dead_code(graph)
    return outcome


def _attention(node: Node[MatMul]) -> tuple[tuple[Value, ...], float] | None:
    """Query, transposed key, value and the mask if there is one; and the scale."""
    shares, value = node.operand(0), node.operand(1)
    softmax = _only_maker(shares)
    if not is_op(softmax, Softmax) or softmax.op.axis % 4 != 3 or shares.type.rank != 4:
        return None
    inner = softmax.operand(0)
    mask: Value | None = None
    if is_op(add := _only_maker(inner), Add):
        sides = ((add.operand(0), add.operand(1)), (add.operand(1), add.operand(0)))
        found = next((s for s in sides if _is_scores(s[0], add.output) and _is_seen(s[1])), None)
        if found is None:
            return None
        inner, mask = found
    inner, scale = _scale(inner)
    product = _only_maker(inner)
    if not is_op(product, MatMul):
        return None
    (query, first), (key, second) = (_scale(product.operand(i)) for i in (0, 1))
    ends = (query, key, value)
    same = len({v.type.shape[:2] for v in ends}) == 1 and all(v.type.rank == 4 for v in ends)
    if not same or any(v.constant is not None for v in ends):
        return None
    return (*ends, *([] if mask is None else [mask])), scale * first * second


def _is_scores(value: Value, total: Value) -> bool:
    return value.type == total.type and is_op(_scale(value)[0].producer, MatMul)


def _is_seen(mask: Value) -> bool:
    """Whether every query sees a key, as far as is known."""
    return mask.constant is None or _least(mask.constant) > -1e30


def _least(tensor: Tensor) -> float:
    return min((float(block.min()) for block in tensor.blocks() if block.size), default=0.0)


def _scale(value: Value) -> tuple[Value, float]:
    """``x`` and ``k`` where ``value`` is ``x * k`` and read once, else itself and 1."""
    found = scaled(value) if len(value.uses) == 1 else None
    return found or (value, 1.0)


def _turned(b: Builder, key: Value) -> Value:
    """The key as it was before it was transposed for the product."""
    node = key.producer
    if is_op(node, Transpose):
        perm = tuple(node.op.perm[i] for i in (0, 1, 3, 2))
        return node.operand(0) if perm == (0, 1, 2, 3) else b(Transpose(perm=perm), node.operand(0))
    return b(Transpose(perm=(0, 1, 3, 2)), key)


def _only_maker(value: Value) -> Node[Op] | None:
    return value.producer if len(value.uses) == 1 else None
