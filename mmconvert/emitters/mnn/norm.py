"""MNN rules for normalization."""

from __future__ import annotations

import numpy as np

from mmconvert.emitters.mnn.writer import Writer
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.ops import LayerNorm, RMSNorm
from mmconvert.rules import Rules

rule: Rules[type[Op]] = Rules("MNN")


@rule(LayerNorm, RMSNorm)
def layer_norm(node: Node[LayerNorm | RMSNorm], out: Writer) -> None:
    """Over the last axes, with constant weights."""
    op, x = node.op, node.operand(0)
    rank = x.type.rank
    if tuple(sorted(op.axes)) != tuple(range(rank - len(op.axes), rank)):
        raise UnsupportedError("MNN normalizes the last axes")
    extents = [e for e in x.type.shape[rank - len(op.axes) :] if isinstance(e, int)]
    if len(extents) != len(op.axes):
        raise UnsupportedError("MNN normalizes known extents")
    count = int(np.prod(extents))
    gamma = _vector(node.optional(1), tuple(extents), 1.0)
    beta = _vector(node.optional(2), tuple(extents), 0.0)
    out(
        "LayerNorm",
        (x,),
        node.output,
        axis=list(range(-len(op.axes), 0)),
        epsilon=op.epsilon,
        gamma=gamma,
        beta=beta,
        useRMSNorm=isinstance(op, RMSNorm),
    )
    assert len(gamma) == count


def _vector(value: Value | None, shape: tuple[int, ...], default: float) -> list[float]:
    if value is None:
        return np.full(int(np.prod(shape)), default).tolist()
    if value.constant is None:
        raise UnsupportedError("MNN normalizes with constant weights")
    return np.broadcast_to(value.constant.numpy(), shape).reshape(-1).tolist()
