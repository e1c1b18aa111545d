"""What the pickles in a file ask for, told without running any of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmconvert.errors import InvalidModelError
from mmconvert.files import map_file
from mmconvert.parsers import zipped
from mmconvert.parsers.pytorch.pickled import Bunch, Call, Global, Pairs, Persistent, Pickle
from mmconvert.parsers.pytorch.rebuilt import foreign
from mmconvert.parsers.pytorch.weights import Archive, stream

MAX_CALLS = 1000
"""How many calls are told of one pickle, and how many names; other calls are counted."""

MAX_TEXT, MAX_PARTS, MAX_DEPTH = 80, 6, 4
"""How much of an argument is shown: letters of a text, parts of a list, and how deep."""

MAX_NESTED = 3
"""How deep archives may lie in one another."""

_ZIP = b"PK\x03\x04"


@dataclass(slots=True)
class Asked:
    """What one pickle asks for.

    Attributes:
        name: of the pickle: the member of the archive that it is, or its place in the file.
        size: its bytes.
        steps: its instructions.
        protocol: of the pickle.
        globals: names that it would import, and how often.
        calls: calls that it would make, with their arguments.
        more_calls: how many there are besides.
        persistent: how many references to storages there are.
        hostile: names that weights have no use for, and attacks have.
        foreign: other names that are not read.
        damage: why it could not be read to its end.
    """

    name: str
    size: int = 0
    steps: int = 0
    protocol: int = 0
    globals: dict[str, int] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    more_calls: int = 0
    persistent: int = 0
    hostile: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    damage: str = ""


def audit(path: Path) -> list[Asked]:
    """What every pickle in a file asks for: a bare one, those of torch's older format, or members of a zip.

    Raises:
        UsageError: the file cannot be read.
        InvalidModelError: it is empty.
    """
    return list(_in(map_file(path), "", 0))


def exit_code(found: list[Asked]) -> int:
    """0 where all is plain weights, 3 where something asks for code, 4 where it is damaged or hostile."""
    if any(each.hostile or each.damage for each in found):
        return 4
    return 3 if any(each.foreign for each in found) else 0


def _in(whole: memoryview, name: str, depth: int) -> Iterator[Asked]:
    if whole[:4] == _ZIP:
        yield from _in_zip(whole, name, depth)
        return
    end = 0
    try:
        for number, pickle in enumerate(stream(whole, name)):
            yield _asked(pickle, name or f"pickle {number}", pickle.end - end)
            end = pickle.end
    except InvalidModelError as error:
        yield Asked(name or "the file", len(whole), damage=error.message)


def _in_zip(whole: memoryview, name: str, depth: int) -> Iterator[Asked]:
    try:
        archive = Archive(whole, name)
    except InvalidModelError as error:
        yield Asked(name or "the archive", len(whole), damage=error.message)
        return
    for member in archive.names:
        shown = f"{name}:{member}" if name else member
        is_nested = member.endswith((".pt", ".pth", ".ptl", ".json")) and depth < MAX_NESTED
        try:
            if member.endswith((".pkl", ".pickle", ".debug_pkl")):
                yield from _in(memoryview(archive.text(member)), shown, depth + 1)
            elif is_nested and (data := archive.data(member))[:4] == _ZIP:
                yield from _in_zip(data, shown, depth + 1)
            elif member.endswith((".pt", ".pth")):
                yield from _in(archive.data(member), shown, depth + 1)
        except (InvalidModelError, *zipped.BROKEN) as error:
            yield Asked(shown, damage=str(error))


def _asked(pickle: Pickle, name: str, size: int) -> Asked:
    hostile, others = foreign(pickle)
    shown = [_call(call) for call in pickle.calls[:MAX_CALLS]]
    return Asked(
        name,
        size,
        pickle.steps,
        pickle.protocol,
        dict(Counter(map(_clean, map(str, pickle.globals))).most_common(MAX_CALLS)),
        shown,
        len(pickle.calls) - len(shown),
        len(pickle.persistent),
        list(map(_clean, hostile[:MAX_CALLS])),
        list(map(_clean, others[:MAX_CALLS])),
    )


def _call(call: Call) -> str:
    state = f", then BUILD with {_shown(call.state, 1)}" if call.state is not None else ""
    return f"{call.how} {_shown(call.function, 1)}{_arguments(call.arguments)}{state}"


def _arguments(arguments: Any) -> str:
    shown = _shown(arguments, 1)
    return shown if isinstance(arguments, tuple) else f"(*{shown})"


def _shown(value: Any, depth: int) -> str:
    """A value in few words, however large it is and however deep it lies."""
    match value:
        case Global():
            return _clean(str(value))
        case str():
            return repr(value[:MAX_TEXT]) + (f"... {len(value)} letters" if len(value) > MAX_TEXT else "")
        case bytes():
            return repr(value[:MAX_TEXT]) + (f"... {len(value)} bytes" if len(value) > MAX_TEXT else "")
        case int() if value.bit_length() > 64:
            return f"an integer of {value.bit_length()} bits"
        case None | bool() | int() | float():
            return repr(value)
    if depth > MAX_DEPTH:
        return "..."
    match value:
        case tuple():
            return f"({_listed(value, depth)}{',' if len(value) == 1 else ''})"
        case list():
            return f"[{_listed(value, depth)}]"
        case Bunch():
            return f"set({_listed(value.elements, depth)})"
        case Pairs():
            pairs = (f"{_shown(k, depth + 1)}: {_shown(v, depth + 1)}" for k, v in value.items[:MAX_PARTS])
            return "{" + ", ".join(pairs) + _rest(value.items) + "}"
        case Persistent():
            return f"storage {_shown(value.id, depth + 1)}"
        case Call():
            return f"{_shown(value.function, depth + 1)}{_shown(value.arguments, depth + 1)}"
    return type(value).__name__


def _listed(parts: Any, depth: int) -> str:
    return ", ".join(_shown(part, depth + 1) for part in parts[:MAX_PARTS]) + _rest(parts)


def _rest(parts: Any) -> str:
    return f", ... {len(parts)} in all" if len(parts) > MAX_PARTS else ""


def _clean(name: str) -> str:
    """A name that a terminal can show: nothing in it moves the cursor."""
    short = name[: 2 * MAX_TEXT]
    return short if short.isprintable() else repr(short)
