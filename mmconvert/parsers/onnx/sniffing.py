"""Telling an ONNX model from other files by its first bytes."""

from __future__ import annotations

from mmconvert.errors import InvalidModelError
from mmconvert.parsers.onnx import wire

_IR_VERSION, _PRODUCER_NAME = 1, 2
# ModelProto: field number -> wire type.
_FIELDS = {1: wire.VARINT, 5: wire.VARINT} | dict.fromkeys((2, 3, 4, 6, 7, 8, 14, 20, 25, 26), wire.BYTES)
_IR_VERSIONS = range(3, 64)  # opset imports exist from version 3 on


def is_model(head: bytes, *, named: bool) -> bool:
    """True when ``head`` starts like a serialized ModelProto.

    The IR version must come first, as every common writer has it, unless the file is ``named`` .onnx. What
    follows must be fields of a ModelProto, and its name of the producer must be text: other protobuf formats
    (SavedModel, Core ML) start with a small number as well and have a message in that place.
    """
    found: list[wire.Field] = []
    for f in _fields(head):
        if _FIELDS.get(f.number) != f.kind or (f.number == _PRODUCER_NAME and not _is_text(head, f)):
            return False
        if f.number == _IR_VERSION and f.value not in _IR_VERSIONS:
            return False
        found.append(f)
    if named:
        return bool(found)
    return len(found) > 1 and found[0].number == _IR_VERSION


def _fields(head: bytes) -> list[wire.Field]:
    """The fields in ``head``; the last one may be cut off."""
    found: list[wire.Field] = []
    position = 0
    while position < len(head):
        try:
            f = _field(head, position)
        except InvalidModelError:
            break
        found.append(f)
        position = f.end
    return found


def _field(head: bytes, start: int) -> wire.Field:
    tag, position = wire.read_varint(head, start, len(head))
    number, kind = tag >> 3, tag & 7
    if kind == wire.BYTES:
        length, begin = wire.read_varint(head, position, len(head))
        return wire.Field(number, kind, 0, start, begin, begin + length)
    if kind == wire.VARINT:
        value, end = wire.read_varint(head, position, len(head))
        return wire.Field(number, kind, value, start, position, end)
    return wire.Field(number, kind, 0, start, position, position + 8)


def _is_text(head: bytes, f: wire.Field) -> bool:
    shown = head[f.begin : f.end].decode("utf-8", "replace")
    return shown.isprintable() and "\ufffd" not in shown
