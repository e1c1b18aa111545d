"""What TFLite can express: a rule is asked by having it write to nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite.file import ModelFile
from mmconvert.emitters.tflite.rules import RULES
from mmconvert.emitters.tflite.writer import Writer, tensor_type
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Graph, Node, Value
from mmconvert.ir.op import Op


class _Rehearsal(Writer):
    """Goes through everything that writing does, and keeps nothing."""

    def __init__(self) -> None:
        super().__init__(ModelFile(), subgraph=_no_subgraph)
        self.extents.assume_known = True

    def emit(
        self,
        builtin: tfl.Builtin,
        inputs: Sequence[Value | None],
        outputs: Sequence[Value],
        options: dict[str, Any],
    ) -> None:
        for value in (*inputs, *outputs):
            if value is not None:
                tensor_type(value.type.dtype)


def _no_subgraph(graph: Graph) -> int:
    return 0


def obstacle(node: Node[Op]) -> str | None:
    """Why TFLite cannot express ``node`` as it stands, or None when it can.

    The answer does not look beyond the node: sub-graphs of control flow are asked about node by node.
    """
    rule = RULES.find(type(node.op))
    if rule is None:
        return f"TFLite has no {node.op.name}"
    try:
        rule(node, _Rehearsal())
    except UnsupportedError as error:
        return error.message
    return None
