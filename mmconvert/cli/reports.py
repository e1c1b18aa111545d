"""The files that ``--report`` and ``--junit`` ask for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mmconvert.errors import UsageError
from mmconvert.files import require_writable

if TYPE_CHECKING:
    from mmconvert.report import Case


def require(page: str | None, junit: str | None, *, others: Sequence[str | None] = ()) -> None:
    """Refuses what cannot be written, before any work is done.

    Args:
        page, junit: where to write; None for what was not asked for.
        others: the files that are read and written besides.

    Raises:
        UsageError: there is no such folder, or something else is there.
        MissingDependencyError: a library is not installed.
    """
    taken = {Path(other).resolve() for other in others if other is not None}
    for path in (page, junit):
        if path is None:
            continue
        require_writable(Path(path))
        if Path(path).resolve() in taken:
            raise UsageError("the report would be written over another file", where=path)
        taken.add(Path(path).resolve())
    if page is not None:
        from mmconvert.report import page as html

        html.require()
    if junit is not None:
        from mmconvert.report import junit as xml

        xml.require()


def write(cases: Sequence[Case], page: str | None, junit: str | None) -> None:
    """Writes what was asked for.

    Raises:
        UsageError: a file cannot be written.
    """
    if page is not None:
        from mmconvert.report import environment
        from mmconvert.report import page as html

        html.write(Path(page), cases, environment(), datetime.now(UTC))
    if junit is not None:
        from mmconvert.report import junit as xml

        xml.write(Path(junit), cases)
