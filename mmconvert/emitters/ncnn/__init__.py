"""Writes NCNN models: the layers to ``.param``, as text or in binary, and the weights to ``.bin``.

NCNN has no batch axis, so the model that is written has a batch of 1. It is read back, and where NCNN is
installed loaded by it, before it appears under its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mmconvert.emitters.ncnn.constraints import obstacle
from mmconvert.emitters.ncnn.model import Model, describe
from mmconvert.emitters.ncnn.saving import save
from mmconvert.errors import UnsupportedError, merge_problems
from mmconvert.ir.dims import Dim, symbols
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Module
from mmconvert.ir.types import Layout
from mmconvert.passes.fuse_attention import fuse_attention
from mmconvert.passes.fuse_silu import fuse_silu
from mmconvert.passes.outcome import Pass
from mmconvert.passes.unpack_weights import unpack_weights

__all__ = ["PASSES", "PRECISIONS", "SUFFIXES", "TARGET_LAYOUT", "beside", "obstacle", "settled_dims", "write"]

SUFFIXES = (".param",)
TARGET_LAYOUT = Layout.NCHW
PRECISIONS = ("fp16",)
PASSES: tuple[Pass, ...] = (unpack_weights, fuse_silu, fuse_attention)


def write(module: Module, path: Path, *, binary: bool = False) -> int:
    """Writes a model to ``path`` and the ``.bin`` file beside it, whole or not at all.

    Args:
        module: the model, in operators and layouts that NCNN has.
        path: the ``.param`` file.
        binary: write the layers in binary, without names; inputs and outputs then go by numbers.

    Returns:
        How many layers the file has.

    Raises:
        UnsupportedError: something cannot be expressed in NCNN; all of it is listed.
        UsageError: the files cannot be written.
        InvalidModelError: NCNN refuses the model, so that it was not written.
    """
    model: Model = describe(module.graph)
    if model.problems:
        raise UnsupportedError(
            "NCNN cannot express this model", where=str(path), problems=merge_problems(model.problems)
        )
    save(model, path, binary=binary)
    module.warnings += model.warnings
    return len(model.layers)


def settled_dims(graph: Graph) -> Mapping[str, int]:
    """The extents that the target settles: NCNN has no batch axis, so an open batch is 1.

    That is a first extent of an input of rank 2 or more that has a name of its own, and is no other extent of
    the input.
    """
    found: dict[str, int] = {}
    for value in graph.inputs:
        first, *rest = value.type.shape if value.type.rank > 1 else (1,)
        if isinstance(first, Dim) and first.name is not None and first.name not in symbols(*rest):
            found[first.name] = 1
    return found


def beside(path: Path) -> list[Path]:
    """The other files that a model under ``path`` has."""
    from mmconvert.ncnnlib.files import weights_path

    return [weights_path(path)]
