"""TFLite rules for the choice among overlapping boxes."""

from __future__ import annotations

from mmconvert import dtypes
from mmconvert.ir import ops
from mmconvert.ir.builder import Builder
from mmconvert.ir.graph import Value
from mmconvert.parsers.tflite.elementwise import convert
from mmconvert.parsers.tflite.source import Source
from mmconvert.rules import Rules

rule: Rules[str] = Rules("TFLite")


@rule("NON_MAX_SUPPRESSION_V4")
def non_max_suppression_v4(n: Source, b: Builder) -> tuple[Value, ...]:
    """Operands: boxes [boxes, 4], scores [boxes], most, share, least. Results: positions and their number.

    The result has room for the most boxes that there can be; what is not used of it is 0.
    """
    chosen, count = _chosen(n, b)
    return _filled(n, b, chosen), count


@rule("NON_MAX_SUPPRESSION_V5")
def non_max_suppression_v5(n: Source, b: Builder) -> tuple[Value, ...]:
    """Like V4, and the scores of the chosen; with a sigma above 0 others lose score, which is refused."""
    if n.scalar(5, "a sigma") != 0:
        raise n.unsupported("with a sigma above 0")
    chosen, count = _chosen(n, b)
    return _filled(n, b, chosen), _filled(n, b, b(ops.Gather(axis=0), n.operand(1), chosen)), count


def _chosen(n: Source, b: Builder) -> tuple[Value, Value]:
    """The positions of the chosen boxes, and how many they are."""
    boxes = b(ops.Unsqueeze(axes=(0,)), n.operand(0))
    scores = b(ops.Unsqueeze(axes=(0, 1)), n.operand(1))
    op = ops.NonMaxSuppression(count=n.context.symbols.fresh(f"{n.origin.name}_count"))
    limit = convert(b, n.operand(2), dtypes.I64)
    found = b(op, boxes, scores, limit, n.operand(3), n.operand(4))
    rows = b(ops.Slice(axes=(1,), starts=(2,), sizes=(1,), steps=(1,)), found)
    chosen = convert(b, b(ops.Squeeze(axes=(1,)), rows), dtypes.I32)
    size = b(ops.Squeeze(axes=(0,)), b(ops.Shape(), chosen))
    return chosen, convert(b, size, dtypes.I32)


def _filled(n: Source, b: Builder, x: Value) -> Value:
    room = n.whole(2, "the most boxes")
    return b(ops.Pad(pads=((0, room - x.type.shape[0]),), mode="constant"), x)
