"""Writes a graph as MNN the way the pipeline does, runs it, and looks into the file."""

from __future__ import annotations

from pathlib import Path

from mmconvert import mnnlib
from mmconvert.emitters import mnn as emitter
from mmconvert.emitters.mnn.constraints import obstacle
from mmconvert.interpreter.session import run
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Metadata, Module
from mmconvert.passes.legalize import legalize
from mmconvert.runtimes.mnn import Session
from mmconvert.tensors import Array
from tests.emitters.tflite.files import compare

_NAMES = {code: name for name, (code, _) in mnnlib.OPERATORS.items()}


def write(graph: Graph, folder: Path) -> Path:
    """The file."""
    legalize(graph, obstacle, "MNN")
    path = folder / "model.mnn"
    emitter.write(Module(graph, Metadata(format="onnx")), path)
    return path


def round_trip(graph: Graph, feeds: dict[str, Array], folder: Path) -> Path:
    """Writes and runs a graph, and compares with what the IR means."""
    wanted, exact = run(graph, feeds), run(graph, feeds, precision="float64")
    path = write(graph, folder)
    found = Session(path).run(feeds)
    assert found.keys() == wanted.keys()
    for name, array in found.items():
        compare(array, wanted[name], exact[name])
    return path


def net(path: Path) -> mnnlib.Record:
    """The file's root table."""
    return mnnlib.root(memoryview(path.read_bytes()))


def kinds(path: Path) -> list[str]:
    """The operators of the main graph, in order, constants and inputs aside."""
    names = [_NAMES[op.number("type")] for op in net(path).records("oplists", "Op")]
    return [name for name in names if name not in ("Const", "Input")]
