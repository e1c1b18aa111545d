"""What TFLite can express: a rule is asked by having it write to nowhere."""

from __future__ import annotations

from mmconvert.emitters.tflite import hybrid
from mmconvert.emitters.tflite.rehearsal import Rehearsal
from mmconvert.emitters.tflite.rules import RULES
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Node, is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import Dequantize, DynamicQuantize


def obstacle(node: Node[Op]) -> str | None:
    """Why TFLite cannot express ``node`` as it stands, or None when it can.

    The answer does not look beyond the node: sub-graphs of control flow are asked about node by node.
    """
    if _is_in_hybrid(node):
        return None
    rule = RULES.find(type(node.op))
    if rule is None:
        return f"TFLite has no {node.op.name}"
    try:
        rule(node, Rehearsal())
    except UnsupportedError as error:
        return error.message
    return None


def _is_in_hybrid(node: Node[Op]) -> bool:
    """True for what quantizes floats by their range, where all products with them are hybrid operators."""
    if is_op(node, Dequantize):
        return bool(node.output.users) and all(_is_hybrid(user) for user in node.output.users)
    return is_op(node, DynamicQuantize) and all(
        is_op(user, Dequantize) and _is_in_hybrid(user) for value in node.outputs for user in value.users
    )


def _is_hybrid(node: Node[Op]) -> bool:
    out = Rehearsal()
    out.forms = hybrid.forms(node, out.grids)
    rule = RULES.find(type(node.op))
    if not out.forms or rule is None:
        return False
    stored = dict(out.forms)
    try:
        rule(node, out)
    except UnsupportedError:
        return False
    return len(out.written) == 1 and hybrid.is_hybrid(node, out.written[0].builtin.name, stored, out.grids)
