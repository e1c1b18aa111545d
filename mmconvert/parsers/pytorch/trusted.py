"""Pickles that the user trusts: torch runs them as they are, which may run any code."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmconvert.errors import InvalidModelError, UsageError
from mmconvert.ir.model import Module
from mmconvert.parsers.pytorch import build, live
from mmconvert.parsers.pytorch.rebuilt import Table
from mmconvert.parsers.pytorch.storage import Stored, row_major_strides

_RAN = "the file was unpickled, as --trust-pickle allows: whatever code it asks for has run"


def read_trusted(path: Path, module: Any, inputs: Any, dynamic_shapes: Any, key: str | None) -> Module:
    """Reads a file whose pickle is run as it is: a whole module, or weights amid objects of some package.

    Args:
        path: the file.
        module: names the code that builds the module, where the file has only weights.
        inputs, dynamic_shapes: examples, in words or as tensors.
        key: which module or state dict to use, of several.

    Raises:
        UsageError: there are no example inputs, or no module.
        InvalidModelError: torch cannot load it.
    """
    build.require_inputs(inputs, str(path))
    torch = live.require_torch()
    with build.working_directory():
        try:
            found = torch.load(path, map_location="cpu", weights_only=False)
        except (*build.RAISED, EOFError, pickle.UnpicklingError) as error:
            what = f"{type(error).__name__}: {error}"
            raise InvalidModelError(f"torch cannot load it: {what}", where=str(path)) from error
    held = found if isinstance(found, torch.nn.Module) else _module_in(torch, found, key, str(path))
    if held is None:
        loaded = build.read_built(path, _table(torch, found), module, inputs, dynamic_shapes, key)
        loaded.warnings.insert(0, _RAN)
        return loaded
    return build.load_module(torch, held.cpu().eval(), inputs, dynamic_shapes, [_RAN])


def _module_in(torch: Any, found: Any, key: str | None, where: str) -> Any:
    """The module of a checkpoint, by its key where there are several; None where there is none."""
    if not isinstance(found, Mapping):
        return None
    held = {str(name): value for name, value in found.items() if isinstance(value, torch.nn.Module)}
    if key is not None:
        return held.get(key)
    if len(held) > 1:
        hint = "choose one with --state-key"
        raise UsageError(f"there are several modules: {', '.join(held)}", where=where, hint=hint)
    return next(iter(held.values()), None)


def _table(torch: Any, found: Any, depth: int = 0) -> Any:
    """What torch has loaded, as the reader of weights would give it."""
    if isinstance(found, Mapping) and depth < 3:
        table = Table({str(name): _table(torch, value, depth + 1) for name, value in found.items()})
        table.metadata = getattr(found, "_metadata", None)
        return table
    if isinstance(found, torch.Tensor) and found.layout == torch.strided and not found.is_quantized:
        array = live.tensor_of(torch, "", found, {}).numpy()
        return Stored(
            memoryview(array.tobytes()), array.dtype, array.shape, row_major_strides(array.shape), 0
        )
    return found
