"""Writes a graph as ONNX the way the pipeline does, and runs it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import onnx

from mmconvert.emitters import onnx as emitter
from mmconvert.emitters.onnx.constraints import obstacle
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.passes.legalize import legalize
from mmconvert.runtimes.onnxruntime import Session
from mmconvert.tensors import Array


def write(graph: Graph, folder: Path, opset: int = emitter.DEFAULT_OPSET) -> Path:
    """The file, which ONNX's own checker finds nothing wrong with."""
    legalize(graph, partial(obstacle, opset=opset), "ONNX")
    path = folder / "model.onnx"
    emitter.write(Module(graph), path, opset=opset)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    return path


def execute(path: Path, feeds: dict[str, Array]) -> dict[str, Array]:
    """What ONNX Runtime computes."""
    return Session(path).run(feeds)


def kinds(path: Path) -> list[str]:
    """The ONNX operators of the file, in order."""
    return [node.op_type for node in onnx.load(path).graph.node]
