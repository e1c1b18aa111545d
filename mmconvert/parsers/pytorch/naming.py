"""The names that a user gave to extents, ``torch.export.Dim("length")``, which a program itself forgets."""

from __future__ import annotations

import importlib
import re
from typing import Any

_OWN = re.compile(r"[su]\d+")
"""Names that torch itself gives to extents."""


def given_names(
    torch: Any, program: Any, source: tuple[Any, Any, Any], dynamic_shapes: Any
) -> dict[str, str]:
    """The names of the user by the symbols of a program; of those that have one.

    Args:
        torch: the package.
        program: what was exported.
        source: the module, and what it was exported with: arguments in order and by name.
        dynamic_shapes: as `torch.export.export` takes them.
    """
    if not dynamic_shapes:
        return {}
    shapes = importlib.import_module("torch.export.dynamic_shapes")
    wanted: list[Any] = []

    def note(path: Any, value: Any, shape: Any) -> None:
        wanted.append(shape if isinstance(value, torch.Tensor) else None)

    module, args, kwargs = source
    given = shapes._combine_args(module, args, kwargs or {})
    if isinstance(dynamic_shapes, tuple | list):
        given = type(dynamic_shapes)(given.values())
    elif isinstance(dynamic_shapes, dict):
        dynamic_shapes = {name: dynamic_shapes[name] for name in given if name in dynamic_shapes}
    shapes._tree_map_with_path(note, given, dynamic_shapes, tree_name="inputs")
    inputs = set(program.graph_signature.user_inputs)
    nodes = [n for n in program.graph.nodes if n.op == "placeholder" and n.name in inputs]
    found: dict[str, str] = {}
    if len(nodes) == len(wanted):
        for node, shape in zip(nodes, wanted, strict=True):
            for axis, dim in _axes(shape):
                _note(node.meta["val"].shape[axis], dim, found)
    return found


def _axes(shape: Any) -> list[tuple[int, Any]]:
    if isinstance(shape, dict):
        return list(shape.items())
    return list(enumerate(shape)) if isinstance(shape, tuple | list) else []


def _note(size: Any, dim: Any, found: dict[str, str]) -> None:
    """A derived extent, ``32 * rows``, names the symbol that it is made of."""
    name = getattr(getattr(dim, "root", dim), "__name__", "")
    free = getattr(getattr(getattr(size, "node", None), "expr", None), "free_symbols", ())
    if name.isidentifier() and not _OWN.fullmatch(name) and len(free) == 1:
        found.setdefault(str(next(iter(free))), name)
