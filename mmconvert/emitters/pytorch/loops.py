"""Blocks that are alike become a loop: their statements differ in the number of the block alone."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from mmconvert.emitters.pytorch.code import Names

Statement: TypeAlias = tuple[int, str]
"""A level of indentation, and the text behind it."""

_MARK = re.compile(r"# (.+)\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class _Block:
    """Which list a block is in, and its number there."""

    path: str
    number: int

    def generic(self, statements: Sequence[Statement], variable: str) -> list[Statement]:
        """Statements about this block as statements about ``variable``."""
        mine = f"self.{self.path}[{self.number}]"
        return [(level, text.replace(mine, variable)) for level, text in statements]


def mark(name: str) -> str:
    """The statement that stands ahead of those of a block: ``layers[0]``."""
    return f"# {name}"


def roll(
    statements: Sequence[Statement], lengths: Mapping[str, int], leaves: Container[str], names: Names
) -> list[Statement]:
    """Statements with loops in place of what is repeated, and an empty line ahead of each block.

    Args:
        statements: those of a function, with ``mark`` ahead of those of each block.
        lengths: how many modules each list has, by its path.
        leaves: the paths of lists of single layers, which have no line of their own.
        names: the names that are taken.
    """
    found: list[Statement] = []
    variables: dict[str, str] = {}
    at = 0
    while at < len(statements):
        level, text = statements[at]
        block = _block(text)
        count, body = _repeats(statements, at, block) if block is not None else (1, [])
        if block is not None and count > 1 and block.path in lengths:
            wanted = singular(block.path)
            variable = variables[wanted] = variables.get(wanted) or names.take(wanted)
            found += [(level, ""), (level, f"for {variable} in {_part(block, count, lengths[block.path])}:")]
            found += [(depth + 1, text) for depth, text in block.generic(body, variable)]
            at += count * (len(body) + 1)
            if at < len(statements) and not statements[at][1].startswith("#"):
                found.append((level, ""))
            continue
        if block is not None and block.path in leaves:
            at += 1
            continue
        found += [(level, "")] * text.startswith("#")
        found.append((level, text.replace("[", ".").replace("]", "") if text.startswith("#") else text))
        at += 1
    return found


def singular(path: str) -> str:
    """What to call one of a list."""
    last = path.rpartition(".")[2]
    return last[:-1] if re.fullmatch(r"[a-z]{3,}[^s]s", last) else "block"


def _block(text: str) -> _Block | None:
    match = _MARK.fullmatch(text)
    return _Block(match[1], int(match[2])) if match is not None else None


def _repeats(statements: Sequence[Statement], start: int, first: _Block) -> tuple[int, list[Statement]]:
    """How many blocks from ``start`` on are alike, and the statements of the first."""
    end = next((i for i in range(start + 1, len(statements)) if statements[i][1].startswith("#")), start)
    body = list(statements[start + 1 : end])
    wanted, count, at = first.generic(body, "?"), 1, end
    while body and at < len(statements):
        block = _Block(first.path, first.number + count)
        inside = statements[at + 1 : at + 1 + len(body)]
        if _block(statements[at][1]) != block or block.generic(inside, "?") != wanted:
            break
        count, at = count + 1, at + 1 + len(body)
    return count, body


def _part(block: _Block, count: int, length: int) -> str:
    """The expression for ``count`` of a list of modules, from ``block`` on."""
    start, end = block.number, block.number + count
    if (start, end) == (0, length):
        return f"self.{block.path}"
    return f"self.{block.path}[{start or ''}:{end if end < length else ''}]"
