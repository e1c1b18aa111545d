"""The formula of layer normalization is one operator."""

from __future__ import annotations

from dataclasses import dataclass

from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Add, Div, LayerNorm, Mul, Pow, Reciprocal, ReduceMean, Sqrt, Sub
from mmconvert.passes.eliminate_dead_code import eliminate_dead_code
from mmconvert.passes.match import factors, number, shifted
from mmconvert.passes.outcome import Outcome


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a normalization is made of."""

    x: Value
    op: LayerNorm
    scale: Value | None = None
    bias: Value | None = None


def fuse_layer_norm(graph: Graph) -> Outcome:
    """Writes ``(x - mean) / sqrt(mean((x - mean) ** 2) + epsilon) * scale + bias`` as one operator.

    ::

        %1 = ReduceMean(x)    %2 = Sub(x, %1)    %3 = Pow(%2, 2.0)    %4 = ReduceMean(%3)
        %5 = Add(%4, 1e-5)    %6 = Sqrt(%5)      %7 = Div(%2, %6)     %8 = Mul(%7, %scale)
        %9 = Add(%8, %bias)

                                                         →    %9 = LayerNorm(x, %scale, %bias)

    Declines when: the axes are not the last ones, which is where targets have it.
    """
    outcome = Outcome()
    # From the end, so that scale and bias are found before what they are applied to.
    for node in reversed(list(graph)):
        if node.graph is None or len(node.outputs) != 1:
            continue
        parts = _normalized(node)
        if parts is None:
            continue
        first = parts.x.type.rank - len(parts.op.axes)
        if parts.op.axes != tuple(range(first, parts.x.type.rank)):
            outcome.decline(node, "it does not normalize the last axes")
            continue
        graph.replace(node, parts.op, (parts.x, parts.scale, parts.bias))
        eliminate_dead_code(graph)
        outcome.done += 1
    return outcome


def _normalized(node: Node[Op]) -> _Parts | None:
    if is_op(node, Add):
        for product, bias in _pairs(node):
            parts = _scaled(product.producer)
            if parts is not None and _fits(bias, parts) and len(product.uses) == 1:
                return _Parts(parts.x, parts.op, parts.scale, bias)
        return None
    return _scaled(node) if is_op(node, Mul) else _standardized(node)


def _scaled(node: Node[Op] | None) -> _Parts | None:
    if not is_op(node, Mul):
        return None
    for y, scale in _pairs(node):
        parts = _standardized(y.producer)
        if parts is not None and _fits(scale, parts) and len(y.uses) == 1:
            return _Parts(parts.x, parts.op, scale)
    return _standardized(node)


def _fits(value: Value, parts: _Parts) -> bool:
    return value.constant is not None and value.type.shape == tuple(
        parts.x.type.shape[axis] for axis in parts.op.axes
    )


def _standardized(node: Node[Op] | None) -> _Parts | None:
    """``(x - mean) / sqrt(variance + epsilon)``."""
    if is_op(node, Div):
        centred, root = node.operand(0), node.operand(1)
        return _over_root(centred, root)
    if is_op(node, Mul):
        for centred, inverse in _pairs(node):
            if is_op(inverse.producer, Reciprocal):
                return _over_root(centred, inverse.producer.operand(0))
    return None


def _over_root(centred: Value, root: Value) -> _Parts | None:
    sub = centred.producer
    if not is_op(sub, Sub) or not is_op(root.producer, Sqrt):
        return None
    raised = shifted(root.producer.operand(0))
    mean, x = sub.operand(1).producer, sub.operand(0)
    if raised is None or not is_op(mean, ReduceMean) or mean.operand(0) is not x or not mean.op.keepdims:
        return None
    variance, epsilon = raised[0].producer, raised[1]
    if not is_op(variance, ReduceMean) or not _is_square(variance.operand(0), centred):
        return None
    axes = x.type.axes(mean.op.axes)
    if not variance.op.keepdims or x.type.axes(variance.op.axes) != axes or epsilon < 0 or not axes:
        return None
    return _Parts(x, LayerNorm(axes=tuple(sorted(axes)), epsilon=epsilon))


def _is_square(value: Value, x: Value) -> bool:
    if is_op(value.producer, Pow):
        return value.producer.operand(0) is x and number(value.producer.operand(1)) == 2
    return any(a is x and b is x for a, b in factors(value))


def _pairs(node: Node[Op]) -> tuple[tuple[Value, Value], ...]:
    a, b = node.operand(0), node.operand(1)
    return ((a, b), (b, a))
