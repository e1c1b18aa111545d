"""Arrays in files: inputs that the user gives, and outputs that the user wants."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmconvert import dtypes
from mmconvert.errors import UsageError
from mmconvert.files import atomic_write, require_file
from mmconvert.ir.types import Array
from mmconvert.verification.pictures import is_picture

_BROKEN = (OSError, ValueError, EOFError, KeyError, MemoryError, zipfile.BadZipFile, zlib.error)


def read_inputs(given: Sequence[str], names: Callable[[], Sequence[str]]) -> dict[str, Array]:
    """``["x.npy"]``, ``["image=x.npy", "mask=m.npy"]`` or ``["all.npz"]`` as arrays by input name.

    Args:
        given: what the user wrote.
        names: the names of the model's inputs; asked only when an array comes without one.

    Raises:
        UsageError: a file is no array file, or it is not clear which input it is for.
    """
    found: dict[str, Array] = {}
    for text in given:
        name, path = _split(text)
        loaded = _load(path)
        if isinstance(loaded, dict):
            if name:
                raise UsageError(f"an .npz file names its arrays itself, without {name}=", where=str(path))
            arrays = loaded
        else:
            arrays = {name or _only(names(), path): loaded}
        if twice := sorted(set(found) & set(arrays)):
            raise UsageError(f"the input {twice[0]!r} is given twice", where=str(path))
        found |= arrays
    return found


def feeds(given: Sequence[str], names: Callable[[], Sequence[str]]) -> list[dict[str, Array]] | Path | None:
    """What a model is to be verified on: arrays, or the path of an image or a folder; None for nothing.

    Raises:
        UsageError: as ``read_inputs``; or there are other inputs beside an image or a folder.
    """
    if not given:
        return None
    paths = [Path(text) for text in given if is_picture(Path(text))]
    if paths and len(given) > 1:
        hint = "put arrays for all inputs into .npz files, and these into a folder"
        raise UsageError("an image or a folder is the only input", where=str(paths[0]), hint=hint)
    return paths[0] if paths else [read_inputs(given, names)]


def read_array(path: Path) -> Array:
    """The array in an ``.npy`` file.

    Raises:
        UsageError: the file cannot be read, or is something else.
    """
    loaded = _load(path)
    if isinstance(loaded, dict):
        raise UsageError("is an .npz file, and one array is needed", where=str(path))
    return loaded


def write_outputs(path: Path, outputs: Mapping[str, Array]) -> None:
    """Writes arrays to an ``.npz`` file, or the only one to an ``.npy`` file.

    Element types that NumPy does not have are written as float32 or int8.

    Raises:
        UsageError: the file cannot be written, or an ``.npy`` file is to hold several arrays.
    """
    arrays = {name: _plain(array) for name, array in outputs.items()}
    if path.suffix.lower() == ".npy":
        if len(arrays) != 1:
            raise UsageError(f"the model has {len(arrays)} outputs: name an .npz file", where=str(path))
        with atomic_write(path) as file:
            np.save(file, next(iter(arrays.values())))
        return
    with atomic_write(path) as file, zipfile.ZipFile(file, "w") as archive:  # savez() reserves names
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def as_json(array: Array) -> dict[str, Any]:
    """An array as plain data; NaN and infinities as strings, complex numbers as pairs."""
    plain = _plain(array)
    if np.iscomplexobj(plain):
        plain = np.stack([plain.real, plain.imag], axis=-1)
    values = plain.tolist()
    if dtypes.is_float(plain.dtype) and not np.all(np.isfinite(plain)):
        values = _strict(values)
    return {"dtype": str(array.dtype), "shape": list(array.shape), "values": values}


def _split(text: str) -> tuple[str, Path]:
    """``NAME=FILE`` in its parts. Names of values may have ``=`` in them, and so may files."""
    if Path(text).exists():
        return "", Path(text)
    name, _, file = text.rpartition("=")
    return name, Path(file)


def _only(names: Sequence[str], path: Path) -> str:
    if len(names) != 1:
        hint = f"write NAME={path}; the inputs are {', '.join(names)}"
        raise UsageError("which input is this for?", where=str(path), hint=hint)
    return names[0]


def _load(path: Path) -> Array | dict[str, Array]:
    require_file(path)
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            return {key: loaded[key] for key in loaded.files}
    except _BROKEN as error:
        raise UsageError("is no .npy or .npz file with arrays of numbers", where=str(path)) from error


def _plain(array: Array) -> Array:
    if array.dtype.isbuiltin == 1:
        return array
    return array.astype(np.float32 if dtypes.is_float(array.dtype) else np.int8)


def _strict(values: Any) -> Any:
    if isinstance(values, list):
        return [_strict(v) for v in values]
    return values if abs(values) < float("inf") else str(values)
