"""A typed view of one operator of a program: operands and settings by name, and nothing left unread."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.errors import InvalidModelError, Problem, UnsupportedError
from mmconvert.ir.builder import Builder
from mmconvert.ir.dims import Dim, Extent
from mmconvert.ir.graph import Origin, Value
from mmconvert.ir.types import Shape, TensorType
from mmconvert.parsers.constants import Constants
from mmconvert.parsers.pytorch import extents
from mmconvert.parsers.pytorch.records import Argument, Element, Node, Program, Record, Ref, Sym, Word
from mmconvert.parsers.symbols import Symbols
from mmconvert.rules import Rules

if TYPE_CHECKING:
    from mmconvert.parsers.pytorch.scope import Context

_SAYS_NOTHING = frozenset(
    {"requires_grad", "non_blocking", "generator", "pin_memory", "cudnn_enabled", "out"}
)
"""Arguments that do not change what is computed."""

REQUIRED: Any = object()


@dataclass(slots=True, eq=False)
class Library:
    """What all graphs of a program share.

    Attributes:
        program: the program.
        rules: one rule for each overload.
        symbols: names of extents that only the data decide.
        constants: what is known of computed values.
        places: where each symbol can be read: a value and one of its axes, or -1 for its only element.
        problems: everything that cannot be represented, so far.
        warnings: what the reader of the model has to know.
    """

    program: Program
    rules: Rules[str]
    symbols: Symbols = field(default_factory=Symbols)
    constants: Constants = field(default_factory=Constants)
    places: extents.Places = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Source:
    """One operator: hands out operands and settings, and remembers which were asked for."""

    def __init__(self, node: Node, context: Context, name: str) -> None:
        """
        Args:
            node: as the program has it.
            context: the graph that it is in.
            name: what to call it: the path of its module.
        """
        self.node, self.context = node, context
        self.builder: Builder = context.builder
        self.kind = node.target
        self.origin = Origin(name, node.target, node.line)
        self.where = f"{name} ({node.line})" if node.line else name
        self._arguments = dict(node.arguments)
        self._left = set(self._arguments)

    # --- errors --------------------------------------------------------------------------------------

    def invalid(self, message: str) -> InvalidModelError:
        """The error that this operator is not valid."""
        return InvalidModelError(f"{self.kind}: {message}", where=self.where)

    def unsupported(self, message: str, hint: str = "") -> UnsupportedError:
        """The error that this operator is valid, and cannot be represented."""
        return UnsupportedError(f"{self.kind}: {message}", where=self.where, hint=hint)

    def finish(self) -> None:
        """Refuses what no rule has read.

        Raises:
            UnsupportedError: an argument that says something was never asked for.
        """
        left = [
            name
            for name in sorted(self._left - _SAYS_NOTHING)
            if self._arguments[name] not in (None, ()) and not isinstance(self._arguments[name], Word)
        ]
        if left:
            raise self.unsupported(f"arguments not understood: {', '.join(left)}")

    # --- arguments -----------------------------------------------------------------------------------

    def given(self, name: str) -> bool:
        """True when the argument is there, and is not None."""
        return self._arguments.get(name) is not None

    def raw(self, name: str, default: Argument = REQUIRED) -> Argument:
        """The argument as the program has it, or ``default`` where it is left out or None."""
        self._left.discard(name)
        found = self._arguments.get(name)
        if found is None:
            if default is REQUIRED:
                raise self.invalid(f"the argument {name} is missing")
            return default
        return found

    def ignore(self, *names: str) -> None:
        """Reads arguments that say nothing about what the operator computes."""
        self._left.difference_update(names)

    @property
    def positional(self) -> list[Argument]:
        """All arguments in order, of an operator that does not name them."""
        self._left.clear()
        return [argument for _, argument in self.node.arguments]

    def is_tensor(self, name: str) -> bool:
        """True when the argument is a tensor."""
        return isinstance(self._arguments.get(name), Ref)

    def value(self, name: str) -> Value:
        """An argument that is a tensor."""
        return self.tensor(self.raw(name))

    def tensor(self, argument: Argument) -> Value:
        """The value behind a name."""
        if not isinstance(argument, Ref):
            raise self.invalid(f"a tensor is needed, not {argument!r}")
        return self.context.find(argument.name)

    def optional(self, name: str) -> Value | None:
        """An argument that is a tensor, or None."""
        found = self.raw(name, None)
        return None if found is None else self.tensor(found)

    def values(self, name: str) -> list[Value]:
        """An argument that is a list of tensors."""
        return [self.tensor(argument) for argument in self._tuple(name, REQUIRED)]

    def _tuple(self, name: str, default: Argument) -> tuple[Argument, ...]:
        found = self.raw(name, default)
        return found if isinstance(found, tuple) else (found,)

    def resolved(self, argument: Argument) -> Any:
        """A number: itself, or what the shapes of inputs make it."""
        if not isinstance(argument, Sym):
            return argument
        found = self.context.record.numbers.get(argument.name)
        if found is None:
            raise self.unsupported(
                f"with {argument.name}, a number that is computed while the model runs",
                hint="export it with fixed sizes, or without a number taken from a tensor",
            )
        return found

    def number(self, name: str, default: Argument = REQUIRED) -> Any:
        """A bool, an int, a float or an extent."""
        found = self.resolved(self.raw(name, default))
        if not isinstance(found, bool | int | float | complex | Dim):
            raise self.invalid(f"{name} must be a number, not {found!r}")
        return found

    def extent(self, name: str, default: Argument = REQUIRED) -> Extent:
        """An integer, or a symbol that the run decides."""
        found = self.number(name, default)
        if isinstance(found, float | complex):
            raise self.invalid(f"{name} must be an integer, not {found}")
        extent: Extent = found
        return extent

    def integer(self, name: str, default: int | None = None) -> int:
        """An integer that is known."""
        found = self.extent(name, REQUIRED if default is None else default)
        if isinstance(found, Dim):
            raise self.unsupported(f"with {name}={found}, which is known only while the model runs")
        return found

    def real(self, name: str, default: float | None = None) -> float:
        """A floating-point number."""
        found = self.number(name, REQUIRED if default is None else default)
        if isinstance(found, Dim | complex):
            raise self.unsupported(f"with {name}={found}")
        return float(found)

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean."""
        return bool(self.number(name, default))

    def text(self, name: str, default: str = "") -> str:
        """A word."""
        return str(self.raw(name, default))

    def extents(self, name: str, default: Argument = REQUIRED) -> Shape:
        """Integers or symbols."""
        found = tuple(self.resolved(argument) for argument in self._tuple(name, default))
        if not all(isinstance(extent, int | Dim) for extent in found):
            raise self.invalid(f"{name} must be integers, not {found}")
        return found

    def integers(
        self, name: str, default: Argument = REQUIRED, *, count: int | None = None
    ) -> tuple[int, ...]:
        """Integers that are known; one of them stands for all ``count``."""
        found = self.extents(name, default)
        known = tuple(extent for extent in found if isinstance(extent, int))
        if len(known) < len(found):
            raise self.unsupported(f"with {name}={list(found)}, which are known only while the model runs")
        if count is not None:
            known = known * count if len(known) == 1 else known
            if len(known) != count:
                raise self.invalid(f"{name} must be {count} integers, not {list(known)}")
        return known

    def reals(self, name: str) -> tuple[float, ...]:
        """Floating-point numbers."""
        return tuple(float(self.resolved(argument)) for argument in self._tuple(name, ()))

    def element(self, name: str = "dtype") -> DType | None:
        """An element type; None where it is left out."""
        found = self.raw(name, None)
        if found is None:
            return None
        if not isinstance(found, Element) or found.dtype is None:
            raise self.unsupported(f"with {name}, an element type that the IR does not have")
        return found.dtype

    def graph(self, argument: Argument) -> Record:
        """An argument that is a graph."""
        if not isinstance(argument, Record):
            raise self.invalid(f"a graph is needed, not {argument!r}")
        return argument

    # --- results -------------------------------------------------------------------------------------

    def result(self, index: int = 0) -> TensorType:
        """What torch noted of output ``index``."""
        outputs = self.node.outputs
        flat = outputs[0] if len(outputs) == 1 and isinstance(outputs[0], tuple) else outputs
        name = flat[index] if index < len(flat) else None
        meta = self.context.record.metas.get(name) if isinstance(name, str) else None
        if meta is None:
            raise self.invalid(f"output {index} is not described")
        return meta.type

    def wants(self, index: int) -> bool:
        """True when output ``index`` is asked for."""
        outputs = self.node.outputs
        return index < len(outputs) and outputs[index] is not None

    # --- numbers as values ---------------------------------------------------------------------------

    def scalar(self, number: Any, dtype: DType) -> Value:
        """A number as a constant of this type, or an extent as a value that is computed from shapes."""
        if isinstance(number, Dim):
            made = extents.value(self.builder, number, self.context.library.places)
            if made is None:
                raise self.unsupported(f"with {number}, which is known only outside of this graph")
            return self.cast(made, dtype)
        if dtypes.is_integer(dtype) and isinstance(number, float):
            number = int(number)
        return self.builder.constant(np.asarray(number).astype(dtype))

    def cast(self, x: Value, dtype: DType) -> Value:
        """``x`` in another element type."""
        from mmconvert.ir import ops

        if x.type.dtype == dtype:
            return x
        if x.constant is not None and x.type.size == 1:
            return self.builder.constant(x.constant.numpy().astype(dtype))
        return self.builder(ops.Cast(to=dtype), x)
