"""Writes PyTorch source: a folder with a readable module, its weights, and a test of it.

The graph that is written keeps the source's layers: nothing is folded into weights, and dropout stays, so
that the model can be trained further.
"""

from __future__ import annotations

from pathlib import Path

from mmconvert.emitters.pytorch.constraints import obstacle
from mmconvert.ir.model import Module
from mmconvert.ir.types import Layout
from mmconvert.passes.fuse_hard_sigmoid import fuse_hard_sigmoid
from mmconvert.passes.outcome import Pass

__all__ = ["PASSES", "SUFFIXES", "TARGET_LAYOUT", "TRAINABLE", "WANTS_EXAMPLES", "obstacle", "write"]

SUFFIXES = ("",)
TARGET_LAYOUT = Layout.NCHW
TRAINABLE = True
"""Layers stay as they were trained."""
WANTS_EXAMPLES = True
"""Inputs and outputs are written beside the model, for its test."""
PASSES: tuple[Pass, ...] = (fuse_hard_sigmoid,)


def write(module: Module, path: Path) -> int:
    """Writes a model to the folder ``path``, which appears whole or not at all.

    Args:
        module: the model, in operators and layouts that PyTorch has; with its examples, a test is written.
        path: the folder; one that was written before is replaced.

    Returns:
        How many operators the model has.

    Raises:
        UnsupportedError: something cannot be expressed; all of it is listed.
        UsageError: the folder cannot be written, or holds something else.
    """
    from mmconvert.emitters.pytorch.folder import save
    from mmconvert.emitters.pytorch.source import describe

    source = describe(module)
    save(module, source, path)
    return source.operators
