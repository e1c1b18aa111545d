"""FlatBuffers written front to back: tables are declared as data, and large vectors go straight to the file.

A table type lists its slots as ``name:type``, in the order of their numbers, with ``=default`` where the
default is not 0::

    OPERATOR_CODE = TableType("OperatorCode", "deprecated_builtin_code:i8 custom_code:string version:i32=1")
    OPERATOR_CODE(version=3)        # a table to be written; a slot that has its default is left out

Types: scalars ``i8 u8 i16 u16 i32 u32 i64 u64 f32 f64 bool``; ``string``; ``table``; vectors ``[i32]``,
``[string]``, ``[table]``, and ``[i32*3]`` of structs of three; and ``blob``, a vector of bytes (or of wider
scalars) that is loaded only while it is written. ``_`` holds the place of a slot that is never written. A
union is two slots, a ``u8`` and a ``table``.

An offset in a FlatBuffer points forward. So everything small is laid out first, in memory, with each table
ahead of what it refers to; then the places of the blobs are known, and they follow one at a time.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from mmconvert.errors import InternalError, UnsupportedError
from mmconvert.tensors import Array

LIMIT = (1 << 31) - 1
"""The size that no FlatBuffer may exceed: offsets to vtables are signed 32-bit numbers."""

SCALARS = {
    "i8": "b",
    "u8": "B",
    "bool": "?",
    "i16": "h",
    "u16": "H",
    "i32": "i",
    "u32": "I",
    "f32": "f",
    "i64": "q",
    "u64": "Q",
    "f64": "d",
}
_BLOB_ALIGNMENT = 16


@dataclass(frozen=True, slots=True, eq=False)
class Blob:
    """A vector of ``nbytes`` bytes, which ``load`` brings in when they are written, whole or part by part.

    Its length counts scalars of ``itemsize`` bytes.
    """

    nbytes: int
    load: Callable[[], Array | Iterable[Array]]
    itemsize: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table to be written: its type, and the slots that are set."""

    type: TableType
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Slot:
    number: int
    type: str
    default: float

    @property
    def code(self) -> str:
        return SCALARS.get(self.type, "I")


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the slots lie in a table that has some of them: its vtable, and how to pack the rest."""

    vtable: bytes
    pack: struct.Struct
    references: tuple[tuple[int, str, str], ...]  # (offset in the table, slot, type)
    scalars: tuple[str, ...]


@dataclass(slots=True, eq=False)
class TableType:
    """A declared table."""

    name: str
    declaration: str = ""
    slots: dict[str, _Slot] = field(init=False)
    _layouts: dict[tuple[str, ...], _Layout] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.slots = {}
        for number, text in enumerate(self.declaration.split()):
            name, _, rest = text.partition(":")
            kind, _, default = rest.partition("=")
            if name != "_":
                self.slots[name] = _Slot(number, kind, float(default or 0))

    def __call__(self, **values: Any) -> Table:
        """A table with these slots; None leaves a slot out.

        Raises:
            InternalError: the table has no such slot.
        """
        unknown = values.keys() - self.slots.keys()
        if unknown:
            raise InternalError(f"{self.name} has no slots {sorted(unknown)}")
        return Table(self, {name: v for name, v in values.items() if v is not None})

    def layout(self, present: tuple[str, ...]) -> _Layout:
        """The layout of a table that has the slots ``present``, made once for each combination."""
        if present not in self._layouts:
            self._layouts[present] = self._lay_out(present)
        return self._layouts[present]

    def _lay_out(self, present: tuple[str, ...]) -> _Layout:
        # The widest first: after the 4 bytes of the table's own offset this leaves at most one gap.
        order = sorted((self.slots[name] for name in present), key=lambda s: -struct.calcsize(s.code))
        names = {slot.number: name for name, slot in self.slots.items()}
        entries = [0] * (max((s.number for s in order), default=-1) + 1)
        form, at, references, scalars = "<i", 4, [], []
        for slot in order:
            width = struct.calcsize(slot.code)
            gap = -at % width
            entries[slot.number] = at = at + gap
            form += f"{gap}x{slot.code}" if gap else slot.code
            if slot.type in SCALARS:
                scalars.append(names[slot.number])
            else:
                references.append((at, names[slot.number], slot.type))
                scalars.append("")
            at += width
        vtable = struct.pack(f"<{2 + len(entries)}H", 4 + 2 * len(entries), at, *entries)
        return _Layout(vtable, struct.Struct(form), tuple(references), tuple(scalars))


@dataclass(slots=True)
class _Layer:
    """The part of the file that is laid out in memory."""

    data: bytearray = field(default_factory=bytearray)
    pending: deque[tuple[int, str, Any]] = field(default_factory=deque)
    vtables: dict[bytes, int] = field(default_factory=dict)
    blobs: dict[Blob, list[int]] = field(default_factory=dict)

    def align(self, width: int, ahead: int = 0) -> None:
        """Pads so that what comes ``ahead`` bytes later is aligned."""
        self.data += bytes(-(len(self.data) + ahead) % width)

    def refer(self, at: int, to: int) -> None:
        struct.pack_into("<I", self.data, at, to - at)

    def place(self, at: int, type: str, value: Any) -> None:
        """Lays out ``value`` and makes the offset ``at`` point to it."""
        if type == "blob":
            self.blobs.setdefault(value, []).append(at)
        elif type == "table":
            self.table(at, value)
        elif type == "string":
            self.align(4)
            self.refer(at, len(self.data))
            text = value if isinstance(value, bytes) else value.encode()
            self.data += struct.pack("<I", len(text)) + text + b"\0"
        elif (item := type[1:-1].partition("*"))[0] in SCALARS:
            code = SCALARS[item[0]]
            self.align(max(4, struct.calcsize(code)), ahead=4)
            self.refer(at, len(self.data))
            self.data += struct.pack(f"<I{len(value)}{code}", len(value) // int(item[2] or 1), *value)
        else:
            self.vector(at, type[1:-1], value)

    def vector(self, at: int, type: str, values: Iterable[Any]) -> None:
        members = list(values)
        self.align(4)
        self.refer(at, len(self.data))
        self.data += struct.pack("<I", len(members))
        for member in members:
            self.pending.append((len(self.data), type, member))
            self.data += bytes(4)

    def table(self, at: int, table: Table) -> None:
        slots, values = table.type.slots, table.values
        present = tuple(n for n, v in values.items() if slots[n].type not in SCALARS or v != slots[n].default)
        layout = table.type.layout(present)
        vtable = self.vtables.get(layout.vtable)
        if vtable is None:
            self.align(4)
            vtable = self.vtables[layout.vtable] = len(self.data)
            self.data += layout.vtable
        self.align(8)
        start = len(self.data)
        self.refer(at, start)
        packed = (values[name] if name else 0 for name in layout.scalars)
        self.data += layout.pack.pack(start - vtable, *packed)
        for offset, name, kind in layout.references:
            self.pending.append((start + offset, kind, values[name]))


@dataclass(frozen=True, slots=True)
class LaidOut:
    """A FlatBuffer: everything but the blobs, and each blob with the position of its vector."""

    data: bytearray
    blobs: tuple[tuple[int, Blob], ...]

    @property
    def end(self) -> int:
        """The number of bytes of the whole."""
        if not self.blobs:
            return len(self.data)
        position, blob = self.blobs[-1]
        return position + 4 + blob.nbytes


def lay_out(root: Table, identifier: bytes, limit: int = LIMIT) -> LaidOut:
    """Gives everything below ``root`` its place; the bytes of every blob start at a multiple of 16.

    Raises:
        UnsupportedError: the file would be larger than ``limit``.
    """
    layer = _Layer(bytearray(4) + identifier)
    layer.pending.append((0, "table", root))
    while layer.pending:
        layer.place(*layer.pending.popleft())
    end, placed = len(layer.data), []
    for blob, references in layer.blobs.items():
        end += -(end + 4) % _BLOB_ALIGNMENT
        placed.append((end, blob))
        for at in references:
            layer.refer(at, end)
        end += 4 + blob.nbytes
        if end > limit:
            raise UnsupportedError(f"the file would exceed {limit} bytes, the limit of FlatBuffers")
    return LaidOut(layer.data, tuple(placed))


def write(file: BinaryIO, laid_out: LaidOut) -> None:
    """Writes a FlatBuffer, loading one blob after the other."""
    file.write(laid_out.data)
    at = len(laid_out.data)
    for position, blob in laid_out.blobs:
        file.write(bytes(position - at) + struct.pack("<I", blob.nbytes // blob.itemsize))
        write_blob(file, blob)
        at = position + 4 + blob.nbytes


def write_blob(file: BinaryIO, blob: Blob) -> None:
    """Writes the bytes of one blob.

    Raises:
        InternalError: there are not as many as announced.
    """
    loaded = blob.load()
    written = 0
    for part in [loaded] if isinstance(loaded, np.ndarray) else loaded:
        file.write(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
        written += part.nbytes
    if written != blob.nbytes:
        raise InternalError(f"a blob of {written} bytes was announced as {blob.nbytes}")
