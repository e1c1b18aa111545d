"""Rule tables: one for each format, keyed by the most precise thing there is, never overwritten silently."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any, Generic, TypeVar

from mmconvert.errors import InternalError

K = TypeVar("K", bound=Hashable)
F = TypeVar("F", bound=Callable[..., Any])


class Rules(Generic[K]):
    """A table from key (operator class, or the source's own operator name) to a rule function.

    A key may have several rules, each valid from a version of the format on (``since``).
    """

    def __init__(self, format_name: str) -> None:
        self.format_name = format_name
        self._table: dict[K, dict[int, Callable[..., Any]]] = {}

    def __call__(self, *keys: K, since: int = 1) -> Callable[[F], F]:
        """Decorator that registers a function for ``keys`` from version ``since`` on."""

        def register(function: F) -> F:
            for key in keys:
                self._add(key, since, function)
            return function

        return register

    def _add(self, key: K, since: int, function: Callable[..., Any]) -> None:
        versions = self._table.setdefault(key, {})
        if since in versions:
            raise InternalError(f"{self.format_name} has two rules for {key} since version {since}")
        versions[since] = function

    def find(self, key: K, version: int = 1 << 30) -> Callable[..., Any] | None:
        """The newest rule for ``key`` that is not newer than ``version``, or None."""
        usable = [since for since in self._table.get(key, ()) if since <= version]
        return self._table[key][max(usable)] if usable else None

    def versions(self, key: K) -> list[int]:
        """The versions that ``key`` has rules since."""
        return sorted(self._table.get(key, ()))

    def __contains__(self, key: K) -> bool:
        return key in self._table

    def __iter__(self) -> Iterator[K]:
        return iter(self._table)

    @classmethod
    def merge(cls, *tables: Rules[K]) -> Rules[K]:
        """One table out of the tables of the families."""
        merged: Rules[K] = cls(tables[0].format_name)
        for table in tables:
            for key, versions in table._table.items():
                for since, function in versions.items():
                    merged._add(key, since, function)
        return merged
