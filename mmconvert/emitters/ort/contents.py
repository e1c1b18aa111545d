"""Reads the ORT file that ONNX Runtime has written, so that it can be laid out again, the same way each time.

ONNX Runtime always writes the same tables, but not always to the same places: it takes some of them from hash
tables, in the order in which these happen to hold them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mmconvert.emitters.flat import SCALARS, Blob, Table
from mmconvert.emitters.ort import schema
from mmconvert.errors import UnsupportedError
from mmconvert.files import map_file


def read(path: Path) -> Table:
    """The root table of an ORT file; weights are loaded when they are written.

    Raises:
        UnsupportedError: a later version of the format has something that is not known here.
    """
    reader = _Reader(map_file(path))
    return reader.table(schema.ROOT, reader.follow(0))


def main_graph(root: Table) -> Table:
    """The graph of a model, which has the others inside."""
    graph: Table = root.values["model"].values["graph"]
    return graph


def operators(graph: Table) -> Iterator[tuple[str, int, str]]:
    """Domain, version and name of every operator, of those in inner graphs as well."""
    for node in graph.values.get("nodes", ()):
        values = node.values
        domain = values.get("domain", b"").decode() or "ai.onnx"
        yield domain, values.get("since_version", 0), values["op_type"].decode()
        for attribute in values.get("attributes", ()):
            for body in (attribute.values.get("g"), *attribute.values.get("graphs", ())):
                if body is not None:
                    yield from operators(body)


@dataclass(frozen=True, slots=True)
class _Reader:
    """A FlatBuffer that is trusted: ONNX Runtime has just written it."""

    data: memoryview

    def table(self, name: str, start: int) -> Table:
        """The table of that type at ``start``."""
        type, values = schema.TYPES[name], dict[str, Any]()
        vtable = start - self.number("i32", start)
        entries = [self.number("u16", at) for at in range(vtable + 4, vtable + self.number("u16", vtable), 2)]
        known = {slot.number: key for key, slot in type.slots.items()}
        for number, offset in enumerate(entries):
            if offset and number not in known:
                raise UnsupportedError(
                    f"ONNX Runtime writes an ORT format newer than mmconvert: {name} has a field {number}"
                )
            if offset:
                key = known[number]
                child = schema.CHILDREN[name].get(key, "")
                if child == "TypeInfoValue":
                    child = schema.UNION[values["value_type"]]
                values[key] = self.value(type.slots[key].type, child, start + offset)
        return Table(type, values)

    def value(self, type: str, child: str, at: int) -> Any:
        """What stands in a slot, or in a vector, at ``at``."""
        if type in SCALARS:
            return self.number(type, at)
        start = self.follow(at)
        if type == "table":
            return self.table(child, start)
        count, body = self.number("u32", start), start + 4
        if type == "string":
            return bytes(self.data[body : body + count])
        if type == "blob":
            return Blob(count, partial(np.frombuffer, self.data, np.uint8, count, body))
        item, _, width = type[1:-1].partition("*")
        if item in SCALARS:
            return list(struct.unpack_from(f"<{count * int(width or 1)}{SCALARS[item]}", self.data, body))
        return [self.value(item, child, body + 4 * index) for index in range(count)]

    def number(self, type: str, at: int) -> Any:
        return struct.unpack_from(f"<{SCALARS[type]}", self.data, at)[0]

    def follow(self, at: int) -> int:
        return at + int(self.number("u32", at))
