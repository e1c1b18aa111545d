"""What the records of a pickle stand for: tensors, numbers, and tables of them. A closed list of names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import BY_NAME, DType
from mmconvert.errors import InvalidModelError, Problem, UnsupportedError
from mmconvert.parsers.pytorch.pickled import Bunch, Call, Global, Pairs, Persistent, Pickle
from mmconvert.parsers.pytorch.storage import Stored, row_major_strides

MAX_DEPTH = 100
"""How deep tables may lie inside tables."""

SHOWN = 200
"""No more names than this are told, and no more letters of one; a hostile file may have millions."""

TRUST = (
    "save its state dict (torch.save(model.state_dict(), ...)) and name the code with --module, or export it "
    "(torch.export.save); --trust-pickle runs whatever the file asks for"
)

FREE_WORK, ELEMENT, PAIR = 1 << 26, 16, 64
"""How many bytes may be copied for a pickle, whatever its size; for how many an element and an item count."""

Find = Callable[[str, DType], memoryview]
"""The bytes of a storage by its key and element type."""


class Table(dict[Any, Any]):
    """A dict of the file, with what modules say of their versions."""

    metadata: Any = None


class Opaque:
    """Something that is no weight, and that nobody looks at."""

    def __init__(self, name: str) -> None:
        self.name = name


class Unreadable(Opaque):
    """A tensor of a kind that the IR does not have."""


def rebuild(pickle: Pickle, find: Find) -> Any:
    """The value of a pickle: tensors as ``Stored``, dicts as ``Table``, lists, tuples, texts and numbers.

    Raises:
        InvalidModelError: it is damaged, or asks for what only an attack asks for.
        UnsupportedError: it asks for code; every name is listed.
    """
    require_known(pickle)
    try:
        return _Rebuilder(pickle, find).value(pickle.result, 0)
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, OverflowError) as error:
        what = f"{type(error).__name__} {error}"
        raise InvalidModelError(f"the pickle is malformed: {what}", where=pickle.where) from error


def require_known(pickle: Pickle) -> None:
    """Refuses a pickle that asks for anything but plain data.

    Raises:
        InvalidModelError: it asks for what only an attack asks for.
        UnsupportedError: it asks for code that is not torch's own.
    """
    hostile, strange = foreign(pickle)
    if hostile:
        raise InvalidModelError(
            f"a hostile pickle: it asks for {', '.join(_few(hostile))}; nothing of it was run",
            where=pickle.where,
            hint="mmconvert inspect --audit shows all that it asks for",
        )
    if strange:
        raise UnsupportedError(
            "this pickle holds more than weights: reading it would run code",
            where=pickle.where,
            hint=TRUST,
            problems=[Problem(name) for name in _few(strange)],
        )


def _few(names: list[str]) -> list[str]:
    more = [f"{len(names) - SHOWN:,} more"] if len(names) > SHOWN else []
    return [name[:SHOWN] if name.isprintable() else repr(name[:SHOWN]) for name in names[:SHOWN]] + more


def foreign(pickle: Pickle) -> tuple[list[str], list[str]]:
    """The names that a pickle asks for and reading weights does not need: hostile ones, and the others."""
    names = dict.fromkeys(str(g) for g in pickle.globals if str(g) not in _NAMES and str(g) not in _MAKERS)
    strange = list(names)
    strange += sorted({f"{c.how} of {_kind(c.function)}" for c in pickle.calls if not _is_known_call(c)})
    return [n for n in strange if is_hostile(n)], [n for n in strange if not is_hostile(n)]


def is_hostile(name: str) -> bool:
    """True for names that files of weights have no use for, and attacks have."""
    parts = name.split(".")
    return parts[0] in _HOSTILE_WORDS or any(part in _REACHING_WORDS for part in parts[1:])


def _is_known_call(call: Call) -> bool:
    """A call of something with a name: the names themselves are judged apart from this."""
    return call.how != "BUILD" and isinstance(call.function, Global)


def _kind(function: Any) -> str:
    return f"{function} itself" if isinstance(function, Global) else f"a {type(function).__name__.lower()}"


class _Rebuilder:
    def __init__(self, pickle: Pickle, find: Find) -> None:
        self.where, self.find = pickle.where, find
        self._made: dict[int, Any] = {}
        self._open: set[int] = set()
        self._left = max(FREE_WORK, 8 * len(pickle.data))

    def invalid(self, what: str) -> InvalidModelError:
        return InvalidModelError(f"the pickle is malformed: {what}", where=self.where)

    def spend(self, count: int) -> None:
        """Notes that ``count`` bytes are copied, as a small pickle can ask for that very often."""
        self._left -= count
        if self._left < 0:
            raise self.invalid("it copies the same things over and over")

    def value(self, record: Any, depth: int) -> Any:
        """What a record stands for; the same record is made once."""
        if not isinstance(record, list | tuple | Pairs | Bunch | Call | Persistent | Global):
            return record
        key = id(record)
        if key not in self._made:
            if key in self._open or depth > MAX_DEPTH:
                raise self.invalid(f"it contains itself, or lies more than {MAX_DEPTH} deep")
            self._open.add(key)
            self._made[key] = self._make(record, depth + 1)
            self._open.discard(key)
        return self._made[key]

    def _make(self, record: Any, depth: int) -> Any:
        match record:
            case list():
                return [self.value(part, depth) for part in record]
            case tuple():
                return tuple(self.value(part, depth) for part in record)
            case Pairs():
                return self.table(record.items, depth)
            case Bunch():
                return [self.value(part, depth) for part in record.elements]
            case Global():
                return _NAMES.get(str(record), Opaque(str(record)))
            case Persistent():
                return self._storage(self.value(record.id, depth))
            case Call():
                return _MAKERS[str(record.function)](self, record, depth)
        raise self.invalid(f"a {type(record).__name__}")

    def table(self, items: Sequence[tuple[Any, Any]], depth: int) -> Table:
        found = Table()
        for key, content in items:
            name = self.value(key, depth)
            found[name if isinstance(name, str | int | float | bytes | None) else id(key)] = self.value(
                content, depth
            )
        return found

    def arguments(self, call: Call, depth: int) -> tuple[Any, ...]:
        found = self.value(call.arguments, depth)
        if not isinstance(found, tuple):
            raise self.invalid(f"{call.function} is called without a tuple")
        return found

    def _storage(self, id: Any) -> _Storage:
        kind, dtype, key, _, count, *view = id
        if kind != "storage" or not (isinstance(dtype, _Class) and isinstance(key, str | int)):
            raise self.invalid("a reference to something that is no storage")
        start, stored = 0, self.find(str(key), dtype.dtype)
        if view and view[0] is not None:
            _, start, count = view[0]
        begin, size = start * dtype.dtype.itemsize, count * dtype.dtype.itemsize
        if min(begin, size) < 0 or begin + size > len(stored):
            raise self.invalid(f"the storage {key} has {len(stored)} bytes, not {size}")
        return _Storage(stored[begin : begin + size], dtype.dtype, str(key))

    def tensor(self, storage: Any, offset: Any, size: Any, strides: Any, dtype: Any = None) -> Stored:
        if not isinstance(storage, _Storage):
            raise self.invalid("a tensor without a storage")
        numbers = (offset, *size, *strides)
        if len(size) != len(strides) or not all(isinstance(n, int) for n in numbers):
            raise self.invalid("a tensor without numbers for a shape")
        element = dtype.dtype if isinstance(dtype, _Class) else storage.dtype
        found = Stored(storage.data, element, tuple(size), tuple(strides), offset)
        found.require_room(f"the storage {storage.name}", self.where)
        return found


class _Storage:
    def __init__(self, data: memoryview, dtype: DType, name: str) -> None:
        self.data, self.dtype, self.name = data, dtype, name


class _Class:
    """An element type, by whatever name."""

    def __init__(self, dtype: DType) -> None:
        self.dtype = dtype


def storage_element(persistent: Persistent) -> tuple[str, DType] | None:
    """The key of the storage that is meant, and the type of its elements; None where none is."""
    match persistent.id:
        case ("storage", Global() as kind, str() | int() as key, *_) if str(kind) in _CLASSES:
            return str(key), _CLASSES[str(kind)].dtype
    return None


# --- what calls of known names make ----------------------------------------------------------------------

_Maker = Callable[[_Rebuilder, Call, int], Any]


def _tensor_v2(r: _Rebuilder, call: Call, depth: int) -> Stored:
    storage, offset, size, strides, *_ = r.arguments(call, depth)
    return r.tensor(storage, offset, size, strides)


def _tensor_v3(r: _Rebuilder, call: Call, depth: int) -> Stored:
    storage, offset, size, strides, _, _, dtype, *_ = r.arguments(call, depth)
    return r.tensor(storage, offset, size, strides, dtype)


def _first(r: _Rebuilder, call: Call, depth: int) -> Any:
    return r.arguments(call, depth)[0]


def _subclass(r: _Rebuilder, call: Call, depth: int) -> Any:
    """``(function, type, arguments, state)``: attributes of a tensor are no part of its values."""
    function, _, arguments, *_ = call.arguments
    if not isinstance(function, Global):
        raise r.invalid("a tensor that is made by nothing")
    return _MAKERS[str(function)](r, Call(call.how, function, arguments), depth)


def _ordered(r: _Rebuilder, call: Call, depth: int) -> Table:
    pairs = []
    for pair in _pairs(r.arguments(call, depth)):
        r.spend(PAIR)
        pairs.append(pair)
    found = r.table([*pairs, *call.items], depth)
    if isinstance(call.state, Pairs):
        found.metadata = r.value(call.state, depth).get("_metadata")
    return found


def _pairs(arguments: tuple[Any, ...]) -> Iterator[tuple[Any, Any]]:
    """Python 2 gave the items of an OrderedDict to its constructor."""
    for argument in arguments:
        if isinstance(argument, list):
            yield from ((key, value) for key, value in argument)
        elif isinstance(argument, dict):
            yield from argument.items()


def _listed(r: _Rebuilder, call: Call, depth: int) -> list[Any]:
    found: list[Any] = []
    for argument in r.arguments(call, depth):
        r.spend(ELEMENT * len(argument))
        found += argument
    return [*found, *(r.value(part, depth) for part in call.elements)]


def _size(r: _Rebuilder, call: Call, depth: int) -> tuple[Any, ...]:
    return tuple(_listed(r, call, depth))


def _encoded(r: _Rebuilder, call: Call, depth: int) -> bytes:
    """Bytes in the protocols that have none: a text, and ``latin1``."""
    text, *coding = r.arguments(call, depth)
    r.spend(len(text))
    found: bytes = text.encode("latin-1" if coding in (["latin1"], ["latin-1"]) else "utf-8")
    return found


def _numpy_type(r: _Rebuilder, call: Call, depth: int) -> _Class:
    code = r.arguments(call, depth)[0]
    dtype = np.dtype(code) if code.lstrip("<>|=")[:1] in _NUMBERS and len(code) <= 4 else None
    state = r.value(call.state, depth) if call.state is not None else (3, "<")
    if dtype is None or not dtypes.known(dtype):
        raise r.invalid("arrays of something that is no number")
    return _Class(dtype.newbyteorder(">") if state[1] == ">" else dtype)


def _numpy_scalar(r: _Rebuilder, call: Call, depth: int) -> Any:
    kind, data = r.arguments(call, depth)
    r.spend(len(data))
    return np.frombuffer(_octets(data), kind.dtype, 1)[0].item()


def _numpy_array(r: _Rebuilder, call: Call, depth: int) -> Any:
    """``BUILD`` brings all: version, shape, element type, order of axes, bytes."""
    if call.state is None:
        return Opaque("an array without content")
    _, shape, kind, transposed, data = r.value(call.state, depth)
    r.spend(len(data))
    flat = np.frombuffer(_octets(data), kind.dtype)
    native = flat.astype(kind.dtype.newbyteorder("="), copy=False)
    array = native.reshape(shape, order="F" if transposed else "C")
    plain = np.ascontiguousarray(array)
    strides = row_major_strides(plain.shape)
    return Stored(memoryview(plain.tobytes()), plain.dtype, plain.shape, strides, 0)


def _octets(data: Any) -> bytes:
    return data.encode("latin-1") if isinstance(data, str) else bytes(data)


def _opaque(r: _Rebuilder, call: Call, depth: int) -> Opaque:
    return Opaque(str(call.function))


def _unreadable(r: _Rebuilder, call: Call, depth: int) -> Unreadable:
    return Unreadable(str(call.function).rpartition(".")[2].removeprefix("_rebuild_").replace("_", " "))


_NUMBERS = tuple("biufc?")

_ELEMENTS: dict[str, tuple[str, ...]] = {
    "f64": ("DoubleStorage", "float64", "double"),
    "f32": ("FloatStorage", "float32", "float"),
    "f16": ("HalfStorage", "float16", "half"),
    "bf16": ("BFloat16Storage", "bfloat16"),
    "i64": ("LongStorage", "int64", "long"),
    "i32": ("IntStorage", "QInt32Storage", "int32", "int"),
    "i16": ("ShortStorage", "int16", "short"),
    "i8": ("CharStorage", "QInt8Storage", "int8"),
    "u8": ("ByteStorage", "QUInt8Storage", "UntypedStorage", "uint8"),
    "u16": ("uint16",),
    "u32": ("uint32",),
    "u64": ("uint64",),
    "bool": ("BoolStorage", "bool"),
    "c64": ("ComplexFloatStorage", "complex64", "cfloat"),
    "c128": ("ComplexDoubleStorage", "complex128", "cdouble"),
    "f8e4m3fn": ("float8_e4m3fn",),
    "f8e4m3fnuz": ("float8_e4m3fnuz",),
    "f8e5m2": ("float8_e5m2",),
    "f8e5m2fnuz": ("float8_e5m2fnuz",),
    "f8e8m0": ("float8_e8m0fnu",),
}
"""What torch calls element types and the storages of them."""

_CLASSES = {
    f"{package}{name}": _Class(BY_NAME[element])
    for element, names in _ELEMENTS.items()
    for name in names
    for package in ("torch.", "torch.cuda.", "torch.storage.")
}

_BUILTINS = ("__builtin__.", "builtins.")

_PLAIN = (
    "list",
    "dict",
    "set",
    "frozenset",
    "int",
    "float",
    "bool",
    "str",
    "bytes",
    "complex",
    "slice",
    "range",
)

_NAMES: dict[str, Any] = {
    **_CLASSES,
    **{f"{package}{name}": Opaque(name) for package in _BUILTINS for name in _PLAIN},
    "torch.Tensor": Opaque("Tensor"),
    "torch.nn.parameter.Parameter": Opaque("Parameter"),
    "numpy.ndarray": Opaque("ndarray"),
}
"""Names that stand for themselves."""

_MULTIARRAY = ("numpy.core.multiarray.", "numpy._core.multiarray.")

_MAKERS: dict[str, _Maker] = {
    "collections.OrderedDict": _ordered,
    "collections.defaultdict": _ordered,
    "collections.Counter": _ordered,
    "torch._utils._rebuild_tensor": _tensor_v2,
    "torch._utils._rebuild_tensor_v2": _tensor_v2,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch.nn.parameter.Parameter": _first,
    "torch.nn.parameter.Buffer": _first,
    "torch._tensor._rebuild_from_type_v2": _subclass,
    "torch._utils._rebuild_device_tensor_from_numpy": _first,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _first,
    "torch._utils._rebuild_xla_tensor": _first,
    **{
        f"torch._utils._rebuild_{kind}": _unreadable
        for kind in (
            "qtensor",
            "sparse_tensor",
            "sparse_csr_tensor",
            "nested_tensor",
            "meta_tensor_no_storage",
        )
    },
    "torch.Size": _size,
    "torch.device": _opaque,
    "torch.serialization._get_layout": _opaque,
    "torch.per_tensor_affine": _opaque,
    "torch.per_channel_affine": _opaque,
    "argparse.Namespace": _opaque,
    "pathlib.PosixPath": _opaque,
    "pathlib.PurePosixPath": _opaque,
    "pathlib.WindowsPath": _opaque,
    "pathlib._local.PosixPath": _opaque,
    "datetime.datetime": _opaque,
    "_codecs.encode": _encoded,
    **{f"{package}{name}": _listed for package in _BUILTINS for name in ("list", "set", "frozenset")},
    **{f"{package}{name}": _opaque for package in _BUILTINS for name in ("complex", "slice", "range")},
    **{f"{package}dict": _ordered for package in _BUILTINS},
    **{f"{package}bytearray": _opaque for package in _BUILTINS},
    "numpy.dtype": _numpy_type,
    **{f"{package}scalar": _numpy_scalar for package in _MULTIARRAY},
    **{f"{package}_reconstruct": _numpy_array for package in _MULTIARRAY},
}
"""Names that may be called, and what makes of the arguments what such a call would."""

_HOSTILE = """
    os posix nt posixpath ntpath subprocess sys builtins __builtin__ socket shutil runpy importlib
    pickle _pickle cPickle marshal ctypes pty platform commands code codeop webbrowser asyncio
    multiprocessing operator _operator timeit pip ensurepip pdb bdb profile cProfile trace doctest
    idlelib lib2to3 urllib http ftplib smtplib requests httpx aiohttp signal venv zipimport pkgutil imp
    pydoc distutils
"""
"""Packages that reach files, processes, the net or the interpreter itself."""

_REACHING = """
    system popen Popen check_output eval exec execfile open getattr setattr delattr __import__
    import_module run_module load_module loads spawn fork hub os subprocess sys shutil __globals__
    __subclasses__ __builtins__ __class__ __reduce__
"""
"""Names that do so in whatever module they are found."""

_HOSTILE_WORDS, _REACHING_WORDS = frozenset(_HOSTILE.split()), frozenset(_REACHING.split())
