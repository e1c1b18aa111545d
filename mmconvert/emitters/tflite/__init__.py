"""Writes TensorFlow Lite files.

The graph that is written is channels-last where an operator cares, and has only what ``obstacle`` does not
object to: ``passes.legalize`` with ``obstacle`` brings it there. Activations, biases and padding are written
as part of the operators that have them.
"""

from __future__ import annotations

from pathlib import Path

from mmconvert.emitters.tflite import metadata
from mmconvert.emitters.tflite.constraints import obstacle
from mmconvert.emitters.tflite.file import SIGNATURE, ModelFile
from mmconvert.emitters.tflite.settle_quantization import settle_quantization
from mmconvert.emitters.tflite.subgraph import GraphWriter
from mmconvert.errors import UnsupportedError, merge_problems
from mmconvert.files import atomic_write
from mmconvert.ir.model import Module
from mmconvert.ir.types import Layout
from mmconvert.passes.fold_scale import fold_scale
from mmconvert.passes.fold_transpose import fold_transpose
from mmconvert.passes.merge_projections import merge_projections
from mmconvert.passes.merge_transposes import merge_transposes
from mmconvert.passes.outcome import Pass
from mmconvert.passes.shuffles import fold_shuffles, gather_shuffles
from mmconvert.passes.turn_products import turn_products

__all__ = [
    "BEFORE_LAYOUT",
    "HAS_SIGNATURES",
    "PASSES",
    "PRECISIONS",
    "SUFFIXES",
    "TARGET_LAYOUT",
    "obstacle",
    "write",
]

SUFFIXES = (".tflite",)
TARGET_LAYOUT = Layout.NHWC
PRECISIONS = ("fp16",)
HAS_SIGNATURES = True

BEFORE_LAYOUT: tuple[Pass, ...] = (gather_shuffles,)
"""What gives an operator a form in every layout."""

PASSES: tuple[Pass, ...] = (
    fold_shuffles,
    turn_products,
    merge_transposes,
    fold_transpose,
    fold_scale,
    merge_projections,
    settle_quantization,
)
"""What leaves fewer Transposes, once layouts are settled, and fewer operators of attention; then integers."""

_NEVER_FROM_THE_END = frozenset({"keras", "tensorflow", "tflite", "caffe"})
"""Formats whose own gathers take no negative positions; those of the others are made positive."""


def write(module: Module, path: Path) -> int:
    """Writes a model to ``path``, whole or not at all; weights are read one at a time while it is written.

    Returns:
        How many operators the file has.

    Raises:
        UnsupportedError: something cannot be expressed in TFLite; all of it is listed.
        UsageError: the file cannot be written, or what is known about inputs makes no sense.
    """
    file = ModelFile(metadata.files(module), compare=bool(module.signatures))
    graphs = GraphWriter(file, wrap_indices=module.metadata.format not in _NEVER_FROM_THE_END)
    free = SIGNATURE if SIGNATURE not in module.signatures else "main"
    graphs.write_main(module.graph, module.signature or free)
    for name, graph in module.signatures.items():
        graphs.write_main(graph, name)
    if graphs.problems:
        raise UnsupportedError(
            "TFLite cannot express this model", where=str(path), problems=merge_problems(graphs.problems)
        )
    with atomic_write(path) as stream:
        file.save(stream)
    return sum(len(subgraph.values["operators"]) for subgraph in file.subgraphs)
