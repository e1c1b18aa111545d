"""Reads `.pt2` archives: a zip with the program as JSON and the bytes of its weights.

Nothing in it is executed and torch is not needed. Weights are used where they lie in the archive: each in its
own member since torch 2.9, before that together in a state dict, an archive inside the archive.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmconvert.dtypes import BY_NAME
from mmconvert.errors import InvalidModelError, UnsupportedError, UsageError
from mmconvert.files import map_file
from mmconvert.parsers.pytorch.program import MAJOR, Json, read_program
from mmconvert.parsers.pytorch.rebuilt import Unreadable
from mmconvert.parsers.pytorch.records import ELEMENTS, Program
from mmconvert.parsers.pytorch.storage import Stored
from mmconvert.parsers.pytorch.weights import OLD_PROGRAM, Archive, is_model, unpickled
from mmconvert.tensors import Tensor

_MODEL = "models/"

_EARLIER = {"1": "torch 2.1", "5": "torch 2.3", "7": "torch 2.5"}
"""Releases that wrote versions of the schema before the one that is read."""


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
    return _Programs(Archive(map_file(path), str(path)), path).program(model)


class _Programs:
    def __init__(self, archive: Archive, path: Path) -> None:
        self.archive, self.path, self.where = archive, path, str(path)
        self._tensors: dict[tuple[Any, ...], Tensor] = {}

    def program(self, model: str | None) -> Program:
        if OLD_PROGRAM in self.archive.names:
            return self._old(model)
        found = {
            name.rpartition("/")[2].removesuffix(".json"): name
            for name in self.archive.names
            if is_model(name)
        }
        if model is None and len(found) > 1:
            raise UsageError(
                "there are several programs", where=self.where, hint=f"choose one of {', '.join(found)}"
            )
        if not found:
            raise InvalidModelError("the archive has no program", where=self.where)
        wanted = next(iter(found)) if model is None else model
        if wanted not in found:
            raise UsageError(f"there is no program {wanted!r}", where=self.where)
        member = found[wanted]
        root = member[: member.rindex(_MODEL)]
        self._require_little_endian(root)
        tensors: dict[str, Tensor] = {}
        for kind in ("weights", "constants"):
            folder = f"{root}data/{kind}/"
            if f"{folder}{wanted}_{kind}_config.json" in self.archive.names:
                tensors |= self._payloads(self._json(f"{folder}{wanted}_{kind}_config.json"), folder)
            elif f"{folder}{wanted}.pt" in self.archive.names:  # torch 2.8
                tensors |= self._state(f"{folder}{wanted}.pt")
        return read_program(self._json(member), tensors, self.path.name)

    # --- archives of torch 2.1 to 2.7 ----------------------------------------------------------------

    def _old(self, model: str | None) -> Program:
        if model is not None:
            raise UsageError("an archive of torch 2.7 or earlier has one program", where=self.where)
        described = self._json(OLD_PROGRAM)
        version = self._version(described)
        major = version.partition(".")[0]
        if major != str(MAJOR):
            release = _EARLIER.get(major, "torch 2.5 or earlier")
            raise UnsupportedError(
                f"an archive of {release}, with version {version[:20]} of the schema; {MAJOR} is read",
                where=self.where,
                hint="export the module again with torch 2.6 or later",
            )
        tensors: dict[str, Tensor] = {}
        for kind in ("state_dict", "constants"):
            for name in (f"serialized_{kind}.pt", f"serialized_{kind}.json"):
                if name in self.archive.names:
                    tensors |= self._state(name)
        return read_program(described, tensors, self.path.name)

    def _version(self, described: Json) -> str:
        """The version of the schema, ``"8.2"``; the first archives have it in the description alone."""
        if "version" in self.archive.names:
            return self.archive.text("version").decode("ascii", "replace").strip()
        found = described.get("schema_version")
        return str(found.get("major", 0) if isinstance(found, dict) else found or 0)

    def _state(self, name: str) -> dict[str, Tensor]:
        """A state dict that `torch.save` wrote into a member."""
        data = self.archive.data(name)
        found = unpickled(data, f"{self.where}:{name}") if len(data) else {}
        if not isinstance(found, dict):
            raise InvalidModelError(f"{name} is no state dict", where=self.where)
        if strange := [key for key, value in found.items() if isinstance(value, Unreadable)]:
            raise UnsupportedError(f"{strange[0]} is a {found[strange[0]].name}", where=self.where)
        return {str(k): self._tied(v) for k, v in found.items() if isinstance(v, Stored)}

    def _tied(self, stored: Stored) -> Tensor:
        """What is tied is there once."""
        if stored.place not in self._tensors:
            self._tensors[stored.place] = stored.tensor()
        return self._tensors[stored.place]

    # --- archives since torch 2.8 --------------------------------------------------------------------

    def _require_little_endian(self, root: str) -> None:
        name = f"{root}byteorder"
        order = self.archive.text(name).strip() if name in self.archive.names else b"little"
        if order != b"little":
            raise UnsupportedError("weights with the most significant byte first", where=self.where)

    def _json(self, name: str) -> Json:
        try:
            found = json.loads(self.archive.text(name))
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
        stored = Stored(self.archive.data(name), dtype, shape, strides, int(meta["storage_offset"]["as_int"]))
        stored.require_room(name, self.where)
        return self._tied(stored)
