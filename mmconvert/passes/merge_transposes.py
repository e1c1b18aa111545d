"""Transposes with nothing but Reshapes between them are one Transpose."""

from __future__ import annotations

from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Reshape, Squeeze, Transpose, Unsqueeze
from mmconvert.passes.axes import Axes, moves
from mmconvert.passes.outcome import Outcome

MOST_AXES = 6
"""Runtimes transpose no more axes than this."""


def merge_transposes(graph: Graph) -> Outcome:
    """Follows each axis, and the parts that it is cut into, through a chain, and moves it once.

    ::

        %1 = Transpose(x) {perm=(0,3,1,2)}            →    %1 = Reshape(x) {shape=(1,8,8,3,7)}
        %2 = Reshape(%1) {shape=(1,3,7,8,8)}               %2 = Transpose(%1) {perm=(0,3,1,2,4)}
        %3 = Transpose(%2) {perm=(0,1,3,4,2)}

    Declines when: a value on the way is used elsewhere; a Reshape mixes axes; too many axes would be left.
    """
    outcome = Outcome()
    for node in graph:
        if not moves(node) or _continues(node.output):
            continue
        chain = _chain(node)
        if sum(map(moves, chain)) < 2:
            continue
        axes = Axes(chain[0].operand(0).type.shape)
        if not all(map(axes.follow, chain)):
            outcome.decline(node, "a Reshape mixes axes")
            continue
        shape, perm = axes.result()
        if len(perm) > MOST_AXES:
            outcome.decline(node, "too many axes would be left")
            continue
        b = Builder(graph, before=node, origin=node.origin)
        x = b(Transpose(perm=perm), b(Reshape(shape=shape), chain[0].operand(0)))
        graph.replace(node, Reshape(shape=node.output.type.shape), (x,))
        for before in reversed(chain[:-1]):
            graph.remove(before)
        outcome.done += 1
    return outcome


def _only_user(value: Value) -> Node[Op] | None:
    return value.users[0] if len(value.uses) == 1 else None


def _continues(value: Value) -> bool:
    """True when the chain goes on behind ``value``, to another Transpose."""
    user = _only_user(value)
    while is_op(user, Reshape, Squeeze, Unsqueeze, Transpose):
        if moves(user):
            return True
        user = _only_user(user.output)
    return False


def _chain(last: Node[Op]) -> list[Node[Op]]:
    """The nodes up to ``last`` that move or cut axes, each the only user of the one before."""
    chain = [last]
    while True:
        value = chain[0].operand(0)
        if not is_op(value.producer, Reshape, Squeeze, Unsqueeze, Transpose) or len(value.uses) != 1:
            break
        chain.insert(0, value.producer)
    while not moves(chain[0]):
        chain.pop(0)
    return chain
