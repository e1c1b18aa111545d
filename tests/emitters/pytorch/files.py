"""Writes a graph as PyTorch code the way the pipeline does, and runs it."""

from __future__ import annotations

from pathlib import Path

from mmconvert.emitters import pytorch as emitter
from mmconvert.emitters.pytorch.constraints import obstacle
from mmconvert.interpreter.session import run
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Metadata, Module
from mmconvert.ir.types import Layout
from mmconvert.passes import pipeline
from mmconvert.passes.layout.assign import assign_layout
from mmconvert.passes.legalize import legalize
from mmconvert.runtimes.pytorch import Session
from mmconvert.tensors import Array
from tests.emitters.tflite.files import compare


def write(graph: Graph, folder: Path, source: str = "onnx") -> Path:
    """The folder."""
    for part in [*pipeline.subgraphs(graph), graph]:
        assign_layout(Layout.NCHW)(part)
        legalize(part, obstacle, "PyTorch")
        assign_layout(Layout.NCHW)(part)
    path = folder / "model"
    emitter.write(Module(graph, Metadata(format=source)), path)
    return path


def round_trip(graph: Graph, feeds: dict[str, Array], folder: Path) -> Path:
    """Writes and runs a graph, and compares with what the IR means."""
    wanted, exact = run(graph, feeds), run(graph, feeds, precision="float64")
    path = write(graph, folder)
    found = Session(path).run(feeds)
    assert found.keys() == wanted.keys()
    for name, array in found.items():
        assert array.dtype == wanted[name].dtype
        compare(array, wanted[name], exact[name])
    return path
