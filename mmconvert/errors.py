"""Every error a user can see. Each says what is wrong, where, and what to do.

::

    MMConvertError                  exit code
    ├─ UsageError                        2    wrong option, path or combination of them
    ├─ UnsupportedError                  3    lists every unsupported thing of the model at once
    ├─ InvalidModelError                 4    the file is broken, or is not what it claims to be
    │   └─ InferenceError                     an operator's operands do not fit together
    ├─ MissingDependencyError            5    a runtime or an optional package is not installed
    ├─ DownloadError                     6    a file could not be fetched or has the wrong hash
    ├─ NotEquivalentError                1    the written file does not compute what the source does
    └─ InternalError                    70    a bug of ours (a pass broke the graph, two rules for one key)

Anything else that escapes is a bug, and the command line says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class MMConvertError(Exception):
    """Base of all errors raised on purpose.

    Attributes:
        message: what is wrong, one sentence.
        where: the place in the user's file (layer or node, file), empty when there is none.
        hint: what the user can do about it, empty when there is nothing.
    """

    exit_code = 1

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message, self.where, self.hint = message, where, hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\n  hint: {self.hint}" if self.hint else text


class UsageError(MMConvertError):
    """A wrong option, path or combination of them."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One unsupported thing: what it is, the places it is at, and the way out."""

    what: str
    where: tuple[str, ...] = ()
    hint: str = ""

    def __str__(self) -> str:
        shown = ", ".join(self.where[:5]) + (
            f" and {len(self.where) - 5} more" if len(self.where) > 5 else ""
        )
        count = f" ({len(self.where)}x)" if len(self.where) > 1 else ""
        text = f"{self.what}{count}" + (f" at {shown}" if shown else "")
        return f"{text}\n    hint: {self.hint}" if self.hint else text


class UnsupportedError(MMConvertError):
    """Something valid that mmconvert, or the chosen target, cannot express.

    Parsers and emitters collect: one exception carries every ``Problem`` of the model.
    """

    exit_code = 3

    def __init__(
        self, message: str, *, where: str = "", hint: str = "", problems: Sequence[Problem] = ()
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        lines = [super().__str__(), *(f"  - {problem}" for problem in self.problems)]
        return "\n".join(lines)


class InvalidModelError(MMConvertError):
    """The file is broken, truncated, hostile, or not what it claims to be."""

    exit_code = 4


class InferenceError(InvalidModelError):
    """The operands of an operator do not fit its contract."""


class MissingDependencyError(MMConvertError):
    """An optional package or runtime is needed and not installed."""

    exit_code = 5


class DownloadError(MMConvertError):
    """A file could not be fetched, or is not the file that was promised."""

    exit_code = 6


class NotEquivalentError(MMConvertError):
    """The converted model was written and does not compute what the source does."""

    exit_code = 1


class InternalError(MMConvertError):
    """A bug in mmconvert itself."""

    exit_code = 70


def merge_problems(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """The same thing at several places becomes one problem, in order of first appearance."""
    places: dict[tuple[str, str], list[str]] = {}
    for problem in problems:
        places.setdefault((problem.what, problem.hint), []).extend(problem.where)
    return tuple(Problem(what, tuple(where), hint) for (what, hint), where in places.items())
