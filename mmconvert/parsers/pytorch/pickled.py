"""Pickles read as what they are, a program for a stack machine, and none of it carried out.

A pickle names functions and asks for calls of them. Here a name stays a ``Global`` and a call a ``Call``:
nothing is imported and nothing is called, whatever the file says. What the records stand for is the business
of ``rebuilt``, which knows a closed list of names.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mmconvert.errors import InvalidModelError

MAX_STEPS = 2_000_000
"""More instructions than this are no description of weights; a tensor takes some thirty."""

MAX_LINE = 1 << 20
"""More bytes than this are no line of the text protocol."""

PROTOCOLS = (0, 1, 2, 3, 4, 5)


@dataclass(slots=True, eq=False)
class Global:
    """Something that is to be imported: a class or a function of a module."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False)
class Call:
    """A call that the pickle asks for.

    Attributes:
        how: the instruction: REDUCE, NEWOBJ, INST, OBJ or BUILD.
        function: a ``Global``, or anything else that a pickle may take for a function.
        arguments: what it is to be given.
        state: what BUILD is to put into the result.
        elements, items: what is to be appended to the result, and set in it.
    """

    how: str
    function: Any
    arguments: Any
    state: Any = None
    elements: list[Any] = field(default_factory=list)
    items: list[tuple[Any, Any]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Persistent:
    """Something outside of the pickle, by a name that the file format explains."""

    id: Any


@dataclass(slots=True, eq=False)
class Pairs:
    """A dict; its keys may be anything, as none of them is hashed."""

    items: list[tuple[Any, Any]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Bunch:
    """A set or a frozenset."""

    elements: list[Any]


class Pickle:
    """One pickle, read.

    Attributes:
        result: what it would make.
        end: where it ends in the bytes.
        globals, calls, persistent: all that it asks for, in order, whether or not it ends up in the result.
        protocol: the highest that it announces.
        steps: the number of its instructions.
    """

    def __init__(self, data: memoryview, where: str, start: int = 0) -> None:
        """
        Args:
            data: the bytes; what stands behind the pickle is left alone.
            where: for messages.
            start: where it begins.

        Raises:
            InvalidModelError: it is damaged, or far longer than any description of weights.
        """
        self.data, self.where, self.end = data, where, start
        self.globals: list[Global] = []
        self.calls: list[Call] = []
        self.persistent: list[Persistent] = []
        self.protocol = self.steps = 0
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        try:
            self.result = self._run()
        except (IndexError, KeyError, ValueError, TypeError, struct.error, OverflowError) as error:
            what = str(error) or type(error).__name__
            raise self._damaged(f"at byte {self.end}: {what}") from error
        finally:
            self._below, self._memo = [], {}

    def _damaged(self, what: str) -> InvalidModelError:
        return InvalidModelError(f"the pickle is damaged: {what}", where=self.where)

    def _run(self) -> Any:
        while True:
            code = self._take(1)[0]
            self.steps += 1
            if self.steps > MAX_STEPS:
                raise self._damaged(f"it has more than {MAX_STEPS:,} instructions")
            if code == _STOP:
                return self._stack.pop()
            step = _STEPS.get(code)
            if step is None:
                raise self._damaged(f"there is no instruction {code:#04x}")
            step(self)

    # --- bytes ---------------------------------------------------------------------------------------

    def _take(self, count: int) -> memoryview:
        if not 0 <= count <= len(self.data) - self.end:
            raise self._damaged(f"it ends within {count} bytes at {self.end}")
        self.end += count
        return self.data[self.end - count : self.end]

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _line(self) -> bytes:
        size = 64
        while True:
            found = bytes(self.data[self.end : self.end + size])
            place = found.find(b"\n")
            if place >= 0:
                self.end += place + 1
                return found[:place]
            if len(found) < size or size > MAX_LINE:
                raise self._damaged("a line has no end")
            size *= 4

    # --- the stack -----------------------------------------------------------------------------------

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _mark(self) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _since_mark(self) -> list[Any]:
        found, self._stack = self._stack, self._below.pop()
        return found

    def _pop(self) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._since_mark()

    def _discard(self, value: Any) -> None:
        """What is read, and says nothing."""

    def _tuple(self, count: int) -> None:
        if len(self._stack) < count:
            raise IndexError("a tuple of more than there is")
        start = len(self._stack) - count
        found = tuple(self._stack[start:])
        del self._stack[start:]
        self._push(found)

    def _put(self, place: int) -> None:
        self._memo[place] = self._stack[-1]

    def _extend(self, elements: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(elements)
        elif isinstance(target, Call | Bunch):
            target.elements.extend(elements)
        else:
            raise TypeError(f"something is appended to a {type(target).__name__}")

    def _set_items(self, flat: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, Pairs | Call):
            raise TypeError(f"an item is set in a {type(target).__name__}")
        target.items.extend(zip(flat[::2], flat[1::2], strict=True))

    # --- what it asks for ----------------------------------------------------------------------------

    def _global(self, module: Any, name: Any) -> None:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise TypeError("a name that is no text")
        self.globals.append(Global(module, name))
        self._push(self.globals[-1])

    def _call(self, how: str, function: Any, arguments: Any) -> None:
        self.calls.append(Call(how, function, arguments))
        self._push(self.calls[-1])

    def _build(self) -> None:
        state = self._stack.pop()
        target = self._stack[-1]
        if isinstance(target, Call) and target.state is None:
            target.state = state
        else:  # a state for a class, or for plain data: no way of making weights
            self._stack.pop()
            self._call("BUILD", target, (state,))

    def _persist(self, id: Any) -> None:
        self.persistent.append(Persistent(id))
        self._push(self.persistent[-1])


def _text(data: bytes | memoryview) -> str:
    return bytes(data).decode("utf-8", "backslashreplace")


def _quoted(p: Pickle) -> None:
    line = p._line().strip()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in b"'\"":
        raise ValueError("a text without quotes")
    p._push(_text(codecs.escape_decode(line[1:-1])[0]))


def _whole(p: Pickle) -> None:
    line = p._line()
    p._push({b"00": False, b"01": True}[line] if line in (b"00", b"01") else int(line))


def _long(p: Pickle, count: int) -> None:
    p._push(int.from_bytes(p._take(count), "little", signed=True))


def _instance(p: Pickle) -> None:
    module, name = _text(p._line()), _text(p._line())
    arguments = tuple(p._since_mark())
    p._global(module, name)
    p._call("INST", p._stack.pop(), arguments)


def _object(p: Pickle) -> None:
    function, *arguments = p._since_mark()
    p._call("OBJ", function, tuple(arguments))


def _called(how: str, count: int) -> Callable[[Pickle], None]:
    def apply(p: Pickle) -> None:
        p._tuple(count)
        function, *arguments = p._stack.pop()
        p._call(how, function, arguments[0] if count == 2 else tuple(arguments))

    return apply


def _named(p: Pickle) -> None:
    p._global(_text(p._line()), _text(p._line()))


def _stacked(p: Pickle) -> None:
    p._tuple(2)
    p._global(*p._stack.pop())


def _extension(form: str) -> Callable[[Pickle], None]:
    return lambda p: p._global("copyreg", f"extension {p._number(form)}")


def _protocol(p: Pickle) -> None:
    p.protocol = max(p.protocol, p._take(1)[0])
    if p.protocol not in PROTOCOLS:
        raise ValueError(f"protocol {p.protocol} is not known")


def _pairs(p: Pickle) -> None:
    flat = p._since_mark()
    p._push(Pairs())
    p._set_items(flat)


def _sized(form: str, make: Callable[[memoryview], Any]) -> Callable[[Pickle], None]:
    return lambda p: p._push(make(p._take(p._number(form))))


def _plain(form: str) -> Callable[[Pickle], None]:
    return lambda p: p._push(p._number(form))


def _constant(make: Callable[[], Any]) -> Callable[[Pickle], None]:
    return lambda p: p._push(make())


def _memoized(form: str) -> Callable[[Pickle], None]:
    return lambda p: p._put(p._number(form))


def _remembered(form: str) -> Callable[[Pickle], None]:
    return lambda p: p._push(p._memo[p._number(form)])


_STOP = ord(".")

_STEPS: dict[int, Callable[[Pickle], None]] = {
    code if isinstance(code, int) else ord(str(code)): step
    for code, step in {
        # protocol 0
        "(": Pickle._mark,
        "0": Pickle._pop,
        "1": lambda p: p._discard(p._since_mark()),
        "2": lambda p: p._push(p._stack[-1]),
        "F": lambda p: p._push(float(p._line())),
        "I": _whole,
        "L": lambda p: p._push(int(p._line().rstrip(b"L"))),
        "N": _constant(lambda: None),
        "P": lambda p: p._persist(_text(p._line())),
        "Q": lambda p: p._persist(p._stack.pop()),
        "R": _called("REDUCE", 2),
        "S": _quoted,
        "V": lambda p: p._push(p._line().decode("raw-unicode-escape", "backslashreplace")),
        "a": lambda p: p._extend([p._stack.pop()]),
        "b": Pickle._build,
        "c": _named,
        "d": _pairs,
        "e": lambda p: p._extend(p._since_mark()),
        "g": lambda p: p._push(p._memo[int(p._line())]),
        "i": _instance,
        "l": lambda p: p._push(p._since_mark()),
        "o": _object,
        "p": lambda p: p._put(int(p._line())),
        "s": lambda p: p._set_items([p._stack.pop(-2), p._stack.pop()]),
        "t": lambda p: p._push(tuple(p._since_mark())),
        "u": lambda p: p._set_items(p._since_mark()),
        # protocol 1
        "G": _plain(">d"),
        "J": _plain("<i"),
        "K": _plain("<B"),
        "M": _plain("<H"),
        "T": _sized("<i", _text),
        "U": _sized("<B", _text),
        "X": _sized("<I", _text),
        "]": _constant(list),
        "}": _constant(Pairs),
        ")": _constant(tuple),
        "h": _remembered("<B"),
        "j": _remembered("<I"),
        "q": _memoized("<B"),
        "r": _memoized("<I"),
        # protocol 2
        0x80: _protocol,
        0x81: _called("NEWOBJ", 2),
        0x82: _extension("<B"),
        0x83: _extension("<H"),
        0x84: _extension("<i"),
        0x85: lambda p: p._tuple(1),
        0x86: lambda p: p._tuple(2),
        0x87: lambda p: p._tuple(3),
        0x88: _constant(lambda: True),
        0x89: _constant(lambda: False),
        0x8A: lambda p: _long(p, p._number("<B")),
        0x8B: lambda p: _long(p, p._number("<i")),
        # protocol 3
        "B": _sized("<I", bytes),
        "C": _sized("<B", bytes),
        # protocol 4
        0x8C: _sized("<B", _text),
        0x8D: _sized("<Q", _text),
        0x8E: _sized("<Q", bytes),
        0x8F: _constant(lambda: Bunch([])),
        0x90: lambda p: p._extend(p._since_mark()),
        0x91: lambda p: p._push(Bunch(p._since_mark())),
        0x92: _called("NEWOBJ_EX", 3),
        0x93: _stacked,
        0x94: lambda p: p._put(len(p._memo)),
        0x95: lambda p: p._discard(p._number("<Q")),
        # protocol 5
        0x96: _sized("<Q", bytes),
    }.items()
}
