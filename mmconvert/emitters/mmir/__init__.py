"""Writes the IR as it is: readable text and a file of weights."""

from __future__ import annotations

from pathlib import Path

from mmconvert.ir import store
from mmconvert.ir.model import Module

SUFFIXES = (".mmir",)
TARGET_LAYOUT = None


def write(module: Module, path: Path) -> None:
    """Writes the folder ``path``.

    Raises:
        UsageError: it cannot be written.
    """
    store.save(module, path)
