"""Keeps the notes of runtimes off the terminal."""

from __future__ import annotations

import contextlib
import io
import os
import threading
import warnings
from collections.abc import Iterator

_STDERR = 2
_lock = threading.RLock()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drops what is written to standard error meanwhile: through Python, by native code, and as warnings.

    Errors are raised as ever. One thread at a time, as standard error belongs to the whole process.
    """
    with _lock, warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        saved = os.dup(_STDERR)
        try:
            with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a descriptor is what is needed
                os.dup2(nowhere.fileno(), _STDERR)
            yield
        finally:
            os.dup2(saved, _STDERR)
            os.close(saved)
