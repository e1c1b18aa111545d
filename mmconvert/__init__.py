"""mmconvert moves trained neural networks between frameworks, and proves the result.

The names below are the public interface. They are imported when they are first used, so that importing the
package costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmconvert.version import VERSION

if TYPE_CHECKING:
    from mmconvert.api import Model, Report, convert, diff, extract, load, reduce, run, save, verify
    from mmconvert.errors import MMConvertError

__version__ = VERSION

__all__ = [
    "MMConvertError",
    "Model",
    "Report",
    "__version__",
    "convert",
    "diff",
    "extract",
    "load",
    "reduce",
    "run",
    "save",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in ("Model", "Report", "convert", "diff", "extract", "load", "reduce", "run", "save", "verify"):
        from mmconvert import api

        return getattr(api, name)
    if name == "MMConvertError":
        from mmconvert.errors import MMConvertError

        return MMConvertError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
