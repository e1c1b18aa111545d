"""A pooling of the other kind."""

from __future__ import annotations

from collections.abc import Iterator

from mmconvert.ir.graph import is_op
from mmconvert.ir.op import Op
from mmconvert.ir.ops import AveragePool, MaxPool
from mmconvert.verification.diagnosis.suspect import Hypothesis, Suspect, varied
from mmconvert.verification.segment import Variant


def hypotheses(suspect: Suspect) -> Iterator[Hypothesis]:
    """The mean of each window for its maximum, and the other way round."""
    for node in suspect.segment.nodes:
        if not is_op(node, MaxPool, AveragePool):
            continue
        old = node.op
        window = {n: getattr(old, n) for n in ("kernel", "strides", "dilations", "padding", "ceil", "layout")}
        others: list[Op] = [MaxPool(**window)]
        if isinstance(old, MaxPool):
            others = [AveragePool(**window, count_include_pad=counted) for counted in (False, True)]
        for other in others:
            instead = varied(suspect.segment, Variant(ops={node: other}))
            yield Hypothesis(f"with {other.name} for {old.name}", instead, node)
