"""Puts the file together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from onnx import GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto

from mmconvert.emitters.onnx import DEFAULT_OPSET, schema, wire
from mmconvert.emitters.onnx.operators import RULES
from mmconvert.emitters.onnx.writer import Writer
from mmconvert.errors import Problem, UnsupportedError, merge_problems
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Metadata, Module
from mmconvert.version import VERSION


def write(
    module: Module,
    path: Path,
    *,
    opset: int | None = None,
    ir_version: int | None = None,
    limit: int = wire.LIMIT,
) -> int:
    """Writes ``module`` to ``path``; see the package."""
    out, graph = _written(module.graph, opset, module.warnings)
    opset = out.opset
    version = schema.ir_version(opset) if ir_version is None else schema.check_ir_version(ir_version, opset)
    model = ModelProto(
        ir_version=version,
        producer_name="mmconvert",
        producer_version=VERSION,
        graph=graph,
        opset_import=[OperatorSetIdProto(version=opset)],
    )
    for key, value in _properties(module.metadata).items():
        model.metadata_props.append(StringStringEntryProto(key=key, value=value))
    wire.write(model, list(out.weights.values()), path, limit=limit)
    return len(graph.node)


def _written(source: Graph, opset: int | None, warnings: list[str]) -> tuple[Writer, GraphProto]:
    """The graph at ``opset``, or without one at the lowest from the default on that can express it."""
    first = DEFAULT_OPSET if opset is None else opset
    schema.check_opset(first)
    problems: Sequence[Problem] = ()
    for candidate in range(first, (schema.NEWEST if opset is None else opset) + 1):
        out = Writer(RULES, candidate)
        graph = out.main(source)
        if not out.problems:
            if problems:
                reasons = "; ".join(problem.what for problem in problems)
                warnings.append(
                    f"ONNX opset {candidate} is written, as opset {first} lacks something: {reasons}"
                )
            return out, graph
        problems = problems or merge_problems(out.problems)
    raise UnsupportedError(f"ONNX opset {first} cannot express this model", problems=problems)


def _properties(metadata: Metadata) -> dict[str, str]:
    """What the file says about itself; labels as a JSON list, unless they are there in another spelling."""
    labels = {"labels": json.dumps(metadata.labels, ensure_ascii=False)} if metadata.labels else {}
    return metadata.properties if "names" in metadata.properties else metadata.properties | labels
