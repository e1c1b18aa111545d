"""Integer weights that are cast and scaled are a Dequantize, for targets that have one."""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.ir.graph import Graph, Node, Value, is_op
from mmconvert.ir.ops import Cast, Dequantize, Mul
from mmconvert.passes.outcome import Outcome
from mmconvert.tensors import Tensor


def fuse_dequantize(graph: Graph) -> Outcome:
    """Merges the cast of 8-bit weights and the product with their scale.

    ::

        %1 = Cast(%w) {to=f32}     →    %2 = Dequantize(%w, %scale) {axis=1}
        %2 = Mul(%1, %scale)

    What small weights come to is computed once and for all before; large ones stay as small as they are.

    Declines when: the scale differs along more than one axis.
    """
    outcome = Outcome()
    for node in graph:
        if not is_op(node, Mul):
            continue
        cast, scale = _operands(node)
        if cast is None or scale is None or len(cast.output.uses) > 1:
            continue
        axis = _axis(scale, node.output)
        if axis is None:
            outcome.decline(node, "the scale differs along more than one axis")
            continue
        tensor = scale.constant
        assert tensor is not None
        vector = tensor if scale.type.rank == 0 else Tensor.of(tensor.numpy().reshape(-1))
        if vector.size == 1:
            vector = Tensor.of(vector.numpy().reshape(()))
        graph.replace(node, Dequantize(axis=axis), (cast.operand(0), graph.constant(vector)))
        graph.remove(cast)
        outcome.done += 1
    return outcome


def _operands(node: Node[Mul]) -> tuple[Node[Cast] | None, Value | None]:
    for value, scale in ((node.operand(0), node.operand(1)), (node.operand(1), node.operand(0))):
        cast = value.producer
        if not is_op(cast, Cast) or scale.constant is None or value.type != node.output.type:
            continue
        weight = cast.operand(0)
        if weight.constant is not None and weight.type.dtype in (dtypes.I8, dtypes.U8):
            return cast, scale
    return None, None


def _axis(scale: Value, weight: Value) -> int | None:
    """The axis of ``weight`` that ``scale`` runs along, 0 when it is one number; None when there are several."""
    shape = (1,) * (weight.type.rank - scale.type.rank) + scale.type.static_shape
    axes = [axis for axis, extent in enumerate(shape) if extent != 1]
    return None if len(axes) > 1 else axes[0] if axes else 0
