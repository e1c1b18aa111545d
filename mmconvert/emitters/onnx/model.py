"""Puts the file together."""

from __future__ import annotations

from pathlib import Path

from onnx import ModelProto, OperatorSetIdProto, StringStringEntryProto

from mmconvert.emitters.onnx import schema, wire
from mmconvert.emitters.onnx.operators import RULES
from mmconvert.emitters.onnx.writer import Writer
from mmconvert.errors import UnsupportedError, merge_problems
from mmconvert.ir.model import Module
from mmconvert.version import VERSION


def write(
    module: Module,
    path: Path,
    *,
    opset: int,
    ir_version: int | None = None,
    limit: int = wire.LIMIT,
) -> int:
    """Writes ``module`` to ``path``; see the package."""
    schema.check_opset(opset)
    version = schema.ir_version(opset) if ir_version is None else schema.check_ir_version(ir_version, opset)
    out = Writer(RULES, opset)
    graph = out.main(module.graph)
    if out.problems:
        raise UnsupportedError(
            f"ONNX opset {opset} cannot express this model", problems=merge_problems(out.problems)
        )
    model = ModelProto(
        ir_version=version,
        producer_name="mmconvert",
        producer_version=VERSION,
        graph=graph,
        opset_import=[OperatorSetIdProto(version=opset)],
    )
    for key, value in module.metadata.properties.items():
        model.metadata_props.append(StringStringEntryProto(key=key, value=value))
    wire.write(model, list(out.weights.values()), path, limit=limit)
    return len(graph.node)
