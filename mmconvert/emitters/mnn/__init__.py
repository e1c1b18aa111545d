"""Writes MNN files.

The graph that is written is channels-first, and has only what ``obstacle`` does not object to:
``passes.legalize`` with ``obstacle`` brings it there. MNN computes in float32 and int32: integers of 64 bits
are narrowed, and booleans are integers.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from mmconvert import dtypes, mnnlib
from mmconvert.emitters import flat
from mmconvert.emitters.flat import Table
from mmconvert.emitters.mnn.constraints import obstacle
from mmconvert.emitters.mnn.external import INSIDE, External, held
from mmconvert.emitters.mnn.schema import table
from mmconvert.emitters.mnn.subgraph import GraphWriter
from mmconvert.emitters.mnn.writer import Writer
from mmconvert.emitters.rehearsal import rehearse
from mmconvert.errors import UnsupportedError, merge_problems
from mmconvert.files import atomic_write
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.ir.types import Layout
from mmconvert.passes.fuse_silu import fuse_silu
from mmconvert.passes.outcome import Pass
from mmconvert.passes.unpack_weights import unpack_weights

__all__ = ["PASSES", "PRECISIONS", "SUFFIXES", "TARGET_LAYOUT", "beside", "obstacle", "write"]

PRECISIONS = ("fp16", "int8", "int4")
PASSES: tuple[Pass, ...] = (unpack_weights, fuse_silu)
SUFFIXES = (".mnn",)
TARGET_LAYOUT = Layout.NCHW
_FROM_ONNX = 3
_LARGEST = 1 << 28
"""Larger files are read back, but not loaded by MNN before they are verified: it takes twice their size."""


def write(module: Module, path: Path, *, external_data: bool = False) -> int:
    """Writes a model to ``path``, whole or not at all; weights are read one at a time while it is written.

    A model above 2 GB, which a FlatBuffer cannot hold, gets its weights beside it in ``<name>.weight``.

    Args:
        module: the model, in operators and layouts that MNN has.
        path: the file.
        external_data: whether the weights go beside the file whatever its size, small ones excepted.

    Returns:
        How many operators the file has.

    Raises:
        UnsupportedError: something cannot be expressed in MNN; all of it is listed.
        UsageError: the file cannot be written.
        InvalidModelError: MNN refuses the model, so that it was not written.
    """
    graphs = GraphWriter()
    out = graphs.write_main(module.graph)
    if graphs.problems:
        raise UnsupportedError(
            "MNN cannot express this model", where=str(path), problems=merge_problems(graphs.problems)
        )
    external = External()
    if external_data or held(out.operators) > INSIDE:
        external.take(out.operators)
    laid_out = flat.lay_out(_net(module.graph, out, graphs.subgraphs), b"")
    with ExitStack() as stack:
        # The renames go in reverse order: the weights are there before the file that needs them.
        stream = stack.enter_context(atomic_write(path))
        flat.write(stream, laid_out)
        stream.flush()
        parts = {path.name: Path(stream.name)}
        if external.blobs:
            (weights,) = beside(path)
            second = stack.enter_context(atomic_write(weights))
            external.write(second)
            second.flush()
            parts[weights.name] = Path(second.name)
        _rehearse(path.name, parts, _LARGEST - external.size)
    return len(out.operators)


def beside(path: Path) -> list[Path]:
    """The other files that a model under ``path`` may have."""
    return [path.with_name(f"{path.name}.weight")]


def _rehearse(name: str, parts: Mapping[str, Path], largest: int) -> None:
    """Loads the file under the name that it will have, by which its weights are found."""
    with tempfile.TemporaryDirectory() as folder:
        for part, written in parts.items():
            (Path(folder) / part).symlink_to(written.absolute())
        rehearse("mnn", Path(folder) / name, largest)


def _net(graph: Graph, out: Writer, subgraphs: list[Table]) -> Table:
    ends = dict(zip(graph.output_names, graph.outputs, strict=True)) | {v.name: v for v in graph.inputs}
    types = {name: dtypes.name(value.type.dtype) for name, value in sorted(ends.items())}
    return table(
        "Net",
        bizCode=json.dumps({"mmconvert": types}),
        extraInfo=table("ExtraInfo", version=mnnlib.VERSION),
        oplists=out.operators,
        outputName=list(graph.output_names),
        sourceType=_FROM_ONNX,
        tensorName=out.tensors,
        tensorNumber=len(out.tensors),
        subgraphs=subgraphs or None,
    )
