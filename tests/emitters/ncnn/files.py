"""Writes a graph as NCNN the way the pipeline does, and runs it."""

from __future__ import annotations

from pathlib import Path

from mmconvert.emitters import ncnn as emitter
from mmconvert.emitters.ncnn.constraints import obstacle
from mmconvert.interpreter.session import run
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.ir.types import Layout
from mmconvert.ncnnlib import files
from mmconvert.parsers import ncnn as parser
from mmconvert.passes.layout.assign import assign_layout
from mmconvert.passes.legalize import legalize
from mmconvert.runtimes.ncnn import Session
from mmconvert.tensors import Array
from tests.emitters.tflite.files import compare


def write(graph: Graph, folder: Path, *, binary: bool = False) -> Path:
    """The ``.param`` file."""
    assign_layout(Layout.NCHW, "source")(graph)
    legalize(graph, obstacle, "NCNN")
    path = folder / "model.param"
    emitter.write(Module(graph), path, binary=binary)
    return path


def round_trip(graph: Graph, feeds: dict[str, Array], folder: Path, *, read_back: bool = True) -> Path:
    """Writes and runs a graph, reads it back and interprets it, and compares with what the IR means."""
    wanted, exact = run(graph, feeds), run(graph, feeds, precision="float64")
    path = write(graph, folder)
    found = Session(path).run(feeds)
    assert found.keys() == wanted.keys()
    for name, array in found.items():
        compare(array, wanted[name], exact[name])
    if read_back:
        for name, array in run(parser.load(path).graph, feeds).items():
            compare(array, wanted[name], exact[name])
    return path


def kinds(path: Path) -> list[str]:
    """The kinds of the layers, in order."""
    return [stored.layer.kind for stored in files.read(path).layers]
