"""Reads `.pt2` archives: a zip with the program as JSON and the bytes of its weights, each in its own member.

Nothing is unpickled and torch is not needed. Weights are used where they lie in the archive.
"""

from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from mmconvert.dtypes import BY_NAME, DType
from mmconvert.errors import InvalidModelError, UnsupportedError, UsageError
from mmconvert.files import map_file
from mmconvert.parsers import zipped
from mmconvert.parsers.pytorch.program import Json, read_program
from mmconvert.parsers.pytorch.records import ELEMENTS, Program
from mmconvert.tensors import Array, Tensor

_MODEL = "models/"
_OLD = "serialized_exported_program.json"


def is_archive(path: Path) -> bool:
    """True when ``path`` is a zip with an exported program; only its directory is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipped.BROKEN:
        return False
    return any(_is_model(name) or name == _OLD for name in names)


def _is_model(name: str) -> bool:
    return f"/{_MODEL}" in f"/{name}" and name.endswith(".json")


def read_archive(path: Path, model: str | None = None) -> Program:
    """The program in a `.pt2` file; its weights stay where they are.

    Args:
        path: the file.
        model: which program, of an archive with several.

    Raises:
        UsageError: the file cannot be read, or there is no such program.
        UnsupportedError: it is of a version, or has parts, that cannot be read.
        InvalidModelError: it is damaged, hostile, or lacks a member.
    """
    whole = map_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return _Archive(archive, whole, path).program(model)
    except zipped.BROKEN as error:
        raise InvalidModelError(f"the archive is damaged: {error}", where=str(path)) from error


class _Archive:
    def __init__(self, archive: zipfile.ZipFile, whole: memoryview, path: Path) -> None:
        self.archive, self.whole, self.path = archive, whole, path
        self.where = str(path)
        self.names = archive.namelist()
        self._bytes: dict[str, memoryview] = {}
        self._tensors: dict[tuple[Any, ...], Tensor] = {}

    def program(self, model: str | None) -> Program:
        if _OLD in self.names:
            raise UnsupportedError(
                "an archive of torch 2.8 or earlier",
                where=self.where,
                hint="load it with torch.export.load and save it again with torch 2.9 or later",
            )
        found = {
            name.rpartition("/")[2].removesuffix(".json"): name for name in self.names if _is_model(name)
        }
        if model is None and len(found) > 1:
            raise UsageError(
                "there are several programs", where=self.where, hint=f"choose one of {', '.join(found)}"
            )
        wanted = next(iter(found)) if model is None else model
        if wanted not in found:
            raise UsageError(f"there is no program {wanted!r}", where=self.where)
        member = found[wanted]
        root = member[: member.rindex(_MODEL)]
        self._require_little_endian(root)
        tensors: dict[str, Tensor] = {}
        for folder, kind in (("weights", "weights"), ("constants", "constants")):
            config = f"{root}data/{folder}/{wanted}_{kind}_config.json"
            if config in self.names:
                tensors |= self._payloads(self._json(config), f"{root}data/{folder}/")
        return read_program(self._json(member), tensors, self.path.name)

    def _require_little_endian(self, root: str) -> None:
        name = f"{root}byteorder"
        order = zipped.text(self.archive, name, self.where).strip() if name in self.names else b"little"
        if order != b"little":
            raise UnsupportedError("weights with the most significant byte first", where=self.where)

    def _json(self, name: str) -> Json:
        try:
            found = json.loads(zipped.text(self.archive, name, self.where))
        except (ValueError, RecursionError) as error:
            raise InvalidModelError(f"{name} is no JSON: {error}", where=self.where) from error
        if not isinstance(found, dict):
            raise InvalidModelError(f"{name} is no JSON object", where=self.where)
        return found

    def _payloads(self, config: Json, folder: str) -> dict[str, Tensor]:
        try:
            return {str(key): self._payload(about, folder) for key, about in config["config"].items()}
        except (TypeError, AttributeError) as error:
            raise InvalidModelError(
                f"the list of {folder} is malformed: {error}", where=self.where
            ) from error

    def _payload(self, about: Json, folder: str) -> Tensor:
        name, meta = f"{folder}{about['path_name']}", about["tensor_meta"]
        if about["use_pickle"] or meta is None:
            raise UnsupportedError(
                f"{about['path_name']}, which is not plain numbers but a pickled object", where=self.where
            )
        dtype = BY_NAME.get(ELEMENTS.get(meta["dtype"], ""))
        if dtype is None:
            raise UnsupportedError(f"weights of torch's element type {meta['dtype']}", where=self.where)
        shape, strides = (tuple(int(v["as_int"]) for v in meta[key]) for key in ("sizes", "strides"))
        place = name, dtype, shape, strides, int(meta["storage_offset"]["as_int"])
        if place not in self._tensors:  # what is tied is there once
            self._tensors[place] = self._tensor(*place)
        return self._tensors[place]

    def _tensor(
        self, name: str, dtype: DType, shape: tuple[int, ...], strides: tuple[int, ...], offset: int
    ) -> Tensor:
        if name not in self._bytes:
            self._bytes[name] = zipped.data(self.archive, name, self.whole, self.where)
        stored = self._bytes[name]
        last = offset + sum((e - 1) * s for e, s in zip(shape, strides, strict=True))
        room = len(stored) // dtype.itemsize
        count = math.prod(shape)
        if min((offset, *shape, *strides)) < 0 or (count and last >= room):
            raise InvalidModelError(f"{name} has {room} elements, and not those of {shape}", where=self.where)
        if not count:
            return Tensor.of(np.empty(shape, dtype))
        flat = np.frombuffer(stored, dtype, last + 1 - offset, offset * dtype.itemsize)
        return Tensor.of(strided(flat, shape, strides))


def strided(flat: Array, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """A view of the elements of ``flat``, whose strides are counted in elements and stay inside of it."""
    steps = tuple(stride * flat.itemsize for stride in strides)
    return np.lib.stride_tricks.as_strided(flat, shape, steps, writeable=False)
