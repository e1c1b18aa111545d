"""Writes the IR as it is: readable text and a file of weights."""

from __future__ import annotations

from pathlib import Path

from mmconvert.ir import store
from mmconvert.ir.model import Module

SUFFIXES = (".mmir",)
TARGET_LAYOUT = None


def write(module: Module, path: Path) -> int:
    """Writes the folder ``path``.

    Returns:
        How many operators the graph has.

    Raises:
        UsageError: it cannot be written.
    """
    store.save(module, path)
    return len(module.graph)
