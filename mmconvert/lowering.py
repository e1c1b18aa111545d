"""From the IR as it was read to the IR that a target can express."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from mmconvert import registry
from mmconvert.ir.graph import Graph
from mmconvert.ir.types import Layout
from mmconvert.passes import pipeline
from mmconvert.passes.layout.assign import IoLayout, assign_layout, moved_ends
from mmconvert.passes.legalize import legalize
from mmconvert.passes.outcome import Outcome, Pass
from mmconvert.passes.pin_outputs import pin_outputs

Moved = tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]


def lower(
    graph: Graph,
    target: registry.Format,
    *,
    io_layout: IoLayout = "source",
    watch: pipeline.Watch | None = None,
    **options: Any,
) -> Moved:
    """Rewrites ``graph`` in place until the emitter of ``target`` can write it.

    Args:
        graph: the graph as parsed.
        target: the format to write.
        io_layout: whether inputs and outputs keep the source's order of axes or take the target's.
        watch: is told about every pass.
        **options: the target's own; its constraints are handed those that they ask for (``opset`` for ONNX).

    Returns:
        How inputs and outputs were permuted, by name; empty unless ``io_layout`` is "target".

    Raises:
        UnsupportedError: operators have neither a form in the target nor a decomposition; all are listed.
    """
    emitter = registry.load_module(target.emitter)
    layout: Layout | None = emitter.TARGET_LAYOUT
    if layout is None:
        return {}, {}
    constraints = registry.load_module(f"{target.emitter}.constraints")
    asked = inspect.signature(constraints.obstacle).parameters
    obstacle: functools.partial[str | None] = functools.partial(
        constraints.obstacle, **{name: value for name, value in options.items() if name in asked}
    )

    def legal(graph: Graph) -> Outcome:
        return legalize(graph, obstacle, target.title)

    legal.__name__ = "legalize"  # what reports of passes call it
    target_passes: tuple[Pass, ...] = getattr(emitter, "PASSES", ())
    # What is to be trained keeps its layers as they are.
    trainable: bool = getattr(emitter, "TRAINABLE", False)
    clean = pipeline.CLEAN_LAYERS if trainable else pipeline.CLEAN
    fuse = pipeline.FUSE_LAYERS if trainable else pipeline.FUSE
    pipeline.optimize(graph, watch, trainable=trainable)
    pipeline.run(graph, getattr(emitter, "BEFORE_LAYOUT", ()), watch)
    moved = moved_ends(graph, layout) if io_layout == "target" else ({}, {})
    pipeline.run(graph, (assign_layout(layout, io_layout), *clean, *fuse, *target_passes), watch)
    if settle := getattr(constraints, "settle", None):  # what of the options depends on the graph
        obstacle = functools.partial(obstacle, **settle(graph, **obstacle.keywords))
    pipeline.run(graph, (legal, *clean, *fuse, *clean, *target_passes), watch)
    # Cleaning may have made operators that the target lacks out of ones that it has.
    pipeline.run(graph, (legal, *clean, legal, pin_outputs), watch)
    return moved
