"""PyTorch: `.pt2` archives read without torch, and modules in memory exported by torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from mmconvert.errors import InvalidModelError
from mmconvert.ir.model import Module

R = TypeVar("R", bound=Callable[..., Any])

_ZIP = b"PK\x03\x04"


def sniff(path: Path, head: bytes) -> bool:
    """True when ``path``, which begins with ``head``, is an archive with an exported program."""
    if not head.startswith(_ZIP):
        return False
    from mmconvert.parsers.pytorch.archive import is_archive

    return is_archive(path)


def load(path: Path, *, model: str | None = None) -> Module:
    """Reads an exported program; its weights stay in the file until they are asked for.

    Args:
        path: a `.pt2` archive.
        model: which program, of an archive with several.

    Raises:
        UsageError: the file cannot be read, or there is no such program.
        UnsupportedError: with everything in the program that cannot be represented.
        InvalidModelError: the file is damaged, or the program is not valid.
    """
    from mmconvert.parsers.pytorch.archive import read_archive
    from mmconvert.parsers.pytorch.convert import Converter

    try:
        return Converter(read_archive(path, model)).convert()
    except (ArithmeticError, ValueError, RecursionError, MemoryError) as error:
        # A sound archive may still hold numbers that no model has.
        raise InvalidModelError(f"the program is damaged: {error}", where=str(path)) from error


def load_object(source: Any, *, inputs: Any = None, dynamic_shapes: Any = None) -> Module:
    """Reads a module, or an exported program, that is in memory; weights stay torch's own.

    Args:
        source: a `torch.nn.Module` or a `torch.export.ExportedProgram`.
        inputs: of a module: example inputs, a tensor or a tuple of what it takes, or a dict by name.
        dynamic_shapes: of a module: which extents are open, as `torch.export.export` takes them.

    Raises:
        UsageError: it is something else, or a module without inputs.
        UnsupportedError: with everything in the program that cannot be represented.
        InvalidModelError: torch cannot export the module with these inputs.
    """
    from mmconvert.parsers.pytorch.live import load_object as load_live

    return load_live(source, inputs, dynamic_shapes)


def register(name: str) -> Callable[[R], R]:
    """Decorator: a function that builds what an operator computes that mmconvert does not know.

    The function takes the operator (``parsers.pytorch.source.Source``) and a builder, and returns a value or
    a tuple of them::

        @register("mylib::scale")
        def scale(n, b):
            return b(ops.Mul(), n.value("x"), n.real("factor"))

    Args:
        name: of the operator, ``"mylib::op"`` or ``"mylib::op.overload"``.

    Raises:
        UsageError: it is no name of an operator.
    """
    from mmconvert.parsers.pytorch import table

    return table.custom(table.key_of(name))
