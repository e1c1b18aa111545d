"""The formats that mmconvert knows: one table, and the entry points through which others add theirs.

Nothing is imported until a format is used.
"""

from __future__ import annotations

import difflib
import functools
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from mmconvert.errors import InvalidModelError, UnsupportedError, UsageError
from mmconvert.files import require_file


@dataclass(frozen=True, slots=True)
class Format:
    """A file format and the modules that read, write and run it.

    Attributes:
        name: what users call it, ``"tflite"``.
        title: its full name.
        suffixes: usual file name endings, the first is the default for output.
        parser, emitter, runtime: module paths; empty where there is none.
        extra: the extra to install for the runtime.
        aliases: other names that users know it by.
        magic: offset and bytes that tell a file of a format without a parser.
        folder: whether a model of this format is a folder.
        objects: the package whose objects in memory the parser reads too, with its ``load_object``.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    parser: str = ""
    emitter: str = ""
    runtime: str = ""
    extra: str = ""
    aliases: tuple[str, ...] = ()
    magic: tuple[int, bytes] | None = None
    folder: bool = False
    objects: str = ""

    @property
    def install(self) -> str:
        """How to install the runtime; empty when there is none."""
        return f"pip install 'mmconvert[{self.extra}]'" if self.extra else ""

    def is_in(self, head: bytes) -> bool:
        """True when ``head``, the beginning of a file, has the magic bytes."""
        return self.magic is not None and head[self.magic[0] :].startswith(self.magic[1])


FORMATS = (
    Format(
        "keras",
        "Keras (.keras and HDF5)",
        (".keras", ".h5", ".hdf5"),
        parser="mmconvert.parsers.keras",
        runtime="mmconvert.runtimes.keras",
        extra="keras",
        aliases=("h5", "hdf5"),
    ),
    Format(
        "onnx",
        "ONNX",
        (".onnx",),
        parser="mmconvert.parsers.onnx",
        emitter="mmconvert.emitters.onnx",
        runtime="mmconvert.runtimes.onnxruntime",
        extra="onnxruntime",
        aliases=("onnxruntime",),
    ),
    Format(
        "ort",
        "ORT format",
        (".ort",),
        emitter="mmconvert.emitters.ort",
        runtime="mmconvert.runtimes.onnxruntime",
        extra="onnxruntime",
        aliases=("ort-format",),
        magic=(4, b"ORTM"),
    ),
    Format(
        "tflite",
        "TensorFlow Lite",
        (".tflite",),
        parser="mmconvert.parsers.tflite",
        emitter="mmconvert.emitters.tflite",
        runtime="mmconvert.runtimes.litert",
        extra="litert",
        aliases=("litert", "tensorflow-lite", "tensorflowlite"),
    ),
    Format(
        "pytorch",
        "PyTorch",
        (".pt2", ".pt", ".pth", ".jit", ".safetensors"),
        parser="mmconvert.parsers.pytorch",
        aliases=("torch", "pt2"),
        objects="torch",
    ),
    Format(
        "pytorch-module",
        "PyTorch module (Python)",
        (),
        emitter="mmconvert.emitters.pytorch",
        runtime="mmconvert.runtimes.pytorch",
        extra="torch",
        aliases=("pytorch", "torch"),
        folder=True,
    ),
    Format(
        "ncnn",
        "NCNN",
        (".param",),
        parser="mmconvert.parsers.ncnn",
        emitter="mmconvert.emitters.ncnn",
        runtime="mmconvert.runtimes.ncnn",
        extra="ncnn",
    ),
    Format(
        "mnn",
        "MNN",
        (".mnn",),
        parser="mmconvert.parsers.mnn",
        emitter="mmconvert.emitters.mnn",
        runtime="mmconvert.runtimes.mnn",
        extra="mnn",
    ),
    Format(
        "mmir",
        "mmconvert's own IR",
        (".mmir",),
        parser="mmconvert.parsers.mmir",
        emitter="mmconvert.emitters.mmir",
        folder=True,
    ),
)

HEAD = 4096
"""How many bytes of a file a parser is shown to recognise it."""

KINDS = ("parser", "emitter", "runtime")


@functools.cache
def formats() -> tuple[Format, ...]:
    """The built-in formats, then those that installed packages add through entry points.

    An entry point under the name of a built-in format adds what that format lacks, and replaces nothing.
    """
    from importlib.metadata import entry_points  # twenty milliseconds that most commands do not need

    added: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        for point in entry_points(group=f"mmconvert.{kind}s"):
            added.setdefault(point.name, {})[kind] = point.value
    own = [
        replace(f, **{k: v for k, v in added.pop(f.name, {}).items() if not getattr(f, k)}) for f in FORMATS
    ]
    return (*own, *(Format(n, n, (f".{n}",), **modules) for n, modules in sorted(added.items())))


def find(name: str, wanted: Callable[[Format], object] = lambda _: True) -> Format:
    """The format called ``name``, in whatever case, or known by that alias.

    Args:
        name: what the user calls it.
        wanted: a further condition; a format without it is found only when no other one is.

    Raises:
        UsageError: there is none of that name.
    """
    key = name.lower().removeprefix(".")
    found = _first(lambda f: key == f.name or key in f.aliases, wanted)
    return found or _unknown(name, key)


def _unknown(name: str, key: str) -> NoReturn:
    known = [f.name for f in formats()]
    close = difflib.get_close_matches(key, [*known, *(a for f in formats() for a in f.aliases)], 1)
    guess = f"did you mean {close[0]}? " if close else ""
    raise UsageError(f"there is no format {name!r}", hint=f"{guess}The formats are {', '.join(known)}")


def of_target(path: Path, name: str | None = None) -> Format:
    """The format to write: ``name``, else what the suffix of ``path`` says.

    Raises:
        UsageError: there is no such format, or the suffix says nothing.
        UnsupportedError: the format can only be read.
    """
    suffix = path.suffix.lower()
    if name is not None:
        format = find(name, lambda f: f.emitter)
    else:
        format = _first(lambda f: suffix in f.suffixes, lambda f: f.emitter) or _no_suffix(path)
    if not format.emitter:
        raise UnsupportedError(f"{format.title} can be read, not written", hint=f"write {_writable()}")
    return format


def of_source(path: Path, name: str | None = None) -> Format:
    """The format of a file to read, recognised by its content; ``name`` forces one.

    Raises:
        UsageError: there is no such file, or no such format.
        InvalidModelError: the content is none of the formats.
        UnsupportedError: the format can only be written or run.
    """
    require_file(path)
    format = find(identify(path).name if name is None else name, lambda f: f.parser)
    if not format.parser:
        readable = ", ".join(f.title for f in formats() if f.parser)
        raise UnsupportedError(
            f"{format.title} cannot be read yet", where=str(path), hint=f"what can be read: {readable}"
        )
    return format


def of_object(source: object) -> Format:
    """The format whose parser reads ``source``, something in memory.

    Raises:
        UsageError: there is none.
    """
    roots = {kind.__module__.partition(".")[0] for kind in type(source).__mro__}
    found = _first(lambda f: bool(f.objects) and f.objects in roots, lambda f: f.parser)
    if found is None:
        readable = ", ".join(f.objects for f in formats() if f.objects)
        raise UsageError(
            f"a {type(source).__name__} cannot be read", hint=f"give a path, or a model of {readable}"
        )
    return found


def identify(path: Path) -> Format:
    """The format of a file, recognised by its content, whether it can be read or only run.

    Raises:
        UsageError: there is no such file.
        InvalidModelError: the content is none of the formats.
    """
    head = read_head(path)
    for format in _lazily():
        if format.parser and load_module(format.parser).sniff(path, head):
            return format
        if format.is_in(head):
            return format
    raise _unrecognised(path, head)


def _unrecognised(path: Path, head: bytes) -> InvalidModelError:
    if path.is_file() and not head:
        return InvalidModelError("the file is empty", where=str(path))
    named = _first(lambda f: path.suffix.lower() in f.suffixes, lambda _: True)
    if named is not None:
        return InvalidModelError(f"this is no {named.title} model, or it is damaged", where=str(path))
    known = ", ".join(f.title for f in formats())
    what = "folder" if path.is_dir() else "file"
    return InvalidModelError(
        f"this {what} is no model that mmconvert knows", where=str(path), hint=f"it knows {known}"
    )


def read_head(path: Path) -> bytes:
    """The first bytes of a file, none of a folder.

    Raises:
        UsageError: there is no such file, or it may not be read.
    """
    require_file(path)
    try:
        if path.is_dir():
            return b""
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(path)) from error


def load_module(name: str) -> ModuleType:
    """Imports the module of a parser, emitter or runtime."""
    return importlib.import_module(name)


def _first(matches: Callable[[Format], bool], wanted: Callable[[Format], object]) -> Format | None:
    """The first format that ``matches``, one that is also ``wanted`` before others."""
    second = None
    for format in _lazily():
        if matches(format):
            if wanted(format):
                return format
            second = second or format
    return second


def _lazily() -> Iterator[Format]:
    """The built-in formats and then all formats, so that entry points are searched only when need be."""
    yield from FORMATS
    yield from formats()


def _no_suffix(path: Path) -> NoReturn:
    what = f"the suffix {path.suffix!r} names no format" if path.suffix else "the name has no suffix"
    raise UsageError(what, where=str(path), hint=f"name the format with --to; it can be {_writable()}")


def _writable() -> str:
    return ", ".join(f"{f.name} ({next(iter(f.suffixes), 'a folder')})" for f in formats() if f.emitter)
