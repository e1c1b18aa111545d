"""The parameters of a layer by their names, with what stands for those that are left out."""

from __future__ import annotations

from mmconvert.errors import InvalidModelError, Problem, UnsupportedError
from mmconvert.ncnnlib import schema
from mmconvert.ncnnlib.records import Layer, Parameter

_EVERYWHERE = frozenset({schema.HINTS, schema.MASK, schema.SOURCE})


class Parameters:
    """A typed view of a layer's parameters, which remembers what was asked for."""

    def __init__(self, layer: Layer, where: str = "") -> None:
        """
        Raises:
            UnsupportedError: there is no such kind of layer.
        """
        self.layer = layer
        self.where = f"{where}, layer {layer.name!r}" if where else f"layer {layer.name!r}"
        if layer.kind not in schema.PARAMETERS:
            raise UnsupportedError(f"{layer.kind} is no layer of NCNN's", where=self.where)
        self._numbers, self._defaults = schema.numbers(layer.kind), schema.defaults(layer.kind)
        self._asked: set[int] = set()

    def integer(self, name: str) -> int:
        """A whole number.

        Raises:
            InvalidModelError: it is something else.
        """
        value = self._scalar(name)
        if value != int(value):
            raise self._wrong(name, "a whole number")
        return int(value)

    def flag(self, name: str) -> bool:
        """A number that is 0 or not."""
        return self.integer(name) != 0

    def real(self, name: str) -> float:
        """A number."""
        return float(self._scalar(name))

    def count(self, name: str, least: int = 0) -> int:
        """A whole number that is not below ``least``, and that something can have."""
        value = self.integer(name)
        if not least <= value < 1 << 31:
            raise self._wrong(name, f"at least {least}")
        return value

    def integers(self, name: str) -> tuple[int, ...]:
        """Whole numbers; none where the parameter is left out."""
        return tuple(int(value) for value in self.reals(name))

    def reals(self, name: str) -> tuple[float, ...]:
        """Numbers; none where the parameter is left out."""
        value = self._given(name)
        if isinstance(value, str):
            raise self._wrong(name, "a list of numbers")
        return () if value is None else tuple(value) if isinstance(value, tuple) else (value,)

    def text(self, name: str) -> str:
        """A text; empty where the parameter is left out."""
        value = self._given(name)
        if value is not None and not isinstance(value, str):
            raise self._wrong(name, "a text")
        return value or ""

    @property
    def names(self) -> frozenset[str]:
        """The names of all parameters that the kind has."""
        return frozenset(self._numbers)

    def has(self, name: str) -> bool:
        """Whether the parameter is there."""
        return self._numbers[name] in self.layer.parameters

    def finish(self) -> None:
        """Refuses what nobody has asked for.

        Raises:
            UnsupportedError: parameters are left; all are named.
        """
        names = {number: name for name, number in self._numbers.items()}
        left = sorted(set(self.layer.parameters) - self._asked - _EVERYWHERE)
        if left:
            problems = [
                Problem(f"the parameter {n} ({names.get(n, 'unknown')}) of {self.layer.kind}", (self.where,))
                for n in left
            ]
            raise UnsupportedError("parameters are not understood", where=self.where, problems=problems)

    def _given(self, name: str) -> Parameter | None:
        number = self._numbers[name]
        self._asked.add(number)
        return self.layer.parameters.get(number)

    def _scalar(self, name: str) -> int | float:
        value = self._given(name)
        if value is None:
            default = self._defaults[name]
            return self._scalar(default) if default in self._numbers else float(default)
        if isinstance(value, tuple | str):
            raise self._wrong(name, "a number")
        return value

    def _wrong(self, name: str, what: str) -> InvalidModelError:
        found = self.layer.parameters.get(self._numbers[name])
        return InvalidModelError(f"{name} is {found!r}, and should be {what}", where=self.where)
