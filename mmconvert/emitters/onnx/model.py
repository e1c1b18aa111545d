"""Puts the file together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from onnx import ModelProto, OperatorSetIdProto, StringStringEntryProto

from mmconvert.emitters.onnx import schema, wire
from mmconvert.emitters.onnx.operators import RULES
from mmconvert.emitters.onnx.writer import Writer
from mmconvert.errors import UnsupportedError, UsageError, merge_problems
from mmconvert.ir import dims
from mmconvert.ir.copy import copy_graph
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.version import VERSION


def write(
    module: Module,
    path: Path,
    *,
    opset: int,
    ir_version: int | None = None,
    rename: Mapping[str, str] | None = None,
    fix_dims: Mapping[str, int] | None = None,
    limit: int = wire.LIMIT,
) -> int:
    """Writes ``module`` to ``path``; see the package."""
    schema.check_opset(opset)
    version = schema.ir_version(opset) if ir_version is None else schema.check_ir_version(ir_version, opset)
    source = _adapted(module.graph, rename or {}, fix_dims or {})
    out = Writer(RULES, opset)
    graph = out.main(source)
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


def _adapted(graph: Graph, rename: Mapping[str, str], fix_dims: Mapping[str, int]) -> Graph:
    """The graph with other names at its ends, and numbers for extents; itself when nothing is asked for."""
    if not rename and not fix_dims:
        return graph
    ends = [*(v.name for v in graph.inputs), *graph.output_names]
    symbols = dims.symbols(*(e for v in graph.values() for e in v.type.shape))
    for what, wanted, known in (("input or output", rename, set(ends)), ("extent", fix_dims, symbols)):
        if unknown := sorted(set(wanted) - known):
            hint = f"there are {', '.join(sorted(known)) or 'none'}"
            raise UsageError(f"the model has no {what} called {', '.join(unknown)}", hint=hint)
    new = copy_graph(graph, fix_dims)
    for value in new.inputs:
        value.name = rename.get(value.name, value.name)
    new.output_names = [rename.get(name, name) for name in new.output_names]
    for names in ([v.name for v in new.inputs], new.output_names):
        if len(set(names)) < len(names):
            raise UsageError("two inputs or two outputs would have the same name")
    return new
