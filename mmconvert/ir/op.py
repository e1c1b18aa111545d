"""What an operator is: attributes as fields, operands as parameters of ``infer``, arithmetic beside them."""

from __future__ import annotations

import abc
import dataclasses
import enum
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast, dataclass_transform

import numpy as np

from mmconvert.errors import InternalError
from mmconvert.ir.dims import Bindings, Dim
from mmconvert.ir.types import Array, TensorType

if TYPE_CHECKING:
    from mmconvert.ir.builder import Builder
    from mmconvert.ir.graph import Value

OPERATORS: dict[str, type[Op]] = {}
"""Every operator class by its name, filled by ``@operator``; the text form reads names through it."""


class Op(abc.ABC):
    """An operator.

    The fields are the attributes. The parameters of ``infer`` are the operands: one with the default ``None``
    is optional, a ``*variadic`` one takes any number. ``infer`` and ``evaluate`` return one result, or a
    tuple when the operator has several outputs (``decompose`` likewise).
    """

    __slots__ = ()

    def __init__(self, **attributes: Any) -> None:
        """
        Raises:
            TypeError: an attribute is missing or unknown.
        """
        defaults = _defaults(type(self))
        if not attributes.keys() <= defaults.keys():
            raise TypeError(f"{self.name} has no attribute {', '.join(attributes.keys() - defaults.keys())}")
        for name, default in defaults.items():
            value = attributes.get(name, default)
            if value is dataclasses.MISSING:
                raise TypeError(f"{self.name} needs the attribute {name}")
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), dict(zip(_defaults(type(self)), self._values(), strict=True)))

    def _values(self) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in _defaults(type(self))])

    symbolic: ClassVar[bool] = False
    """True when ``evaluate`` also works on object arrays of extents, so that shapes fold through it."""

    @abc.abstractmethod
    def infer(self, *args: Any, **kwargs: Any) -> Any:
        """The type of each output.

        Raises:
            InferenceError: the operands do not fit.
        """

    @abc.abstractmethod
    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs, computed in the dtype of the operands."""

    def evaluate_in_place(self, x: Array, *rest: Any) -> Array | None:
        """``evaluate`` in the memory of the first operand, which nobody needs any more; None to decline.

        The result is the same to the last bit; what is saved is a walk through fresh memory.
        """
        return None

    def decompose(self, b: Builder, *args: Any, **kwargs: Any) -> Value | tuple[Value, ...] | None:
        """The same computation in simpler operators, or None when there is none for these attributes."""
        return None

    def content(self, types: Sequence[TensorType | None], contents: Sequence[Array | None]) -> Array | None:
        """The output as an object array of extents, when it follows from shapes alone; else None."""
        unknown = any(c is None and t is not None for c, t in zip(contents, types, strict=True))
        if not self.symbolic or unknown or _has_symbols(self):
            return None
        result = self.evaluate(*contents)
        return np.asarray(result, dtype=object) if not isinstance(result, tuple) else None

    def bind(self, bindings: Bindings) -> Op:
        """This operator with ``bindings`` put into the symbolic extents among its attributes."""
        if not _has_symbols(self):
            return self
        changed = {f.name: _bind(getattr(self, f.name), bindings) for f in dataclasses.fields(self)}  # type: ignore[arg-type]
        return type(self)(**changed)

    @property
    def name(self) -> str:
        """The operator's name."""
        return type(self).__name__

    def __repr__(self) -> str:
        fields = (f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(cast(Any, self)))
        return f"{self.name}({', '.join(fields)})"

    def __str__(self) -> str:
        from mmconvert.ir.text import format_attributes  # the text form knows the IR, not the other way round

        return f"{self.name} {format_attributes(self)}".rstrip()


@cache
def _has_symbols(op: Op) -> bool:
    return any(_mentions(getattr(op, f.name)) for f in dataclasses.fields(op))  # type: ignore[arg-type]


def _mentions(value: Any) -> bool:
    return isinstance(value, Dim) or (isinstance(value, tuple) and any(map(_mentions, value)))


def _bind(value: Any, bindings: Bindings) -> Any:
    if isinstance(value, Dim):
        return value.substitute(bindings)
    return tuple(_bind(v, bindings) for v in value) if isinstance(value, tuple) else value


class Elementwise(Op):
    """An operator whose output at a position depends on its operands there alone, but for broadcasting.

    Such an operator does not care about the order of axes, as long as all its operands share it.
    """

    __slots__ = ()


class ControlOp(Op):
    """An operator with sub-graphs. Sub-graphs capture nothing: what they read are their inputs."""

    __slots__ = ()

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Control flow is evaluated by ``execute``, which is handed a way to run graphs."""
        raise InternalError(f"{self.name} is evaluated through execute()")

    @abc.abstractmethod
    def execute(self, run: Any, *args: Array | None) -> tuple[Array, ...]:
        """The outputs; ``run(graph, inputs)`` returns the outputs of a sub-graph."""


class Arity(enum.Enum):
    """How many values an operand stands for."""

    REQUIRED = enum.auto()
    OPTIONAL = enum.auto()
    VARIADIC = enum.auto()


@dataclass(frozen=True, slots=True)
class Operand:
    """A declared operand."""

    name: str
    arity: Arity


@cache
def operands(cls: type[Op]) -> tuple[Operand, ...]:
    """The operands that an operator class declares."""
    found = []
    for parameter in list(inspect.signature(cls.infer).parameters.values())[1:]:
        if parameter.kind is parameter.VAR_POSITIONAL:
            arity = Arity.VARIADIC
        else:
            arity = Arity.REQUIRED if parameter.default is parameter.empty else Arity.OPTIONAL
        found.append(Operand(parameter.name, arity))
    return tuple(found)


C = TypeVar("C", bound=type[Op])


@dataclass_transform(frozen_default=True, kw_only_default=True)
def attributes(cls: C) -> C:
    """Class decorator of what operators inherit from: a frozen, slotted, keyword-only dataclass."""
    # What a dataclass would generate is in Op: compiling it for every operator took a sixth of a short run.
    return dataclass(init=False, repr=False, eq=False, slots=True, kw_only=True)(cls)  # type: ignore[return-value]


@dataclass_transform(frozen_default=True, kw_only_default=True)
def operator(cls: C) -> C:
    """Class decorator of every operator: ``attributes``, known by its name."""
    made = attributes(cls)
    if made.__name__ in OPERATORS:
        raise InternalError(f"two operators are called {made.__name__}")
    OPERATORS[made.__name__] = made
    return made


@cache
def _defaults(cls: type[Op]) -> dict[str, Any]:
    """The names of the attributes, each with its default, or ``dataclasses.MISSING``."""
    return {f.name: f.default for f in dataclasses.fields(cls)} if dataclasses.is_dataclass(cls) else {}


def _rebuilt(cls: type[Op], attributes: dict[str, Any]) -> Op:
    return cls(**attributes)
