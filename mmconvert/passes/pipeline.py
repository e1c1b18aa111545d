"""Runs passes in order; the graph is checked after each, and a pass that broke it is named."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from mmconvert.ir.check import check
from mmconvert.ir.graph import Graph, Node
from mmconvert.ir.op import ControlOp, Op
from mmconvert.passes.drop_dropout import drop_dropout
from mmconvert.passes.drop_zero_states import drop_zero_states
from mmconvert.passes.eliminate_common_subexpressions import eliminate_common_subexpressions
from mmconvert.passes.eliminate_dead_code import eliminate_dead_code
from mmconvert.passes.fold_affine import fold_affine
from mmconvert.passes.fold_batch_norm import fold_batch_norm
from mmconvert.passes.fold_constants import fold_constants, fold_named_constants
from mmconvert.passes.fuse_gelu import fuse_gelu
from mmconvert.passes.fuse_gemm import fuse_gemm
from mmconvert.passes.fuse_hard_swish import fuse_hard_swish
from mmconvert.passes.fuse_layer_norm import fuse_layer_norm
from mmconvert.passes.fuse_pad import fuse_pad
from mmconvert.passes.inline_constant_if import inline_constant_if
from mmconvert.passes.merge_concats import merge_concats
from mmconvert.passes.merge_slices import merge_slices
from mmconvert.passes.outcome import Outcome, Pass
from mmconvert.passes.push_affine import push_affine
from mmconvert.passes.simplify import simplify

Watch = Callable[[str, Graph, Outcome], None]
"""Is told the name of each pass, the graph after it, and what it did."""

CLEAN: tuple[Pass, ...] = (
    simplify,
    fold_constants,
    inline_constant_if,
    eliminate_common_subexpressions,
    eliminate_dead_code,
)
"""Removes what does nothing. Safe at any point of a pipeline."""

RECOGNISE: tuple[Pass, ...] = (fuse_layer_norm, fuse_gelu, fuse_hard_swish)
"""Finds operators in the formulas that stand for them. What a target lacks is a formula again afterwards."""

FUSE: tuple[Pass, ...] = (
    fuse_pad,
    merge_slices,
    merge_concats,
    drop_zero_states,
    fold_batch_norm,
    fuse_gemm,
    fold_affine,
    push_affine,
)
"""Makes fewer, larger operators that every target has."""

CLEAN_LAYERS: tuple[Pass, ...] = (
    simplify,
    fold_named_constants,
    inline_constant_if,
    eliminate_common_subexpressions,
    eliminate_dead_code,
)
"""``CLEAN``, with the names of weights kept."""

FUSE_LAYERS: tuple[Pass, ...] = (fuse_pad, merge_slices, merge_concats, drop_zero_states)
"""What of ``FUSE`` leaves every layer with the weights that it was trained with."""


def run(graph: Graph, passes: Iterable[Pass], watch: Watch | None = None) -> None:
    """Applies ``passes`` to a graph and to all its sub-graphs.

    Raises:
        InternalError: a pass left a graph that is not well formed.
    """
    for apply in passes:
        name = getattr(apply, "__name__", type(apply).__name__)
        outcome = Outcome()
        for part in [*subgraphs(graph), graph]:
            edits = part.edits
            outcome += apply(part)
            if part.edits != edits:
                check(part, after=name)
        if watch is not None:
            watch(name, graph, outcome)


def optimize(graph: Graph, watch: Watch | None = None, *, trainable: bool = False) -> None:
    """The target-independent pipeline; of a model to be ``trainable`` it leaves the layers as they are."""
    if trainable:
        run(graph, (*CLEAN_LAYERS, *RECOGNISE, *FUSE_LAYERS, *CLEAN_LAYERS), watch)
    else:
        run(graph, (drop_dropout, *CLEAN, *RECOGNISE, *FUSE, *CLEAN), watch)


def subgraphs(graph: Graph) -> Iterator[Graph]:
    """All graphs inside the operators of ``graph``, innermost first."""
    for node in graph:
        for part in bodies(node):
            yield from subgraphs(part)
            yield part


def bodies(node: Node[Op]) -> list[Graph]:
    """The graphs among the attributes of ``node``."""
    if not isinstance(node.op, ControlOp):
        return []
    values = [getattr(node.op, f.name) for f in dataclasses.fields(cast(Any, node.op))]
    return [v for v in values if isinstance(v, Graph)]
