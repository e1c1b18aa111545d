"""Loads a file as it was written, before it gets its name."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from mmconvert import registry
from mmconvert.errors import MissingDependencyError, UnsupportedError


def rehearse(name: str, path: Path, largest: float = math.inf, **beside: Path) -> None:
    """Loads ``path`` with our reader, and with the format's runtime where that is installed.

    What our reader knows to be sound but cannot represent is left to the runtime.

    Args:
        name: of the format.
        path: the file.
        largest: the runtime is not asked about a file of more bytes.
        **beside: other files of the model, as reader and runtime take them.

    Raises:
        InvalidModelError: the file cannot be loaded.
    """
    format = registry.find(name)
    parser: Any = registry.load_module(format.parser) if format.parser else None
    runtime: Any = registry.load_module(format.runtime)
    unread: UnsupportedError | None = None
    if parser is not None:
        try:
            parser.load(path, **beside)
        except UnsupportedError as error:
            unread = error
    try:
        if path.stat().st_size <= largest:
            runtime.Session(path, **beside)
    except MissingDependencyError:
        if unread is not None:
            raise unread from None
