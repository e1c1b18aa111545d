"""Writes a graph as TFLite the way the pipeline does, runs it, and looks into the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tflite

from mmconvert import dtypes
from mmconvert.emitters import tflite as emitter
from mmconvert.emitters.tflite.constraints import obstacle
from mmconvert.interpreter.session import run
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Metadata, Module
from mmconvert.passes.legalize import legalize
from mmconvert.runtimes.litert import Session
from mmconvert.tensors import Array

TOLERANCES = {dtypes.F32: 1e-5, dtypes.F16: 2e-3, dtypes.BF16: 2e-2, dtypes.F64: 1e-6}
"""The largest error in terms of the output's scale."""

_NAMES = {number: name for name, number in vars(tflite.BuiltinOperator).items() if isinstance(number, int)}


def write(graph: Graph, folder: Path, source: str = "onnx") -> Path:
    """The file."""
    legalize(graph, obstacle, "TFLite")
    path = folder / "model.tflite"
    emitter.write(Module(graph, Metadata(format=source)), path)
    return path


def execute(path: Path, feeds: dict[str, Array], *, delegate: bool = True) -> dict[str, Array]:
    """What LiteRT computes."""
    return Session(path, delegate=delegate).run(feeds)


def round_trip(graph: Graph, feeds: dict[str, Array], folder: Path, *, delegate: bool = True) -> Path:
    """Writes and runs a graph, and compares with what the IR means."""
    wanted, exact = run(graph, feeds), run(graph, feeds, precision="float64")
    path = write(graph, folder)
    found = execute(path, feeds, delegate=delegate)
    assert found.keys() == wanted.keys()
    for name, array in found.items():
        compare(array, wanted[name], exact[name])
    return path


def compare(found: Array, wanted: Array, exact: Array) -> None:
    """Of floats, either precision may be met: a step function sees roundings that are not the emitter's."""
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    if not dtypes.is_float(found.dtype):
        np.testing.assert_array_equal(found, wanted)
        return
    errors = [error(found, target) for target in (wanted, exact)]
    assert min(errors) <= TOLERANCES[found.dtype], f"errors of {errors} against float32 and float64"


def error(found: Array, wanted: Array) -> float:
    """The largest difference in terms of the scale; infinite where NaNs or infinities do not match."""
    a, b = (np.asarray(array, np.float64) for array in (found, wanted))
    special = ~np.isfinite(b)
    if not np.array_equal(a[special], b[special], equal_nan=True) or not np.isfinite(a[~special]).all():
        return float("inf")
    a, b = a[~special], b[~special]
    return float(np.abs(a - b).max(initial=0) / (np.abs(b).max(initial=0) or 1.0))


def parsed(path: Path) -> tflite.Model:
    """The file through another project's accessors."""
    return tflite.Model.GetRootAs(path.read_bytes())


def kinds(path: Path, subgraph: int = 0) -> list[str]:
    """The operators of a sub-graph, in order."""
    model = parsed(path)
    graph = model.Subgraphs(subgraph)
    codes = (model.OperatorCodes(graph.Operators(i).OpcodeIndex()) for i in range(graph.OperatorsLength()))
    return [_NAMES[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())] for code in codes]
