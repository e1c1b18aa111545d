"""Names for extents that are unknown until the model runs."""

from __future__ import annotations

import re

from mmconvert.ir.dims import Dim


class Symbols:
    """Turns the names in a file into identifiers, the same name always into the same one."""

    def __init__(self) -> None:
        self._by_param: dict[str, str] = {}
        self._taken: set[str] = set()

    def of(self, param: str, hint: str) -> Dim:
        """The extent that the file calls ``param``; without a letter in it (``?``) it is unknown."""
        if not re.search("[A-Za-z]", param):
            return self.fresh(hint)
        if param not in self._by_param:
            self._by_param[param] = self._unique(param)
        return Dim.symbol(self._by_param[param])

    def fresh(self, hint: str) -> Dim:
        """An extent that is equal to no other; ``hint`` becomes a part of its name."""
        return Dim.symbol(self._unique(hint))

    def _unique(self, text: str) -> str:
        name = re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_") or "dim"
        name = f"_{name}" if name[0].isdigit() else name
        candidate, count = name, 2
        while candidate in self._taken:
            candidate, count = f"{name}_{count}", count + 1
        self._taken.add(candidate)
        return candidate
