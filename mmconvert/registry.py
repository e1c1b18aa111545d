"""The formats that mmconvert knows: one table, and the entry points through which others add theirs.

Nothing is imported until a format is used.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from mmconvert.errors import InvalidModelError, UsageError


@dataclass(frozen=True, slots=True)
class Format:
    """A file format and the modules that read, write and run it.

    Attributes:
        name: what users call it, ``"tflite"``.
        title: its full name.
        suffixes: usual file name endings, the first is the default for output.
        parser, emitter, runtime: module paths; empty where there is none.
        extra: the extra to install for the runtime.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    parser: str = ""
    emitter: str = ""
    runtime: str = ""
    extra: str = ""


FORMATS = (
    Format(
        "keras",
        "Keras (.keras and HDF5)",
        (".keras", ".h5", ".hdf5"),
        parser="mmconvert.parsers.keras",
        runtime="mmconvert.runtimes.keras",
        extra="keras",
    ),
    Format(
        "onnx",
        "ONNX",
        (".onnx",),
        parser="mmconvert.parsers.onnx",
        emitter="mmconvert.emitters.onnx",
        runtime="mmconvert.runtimes.onnxruntime",
        extra="onnxruntime",
    ),
    Format(
        "tflite",
        "TensorFlow Lite",
        (".tflite",),
        emitter="mmconvert.emitters.tflite",
        runtime="mmconvert.runtimes.litert",
        extra="litert",
    ),
    Format(
        "mmir",
        "mmconvert's own IR",
        (".mmir",),
        parser="mmconvert.parsers.mmir",
        emitter="mmconvert.emitters.mmir",
    ),
)

HEAD = 4096
"""How many bytes of a file a parser is shown to recognise it."""


def formats() -> tuple[Format, ...]:
    """The built-in formats, then those that installed packages add through entry points."""
    from importlib.metadata import entry_points  # twenty milliseconds that most commands do not need

    added: dict[str, dict[str, str]] = {}
    for kind in ("parser", "emitter", "runtime"):
        for point in entry_points(group=f"mmconvert.{kind}s"):
            added.setdefault(point.name, {})[kind] = point.value
    known = {f.name for f in FORMATS}
    extra = [Format(n, n, (f".{n}",), **modules) for n, modules in sorted(added.items()) if n not in known]
    return (*FORMATS, *extra)


def find(name: str) -> Format:
    """The format called ``name``.

    Raises:
        UsageError: there is none.
    """
    for format in FORMATS:
        if format.name == name:
            return format
    everything = formats()
    for format in everything:
        if format.name == name:
            return format
    raise UsageError(f"there is no format {name!r}", hint=f"formats: {', '.join(f.name for f in everything)}")


def of_target(path: Path, name: str | None) -> Format:
    """The format to write: ``name``, else what the suffix of ``path`` says.

    Raises:
        UsageError: the suffix says nothing, or the format can only be read.
    """
    if name is not None:
        format = find(name)
    else:
        matching = [f for f in _known() if path.suffix.lower() in f.suffixes and f.emitter]
        if not matching:
            known = ", ".join(f"{f.name} ({f.suffixes[0]})" for f in _known() if f.emitter)
            raise UsageError(
                f"the suffix {path.suffix!r} names no format that can be written",
                where=str(path),
                hint=f"name the format with --to; it can be {known}",
            )
        format = matching[0]
    if not format.emitter:
        raise UsageError(f"{format.title} can be read but not written")
    return format


def of_source(path: Path, name: str | None = None) -> Format:
    """The format of a file to read, recognised by its content; ``name`` forces one.

    Raises:
        UsageError: there is no such file, or the forced format cannot be read.
        InvalidModelError: the content is none of the formats.
    """
    if name is not None:
        format = find(name)
        if not format.parser:
            raise UsageError(f"{format.title} can be written but not read")
        return format
    head = read_head(path)
    for format in (*_known(), *(f for f in formats() if f not in FORMATS)):
        if format.parser and load_module(format.parser).sniff(path, head):
            return format
    known = ", ".join(f.title for f in formats() if f.parser)
    empty = "the file is empty" if path.is_file() and not head else "this is not a model file that mmconvert reads"
    raise InvalidModelError(empty, where=str(path), hint=f"it reads {known}")


def read_head(path: Path) -> bytes:
    """The first bytes of a file, none of a folder.

    Raises:
        UsageError: there is no such file, or it may not be read.
    """
    try:
        if path.is_dir():
            return b""
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(path)) from error


def runtime_of(path: Path) -> Format | None:
    """The format whose runtime can execute the file at ``path``, by content, then by suffix."""
    if read_head(path)[4:8] == b"TFL3":
        return find("tflite")
    matching = [f for f in _known() if path.suffix.lower() in f.suffixes and f.runtime]
    return matching[0] if matching else None


def load_module(name: str) -> ModuleType:
    """Imports the module of a parser, emitter or runtime."""
    return importlib.import_module(name)


def _known() -> Iterator[Format]:
    return iter(FORMATS)
