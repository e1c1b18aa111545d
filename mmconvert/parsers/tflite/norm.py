"""TFLite rules for normalization over channels."""

from __future__ import annotations

from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.parsers.tflite.activation import activated
from mmconvert.parsers.tflite.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("TFLite")

_EPSILON = 1e-12
"""The kernels divide by no norm smaller than 1e-6."""


@rule("L2_NORMALIZATION")
def l2_normalization(n: Source, b: Builder) -> Value:
    x = n.operand(0)
    op = ops.L2Normalization(axes=(x.type.axis(-1),), epsilon=_EPSILON)
    return activated(n, b, b(op, x))


@rule("LOCAL_RESPONSE_NORMALIZATION")
def local_response_normalization(n: Source, b: Builder) -> Value:
    """TFLite counts channels on each side and does not divide alpha by their number."""
    x, radius = n.operand(0), n.integer("radius")
    size = 2 * radius + 1
    op = ops.LRN(
        size=size,
        alpha=n.real("alpha") * size,
        beta=n.real("beta"),
        bias=n.real("bias"),
        axis=x.type.axis(-1),
    )
    return b(op, x)
