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
def operator(cls: C) -> C:
    """Class decorator of every operator: a frozen, slotted, keyword-only dataclass, known by its name."""
    # A generated __repr__ would take longer to make, for every operator at every start, than all the rest.
    made = dataclass(frozen=True, slots=True, kw_only=True, repr=False)(cls)
    if made.__name__ in OPERATORS:
        raise InternalError(f"two operators are called {made.__name__}")
    OPERATORS[made.__name__] = made
    return made  # type: ignore[return-value]  # dataclass() returns the same class, with slots
