"""A product of turned matrices is the turned product of the matrices."""

from __future__ import annotations

from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import MatMul, Reshape, Squeeze, Transpose, Unsqueeze
from mmconvert.ir.types import Extent
from mmconvert.passes.axes import Axes, moves
from mmconvert.passes.outcome import Outcome


def turn_products(graph: Graph) -> Outcome:
    """Moves Transposes of the last two axes from both factors to the product; says of the second what it is.

    ::

        %1 = Transpose(a) {perm=(0,2,1)}              →    %1 = MatMul(b, a)
        %2 = Transpose(b) {perm=(0,2,1)}                   %2 = Transpose(%1) {perm=(0,2,1)}
        %3 = MatMul(%1, %2)

        %1 = Transpose(x) {perm=(0,3,1,2)}            →    %1 = Reshape(x) {shape=(1,64,16)}
        %2 = Reshape(%1) {shape=(1,16,64)}                 %2 = Transpose(%1) {perm=(0,2,1)}
        %3 = MatMul(a, %2)                                 %3 = MatMul(a, %2)

    What comes behind a map of attention often undoes the first Transpose; the second one, spelled in this
    way, is part of the product.

    Declines when: a factor is used elsewhere too.
    """
    outcome = Outcome()
    for node in graph:
        if not is_op(node, MatMul):
            continue
        a, b = (_turned(node.operand(i)) for i in (0, 1))
        build = Builder(graph, before=node, origin=node.origin)
        if a is not None and b is not None:
            x, y = (build(Reshape(shape=shape), value) for value, shape in (b, a))
            graph.replace(node, Transpose(perm=_exchange(x.type.rank)), (build(MatMul(), x, y),))
        elif b is not None and not is_op(node.operand(1).producer, Transpose):
            y = build(Reshape(shape=b[1]), b[0])
            graph.set_input(node, 1, build(Transpose(perm=_exchange(y.type.rank)), y))
        else:
            continue
        outcome.done += 1
    return outcome


def _exchange(rank: int) -> tuple[int, ...]:
    return (*range(rank - 2), rank - 1, rank - 2)


def _turned(value: Value) -> tuple[Value, tuple[Extent, ...]] | None:
    """``value`` with its last two axes exchanged, and the shape of that, where nothing has to move for it."""
    chain: list[Node[Op]] = []
    source = value
    while is_op(source.producer, Reshape, Squeeze, Unsqueeze, Transpose) and len(source.uses) == 1:
        chain.insert(0, source.producer)
        source = source.producer.operand(0)
    while chain and not moves(chain[0]):
        source = chain.pop(0).output
    if value.type.rank < 2 or not chain:
        return None
    axes = Axes(source.type.shape)
    if not all(map(axes.follow, chain)):
        return None
    rows, columns = (len(axis) for axis in axes.axes[-2:])
    lead = len(axes.order) - rows - columns
    wanted = [*range(lead), *range(lead + columns, len(axes.order)), *range(lead, lead + columns)]
    if axes.order != wanted:
        return None
    shape = value.type.shape
    return source, (*shape[:-2], shape[-1], shape[-2])
