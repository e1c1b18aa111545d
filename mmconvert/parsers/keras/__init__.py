"""Keras: `.keras` archives and whole-model `.h5` files of Keras 2 and 3, read without Keras."""

from __future__ import annotations

from pathlib import Path

from mmconvert.errors import InvalidModelError
from mmconvert.ir.model import Module

_ZIP, _HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"


def sniff(path: Path, head: bytes) -> bool:
    """True when ``path``, which begins with ``head``, is a `.keras` archive or an `.h5` file by Keras."""
    if head.startswith(_ZIP):
        from mmconvert.parsers.keras.archive import is_archive

        return is_archive(path)
    if head.startswith(_HDF5):
        from mmconvert.parsers.keras.sniffing import is_keras

        return is_keras(path)
    return False


def load(path: Path, *, network: Path | None = None) -> Module:
    """Reads a Keras model; weights stay in the file until they are asked for.

    Args:
        path: a `.keras` archive, or an HDF5 file with a model or its weights.
        network: the architecture as `model.to_json()` gives it, for a file with weights only.

    Raises:
        UsageError: a file cannot be read, or has no architecture.
        UnsupportedError: with everything in the model that cannot be represented.
        InvalidModelError: the file is damaged, or the model is not valid.
    """
    from mmconvert.parsers.keras.files import read

    try:
        return read(path, network)
    except (RecursionError, ArithmeticError, ValueError, MemoryError) as error:
        # A config that is valid JSON may still hold numbers that no model has, or be nested beyond reason.
        raise InvalidModelError(f"the model is damaged: {error}", where=str(path)) from error
