"""Keras: `.keras` archives and whole-model `.h5` files of Keras 1, 2 and 3, read without Keras."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mmconvert.errors import InvalidModelError
from mmconvert.ir.model import Module

if TYPE_CHECKING:
    from mmconvert.parsers.keras.custom import Activation

R = TypeVar("R", bound=Callable[..., Any])

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


def load(
    path: Path,
    *,
    network: Path | None = None,
    activations: Mapping[str, str | Activation] | None = None,
) -> Module:
    """Reads a Keras model; weights stay in the file until they are asked for.

    Args:
        path: a `.keras` archive, or an HDF5 file with a model or its weights.
        network: the architecture as `model.to_json()` gives it, for a file with weights only.
        activations: what names of activations mean that are not Keras's own: text as ``"leaky_relu:0.2"``, or
            functions of a builder and a value. A function without a name is called ``"<lambda>"``.

    Raises:
        UsageError: a file cannot be read, or has no architecture.
        UnsupportedError: with everything in the model that cannot be represented.
        InvalidModelError: the file is damaged, or the model is not valid.
    """
    from mmconvert.parsers.keras import custom
    from mmconvert.parsers.keras.files import read

    try:
        return read(path, network, custom.activations(activations or {}))
    except (RecursionError, ArithmeticError, ValueError, MemoryError) as error:
        # A config that is valid JSON may still hold numbers that no model has, or be nested beyond reason.
        raise InvalidModelError(f"the model is damaged: {error}", where=str(path)) from error


def register(name: str) -> Callable[[R], R]:
    """Decorator: a function that builds what a custom layer computes; see ``custom.register``.

    Args:
        name: of the class, or as it was registered with Keras (``"package>Scale"``).

    Raises:
        UsageError: the name has a function already.
    """
    from mmconvert.parsers.keras import custom

    return custom.register(name)
