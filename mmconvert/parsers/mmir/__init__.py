"""Reads the IR that mmconvert itself saved."""

from __future__ import annotations

from pathlib import Path

from mmconvert.ir import store
from mmconvert.ir.model import Module


def sniff(path: Path, head: bytes) -> bool:
    """True for a folder that holds a graph's text."""
    return path.is_dir() and (path / store.GRAPH).is_file()


def load(path: Path) -> Module:
    """Reads the folder at ``path``.

    Raises:
        InvalidModelError: it is broken.
    """
    return store.load(path)
